"""The card of recommendations: what is asked, of which data, with which hyper-parameters and bars. Facts only."""

from pipelines.base.project import Bar, DataSource, Evaluation, Profile, Project, Variant

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
            {
                "factors": 64,
                "confidence": 100.0,
                "regularisation": 20.0,
                "half_life": 14.0,
                "epochs": 12,
            },
        ),
        Variant(
            "neural",
            "a network on the embeddings of what was seen, of what was seen last and of the item",
            {
                "factors": 48,
                "hidden": 64,
                "learning_rate": 2e-3,
                "batch_size": 256,
                "negatives": 400,
                "half_life": 14.0,
                "epochs": 12,
            },
        ),
    ),
    quick=Profile(
        bars=(Bar("ndcg_at_10", at_least=0.01, max_loss=0.02),),
        sample_rows=120_000,
    ),
    full=Profile(
        bars=(Bar("ndcg_at_10", at_least=0.01, max_loss=0.02),),
        sample_rows=600_000,
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
