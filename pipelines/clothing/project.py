"""The card of clothing: what is asked, of which data, with which hyper-parameters and bars. Facts only."""

from pipelines.base.project import Bar, DataSource, Evaluation, Profile, Project, Variant

NAMES = (
    "T-shirt or top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
TRAINING = {"learning_rate": 2e-3, "batch_size": 128, "epochs": 10}
# The sum of squared errors of a picture counts so much beside the margin loss (Sabour et al. 2017).
DRAWING = {"reconstruction": 5e-4}
# Above the nearest neighbours of the same rows, for sure: else it has learned nothing that pixels do not say.
ABOVE_NEIGHBOURS = Bar("accuracy_gain_on_neighbours", at_least=0.0, sure=True)

PROJECT = Project(
    name="clothing",
    title="Clothing and what it could be",
    question="Which piece of clothing is in this 28 x 28 picture, and how would it look a little other?",
    model="Capsules with self-attention routing and depthwise convolutions, or with routing by agreement; a decoder",
    data=DataSource(
        title="Fashion-MNIST (Xiao, Rasul, Vollgraf 2017)",
        url="https://github.com/zalandoresearch/fashion-mnist",
        licence="MIT",
        size="31 MB, 60,000 + 10,000 images",
        command="viaduct data clothing",
        sha256={
            "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ),
    variants=(
        Variant(
            "efficient",
            "convolutions, depthwise ones over the whole picture, 16 capsules routed by self-attention",
            {"channels": 24, "primary": 16, **DRAWING, **TRAINING},
        ),
        Variant(
            "capsnet",
            "two convolutions of 9 x 9, primary capsules at 36 places, three rounds of routing by agreement",
            {"width": 0.25, **DRAWING, **TRAINING, "learning_rate": 1e-3},
        ),
        Variant(
            "cnn",
            "the rival: a plain convolutional network of as many parameters as efficient, no capsules, no decoder",
            {"channels": 24, "dropout": 0.2, "label_smoothing": 0.05, **TRAINING},
        ),
    ),
    quick=Profile(
        bars=(Bar("accuracy", at_least=0.90, max_loss=0.02), ABOVE_NEIGHBOURS),
        sample_rows=6_000,
        parameters={"epochs": 6, "batch_size": 64},
    ),
    full=Profile(
        bars=(Bar("accuracy", at_least=0.93, max_loss=0.005), ABOVE_NEIGHBOURS),
        sample_rows=30_000,
        variant_bars={"capsnet": (Bar("accuracy", at_least=0.915, max_loss=0.005), ABOVE_NEIGHBOURS)},
    ),
    evaluation=Evaluation(
        task="own",
        label_key="label",
        classes=NAMES,
        function="pipelines.clothing.evaluate.evaluate",
        slices=(("label",),),
    ),
    to_beat='"almost 99 %" claimed; published CapsNets reach 92 to 94 %',
    rivals={
        "accuracy_neighbours": "five nearest training pictures",
        "reconstruction_error_class_mean": "mean picture of the right class",
    },
    spans="counter",
    tags=("images", "capsules", "tflite"),
)
