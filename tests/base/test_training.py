"""training.dataset gives every row whatever the number of files; training.fit logs, reports and resumes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from components import progress
from pipelines.base import training
from pipelines.base.errors import ProjectError

pytestmark = pytest.mark.slow

ROWS = 96


def write_files(folder: Path, files: int) -> None:
    import tensorflow as tf

    for index in range(files):
        with tf.io.TFRecordWriter(str(folder / f"part-{index}.gz"), "GZIP") as writer:
            for row in range(index, ROWS, files):
                number = tf.train.Feature(float_list=tf.train.FloatList(value=[row / ROWS]))
                label = tf.train.Feature(int64_list=tf.train.Int64List(value=[row % 2]))
                features = tf.train.Features(feature={"number": number, "label": label})
                writer.write(tf.train.Example(features=features).SerializeToString())


def rows_of(folder: Path, **how: Any) -> Any:
    import tensorflow as tf

    spec = {
        "number": tf.io.FixedLenFeature([1], tf.float32),
        "label": tf.io.FixedLenFeature([1], tf.int64),
    }
    return training.dataset([str(folder / "part-*")], spec, "label", 8, **how)


def arguments(folder: Path) -> SimpleNamespace:
    return SimpleNamespace(
        model_run_dir=str(folder / "logs"),
        serving_model_dir=str(folder / "model" / "1" / "Format-Serving"),
        custom_config={},
        train_files=["part-*"],
        transform_output="",
    )


def small_model() -> Any:
    import tf_keras as keras

    keras.utils.set_random_seed(1)
    number = keras.Input((1,), name="number")
    model = keras.Model({"number": number}, keras.layers.Dense(1, "sigmoid")(number))
    model.compile("sgd", "binary_crossentropy")
    return model


@pytest.mark.parametrize("files", [1, 3])
@pytest.mark.parametrize("shuffle", [0, 50])
def test_every_row_comes_once_an_epoch(tmp_path, files, shuffle):
    write_files(tmp_path, files)
    for _ in range(2):
        batches = [features["number"].numpy().ravel() for features, _ in rows_of(tmp_path, shuffle=shuffle)]
        assert np.array_equal(np.sort(np.concatenate(batches) * ROWS), np.arange(ROWS))


def test_reading_starts_no_tuner_that_an_epochs_end_would_wait_for(tmp_path):
    write_files(tmp_path, 1)
    assert rows_of(tmp_path).options().autotune.enabled is False


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"part-\*"):
        rows_of(tmp_path)


def test_the_logs_hold_the_graph_and_an_epochs_figures_only(tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write_files(tmp_path, 1)
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "progress.json"))
    training.fit(small_model(), arguments(tmp_path), rows_of(tmp_path), None, epochs=2)
    logs = EventAccumulator(str(tmp_path / "logs" / "train"))
    logs.Reload()
    tags = logs.Tags()
    assert tags["graph"]
    assert "epoch_loss" in tags["tensors"]
    assert not [tag for tag in tags["tensors"] if tag.startswith("batch_")]
    state = json.loads((tmp_path / "progress.json").read_text())
    assert (state["done"], state["total"], state["unit"]) == (2 * ROWS // 8, 2 * ROWS // 8, "steps")
    assert 0 < state["figures"]["loss"] < 5


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_training_at_its_step(tmp_path, bad):
    import tensorflow as tf

    write_files(tmp_path, 1)
    given, seen = arguments(tmp_path), tf.Variable(0)

    def spoiled(features: Any, label: Any) -> Any:
        """The 17th batch of 8 rows, the fifth of the second epoch, holds a number that is none."""
        seen.assign_add(1)
        return {"number": features["number"] + tf.where(seen == 17, bad, 0.0)}, label

    rows = rows_of(tmp_path).map(spoiled, num_parallel_calls=1).prefetch(0)
    with pytest.raises(ProjectError, match=r"the loss is not finite: (nan|inf) in epoch 2, step 5\."):
        training.fit(small_model(), given, rows, None, epochs=4)
    assert not training.checkpoint_dir(given).exists()


def test_a_loss_that_is_not_finite_on_the_evaluation_rows_ends_it_too(tmp_path):
    write_files(tmp_path, 1)
    nothing = rows_of(tmp_path).map(lambda features, label: ({"number": features["number"] * np.nan}, label))
    with pytest.raises(ProjectError, match="nan in epoch 1 on the rows that nothing is fitted to"):
        training.fit(small_model(), arguments(tmp_path), rows_of(tmp_path), nothing, epochs=2)


def test_a_stopped_training_continues_and_leaves_no_checkpoint(tmp_path):
    import tf_keras as keras

    def stop(epoch: int, logs: Any) -> None:
        if epoch == 1:
            raise KeyboardInterrupt

    write_files(tmp_path, 1)
    given = arguments(tmp_path)
    # Backups follow a project's callbacks within an epoch's end, so that the second epoch is not saved here.
    halted = keras.callbacks.LambdaCallback(on_epoch_end=stop)
    with pytest.raises(KeyboardInterrupt):
        training.fit(small_model(), given, rows_of(tmp_path), None, epochs=4, callbacks=[halted])
    assert training.checkpoint_dir(given).exists()

    resumed, whole = small_model(), small_model()
    history = training.fit(resumed, given, rows_of(tmp_path), None, epochs=4)
    assert history.epoch == [1, 2, 3]
    assert not training.checkpoint_dir(given).exists()
    training.fit(whole, arguments(tmp_path / "other"), rows_of(tmp_path), None, epochs=4)
    for ours, theirs in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
