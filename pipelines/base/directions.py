"""Which way a metric is better, and whether a change of it is one for the better. Standard library only.

A direction is declared: by the bars of a project's card (`at_least` is up, `at_most` is down, both on one metric a
band), else by what TFMA and Keras mean by a metric of theirs. It is never read out of the words of a name, since
`nll_gain` and `nll` share one: where nothing is declared there is no direction, and no change is better or worse.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pipelines.base.project import Bar

Verdict = Literal[
    "better",
    "worse",
    "the same",
    "inside the band",
    "no difference shown",
    "no direction known",
    "not a number",
]
# Classes of TFMA and Keras by what a larger number means. Counts of rows, means of labels and predictions, thresholds
# and rates of change between models are neither good nor bad.
UP = (
    "AUC", "AUCPrecisionRecall", "Accuracy", "BalancedAccuracy", "BinaryAccuracy", "BinaryIoU", "Bleu", "Rouge",
    "CategoricalAccuracy", "CoefficientOfDiscrimination", "COCOAveragePrecision", "COCOAverageRecall",
    "COCOMeanAveragePrecision", "COCOMeanAverageRecall", "CosineSimilarity", "DiagnosticOddsRatio", "ExactMatch",
    "F1Score", "FBetaScore", "FowlkesMallowsIndex", "Informedness", "IoU", "Markedness",
    "MatthewsCorrelationCoefficient", "MaxRecall", "MeanIoU", "NDCG", "NegativePredictiveValue", "NPV",
    "ObjectDetectionMaxRecall", "ObjectDetectionPrecision", "ObjectDetectionPrecisionAtRecall",
    "ObjectDetectionRecall", "OneHotIoU", "OneHotMeanIoU", "PositiveLikelihoodRatio", "PPV", "Precision",
    "PrecisionAtRecall", "R2Score", "Recall", "RecallAtFalsePositiveRate", "RecallAtPrecision",
    "RelativeCoefficientOfDiscrimination", "SensitivityAtSpecificity", "SetMatchPrecision", "SetMatchRecall",
    "SparseCategoricalAccuracy", "SparseTopKCategoricalAccuracy", "Specificity", "SpecificityAtSensitivity",
    "SquaredPearsonCorrelation", "ThreatScore", "TNR", "TPR", "TopKCategoricalAccuracy", "TrueNegatives", "TN",
    "TruePositives", "TP",
)  # fmt: skip
DOWN = (
    "BinaryCrossentropy", "CategoricalCrossentropy", "CategoricalHinge", "FallOut", "FalseDiscoveryRate",
    "FalseNegatives", "FN", "FNR", "FalseOmissionRate", "FalsePositives", "FP", "FPR", "Hinge", "KLDivergence",
    "KullbackLeiblerDivergence", "LogCosh", "LogCoshError", "Loss", "MeanAbsoluteError",
    "MeanAbsolutePercentageError", "MeanRelativeError", "MeanSquaredError", "MeanSquaredLogarithmicError",
    "MinLabelPosition", "MissRate", "NegativeLikelihoodRatio", "Poisson", "RootMeanSquaredError",
    "SparseCategoricalCrossentropy", "SquaredHinge",
)  # fmt: skip


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


_KNOWN: dict[str, Literal["up", "down"]] = {
    **dict.fromkeys(map(_plain, UP), "up"),
    **dict.fromkeys(map(_plain, DOWN), "down"),
}


@dataclass(frozen=True)
class Direction:
    """`kind` says what is better: more ('up'), less ('down') or lying in `low` to `high` ('band')."""

    kind: Literal["up", "down", "band"]
    low: float = -math.inf
    high: float = math.inf

    def badness(self, value: float) -> float:
        """Orders values from good to bad. In a band it is how far outside the value lies, inside below 0."""
        if self.kind == "band":
            return max(self.low - value, value - self.high)
        return -value if self.kind == "up" else value


@dataclass(frozen=True)
class Measured:
    """A metric's value, and the interval it lies in where one is known."""

    value: float
    low: float | None = None
    high: float | None = None


def of_bars(bars: Iterable[Bar]) -> Direction | None:
    """The direction that bars on one metric declare; None without bars."""
    given = list(bars)
    lows = [bar.at_least for bar in given if bar.at_least is not None]
    highs = [bar.at_most for bar in given if bar.at_most is not None]
    if lows and highs:
        return Direction("band", max(lows), min(highs))
    return Direction("up") if lows else Direction("down") if highs else None


def of_class(name: str) -> Direction | None:
    """The direction of a metric class of TFMA or Keras, or of the name such a class gives its results."""
    kind = _KNOWN.get(_plain(name))
    return None if kind is None else Direction(kind)


def of_metric(name: str, bars: Iterable[Bar] = (), metric_class: str = "") -> Direction | None:
    """The direction of metric `name`: by those of `bars` that are on it, else by what TFMA and Keras know.

    `metric_class` is the class that measured it, where that is known: it alone decides then, whatever the name. What
    TFMA appends to a name (`recall, class_id 3`) changes no direction.
    """
    declared = of_bars(bar for bar in bars if bar.metric == name)
    return declared or of_class(metric_class or name.partition(",")[0])


def change_interval(old: Measured, new: Measured) -> tuple[float, float] | None:
    """The interval of `new - old`; None if neither value has one.

    From the two values' own intervals by Newcombe's square-and-add (1998, method 10), which holds for samples that
    are independent of each other; for two models on the same rows it is too wide rather than too narrow.
    """
    if old.low is None and new.low is None:
        return None
    difference = new.value - old.value
    down = math.hypot(_reach(new.value, new.low), _reach(old.value, old.high))
    up = math.hypot(_reach(new.value, new.high), _reach(old.value, old.low))
    return difference - down, difference + up


def _reach(value: float, bound: float | None) -> float:
    return 0.0 if bound is None else abs(value - bound)


def verdict(direction: Direction | None, old: Measured, new: Measured) -> Verdict:
    """What the change from `old` to `new` is. A change that its interval does not tell from none is neither."""
    if math.isclose(old.value, new.value, rel_tol=1e-12, abs_tol=1e-15):
        return "the same"
    if math.isnan(old.value) or math.isnan(new.value):
        return "not a number"
    if direction is None:
        return "no direction known"
    interval = change_interval(old, new)
    if interval is not None and not (interval[0] > 0 or interval[1] < 0):
        return "no difference shown"
    before, after = direction.badness(old.value), direction.badness(new.value)
    if direction.kind == "band":
        before, after = max(0.0, before), max(0.0, after)
        if before == after == 0:
            return "inside the band"
    return "better" if after < before else "worse" if after > before else "the same"
