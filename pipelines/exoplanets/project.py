"""The card of exoplanets: what is asked, of which data, with which hyper-parameters and bars. Facts only."""

from pipelines.base.project import Bar, DataSource, Evaluation, Profile, Project, Variant
from pipelines.base.search import Between, Search

PROJECT = Project(
    name="exoplanets",
    title="Stars with planets",
    question="Does this star have a planet?",
    model="Trees on what the curve shows: a box-fitting periodogram, the folded transit, single dips, the spectrum",
    data=DataSource(
        title="Exoplanet Hunting in Deep Space (Kepler labelled time series data)",
        url="https://www.kaggle.com/datasets/keplersmachines/kepler-labelled-time-series-data",
        licence="CC0 1.0 (derived from NASA's public Kepler archive)",
        size="290 MB, 5,087 + 570 stars, 37 + 5 of them with planets",
        command="viaduct data exoplanets --data FOLDER/WITH/exoTrain.csv",
    ),
    variants=(
        Variant(
            "boosted",
            "gradient boosted trees, stopped early on the tune split",
            {"trees": 400, "depth": 5, "shrinkage": 0.05, "subsample": 0.7, "host_share": 0.3},
            Search(
                "auc_pr",
                {
                    "depth": Between(2, 8),
                    "shrinkage": Between(0.02, 0.2, log=True),
                    "subsample": Between(0.4, 1.0),
                    "host_share": Between(0.1, 0.6),
                },
            ),
        ),
        Variant(
            "forest",
            "a random forest whose trees vote with probabilities",
            {"trees": 400, "depth": 16, "host_share": 0.3},
        ),
    ),
    quick=Profile(
        bars=(Bar("auc_pr", at_least=0.60, max_loss=0.15), Bar("recall_at_precision_80", at_least=0.40)),
        sample_rows=1_600,
        parameters={"trees": 150},
    ),
    full=Profile(
        bars=(Bar("auc_pr", at_least=0.70, max_loss=0.05), Bar("recall_at_precision_90", at_least=0.50)),
        sample_rows=6_000,
    ),
    evaluation=Evaluation(
        task="binary",
        label_key="is_host",
        classes=("no planet", "planet host"),
        raw_label_key="LABEL",
        prediction_key="score",
        metrics=(
            'AUC:{"curve": "PR", "name": "auc_pr"}',
            "AUC",
            'RecallAtPrecision:{"precision": 0.8, "name": "recall_at_precision_80"}',
            'RecallAtPrecision:{"precision": 0.9, "name": "recall_at_precision_90"}',
        ),
        slices=(("star",), ("strongest_signal",)),
        preprocessing=("evaluation_features",),
    ),
    to_beat="accuracy 0.991 with ROC AUC 0.499 and recall 0",
    schedule="@weekly",
    spans="counter",
    tags=("time series", "astronomy", "trees"),
)
