"""Training throughput of pipelines.base.training against a hand-written tf.data + fit on the same files.

Both sides fit the card_fraud autoencoder to the same gz TFRecord of transformed rows: the same model, batches
and shuffle buffer. Ours is `training.dataset` and `training.fit`, with what a run has besides (TensorBoard
logs, live progress, a checkpoint every epoch); theirs parses whole batches and prefetches, as a careful person
would write it, and calls `model.fit` with nothing. `throughput_ratio` is rows per second, ours / theirs.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import pipelines  # noqa: F401  (sets what TensorFlow must find in the environment)
from benchmarks.report import arguments, finish, interleave, median, median_ratio, spread, table

BATCH, SHUFFLE = 128, 50_000
PARAMETERS = {"hidden": 40, "code": 10, "learning_rate": 3e-3}


def write_rows(file: Path, rows: int) -> None:
    """Transformed card_fraud rows, as Transform would have materialised them."""
    import numpy as np
    import tensorflow as tf

    from pipelines.card_fraud.features import INPUTS_KEY, LABEL_KEY, WIDTH

    random = np.random.default_rng(0)
    with tf.io.TFRecordWriter(str(file), "GZIP") as writer:
        for values in random.normal(0, 1, (rows, WIDTH)):
            inputs = tf.train.Feature(float_list=tf.train.FloatList(value=values))
            label = tf.train.Feature(int64_list=tf.train.Int64List(value=[0]))
            features = tf.train.Features(feature={INPUTS_KEY: inputs, LABEL_KEY: label})
            writer.write(tf.train.Example(features=features).SerializeToString())


def feature_spec() -> dict[str, Any]:
    """What both sides parse."""
    import tensorflow as tf

    from pipelines.card_fraud.features import INPUTS_KEY, LABEL_KEY, WIDTH

    return {
        INPUTS_KEY: tf.io.FixedLenFeature([WIDTH], tf.float32),
        LABEL_KEY: tf.io.FixedLenFeature([1], tf.int64),
    }


def ours(file: Path, rows: int, epochs: int, folder: Path) -> float:
    """Rows per second of a project's run_fn, the fit alone."""
    from pipelines.base import training
    from pipelines.card_fraud.features import LABEL_KEY
    from pipelines.card_fraud.model import build_model, normals

    home = Path(tempfile.mkdtemp(dir=folder))
    fn_args = SimpleNamespace(
        model_run_dir=str(home / "logs"),
        serving_model_dir=str(home / "model" / "1" / "Format-Serving"),
        custom_config={},
        train_files=[str(file)],
        transform_output="",
    )
    model = build_model(PARAMETERS)
    start = time.perf_counter()
    train = normals(training.dataset([str(file)], feature_spec(), LABEL_KEY, BATCH, shuffle=SHUFFLE))
    training.fit(model, fn_args, train, None, epochs)
    return rows * epochs / (time.perf_counter() - start)


def theirs(file: Path, rows: int, epochs: int) -> float:
    """Rows per second of a loop written for this one file."""
    import tensorflow as tf

    from pipelines.card_fraud.features import INPUTS_KEY, LABEL_KEY
    from pipelines.card_fraud.model import build_model

    spec = feature_spec()

    def parse(batch: Any) -> Any:
        parsed = tf.io.parse_example(batch, spec)
        normal = tf.boolean_mask(parsed[INPUTS_KEY], tf.reshape(parsed[LABEL_KEY], [-1]) == 0)
        return normal, normal

    model = build_model(PARAMETERS)
    start = time.perf_counter()
    train = tf.data.TFRecordDataset(str(file), "GZIP").shuffle(SHUFFLE).batch(BATCH)
    train = train.map(parse, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    model.fit(train, epochs=epochs, verbose=2)
    return rows * epochs / (time.perf_counter() - start)


def main() -> None:
    options = arguments(__doc__ or "").parse_args()
    rows, epochs = (20_000, 2) if options.quick else (120_000, 3)
    rounds = options.rounds or (3 if options.quick else 7)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        file = folder / "rows-00000-of-00001.gz"
        write_rows(file, rows)
        samples = interleave(
            {
                "ours": lambda: ours(file, rows, epochs, folder),
                "hand-written": lambda: theirs(file, rows, epochs),
            },
            rounds,
        )
    lines = [[name, median(values), spread(values)] for name, values in samples.items()]
    table(
        ["side", "rows/s", "median (lowest .. highest)"],
        lines,
        title=f"{rows:,} rows, {epochs} epochs, {rounds} rounds",
    )
    finish("training", {"throughput_ratio": median_ratio(samples["ours"], samples["hand-written"])})


if __name__ == "__main__":
    main()
