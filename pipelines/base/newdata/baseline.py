"""What a model must beat: the majority or the mean, a linear model and boosted trees, by scikit-learn's usual means.

Measured on rows of the training split only, parts of it held out in turn. It also says how much each single column
tells of the label, which finds leaks and the slices worth looking at.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipelines.base.newdata.columns import Column, Role
from pipelines.base.newdata.target import Target, texts

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

FOLDS = 5
# From here on one held-out fifth is enough.
ONE_FOLD_ROWS = 5_000
MOST_ROWS = 40_000
# Rows of a class; rarer ones cannot be in every part that is held out.
LEAST_OF_CLASS = 2 * FOLDS
BINS = 50
SEED = 5
METRICS = {
    "binary": "auc",
    "multiclass": "sparse_categorical_accuracy",
    "regression": "root_mean_squared_error",
}


@dataclasses.dataclass(frozen=True)
class Baseline:
    """Figures of `metric` (see METRICS) on held-out training rows, and the label's majority or mean."""

    metric: str
    naive: float
    linear: float
    boosted: float
    noise: float  # a standard error of the metric on the evaluation split, about
    network: float | None = None  # of tables that are small enough for it to be measured soon

    @property
    def smaller_is_better(self) -> bool:
        return self.metric == METRICS["regression"]


