"""The card of recommendations: what is asked, of which data, with which hyper-parameters and bars. Facts only."""

from pipelines.base.project import Bar, DataSource, Evaluation, Profile, Project, Variant

# Chosen on the tuning period (the end of the training period) of samples with other seeds than the runs'.
COMMON = {"factors": 64, "confidence": 100.0, "regularisation": 20.0, "half_life": 14.0}
# Better than both rivals where something is known of the visitor, and not worse than popularity where nothing is.
BARS = (
    Bar("returning_hit_rate_at_10", at_least=0.2, max_loss=0.05),
    Bar("returning_hit_rate_vs_neighbours", at_least=1.0),
    Bar("returning_ndcg_vs_neighbours", at_least=1.0),
    Bar("returning_ndcg_vs_popularity", at_least=2.0),
    Bar("started_ndcg_vs_neighbours", at_least=1.0),
    Bar("new_ndcg_vs_popularity", at_least=1.0),
)

PROJECT = Project(
    name="recommendations",
    title="Next items for a visitor",
    question="Which items will this visitor look at next?",
    model="Implicit matrix factorisation, or a network on concatenated embeddings; both know a visitor by items seen",
    data=DataSource(
        title="Retailrocket recommender system dataset, events.csv",
        url="https://www.kaggle.com/datasets/retailrocket/ecommerce-dataset",
        licence="CC BY-NC-SA 4.0",
        size="94 MB, 2,756,101 events of 1,407,580 visitors with 235,061 items in 138 days",
        command="kaggle datasets download retailrocket/ecommerce-dataset --file events.csv --path FOLDER --unzip",
    ),
    variants=(
        Variant(
            "factorisation",
            "alternating least squares on confidence-weighted views, carts and purchases",
            {**COMMON, "trend": 0.2, "epochs": 12},
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
            "factorisation": {"factors": 256, "epochs": 8},
            "neural": {"factors": 128, "epochs": 2},
        },
    ),
    evaluation=Evaluation(
        task="own",
        function="pipelines.recommendations.judging.evaluate",
        slices=(("history",), ("task",)),
    ),
    to_beat="mean squared error 0.0571 of the strengths 1, 2, 3 (a constant has 0.0560)",
    schedule="@daily",
    spans="counter",
    tags=("recommendations", "embeddings"),
)
