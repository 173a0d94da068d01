"""The card of speech_commands: what is asked, of which data, with which hyper-parameters and bars. Facts only."""

from pipelines.base.project import Bar, DataSource, Evaluation, Profile, Project, Scalar, Variant
from pipelines.speech_commands.words import LABELS

# Of all variants: how training goes, and whom and what the split keeps away from it (rows.py).
TRAINING: dict[str, Scalar] = {"label_smoothing": 0.05, "batch_size": 64, "left_out": "", "held_out": ""}


def _bars(words: float, events: float) -> tuple[Bar, ...]:
    return (
        Bar("word_accuracy", at_least=words, max_loss=0.02),
        Bar("event_f1", at_least=events, max_loss=0.03),
    )


# The rival is the nearest recording by dynamic time warping, on the same rows; small networks may lose to it.
AGAINST_RIVAL = (Bar("lead", at_least=0.0),)
SMALL = {
    "single_fc": _bars(0.70, 0.60),
    "low_latency_conv": _bars(0.85, 0.75),
    "low_latency_svdf": _bars(0.85, 0.75),
    "tiny_conv": _bars(0.85, 0.75),
}

PROJECT = Project(
    name="speech_commands",
    title="Spoken words",
    question="Which of ten words is said in this second of sound?",
    model="Five small networks on log mel spectra; resampling and spectra inside the served graph",
    data=DataSource(
        title="Free Spoken Digit Dataset 1.0.10 (Jackson et al.); Speech Commands (Warden 2018) is read too",
        url="https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.zip",
        licence="CC BY-SA 4.0",
        size="16 MB, 3,000 recordings of six speakers",
        command="viaduct data speech_commands",
    ),
    variants=(
        Variant(
            "conv",
            "three convolutions over time and frequency with batch normalisation",
            {"channels": 32, "dropout": 0.3, "learning_rate": 3e-3, "epochs": 30, **TRAINING},
        ),
        Variant(
            "single_fc",
            "a weighted sum of the spectrum",
            {"learning_rate": 3e-3, "epochs": 30, **TRAINING},
        ),
        Variant(
            "low_latency_conv",
            "one convolution over all of the time, then two linear layers",
            {"channels": 128, "dense": 128, "dropout": 0.3, "learning_rate": 1e-3, "epochs": 30, **TRAINING},
        ),
        Variant(
            "low_latency_svdf",
            "filters over time and frequency of rank 2, then two linear layers",
            {
                "units": 256,
                "rank": 2,
                "dense": 128,
                "dropout": 0.3,
                "learning_rate": 1e-3,
                "epochs": 30,
                **TRAINING,
            },
        ),
        Variant(
            "tiny_conv",
            "one convolution of eight filters, for microcontrollers; exported as int8",
            {"channels": 8, "dropout": 0.3, "learning_rate": 3e-3, "epochs": 60, **TRAINING},
        ),
    ),
    quick=Profile(
        bars=(*_bars(0.90, 0.80), *AGAINST_RIVAL),
        sample_rows=1_200,
        parameters={"channels": 16, "epochs": 40},
        variant_parameters={"tiny_conv": {"channels": 8}},
        variant_bars=SMALL,
    ),
    full=Profile(
        bars=(*_bars(0.97, 0.90), *AGAINST_RIVAL),
        sample_rows=3_000,
        variant_bars=SMALL,
    ),
    evaluation=Evaluation(
        task="own",
        label_key="label",
        classes=LABELS,
        function="pipelines.speech_commands.evaluate.evaluate",
        slices=(("kind",), ("speaker",), ("word",)),
    ),
    to_beat="87.7 % test accuracy (conv, Speech Commands)",
    spans="counter",
    tags=("audio", "streams", "tflite"),
)
