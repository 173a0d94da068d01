"""The card of digits: what is asked, of which data, with which hyper-parameters and bars. Facts only."""

from pipelines.base.project import Bar, DataSource, Evaluation, Profile, Project, Variant
from pipelines.base.search import Between, OneOf, Search

ACCURACY = "sparse_categorical_accuracy"

PROJECT = Project(
    name="digits",
    title="Handwritten digits",
    question="Which digit is written in this 28 x 28 picture?",
    model="Logistic regression (TensorFlow core operations, or Keras) or a small convolutional network",
    data=DataSource(
        title="MNIST (LeCun, Cortes, Burges)",
        url="https://ossci-datasets.s3.amazonaws.com/mnist/",
        licence="CC BY-SA 3.0",
        size="11 MB, 60,000 + 10,000 images",
        command="viaduct data digits",
        sha256={
            "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ),
    variants=(
        Variant(
            "cnn",
            "five 3 x 3 convolutions with batch normalisation; shifted, turned and stretched training images",
            {
                "channels": 16,
                "dense": 64,
                "dropout": 0.3,
                "label_smoothing": 0.05,
                "learning_rate": 6e-3,
                "batch_size": 128,
                "epochs": 8,
            },
            Search(
                ACCURACY,
                {
                    "dropout": Between(0.0, 0.5),
                    "label_smoothing": Between(0.0, 0.2),
                    "learning_rate": Between(1e-3, 2e-2, log=True),
                    "batch_size": OneOf((64, 128, 256)),
                },
                watch="val_accuracy",
            ),
        ),
        Variant(
            "logistic",
            "softmax over a weighted sum of pixels, in Keras",
            {"learning_rate": 3e-3, "batch_size": 128, "epochs": 12},
            Search(
                ACCURACY,
                {"learning_rate": Between(3e-4, 3e-2, log=True), "batch_size": OneOf((32, 64, 128, 256))},
                watch="val_accuracy",
            ),
        ),
        Variant(
            "logistic_core",
            "the same with TensorFlow's core operations and a hand-written training step",
            {"learning_rate": 0.1, "momentum": 0.9, "batch_size": 128, "epochs": 12},
        ),
    ),
    quick=Profile(
        bars=(Bar(ACCURACY, at_least=0.97, max_loss=0.01),),
        sample_rows=6_000,
        parameters={"epochs": 6},
        variant_bars={
            "logistic": (Bar(ACCURACY, at_least=0.90, max_loss=0.01),),
            "logistic_core": (Bar(ACCURACY, at_least=0.90, max_loss=0.01),),
        },
    ),
    full=Profile(
        bars=(Bar(ACCURACY, at_least=0.995, max_loss=0.002),),
        sample_rows=70_000,
        variant_bars={
            "logistic": (Bar(ACCURACY, at_least=0.92, max_loss=0.002),),
            "logistic_core": (Bar(ACCURACY, at_least=0.92, max_loss=0.002),),
        },
    ),
    evaluation=Evaluation(
        task="multiclass",
        label_key="label",
        prediction_key="probabilities",
        metrics=("SparseCategoricalAccuracy", "SparseCategoricalCrossentropy"),
        slices=(("label",),),
        classes=tuple("0123456789"),
    ),
    to_beat="74.3 % (core), 90.97 % (Keras logistic), 99.24 % (CNN) test accuracy",
    spans="counter",
    tags=("images", "tflite"),
)
