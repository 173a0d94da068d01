"""Where transactions come from: the official file from a public mirror, or made-up rows of the same schema.

`sample` draws rows that are hard in the ways the real ones are: uncorrelated principal components that still
depend on each other, heavy tails, a daily rhythm, amounts that end in 99 cents, frauds that differ by degrees
and some that do not differ at all. Means and deviations are the published ones; no row is copied. Frauds are
2 % instead of 0.17 %, because a small sample must hold enough of them for a recall to mean something.
"""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np

from pipelines.base.errors import ProjectError
from pipelines.card_fraud.features import AMOUNT_KEY, LABEL_KEY, TIME_KEY, V_KEYS
from pipelines.card_fraud.project import PROJECT

MIRROR = "https://storage.googleapis.com/download.tensorflow.org/data/creditcard.csv"
FILE = "creditcard.csv"
OFFICIAL_ROWS = 284_807
FRAUD_RATE = 0.02
DAYS, DAY_S = 2, 86_400

# Standard deviation of each component, and the mean of frauds, as published with the data.
DEVIATION = np.fromstring(
    "1.96 1.65 1.52 1.42 1.38 1.33 1.24 1.19 1.10 1.09 1.02 1.00 1.00 0.96 "
    "0.92 0.88 0.85 0.84 0.81 0.77 0.73 0.73 0.62 0.61 0.52 0.48 0.40 0.33",
    sep=" ",
)
FRAUD_MEAN = np.fromstring(
    "-4.77 3.62 -7.03 4.54 -3.15 -1.40 -5.57 0.57 -2.58 -5.68 3.80 -6.26 -0.11 -6.97 "
    "-0.09 -4.14 -6.67 -2.25 0.68 0.37 0.71 0.01 -0.04 -0.11 0.04 0.05 0.17 0.08",
    sep=" ",
)
# How strongly the logarithm of the amount follows V2, V5, V7 and V20.
AMOUNT_LOADING = {1: -0.55, 4: -0.40, 6: 0.40, 19: 0.35}


def fetch(folder: Path) -> None:
    """Downloads the official creditcard.csv (151 MB) to `folder`; raises ProjectError with the other ways."""
    target = folder / FILE
    try:
        with urllib.request.urlopen(MIRROR, timeout=60) as response, target.open("wb") as file:
            shutil.copyfileobj(response, file, 1 << 20)
    except (urllib.error.URLError, OSError) as error:
        raise ProjectError(
            f"{PROJECT.name}: {MIRROR} cannot be fetched: {error}. Download creditcard.csv from "
            f"{PROJECT.data.url} (a free Kaggle account is needed) and pass its folder: "
            "viaduct run card_fraud --profile full --data FOLDER."
        ) from error
    check(target)


def check(file: Path) -> None:
    """Raises ProjectError unless `file` has the official header and number of rows."""
    expected = [TIME_KEY, *V_KEYS, AMOUNT_KEY, LABEL_KEY]
    with file.open("rb") as lines:
        header = [name.strip().strip('"') for name in lines.readline().decode("utf-8", "replace").split(",")]
        rows = sum(1 for line in lines if line.strip())
    if header != expected or rows != OFFICIAL_ROWS:
        raise ProjectError(
            f"{file} has columns {header[:3]}... and {rows:,} rows; expected {expected[:3]}... "
            f"({len(expected)} columns) and {OFFICIAL_ROWS:,} rows. The download is incomplete "
            f"or the page has changed; see {PROJECT.data.url}."
        )


def sample(folder: Path, rows: int, seed: int) -> None:
    """Writes `rows` made-up transactions in order of time to creditcard.csv; same seed, same bytes."""
    import pyarrow as pa
    import pyarrow.csv

    random = np.random.default_rng(seed)
    frauds = max(1, round(rows * FRAUD_RATE))
    label = np.zeros(rows, np.int64)
    label[random.choice(rows, frauds, replace=False)] = 1
    components = _normal_components(random, rows)
    components[label == 1] = _fraud_components(random, components[label == 1])
    time = np.sort(_seconds(random, rows))
    amount = _amounts(random, components, label)
    columns = {TIME_KEY: time, **{key: components[:, i].round(12) for i, key in enumerate(V_KEYS)}}
    table = pa.table({**columns, AMOUNT_KEY: amount, LABEL_KEY: label})
    pyarrow.csv.write_csv(table, str(folder / FILE))