def measure(
    table: pa.Table, columns: Sequence[Column], target: Target, eval_rows: int, *, by_time: bool = False
) -> Baseline:
    """The figures for training rows `table`; `by_time`, where they come in the order of time, the last fifth of them is
    what is held out."""
    import numpy as np
    from sklearn.model_selection import KFold, StratifiedKFold
    from threadpoolctl import threadpool_limits

    table = _frequent(table, target)
    if table.num_rows > MOST_ROWS:
        chosen = np.random.default_rng(SEED).choice(table.num_rows, MOST_ROWS, replace=False)
        table = table.take(np.sort(chosen) if by_time else chosen)
    inputs, label = frame(table, columns), label_of(table, target)
    kind = KFold if target.task == "regression" else StratifiedKFold
    folds = list(
        kind(FOLDS, shuffle=True, random_state=SEED).split(inputs, label if target.classes else None)
    )
    rivals: dict[str, Any] = {"linear": linear, "boosted": trees}
    if by_time:
        places = np.arange(table.num_rows)
        folds = [(places[: -len(places) // FOLDS], places[-len(places) // FOLDS :])]
    if table.num_rows >= ONE_FOLD_ROWS:
        folds = folds[:1]
    else:
        rivals["network"] = network
    found: dict[str, list[float]] = {"naive": [], **{name: [] for name in rivals}}
    # Threads that wait for each other cost ten times the work on a few hundred rows.
    with threadpool_limits(1), warnings.catch_warnings():
        # That a solver stopped before it was done is no news for whoever asked for a project.
        warnings.simplefilter("ignore")
        for train, held_out in folds:
            for name, make in rivals.items():
                model = make(columns, target)
                model.fit(inputs.iloc[train], label[train])
                given = answers(model, target, inputs.iloc[held_out])
                found[name].append(score(target, label[held_out], given))
            found["naive"].append(_naive(target, label[train], label[held_out]))
    mean = {name: float(np.mean(scores)) for name, scores in found.items()}
    noise = _noise(target, mean["linear"], label, eval_rows)
    return Baseline(METRICS[target.task], noise=noise, **mean)


def _frequent(table: pa.Table, target: Target) -> pa.Table:
    """Without the rows of classes that are too rare to be in every fold."""
    import numpy as np
    import pyarrow as pa

    if not target.classes:
        return table
    label = label_of(table, target)
    return table.filter(pa.array(np.bincount(label)[label] >= LEAST_OF_CLASS))


def frame(table: pa.Table, columns: Sequence[Column]) -> pd.DataFrame:
    """The features as pandas has them: numbers as floats, everything else as stripped text, None where missing."""
    import numpy as np
    import pandas as pd

    made: dict[str, Any] = {}
    for column in columns:
        values = table.column(column.name)
        if column.role in (Role.NUMBER, Role.MOMENT):
            made[column.name] = np.asarray(values.to_pandas(), float)
        elif column.role in (Role.CATEGORY, Role.TEXT):
            made[column.name] = [None if v is None else str(v).strip() for v in values.to_pylist()]
        elif column.role is Role.DATE:
            days = pd.to_datetime(values.to_pandas(), errors="coerce", utc=True)
            made[column.name] = (days - pd.Timestamp(0, tz="utc")) / pd.Timedelta(days=1)
    return pd.DataFrame(made)


def label_of(table: pa.Table, target: Target) -> np.ndarray:
    """Class ids, or numbers."""
    import numpy as np

    column = table.column(target.name)
    if not target.classes:
        return np.asarray(column.to_pandas(), float)
    places = {name: place for place, name in enumerate(target.classes)}
    return np.array([places[text] for text in texts(column)])


def linear(columns: Sequence[Column], target: Target) -> Any:
    """Logistic or ridge regression over `_usual` columns."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline

    model = Ridge() if target.task == "regression" else LogisticRegression(max_iter=300)
    return make_pipeline(_usual(columns), model)


def network(columns: Sequence[Column], target: Target) -> Any:
    """Two hidden layers over `_usual` columns, as the variant `dense` has them."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    shape = {"hidden_layer_sizes": (64, 32), "alpha": 1e-3, "max_iter": 60, "random_state": SEED}
    if target.task != "regression":
        return make_pipeline(_usual(columns), MLPClassifier(**shape))
    scaled = TransformedTargetRegressor(MLPRegressor(**shape), transformer=StandardScaler())
    return make_pipeline(_usual(columns), scaled)


def _usual(columns: Sequence[Column]) -> Any:
    """Medians for missing numbers, scaled; categories one-hot; text as TF-IDF."""
    from sklearn.compose import make_column_transformer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    numbers, categories, prose = _by_kind(columns)
    parts: list[tuple[Any, Any]] = [
        (
            make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()),
            numbers,
        ),
        (
            make_pipeline(
                SimpleImputer(strategy="constant", fill_value="(missing)", missing_values=None),
                OneHotEncoder(handle_unknown="ignore"),
            ),
            categories,
        ),
        *(
            (make_pipeline(FunctionTransformer(_filled_text), TfidfVectorizer(max_features=5_000)), name)
            for name in prose
        ),
    ]
    return make_column_transformer(*(part for part in parts if part[1]))


def _filled_text(values: Any) -> Any:
    return values.fillna("")


def trees(columns: Sequence[Column], target: Target) -> Any:
    """Histogram-boosted trees with scikit-learn's settings; they see no text."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    numbers, categories, _ = _by_kind(columns)
    if not numbers and not categories:
        return linear(columns, target)
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    transformer = make_column_transformer(("passthrough", numbers), (encoder, categories))
    kind = HistGradientBoostingRegressor if target.task == "regression" else HistGradientBoostingClassifier
    return make_pipeline(transformer, kind(random_state=SEED))


def _by_kind(columns: Sequence[Column]) -> tuple[list[str], list[str], list[str]]:
    def names(*roles: Role) -> list[str]:
        return [column.name for column in columns if column.role in roles]

    return names(Role.NUMBER, Role.MOMENT, Role.DATE), names(Role.CATEGORY), names(Role.TEXT)


def answers(model: Any, target: Target, inputs: pd.DataFrame) -> np.ndarray:
    """What `score` takes: predictions, or probabilities [n, classes]."""
    if not target.classes:
        return model.predict(inputs)
    import numpy as np

    found = np.zeros((len(inputs), len(target.classes)))
    found[:, model.classes_] = model.predict_proba(inputs)
    return found


def score(target: Target, label: np.ndarray, answered: np.ndarray) -> float:
    """The task's metric (see METRICS)."""
    import numpy as np
    from sklearn.metrics import roc_auc_score

    if target.task == "regression":
        return float(np.sqrt(np.mean((label - answered) ** 2)))
    if target.task == "binary":
        return float(roc_auc_score(label, answered[:, 1]))
    return float(np.mean(answered.argmax(axis=1) == label))


def _naive(target: Target, train: np.ndarray, held_out: np.ndarray) -> float:
    import numpy as np

    if target.task == "regression":
        return float(np.sqrt(np.mean((held_out - train.mean()) ** 2)))
    if target.task == "binary":
        return 0.5
    return float(np.mean(held_out == np.bincount(train).argmax()))


def _noise(target: Target, value: float, label: np.ndarray, rows: int) -> float:
    """A standard error of the metric over `rows` rows. Of an AUC by Hanley and McNeil (1982); of a root mean square
    as of normal errors; of an accuracy as of a share, counted on the safe side where it is near 1."""
    import numpy as np

    if target.task == "regression":
        return value / np.sqrt(2 * max(rows, 1))
    if target.task == "multiclass":
        share = (value * rows + 2) / (rows + 4)
        return float(np.sqrt(share * (1 - share) / (rows + 4)))
    positive = max(1.0, rows * label.mean())
    negative = max(1.0, rows - positive)
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    spread = value * (1 - value) + (positive - 1) * (q1 - value**2) + (negative - 1) * (q2 - value**2)
    return float(np.sqrt(max(spread, 0.25 / rows) / (positive * negative)))


def telling(table: pa.Table, column: Column, target: Target) -> float:
    """How much one column says of the label: an AUC (the mean over classes, each against the rest), or a share of the
    label's variance. Values are binned; each half of the rows is judged by what the other half says of its bin."""
    import numpy as np
    from sklearn.metrics import roc_auc_score

    bins, label = _bins(table, column), label_of(table, target)
    wanted = np.eye(len(target.classes))[label] if target.classes else label[:, np.newaxis]
    judged = np.empty(wanted.shape)
    half = np.random.default_rng(SEED).permutation(len(label)) % 2
    for part in (0, 1):
        fit, held_out = half != part, half == part
        counts = np.bincount(bins[fit], minlength=bins.max() + 1)[:, np.newaxis]
        sums = np.stack([np.bincount(bins[fit], w[fit], bins.max() + 1) for w in wanted.T], axis=1)
        mean = wanted[fit].mean(axis=0)
        judged[held_out] = ((sums + mean) / (counts + 1))[bins[held_out]]
    if not target.classes:
        left = np.mean((label - judged[:, 0]) ** 2)
        return float(1 - left / max(label.var(), 1e-30))
    shown = [place for place in range(wanted.shape[1]) if 0 < wanted[:, place].sum() < len(label)]
    return float(np.mean([roc_auc_score(wanted[:, place], judged[:, place]) for place in shown]))


def _bins(table: pa.Table, column: Column) -> np.ndarray:
    """A bin for each row; missing values have one of their own."""
    import numpy as np
    import pandas as pd

    values = frame(table, [column])[column.name]
    if column.role in (Role.CATEGORY, Role.TEXT):
        return pd.factorize(values)[0] + 1
    numbers = values.to_numpy()
    if len(np.unique(numbers[~np.isnan(numbers)])) <= BINS:
        return pd.factorize(values)[0] + 1
    edges = np.unique(np.nanquantile(numbers, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.where(np.isnan(numbers), 0, np.searchsorted(edges, numbers, side="right") + 1)
