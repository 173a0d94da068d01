"""The card of recommendations: what is asked, of which data, with which hyper-parameters and bars. Facts only."""

from pipelines.base.project import Bar, DataSource, Evaluation, Profile, Project, Variant

# Chosen on the tuning period (the end of the training period) of samples with other seeds than the runs'. Confidence,
# regularisation and penalty are where each run's own search begins (choosing.py).
COMMON = {"factors": 64, "confidence": 100.0, "regularisation": 20.0, "penalty": 300.0, "half_life": 14.0}
# Not shown to be worse than the best rival (popularity, item neighbours, EASE), clearly better than popularity.
BARS = (
    Bar("known_hit_rate_at_10", at_least=0.2, max_loss=0.05),
    Bar("least_ndcg_gain_on_best_upper", at_least=0.0),
    Bar("least_ndcg_vs_popularity", at_least=1.0),
)

PROJECT = Project(
    name="recommendations",
    title="Next items for a visitor",
    question="Which items will this visitor look at next?",
    model="Implicit matrix factorisation, EASE or a network; all know a visitor by the items seen",
    data=DataSource(
        title="Retailrocket recommender system dataset, events.csv",
        url="https://www.kaggle.com/datasets/retailrocket/ecommerce-dataset",
        licence="CC BY-NC-SA 4.0",
        size="94 MB, 2,756,101 events of 1,407,580 visitors with 235,061 items in 138 days",
        command="kaggle datasets download retailrocket/ecommerce-dataset --file events.csv --path FOLDER --unzip",
    ),
    variants=(
        Variant(
            "best",
            "factorisation or EASE, whichever foresees the end of the training period better",
            {**COMMON, "trend": 0.2, "epochs": 12},
        ),
        Variant(
            "factorisation",
            "alternating least squares on confidence-weighted views, carts and purchases",
            {**COMMON, "trend": 0.2, "epochs": 12},
        ),
        Variant(
            "ease",
            "weights between items by a regression of each item on all others, in closed form (Steck, 2019)",
            {**COMMON, "epochs": 1},
        ),
        Variant(
            "neural",
            "a network on the embeddings of what was seen, of what was seen last and of the item",
            {
                **COMMON,
                "trend": 0.5,
                "factor_epochs": 8,
                "hidden": 32,
                "dropout": 0.5,
                "learning_rate": 3e-4,
                "weight_decay": 0.1,
                "batch_size": 256,
                "negatives": 256,
                "epochs": 4,
            },
        ),
    ),
    quick=Profile(bars=BARS, sample_rows=120_000),
    # More items need more factors: with 128, visitors with one item were served hardly better than by neighbours.
    full=Profile(
        bars=BARS,
        sample_rows=600_000,
        variant_parameters={
            "best": {"factors": 256, "epochs": 8},
            "factorisation": {"factors": 256, "epochs": 8},
            "neural": {"factors": 128, "epochs": 2},
        },
    ),
    evaluation=Evaluation(
        task="own",
        function="pipelines.recommendations.evaluate.evaluate",
        slices=(("history",), ("task",)),
    ),
    to_beat="mean squared error 0.0571 of the strengths 1, 2, 3 (a constant has 0.0560)",
    rivals={
        f"{kind}_ndcg_at_10_{metric}": f"{rival}, {kind} visitors"
        for kind in ("returning", "started")
        for metric, rival in (
            ("ease", "EASE"),
            ("neighbours", "item neighbours"),
            ("popularity", "popularity"),
        )
    },
    schedule="@daily",
    spans="counter",
    tags=("recommendations", "embeddings"),
)