def _normal_components(random: np.random.Generator, rows: int) -> np.ndarray:
    """[rows, 28]: uncorrelated, with the published deviations, yet dependent, lumpy and with heavy tails."""
    width = len(V_KEYS)
    kind = random.choice(3, rows, p=[0.55, 0.3, 0.15])
    centres = random.normal(0, 1.2, (3, 6))
    habits = centres[kind] + random.normal(0, [[0.5], [0.8], [1.2]], (3, 6))[kind] * random.normal(
        0, 1, (rows, 6)
    )
    folded = np.tanh(habits @ random.normal(0, 0.7, (6, width))) + 0.3 * np.sin(
        habits @ random.normal(0, 0.8, (6, width))
    )
    # A shared scale per row: a transaction that is unusual in one component tends to be so in others.
    scale = np.sqrt(6.0 / random.chisquare(6, (rows, 1)))
    own = random.standard_t(5, (rows, width)) * scale
    return _whiten(1.5 * folded + 0.6 * own) * DEVIATION


def _whiten(values: np.ndarray) -> np.ndarray:
    """Mean 0, covariance 1, by the principal axes of `values` [n, d]."""
    centred = values - values.mean(axis=0)
    variance, axes = np.linalg.eigh(np.atleast_2d(np.cov(centred.T)))
    return centred @ axes / np.sqrt(np.maximum(variance, 1e-9))


def _fraud_components(random: np.random.Generator, normal: np.ndarray) -> np.ndarray:
    """Moves normal rows towards the frauds' mean: one severity per fraud, and one in fourteen hides well."""
    count = len(normal)
    severity = random.gamma(4.0, 0.25, (count, 1)) * np.where(random.random((count, 1)) < 0.07, 0.08, 1.1)
    scatter = 0.45 * severity * random.normal(0, 1, normal.shape) * (np.abs(FRAUD_MEAN) + 0.4 * DEVIATION)
    return normal + severity * FRAUD_MEAN + scatter


def _seconds(random: np.random.Generator, rows: int) -> np.ndarray:
    """[rows] whole seconds within two days: a quiet night, a rise at eight, a plateau until late evening."""
    hours = np.arange(24)
    weight = 0.12 + 1 / (1 + np.exp(-(hours - 7.5) / 0.9)) * (1 - 0.6 / (1 + np.exp(-(hours - 22.5) / 0.7)))
    weight[0] += 0.3
    hour = random.choice(24, rows, p=weight / weight.sum())
    return random.integers(0, DAYS, rows) * DAY_S + hour * 3600 + random.integers(0, 3600, rows)


def _amounts(random: np.random.Generator, components: np.ndarray, label: np.ndarray) -> np.ndarray:
    """[rows] money with two decimals: a long tail, prices that end in .99, frauds small or large."""
    rows = len(label)
    followed = sum(weight * components[:, i] / DEVIATION[i] for i, weight in AMOUNT_LOADING.items())
    amount = np.exp(3.1 + np.clip(followed, -3, 3) + random.normal(0, 1.2, rows))
    fraud = np.where(
        random.random(rows) < 0.4, random.choice([0.0, 0.76, 1.0], rows), random.lognormal(4.4, 1.4, rows)
    )
    amount = np.where(label == 1, fraud, amount)
    pretty = (random.random(rows) < 0.35) & (amount > 1)
    amount = np.where(pretty, np.floor(amount) + random.choice([0.0, 0.5, 0.95, 0.99], rows), amount)
    return np.minimum(amount, 25_000.0).round(2)
