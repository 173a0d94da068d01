"""Whether a customer buys in the next four weeks and how much: a small network, exported with its forecasts.

The network gives the three numbers of a hurdle distribution: a chance to buy anything, and the centre and width of a
log-normal amount if so. Expected value, median and interval are read off that distribution in the served graph. The
expected value is calibrated on the tune split, whose rows nothing is fitted to: a log-normal's mean depends on its
tail, which few customers show.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.base import training
from pipelines.customer_spending.dates import days_since_1970
from pipelines.customer_spending.features import (
    AS_OF_KEY,
    CENTS_KEY,
    CUSTOMER_KEY,
    DAYS_AGO_KEY,
    FEATURES_XF,
    LABEL_KEY,
    LABEL_XF,
    RECENCY_KEY,
    WIDTH,
)

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

TUNING_FILE = "tuning.json"
# The interval holds the middle 80 %.
LOWER, UPPER = 0.1, 0.9
LEAST_WIDTH = 0.05
NOT_SENT = (LABEL_KEY, CUSTOMER_KEY, RECENCY_KEY)


def build_model(parameters: dict[str, Any]) -> keras.Model:
    """Windows [n, WIDTH] -> [n, 3]: logit of buying, centre and (before softplus) width of the log amount. Compiled."""
    import tf_keras as keras

    given = keras.Input((WIDTH,), name=FEATURES_XF)
    hidden = given
    for _ in range(2):
        hidden = keras.layers.Dense(parameters["hidden"], "relu")(hidden)
        hidden = keras.layers.Dropout(parameters["dropout"])(hidden)
    model = keras.Model(given, keras.layers.Dense(3)(hidden), name="hurdle")
    schedule = keras.optimizers.schedules.CosineDecay(
        parameters["learning_rate"], max(1, parameters.get("steps", 2000))
    )
    model.compile(keras.optimizers.Adam(schedule), hurdle_loss)
    return model


def hurdle_loss(spent: tf.Tensor, told: tf.Tensor) -> tf.Tensor:
    """Negative log likelihood [n] of spent [n, 1], in currency units, under told [n, 3]; amounts of 0 have no size."""
    import tensorflow as tf

    spent = tf.reshape(spent, [-1])
    logit, centre, width = parts(told)
    buys = spent > 0
    log = tf.math.log(tf.where(buys, spent, 1.0))
    amount = tf.math.log(width) + 0.5 * ((log - centre) / width) ** 2
    chance = tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.cast(buys, tf.float32), logits=logit)
    return chance + tf.where(buys, amount, 0.0)


def parts(told: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Logit, centre and width [n] of told [n, 3]; centres of a first guess are those of amounts about 100."""
    import tensorflow as tf

    return told[:, 0], told[:, 1] + 4.6, tf.nn.softplus(told[:, 2]) + LEAST_WIDTH


def forecast(told: tf.Tensor, calibration: tf.Tensor) -> dict[str, tf.Tensor]:
    """`buys`, a chance, and in currency units `expected` and the quantiles `median`, `lower` and `upper`: [n] each."""
    import tensorflow as tf

    logit, centre, width = parts(told)
    chance = tf.sigmoid(logit)

    def quantile(share: float) -> tf.Tensor:
        inside = tf.clip_by_value((share - (1.0 - chance)) / chance, 1e-6, 1.0 - 1e-6)
        return tf.where(share > 1.0 - chance, tf.exp(centre + width * tf.math.ndtri(inside)), 0.0)

    return {
        "buys": chance,
        "expected": chance * tf.exp(centre + 0.5 * width**2) * calibration,
        "median": quantile(0.5),
        "lower": quantile(LOWER),
        "upper": quantile(UPPER),
    }


def run_fn(fn_args: Any) -> None:
    """Fits the network, calibrates its expected value on the tune split, exports it."""
    import tensorflow as tf

    run = training.Run.of(fn_args, seed=1)
    parameters = dict(run.parameters)
    batch = parameters["batch_size"]

    def rows(files: Any, **how: Any) -> tf.data.Dataset:
        return training.dataset(files, run.spec, LABEL_XF, batch, **how).map(lambda x, y: (x[FEATURES_XF], y))

    steps = sum(1 for _ in rows(fn_args.train_files))
    model = build_model({**parameters, "steps": steps * parameters["epochs"]})
    tune = rows(fn_args.eval_files)
    training.fit(model, fn_args, rows(fn_args.train_files, shuffle=50_000), tune, parameters["epochs"])
    calibration = _calibration(model, tune)
    (run.folder / TUNING_FILE).write_text(
        json.dumps({"calibration": calibration}, indent=1), encoding="utf-8"
    )
    model.calibration = tf.Variable(calibration, trainable=False, dtype=tf.float32)
    training.export(model, fn_args, signatures(model, run.transformed))


def _calibration(model: keras.Model, tune: tf.data.Dataset) -> float:
    """What all spent on the tune split, divided by what was expected; between a half and two."""
    import tensorflow as tf

    actual = expected = 0.0
    for features, spent in tune:
        expected += float(tf.reduce_sum(forecast(model(features), tf.constant(1.0))["expected"]))
        actual += float(tf.reduce_sum(spent))
    return float(np.clip(actual / max(expected, 1e-9), 0.5, 2.0))


def signatures(model: keras.Model, transformed: Any) -> dict[str, Any]:
    """`serving_default`: dates and cents [n, k] of orders, as_of [n], the date to forecast from; `serve_examples`."""
    import tensorflow as tf

    def answer(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return forecast(model(features[FEATURES_XF]), model.calibration)

    serve_examples = training.examples_signature(answer, transformed, model, NOT_SENT)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.string, name="dates"),
            tf.TensorSpec([None, None], tf.int64, name="cents"),
            tf.TensorSpec([None], tf.string, name="as_of"),
        ]
    )
    def serve_orders(dates: tf.Tensor, cents: tf.Tensor, as_of: tf.Tensor) -> dict[str, tf.Tensor]:
        there = dates != ""
        day = days_since_1970(tf.where(there, dates, as_of[:, None]))
        ago = days_since_1970(as_of)[:, None] - day
        tf.debugging.assert_non_negative(ago, "An order is dated after as_of, the day to forecast from.")
        place = tf.where(there)
        shape = tf.shape(dates, tf.int64)
        return answer(
            model.tft_layer(
                {
                    AS_OF_KEY: as_of[:, None],
                    DAYS_AGO_KEY: tf.SparseTensor(place, tf.gather_nd(ago, place), shape),
                    CENTS_KEY: tf.SparseTensor(place, tf.gather_nd(cents, place), shape),
                }
            )
        )

    return {"serving_default": serve_orders, "serve_examples": serve_examples}
