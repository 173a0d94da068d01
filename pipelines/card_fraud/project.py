"""The card of card_fraud: what is asked, of which data, with which hyper-parameters and bars. Facts only."""

from pipelines.base.project import Bar, DataSource, Evaluation, Profile, Project, Variant, Watch
from pipelines.base.search import Between, OneOf, Search

PROJECT = Project(
    name="card_fraud",
    title="Fraudulent card transactions",
    question="Which card transactions are fraudulent?",
    model="Autoencoder fitted to normal transactions; a transaction that it rebuilds badly is suspect",
    data=DataSource(
        title="Credit Card Fraud Detection (Worldline and the Machine Learning Group of ULB)",
        url="https://www.kaggle.com/datasets/mlg-ulb/creditcardfraud",
        licence="ODbL 1.0 (database), DbCL 1.0 (contents)",
        size="151 MB, 284,807 rows, 492 of them frauds",
        command="viaduct data card_fraud",
    ),
    variants=(
        Variant(
            "autoencoder",
            "one hidden layer on each side of the code",
            {
                "hidden": 40,
                "code": 10,
                "learning_rate": 3e-3,
                "batch_size": 128,
                "epochs": 30,
                "wanted_recall": 0.95,
                "false_alarms": 0.006,
            },
            # Nothing is watched: the loss is that of rebuilding normals, which a larger code always does better.
            Search(
                "auc_pr",
                {
                    "hidden": Between(16, 96, log=True),
                    "code": Between(3, 20),
                    "learning_rate": Between(5e-4, 1e-2, log=True),
                    "batch_size": OneOf((64, 128, 256, 512)),
                },
            ),
        ),
        Variant(
            "boosted",
            "boosted trees on the same columns, which learn from the labels of past frauds",
            {"trees": 300, "depth": 5, "shrinkage": 0.1, "wanted_recall": 0.95, "false_alarms": 0.006},
            Search("auc_pr", {"depth": Between(2, 8), "shrinkage": Between(0.02, 0.3, log=True)}),
        ),
    ),
    quick=Profile(
        bars=(Bar("recall", at_least=0.80, max_loss=0.10), Bar("fall_out", at_most=0.03)),
        sample_rows=20_000,
        parameters={"epochs": 12, "batch_size": 256, "false_alarms": 0.015},
    ),
    full=Profile(
        bars=(Bar("recall", at_least=0.80, max_loss=0.05), Bar("fall_out", at_most=0.015)),
        sample_rows=284_807,
    ),
    evaluation=Evaluation(
        task="binary",
        label_key="Class",
        classes=("genuine", "fraud"),
        prediction_key="score",
        metrics=("Recall", "FallOut", "Precision", "AUC", 'AUC:{"curve": "PR", "name": "auc_pr"}'),
        slices=(("amount",), ("part_of_day",)),
        preprocessing=("slice_features",),
    ),
    to_beat="recall 97/120 with 1,082 false alarms (precision 8 %)",
    schedule="@daily",
    spans="counter",
    tags=("tabular", "anomaly detection"),
    # Time counts on from the first purchase. What was a fraud is known weeks later, when cardholders have complained.
    watch=Watch(without=("Time",), outcome_days=60.0),
)
