"""The card of customer_spending: what is asked, of which data, with which hyper-parameters and bars. Facts only."""

from pipelines.base.project import Bar, DataSource, Evaluation, Profile, Project, Variant

# Periods of four weeks at the end of the data: the last ones judge, those before them tune, the rest teach.
PERIODS = {"eval_periods": 3, "tune_periods": 2}
TRAINING = {"hidden": 48, "dropout": 0.1, "learning_rate": 0.003, "batch_size": 256}

PROJECT = Project(
    name="customer_spending",
    title="What a customer spends in the next four weeks",
    question="How much will this customer spend in the next four weeks, and between which bounds?",
    model="Network over windows of past orders: whether something is bought, and how much (log-normal)",
    data=DataSource(
        title="Online Retail II: orders of a British gift shop, December 2009 to December 2011",
        url="https://archive.ics.uci.edu/dataset/502/online+retail+ii",
        licence="CC BY 4.0 (Daqing Chen, UCI Machine Learning Repository)",
        size="45 MB, 1,067,371 order lines of 5,942 customers",
        command="viaduct data customer_spending",
    ),
    variants=(
        Variant(
            "hurdle", "whether, and if so how much, from one network", {**PERIODS, **TRAINING, "epochs": 40}
        ),
    ),
    quick=Profile(
        bars=(
            Bar("mae_gain_on_best", at_least=0.0, max_loss=2.0),
            Bar("total_ratio", at_least=0.85),
            Bar("total_ratio", at_most=1.15),
            Bar("coverage", at_least=0.75),
        ),
        sample_rows=40_000,
        parameters={"epochs": 15},
    ),
    full=Profile(
        bars=(
            Bar("mae_gain_on_best", at_least=0.0, max_loss=2.0, sure=True),
            Bar("total_ratio", at_least=0.85),
            Bar("total_ratio", at_most=1.15),
            Bar("coverage", at_least=0.75),
        ),
        sample_rows=200_000,
    ),
    evaluation=Evaluation(
        task="own",
        function="pipelines.customer_spending.evaluate.evaluate",
        slices=(("recency",),),
        slice_rows=0,
    ),
    schedule="@weekly",
    spans="counter",
    tags=("forecast", "customers", "window features"),
)
