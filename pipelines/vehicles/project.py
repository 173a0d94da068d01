"""The card of vehicles: what is asked, of which data, with which hyper-parameters and bars. Facts only."""

from pipelines.base.project import Bar, DataSource, Evaluation, Profile, Project, Scalar, Variant

# `extractor` is a file or folder on this machine (pipelines/base/hub.py); `folds` chooses the head's penalty.
HEAD: dict[str, Scalar] = {"extractor": "", "folds": 5}
REPOSITORY = "https://github.com/PacktPublishing/TensorFlow-Machine-Learning-Projects"

PROJECT = Project(
    name="vehicles",
    title="Buses and cars",
    question="Is there a bus or a car in this photograph?",
    model="A pretrained extractor of features, then logistic regression",
    data=DataSource(
        title="Photographs of buses and cars beside chapter 12 of a book (Jain, Fandango, Kapoor 2018)",
        url=f"{REPOSITORY}/archive/refs/heads/master.zip",
        licence="not stated for the photographs; the repository that holds them is MIT",
        size="75 photographs and more; a MobileNet of 3 MB",
        command="viaduct data vehicles",
        sha256={
            "mobilenet_v1_1.0_224_quant_embedding_extractor.tflite": (
                "f409ef4f73fcbb9667841965623c5c8524aac33d41b9bf5f3667161fb4a76319"
            )
        },
    ),
    variants=(
        Variant(
            "own",
            "an extractor of our own, trained on drawings of vehicles to tell how they were drawn",
            {**HEAD, "drawings": 3_000, "epochs": 14, "learning_rate": 2e-3, "batch_size": 32},
        ),
        Variant("squeezenet", "SqueezeNet 1.1 on ImageNet; `extractor` is its Keras weight file", HEAD),
        Variant("mobilenet", "quantised MobileNet v1; `extractor` is its TensorFlow Lite file", HEAD),
        Variant(
            "hub",
            "any SavedModel or TF Hub module from pictures to features; `extractor` is its folder",
            HEAD,
        ),
    ),
    quick=Profile(
        bars=(Bar("accuracy", at_least=0.85), Bar("loo_accuracy", at_least=0.90, max_loss=0.05)),
        sample_rows=80,
        parameters={"folds": 3},
    ),
    full=Profile(
        bars=(
            Bar("loo_accuracy", at_least=0.96, max_loss=0.03),
            Bar("repeated_accuracy", at_least=0.96, max_loss=0.03),
            Bar("lead", at_least=0.0),
        ),
        sample_rows=200,
    ),
    evaluation=Evaluation(
        task="own",
        label_key="label",
        classes=("bus", "car"),
        function="pipelines.vehicles.evaluate.evaluate",
        slices=(("kind",),),
    ),
    to_beat="36 of 36 (one 60/40 split)",
    spans="counter",
    tags=("images", "transfer learning"),
)
