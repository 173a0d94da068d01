"""What every Trainer does around its model: read transformed examples, fit with progress, export with signatures.

It does not know any model: a project's `run_fn` builds one and calls these functions, or ignores them. TensorFlow
is imported inside the functions, so importing this module costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components import progress
from pipelines.base import whole
from pipelines.base.errors import ProjectError
from pipelines.base.tuning import steps

if TYPE_CHECKING:
    import tensorflow as tf
    import tensorflow_transform as tft
    import tf_keras as keras

PARAMETERS_KEY = "parameters"
SERVED_KEY = "served"  # the name that the model will be served under; training makes no use of it
SHUFFLE_SEED = 20170
CHECKPOINTS = (
    "VIADUCT_CHECKPOINTS"  # the root of checkpoints, where a worker of a distributed training is told one
)


@dataclass(frozen=True)
class Run:
    """What a `run_fn` is given, opened.

    `parameters` are the variant's, the profile's and `--set`, plus 'variant' and 'profile'; `spec` parses the
    transformed examples; `folder` (it exists) takes logs and facts for the report.
    """

    parameters: dict[str, Any]
    transformed: tft.TFTransformOutput
    spec: dict[str, Any]
    folder: Path

    @classmethod
    def of(cls, fn_args: Any, seed: int | None = None) -> Run:
        """The run of TFX's `fn_args`; `seed` is given to Python's, numpy's and TensorFlow's random numbers.

        The best trials of a search are trained again with other seeds: a parameter 'seed' goes before `seed`.
        """
        import tensorflow_transform as tft
        import tf_keras as keras

        parameters = dict((fn_args.custom_config or {}).get(PARAMETERS_KEY, {}))
        seed = parameters.get("seed", seed)
        if seed is not None:
            keras.utils.set_random_seed(seed)
        transformed = tft.TFTransformOutput(fn_args.transform_output)
        folder = Path(fn_args.model_run_dir)
        folder.mkdir(parents=True, exist_ok=True)
        return cls(parameters, transformed, transformed.transformed_feature_spec(), folder)


def dataset(
    files: Sequence[str],
    feature_spec: Mapping[str, Any],
    label_key: str | None,
    batch_size: int,
    *,
    shuffle: int = 0,
    repeat: bool = False,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """Batches of (features, label) from gz TFRecord files of tf.Examples; features alone if `label_key` is None.

    `files` are patterns as in `fn_args.train_files`; `feature_spec` is
    `tf_transform_output.transformed_feature_spec()` or a raw one; `shuffle` is a buffer size in rows (0: file
    order). Examples are parsed a batch at a time, which costs a fifth of parsing them one by one.
    """
    import tensorflow as tf

    paths = sorted(path for pattern in files for path in tf.io.gfile.glob(pattern))
    if not paths:
        raise FileNotFoundError(
            f"No example files match {list(files)!r}; did the node before write its split?"
        )
    # Reading in parallel interleaves row by row, which for one file costs as much as the rest together.
    parallel = min(len(paths), 4) if len(paths) > 1 else None
    rows = tf.data.TFRecordDataset(paths, compression_type="GZIP", num_parallel_reads=parallel)
    if shuffle:
        rows = rows.shuffle(shuffle, seed=SHUFFLE_SEED, reshuffle_each_iteration=True)
    if repeat:
        rows = rows.repeat()

    @tf.autograph.experimental.do_not_convert
    def parse(batch: tf.Tensor) -> Any:
        features = tf.io.parse_example(batch, dict(feature_spec))
        if label_key is None:
            return features
        label = features.pop(label_key)
        return features, label

    options = tf.data.Options()
    # The tuner's thread now and then misses that its iterator is gone, and an epoch's end waits for it: seconds lost.
    options.autotune.enabled = False
    # Several workers take turns at the rows: there may be fewer files than workers.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    batches = rows.batch(batch_size, drop_remainder=drop_remainder).with_options(options)
    return batches.map(parse, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def checkpoint_dir(fn_args: Any) -> Path:
    """A folder that an interrupted training and its repetition share: same code, parameters and data, same folder.

    So do all workers of a distributed one, whatever folders they write their models to.
    """
    key = json.dumps(
        [fn_args.custom_config, sorted(fn_args.train_files), fn_args.transform_output], sort_keys=True
    )
    node_root = Path(os.environ.get(CHECKPOINTS) or Path(fn_args.serving_model_dir).parents[2])
    return node_root / "checkpoints" / hashlib.sha256(key.encode()).hexdigest()[:16]


def fit(
    model: keras.Model,
    fn_args: Any,
    train: tf.data.Dataset,
    evaluation: tf.data.Dataset | None,
    epochs: int,
    *,
    steps_per_epoch: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    resume: bool = True,
) -> keras.callbacks.History:
    """`model.fit` with TensorBoard logs in `fn_args.model_run_dir`, live progress and a checkpoint every epoch.

    A training that was killed continues from its last whole epoch when the same run is started again; the
    checkpoints go when it ends. Returns Keras's History of the epochs run here. Raises ProjectError at the first
    step whose loss is not finite. In a trial of `viaduct tune` each epoch is told, and may be the last one.
    """
    backup = checkpoint_dir(fn_args)
    watching = [_tensorboard_callback(fn_args.model_run_dir), _progress_callback(epochs)]
    if resume:
        watching.append(_backup_callback(backup))
    if steps.watched():
        watching.append(_trial_callback())
    try:
        history = model.fit(
            train,
            validation_data=evaluation,
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
            callbacks=[_loss_callback(), *callbacks, *watching],
            verbose=2,
        )
    except ProjectError:
        # What was learned until then leads there again.
        shutil.rmtree(backup, ignore_errors=True)
        raise
    _wait_for_all()
    shutil.rmtree(backup, ignore_errors=True)
    return history


def _wait_for_all() -> None:
    """Returns when all workers of a distributed training are here: one that still saves needs its folder."""
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        strategy.run(lambda: tf.distribute.get_replica_context().all_reduce("sum", tf.constant(1.0)))


def check_loss(loss: float, where: str) -> None:
    """Raises ProjectError if `loss` is NaN or infinite; `where` is when that was, as "epoch 2, step 17"."""
    if not math.isfinite(loss):
        raise ProjectError(
            f"the loss is not finite: {loss} in {where}. Nothing is learned from there on. Lower the learning rate or "
            "clip the gradients, and look for NaN and infinities in the features."
        )


def _loss_callback() -> keras.callbacks.Callback:
    import tf_keras as keras

    class FiniteLoss(keras.callbacks.Callback):
        """Ends the training where its loss, or that of the evaluation rows, is not finite."""

        # Keras turns all of a step's figures into numbers for callbacks without this; one of them is enough here.
        _supports_tf_logs = True

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch + 1

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            check_loss(float((logs or {}).get("loss", 0.0)), f"epoch {self.epoch}, step {batch + 1}")

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            where = f"epoch {self.epoch} on the rows that nothing is fitted to"
            check_loss(float((logs or {}).get("val_loss", 0.0)), where)

    return FiniteLoss()


def _trial_callback() -> keras.callbacks.Callback:
    import tf_keras as keras

    class Watched(keras.callbacks.Callback):
        """Tells the tuner of the figure that the card's search watches. Raises ProjectError where there is none."""

        _supports_tf_logs = True

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if steps.watched() not in (logs or {}):
                raise ProjectError(
                    f"the search watches {steps.watched()!r}, which is no figure of an epoch; there are "
                    f"{', '.join(sorted(logs or {}))}."
                )
            steps.report(epoch + 1, float(logs[steps.watched()]))

    return Watched()


