"""The card of traffic_signs: what is asked, of which data, with which hyper-parameters and bars. Facts only."""

from pipelines.base.project import Bar, DataSource, Evaluation, Profile, Project, Variant
from pipelines.traffic_signs.signs import NAMES

# mean_accuracy is the mean over Monte Carlo draws; a draw is a network. signs_refused is what `is_sign` costs.
QUICK_BARS = (
    Bar("mean_accuracy", at_least=0.80, max_loss=0.03),
    Bar("ece", at_most=0.08, max_loss=0.03),
    Bar("unsure_error_ratio", at_least=5.0),
)
FULL_BARS = (
    Bar("mean_accuracy", at_least=0.95, max_loss=0.03),
    Bar("ece", at_most=0.05, max_loss=0.03),
    Bar("unsure_error_ratio", at_least=20.0),
    Bar("signs_refused", at_most=0.10),
    Bar("non_signs_taken", at_most=0.10),
)

PROJECT = Project(
    name="traffic_signs",
    title="Traffic signs and doubt",
    question="Which of 43 German traffic signs is in this picture, and how sure is that?",
    model="Bayesian LeNet: flipout layers trained on the ELBO, Monte Carlo prediction inside the served graph",
    data=DataSource(
        title="German Traffic Sign Recognition Benchmark, training archive (Stallkamp et al. 2012)",
        url="https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/",
        licence="CC0 1.0",
        size="276 MB, 39,209 pictures of 43 classes in tracks of 30 frames",
        command="viaduct data traffic_signs",
    ),
    variants=(
        Variant(
            "flipout",
            "two convolutional and three dense flipout layers; moved and lit training pictures",
            {
                "channels": 16,
                "dense": 120,
                "prior": 1.0,
                "deviation": 0.1,
                "divergence": 0.02,
                "warm_up": 0.3,
                "exposure": 0.25,
                "refused": 0.05,
                "learning_rate": 2e-3,
                "batch_size": 64,
                "epochs": 100,
            },
        ),
    ),
    quick=Profile(bars=QUICK_BARS, sample_rows=2_580, parameters={"epochs": 36, "learning_rate": 3e-3}),
    full=Profile(bars=FULL_BARS, sample_rows=6_450),
    evaluation=Evaluation(
        task="own",
        label_key="label",
        classes=NAMES,
        function="pipelines.traffic_signs.evaluate.evaluate",
        slices=(("category",), ("size",), ("brightness",), ("sign",)),
    ),
    to_beat="89 % mean accuracy on the official full set",
    spans="counter",
    tags=("images", "Bayesian", "uncertainty"),
)
