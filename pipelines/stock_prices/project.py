"""The card of stock_prices: what is asked, of which data, with which hyper-parameters and bars. Facts only."""

from pipelines.base.project import Bar, DataSource, Evaluation, Profile, Project, Variant

COMMON = {"backtest_years": 8, "fit_stride": 10, "stride": 5, "fit_steps": 60}
# Not shown to be less likely than the best of four rivals, the simplest being the last value.
NOT_WORSE = Bar("nll_gain_on_best_upper", at_least=0.0)

PROJECT = Project(
    name="stock_prices",
    title="Stock prices with a 95 % band",
    question="Which course will a stock's price take over a year or a quarter, and between which bounds?",
    model="Random walk with a variance that returns to its usual size; also Gaussian processes fitted with GPflow",
    data=DataSource(
        title="Daily prices of GOOG, NFLX and GE in Yahoo's columns",
        url="https://github.com/PacktPublishing/TensorFlow-Machine-Learning-Projects/tree/master/Chapter06/Data",
        licence="MIT (the book's repository); Yahoo's terms for newer downloads",
        size="1.0 MB, 3 stocks, 3,500 to 6,600 days each",
        command="viaduct run stock_prices --data FOLDER  # one <STOCK>.csv per stock",
    ),
    variants=(
        Variant("reverting", "a random walk whose variance returns from recent to usual", COMMON),
        Variant("walk", "each year a random walk with a drift and a season that years share", COMMON),
        Variant("rbf_white", "the book's kernel: RBF over year and day, plus white noise", COMMON),
        Variant("matern_white", "Matern 1/2 over year and day, plus white noise", COMMON),
    ),
    quick=Profile(
        bars=(
            Bar("coverage", at_least=0.85, max_loss=0.10),
            Bar("coverage", at_most=0.995),
            Bar("nll_gain_on_rbf_white", at_least=0.05),
            NOT_WORSE,
        ),
        sample_rows=7_800,
        parameters={"backtest_years": 3, "fit_stride": 20, "stride": 10},
        variant_bars={
            "walk": (Bar("coverage", at_least=0.85), Bar("nll_gain_on_rbf_white", at_least=0.05)),
            "rbf_white": (Bar("coverage", at_least=0.70), Bar("coverage", at_most=0.999)),
            "matern_white": (Bar("coverage", at_least=0.80), Bar("coverage", at_most=0.999)),
        },
    ),
    full=Profile(
        bars=(
            Bar("coverage", at_least=0.88, max_loss=0.05),
            Bar("coverage", at_most=0.99),
            Bar("nll_gain_on_last_value", at_least=0.0),
            Bar("nll_gain_on_rbf_white", at_least=0.05),
            NOT_WORSE,
        ),
        sample_rows=13_000,
        variant_bars={
            "walk": (Bar("coverage", at_least=0.88), Bar("nll_gain_on_rbf_white", at_least=0.05)),
            "rbf_white": (Bar("coverage", at_least=0.88), Bar("coverage", at_most=0.99)),
            "matern_white": (Bar("coverage", at_least=0.88), Bar("coverage", at_most=0.99)),
        },
    ),
    evaluation=Evaluation(
        task="own",
        function="pipelines.stock_prices.evaluate.evaluate",
        slices=(("period",), ("stock",), ("period", "stock")),
    ),
    to_beat="mostly inside the band",
    schedule="@weekly",
    spans="counter",
    tags=("time series", "Gaussian process"),
)
