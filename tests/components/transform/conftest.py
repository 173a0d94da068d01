"""Rows to Transform and back: the same function by our executor and by TFX's on Beam, and what both wrote."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

Rows = Sequence[Mapping[str, Any]]
FUNCTIONS = "tests.components.transform.functions"


@dataclasses.dataclass(frozen=True)
class Made:
    """The artifacts of one Transform by key, and the folder that they are in."""

    artifacts: dict[str, Any]
    folder: Path

    def path(self, key: str) -> Path:
        return Path(self.artifacts[key].uri)

    @property
    def engine(self) -> str:
        return self.artifacts["transform_graph"].get_string_custom_property("engine")

    def vocabularies(self) -> dict[str, bytes]:
        """Content by name; of compressed ones what was compressed."""
        import gzip

        files = (self.path("transform_graph") / "transform_fn" / "assets").glob("*")
        return {
            file.name: gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
            for file in files
        }

    def metadata(self) -> dict[str, str]:
        """The text of all metadata, of rows before and after."""
        graph = self.path("transform_graph")
        return {
            str(file.relative_to(graph)): file.read_text(encoding="utf-8")
            for folder in ("metadata", "transformed_metadata")
            for file in sorted((graph / folder).iterdir())
        }

    def examples(self) -> dict[str, list[dict[str, Any]]]:
        """Rows by split as they are stored."""
        import tensorflow as tf

        found = {}
        for folder in sorted(self.path("transformed_examples").glob("Split-*")):
            records = tf.data.TFRecordDataset([str(p) for p in sorted(folder.iterdir())], "GZIP")
            found[folder.name] = [decoded(record) for record in records.as_numpy_iterator()]
        return found


def decoded(record: bytes) -> dict[str, Any]:
    """A serialised tf.Example as {feature: (kind, values)}."""
    import tensorflow as tf

    features = tf.train.Example.FromString(record).features.feature
    return {
        name: (kind := f.WhichOneof("kind"), list(getattr(f, kind).value) if kind else [])
        for name, f in features.items()
    }


def write_examples(folder: Path, splits: Mapping[str, Rows]) -> Any:
    """An Examples artifact of rows {feature: value, list or None for missing}."""
    import tensorflow as tf
    from tfx.types import standard_artifacts

    for split, rows in splits.items():
        place = folder / f"Split-{split}"
        place.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(place / "data_tfrecord-00000-of-00001.gz"), "GZIP") as writer:
            for row in rows:
                features = {name: _feature(value) for name, value in row.items() if value is not None}
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())
    artifact = standard_artifacts.Examples()
    artifact.uri, artifact.split_names = str(folder), json.dumps(list(splits))
    return artifact


def _feature(value: Any) -> Any:
    import tensorflow as tf

    values = value if isinstance(value, list) else [value]
    if any(isinstance(v, float) for v in values):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    if any(isinstance(v, int) for v in values):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    values = [v.encode() if isinstance(v, str) else v for v in values]
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def write_schema(folder: Path) -> Any:
    """The schema of the tests' rows: three numbers and a text in every row, and lists of any length."""
    import tensorflow as tf
    from google.protobuf import text_format
    from tensorflow_transform.tf_metadata import schema_utils
    from tfx.types import standard_artifacts

    schema = schema_utils.schema_from_feature_spec(
        {
            "x": tf.io.FixedLenFeature([1], tf.float32),
            "n": tf.io.FixedLenFeature([1], tf.int64),
            "s": tf.io.FixedLenFeature([1], tf.string),
            "label": tf.io.FixedLenFeature([1], tf.int64),
            "vector": tf.io.FixedLenFeature([3], tf.float32),
            "tokens": tf.io.VarLenFeature(tf.string),
            "values": tf.io.VarLenFeature(tf.float32),
        }
    )
    folder.mkdir(parents=True)
    (folder / "schema.pbtxt").write_text(text_format.MessageToString(schema), encoding="utf-8")
    artifact = standard_artifacts.Schema()
    artifact.uri = str(folder)
    return artifact


def run_transform(
    executor: type,
    folder: Path,
    examples: Any,
    schema: Any,
    function: str,
    cache: Any = None,
    beam_args: Sequence[str] = (),
    **properties: Any,
) -> Made:
    """One Transform by `executor`, as the launcher calls it; its artifacts are below `folder`."""
    from tfx.types import standard_artifacts as artifacts

    made = {
        "transform_graph": artifacts.TransformGraph(),
        "transformed_examples": artifacts.Examples(),
        "updated_analyzer_cache": artifacts.TransformCache(),
    }
    for key, artifact in made.items():
        artifact.uri = str(folder / key)
    inputs = {"examples": examples if isinstance(examples, list) else [examples], "schema": [schema]}
    if cache is not None:
        inputs["analyzer_cache"] = [cache]
    context = executor.Context(beam_pipeline_args=list(beam_args), unique_id="1")  # type: ignore[attr-defined]
    outputs = {key: [artifact] for key, artifact in made.items()}
    executor(context).Do(
        inputs,
        outputs,
        {"preprocessing_fn": function, "disable_statistics": 1, "custom_config": "null", **properties},
    )
    return Made({key: artifacts_[0] for key, artifacts_ in outputs.items()}, folder)


@pytest.fixture
def transform(tmp_path: Path) -> Callable[..., Made]:
    """`transform(function, splits)` by our executor; `by=` another, `examples=` artifacts in place of splits."""
    from components.transform.executor import Executor

    schema = write_schema(tmp_path / "schema")

    def run(function: str, splits: Mapping[str, Rows] | None = None, **options: Any) -> Made:
        number = len(list(tmp_path.glob("made-*")))
        folder = tmp_path / f"made-{number}"
        folder.mkdir()
        examples = options.pop("examples", None)
        if examples is None:
            examples = write_examples(tmp_path / f"examples-{number}", splits or {})
        executor = options.pop("by", Executor)
        path = function if "." in function else f"{FUNCTIONS}.{function}"
        return run_transform(executor, folder, examples, schema, path, **options)

    return run


@pytest.fixture
def stock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """TFX's own executor, on Beam, with batches of a fixed size."""
    from tfx.components.transform import executor

    monkeypatch.setattr(executor.TransformProcessor, "_GetDesiredBatchSize", lambda *_: 4096)
    return executor.Executor


def same(ours: Made, theirs: Made, rtol: float = 1e-5, atol: float = 1e-5) -> None:
    """Asserts equal vocabularies (bytes), metadata (text) and rows, floats within TFX's own spread.

    How Beam cuts the rows into batches depends on its speed, and TFT sums batches in 32 bits, so that TFX's own
    floats differ from run to run.
    """
    import numpy as np

    assert ours.metadata() == theirs.metadata()
    assert ours.vocabularies() == theirs.vocabularies()
    one, other = ours.examples(), theirs.examples()
    assert one.keys() == other.keys()
    for split, rows in one.items():
        assert len(rows) == len(other[split])
        for mine, yours in zip(rows, other[split], strict=True):
            assert mine.keys() == yours.keys()
            for name, (kind, values) in mine.items():
                assert kind == yours[name][0], name
                if kind == "float_list":
                    np.testing.assert_allclose(values, yours[name][1], rtol, atol, err_msg=f"{split} {name}")
                else:
                    assert values == yours[name][1], f"{split} {name}"