# Keras calls every callback at every step as soon as one of them (progress) asks for it. The two below have nothing
# to do there, and what they would do costs a small model's step a fifth of its time.


def _tensorboard_callback(folder: str) -> keras.callbacks.Callback:
    import tf_keras as keras

    class TensorBoard(keras.callbacks.TensorBoard):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            pass

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 0:
                super().on_train_batch_end(batch)  # writes the training graph

    return TensorBoard(folder, update_freq="epoch", write_graph=True, profile_batch=0)


def _backup_callback(folder: Path) -> keras.callbacks.Callback:
    import tf_keras as keras

    class BackupAndRestore(keras.callbacks.BackupAndRestore):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            pass

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            pass

    return BackupAndRestore(str(folder), delete_checkpoint=False)


def _progress_callback(epochs: int) -> keras.callbacks.Callback:
    import tf_keras as keras

    class Progress(keras.callbacks.Callback):
        """Reports steps over all epochs; their number is known after the first epoch seen at the latest."""

        # Otherwise Keras waits for every step's figures to turn them into numbers, which nobody reads that often.
        _supports_tf_logs = True

        def on_train_begin(self, logs: Any = None) -> None:
            self.steps, self.epoch, self.batches = self.params.get("steps"), 0, 0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch, self.batches = epoch, 0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.batches += 1
            self._report(logs)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.steps = self.steps or self.batches
            self._report(logs, force=True)

        def _report(self, logs: Any, force: bool = False) -> None:
            done = self.epoch * (self.steps or 0) + self.batches
            total = self.steps * epochs if self.steps else None
            loss = (logs or {}).get("loss", 0.0)
            progress.report(done, total, "steps", force=force, epoch=self.epoch + 1, loss=loss)

    return Progress()


def examples_signature(
    outputs: Callable[[dict[str, tf.Tensor]], Mapping[str, tf.Tensor]],
    tf_transform_output: tft.TFTransformOutput,
    model: keras.Model,
    label_keys: Sequence[str] = (),
) -> tf.types.experimental.ConcreteFunction:
    """A signature from serialized tf.Examples [n] to `outputs(transformed features)`, with Transform inside.

    `label_keys` are raw features that a client does not send. The Transform layer is attached to `model`, so
    that its vocabularies are exported with it. AutoGraph, whose conversion of all that is called takes longer than
    the rest of an export, is off: what branches or loops by a tensor's value stands in a tf.function of its own.
    """
    import tensorflow as tf

    if not hasattr(model, "tft_layer"):
        model.tft_layer = tf_transform_output.transform_features_layer()
    spec = tf_transform_output.raw_feature_spec()
    for key in label_keys:
        spec.pop(key, None)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")], autograph=False)
    def serve_examples(examples: tf.Tensor) -> Mapping[str, tf.Tensor]:
        return outputs(model.tft_layer(tf.io.parse_example(examples, spec)))

    return serve_examples


def export(
    model: tf.Module,
    fn_args: Any,
    signatures: Mapping[str, Any],
    extra_assets: Mapping[str, str | Path] | None = None,
    finish: Callable[[Path], None] | None = None,
) -> None:
    """Writes `model` with `signatures` as a SavedModel to `fn_args.serving_model_dir`: aside first, then renamed.

    `extra_assets` maps names under assets.extra/ to the files to copy there (warm-up requests, op libraries).
    `finish(folder)` is called on the folder aside, to put right in it what TensorFlow cannot write.
    """
    import tensorflow as tf

    with whole.folder(Path(fn_args.serving_model_dir), replace=True) as aside:
        tf.saved_model.save(model, str(aside), signatures=dict(signatures))
        for name, file in (extra_assets or {}).items():
            (aside / "assets.extra").mkdir(exist_ok=True)
            shutil.copyfile(file, aside / "assets.extra" / name)
        if finish is not None:
            finish(aside)
