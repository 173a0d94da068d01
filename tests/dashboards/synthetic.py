"""Writes a small HOME as runs leave it: records, ML Metadata and artifacts of every kind the pages read.

Names are hostile on purpose (quotes, angle brackets, slashes): a page that interprets them fails its test.
"""

from __future__ import annotations

import gzip
import json
import struct
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2

from dashboards.protos import message
from dashboards.samples import png
from pipelines.base import metadata
from pipelines.base.run_record import NodeRecord, RunRecord

EVIL = 'it\'s <b>"bold"</b> & a/b </script>'
TFMA = "tensorflow_model_analysis."
GRAPH = {
    "CsvExampleGen": [],
    "StatisticsGen": ["CsvExampleGen"],
    "SchemaGen": ["StatisticsGen"],
    "ExampleValidator": ["StatisticsGen", "SchemaGen"],
    "Transform": ["CsvExampleGen", "SchemaGen"],
    "Trainer": ["Transform", "ExampleValidator", "SchemaGen"],
    "Evaluator": ["CsvExampleGen", "Trainer"],
    "ReportGen": ["Trainer"],
    "Pusher": ["Trainer", "Evaluator"],
}
OUTPUTS = {
    "CsvExampleGen": ["Examples"],
    "StatisticsGen": ["ExampleStatistics"],
    "SchemaGen": ["Schema"],
    "ExampleValidator": ["ExampleAnomalies"],
    "Transform": ["TransformGraph"],
    "Trainer": ["Model", "ModelRun"],
    "Evaluator": ["ModelEvaluation", "ModelBlessing"],
    "ReportGen": ["Report"],
    "Pusher": ["PushedModel"],
}
KEYS = {"Model": "model", "ModelRun": "model_run", "Examples": "examples", "ModelBlessing": "blessing"}


class Builder:
    """Adds runs to one HOME. Give `extra` uris or properties to make odd ones."""

    def __init__(self, home: Path, url: str = "") -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self.store = metadata.store(url or f"sqlite://{home / 'metadata.sqlite'}")
        self.types: dict[str, int] = {}

    def run(
        self,
        project: str,
        number: int,
        *,
        started: float | None = None,
        metric: str = "recall",
        value: float = 0.85,
        blessed: bool = True,
        state: str = "succeeded",
        parameters: dict[str, Any] | None = None,
        record: bool = True,
        task: str = "binary",
    ) -> RunRecord:
        """One finished run with all its artifacts; `record=False` leaves it to ML Metadata alone."""
        started = started or time.time() - 3600 * (20 - number)
        run_id = f"{project}-20260101-00{number:04d}-abcd"
        parameters = parameters or {"epochs": 5 + number, "learning_rate": 0.001}
        nodes: dict[str, NodeRecord] = {}
        made: dict[str, list[int]] = {}
        contexts = {
            "pipeline": self._context("pipeline", project),
            "pipeline_run": self._context("pipeline_run", run_id),
        }
        for at, (name, upstream) in enumerate(GRAPH.items()):
            node = self._context("node", f"{project}.{name}")
            folder = self.home / "pipelines" / project / name
            kinds = OUTPUTS[name]
            artifacts = []
            for kind in kinds:
                target = folder / KEYS.get(kind, kind.lower()) / str(number)
                WRITERS.get(kind, _folder)(target, number, value=value, metric=metric, task=task)
                artifacts.append(self._artifact(kind, target, number, blessed, project))
            properties = {
                "custom_config": json.dumps({"parameters": parameters, "code": f"digest{number // 2}"})
            }
            execution = self._execution(name, properties if name == "Trainer" else {})
            inputs = [
                ("model" if up == "Trainer" else up.lower(), a) for up in upstream for a in made[up][:1]
            ]
            ids = self._put(
                execution, artifacts, kinds, inputs, [contexts["pipeline"], contexts["pipeline_run"], node]
            )
            made[name] = ids[1]
            outputs = [
                {"key": KEYS.get(k, k.lower()), "type": k, "id": i, "uri": a.uri}
                for k, i, a in zip(kinds, ids[1], artifacts, strict=True)
            ]
            summary: dict[str, Any] = {"execution": ids[0], "cached": False, "outputs": outputs}
            if name == "CsvExampleGen":
                summary |= {"rows": {"all": 1000 + number}, "span": number}
            nodes[name] = NodeRecord("done", started + 5 * at, started + 5 * at + 4, summary)
        found = RunRecord(
            run_id=run_id,
            project=project,
            settings={"variant": "", "profile": "quick", "parameters": parameters, "data": f"/data/{EVIL}"},
            fingerprint="f",
            pid=1,
            pid_started="never",
            started=started,
            ended=started + 50,
            state=state,
            blessed=blessed,
            metrics={metric: value, "fall_out": 0.01, "example_count": 400.0},
            pushed=str(self.home / "serving" / project / str(1700000000 + number)) if blessed else "",
            model=str(self.home / "pipelines" / project / "Trainer" / "model" / str(number)),
            nodes=nodes,
        )
        if blessed:
            _folder(self.home / "serving" / project / str(1700000000 + number), number)
        if record:
            self.write(found)
        return found

    def write(self, record: RunRecord) -> Path:
        """The run's folder with run.json, ir.json and logs."""
        folder = self.home / "runs" / record.project / record.run_id
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        (folder / "run.json").write_text(json.dumps(asdict(record)), encoding="utf-8")
        ir_nodes = [
            {"pipelineNode": {"nodeInfo": {"id": name, "type": {"name": f"x.{name}"}}, "upstreamNodes": up}}
            for name, up in GRAPH.items()
        ]
        (folder / "ir.json").write_text(json.dumps({"nodes": ir_nodes}), encoding="utf-8")
        for name in record.nodes:
            (folder / "logs" / f"{name}.log").write_text(f"{name} says {EVIL}\n", encoding="utf-8")
        return folder

    # ---- ML Metadata ------------------------------------------------------------------------------------

    def _type(self, group: str, name: str) -> int:
        if f"{group}/{name}" not in self.types:
            cls = {
                "artifact": mlmd.ArtifactType,
                "execution": mlmd.ExecutionType,
                "context": mlmd.ContextType,
            }
            kind = cls[group](name=name)
            if group == "artifact":
                kind.properties["span"] = mlmd.INT
            put = getattr(self.store, f"put_{group}_type")
            self.types[f"{group}/{name}"] = put(kind, can_add_fields=True, can_omit_fields=True)
        return self.types[f"{group}/{name}"]

    def _context(self, kind: str, name: str) -> Any:
        known = (
            self.store.get_context_by_type_and_name(kind, name) if f"context/{kind}" in self.types else None
        )
        return known or mlmd.Context(type_id=self._type("context", kind), name=name)

    def _artifact(self, kind: str, target: Path, number: int, blessed: bool, project: str) -> Any:
        found = mlmd.Artifact(type_id=self._type("artifact", kind), uri=str(target), state=mlmd.Artifact.LIVE)
        if kind in ("Examples", "ExampleStatistics"):
            found.properties["span"].int_value = number
            found.custom_properties["remark"].string_value = EVIL
        if kind == "ModelBlessing":
            found.custom_properties["blessed"].int_value = int(blessed)
        if kind == "PushedModel":
            found.custom_properties["pushed"].int_value = int(blessed)
            pushed = self.home / "serving" / project / str(1700000000 + number)
            found.custom_properties["pushed_destination"].string_value = str(pushed)
        return found

    def _execution(self, name: str, properties: dict[str, str]) -> Any:
        found = mlmd.Execution(
            type_id=self._type("execution", f"tfx.components.{name}"),
            last_known_state=mlmd.Execution.COMPLETE,
        )
        for key, text in properties.items():
            found.custom_properties[key].string_value = text
        return found

    def _put(
        self,
        execution: Any,
        outputs: list[Any],
        kinds: list[str],
        inputs: list[tuple[str, int]],
        contexts: list[Any],
    ) -> tuple[int, list[int]]:
        pairs = []
        for artifact, kind in zip(outputs, kinds, strict=True):
            pairs.append((artifact, _event(mlmd.Event.OUTPUT, KEYS.get(kind, kind.lower()))))
        for key, artifact_id in inputs:
            (known,) = self.store.get_artifacts_by_id([artifact_id])
            pairs.append((known, _event(mlmd.Event.INPUT, key)))
        execution_id, artifact_ids, context_ids = self.store.put_execution(
            execution, pairs, contexts, reuse_context_if_already_exist=True
        )
        for context, context_id in zip(contexts, context_ids, strict=True):
            context.id = context_id
        return execution_id, list(artifact_ids)[: len(outputs)]


def _event(kind: int, key: str) -> Any:
    event = mlmd.Event(type=kind)
    event.path.steps.add().key = key
    event.path.steps.add().index = 0
    return event


# ---- artifacts ----------------------------------------------------------------------------------------------


def tfrecord(records: list[bytes]) -> bytes:
    """Records in TFRecord's framing, checksums and all."""
    return b"".join(
        head + struct.pack("<I", _masked(head)) + r + struct.pack("<I", _masked(r))
        for r in records
        for head in [struct.pack("<Q", len(r))]
    )


def _masked(data: bytes) -> int:
    import google_crc32c

    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _folder(target: Path, number: int, **_: Any) -> None:
    target.mkdir(parents=True, exist_ok=True)
    (target / "saved_model.pb").write_bytes(b"x" * 1000)


def _examples(target: Path, number: int, **_: Any) -> None:
    cls = message("tensorflow.Example")
    rows = []
    for i in range(20):
        example = cls()
        feature = example.features.feature
        feature["amount"].float_list.value.append(1.5 * i)
        feature["text"].bytes_list.value.append(f"row {i} {EVIL}".encode())
        feature["picture"].bytes_list.value.append(png(bytes(range(256)) * 1, 16, 16, 1))
        feature["pixels"].float_list.value.extend([k / 256 for k in range(256)])
        feature["sound"].bytes_list.value.append(b"RIFF" + b"\0" * 100)
        rows.append(example.SerializeToString())
    for split in ("train", "eval"):
        folder = target / f"Split-{split}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "data_tfrecord-00000-of-00001.gz").write_bytes(gzip.compress(tfrecord(rows)))


def _statistics(target: Path, number: int, **_: Any) -> None:
    for split, rows, shift in (("train", 800, 0.0), ("eval", 200, 0.1)):
        found = statistics_pb2.DatasetFeatureStatisticsList()
        dataset = found.datasets.add(num_examples=rows)
        for name in ("amount", "V10", "V2", EVIL):
            feature = dataset.features.add(type=statistics_pb2.FeatureNameStatistics.FLOAT)
            feature.path.step.append(name)
            stats = feature.num_stats
            stats.common_stats.num_non_missing = rows - 10
            stats.common_stats.min_num_values = stats.common_stats.max_num_values = 1
            stats.common_stats.tot_num_values = rows - 10
            stats.mean, stats.std_dev, stats.min, stats.median, stats.max = 5 + shift, 2, 0, 5, 10
            if name == EVIL:  # milliseconds since 1970: numbers that make a table wider than the page
                stats.min, stats.median, stats.max = 1430622654867, 1435873057080, 1440756819189
            for kind, low in (
                (statistics_pb2.Histogram.STANDARD, 0.0),
                (statistics_pb2.Histogram.QUANTILES, 0.0),
            ):
                histogram = stats.histograms.add(type=kind)
                for i in range(10):
                    count = (rows - 10) / 10
                    histogram.buckets.add(
                        low_value=low + i + shift * number,
                        high_value=low + i + 1 + shift * number,
                        sample_count=count,
                    )
        words = dataset.features.add(type=statistics_pb2.FeatureNameStatistics.STRING)
        words.path.step.append("text")
        words.string_stats.common_stats.num_non_missing = rows
        words.string_stats.unique = 3
        for i, value in enumerate(("yes", "no", EVIL)):
            words.string_stats.top_values.add(value=value, frequency=100 - i)
            words.string_stats.rank_histogram.buckets.add(
                low_rank=i, high_rank=i, label=value, sample_count=100 - i
            )
        folder = target / f"Split-{split}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "FeatureStats.pb").write_bytes(found.SerializeToString())


def _schema(target: Path, number: int, **_: Any) -> None:
    target.mkdir(parents=True, exist_ok=True)
    text = """feature { name: "amount" type: FLOAT presence { min_fraction: 1.0 min_count: 1 } shape { dim { size: 1 } }
      float_domain { min: 0.0 } }
    feature { name: "text" type: BYTES domain: "words" value_count { min: 1 max: 3 } }
    string_domain { name: "words" value: "yes" value: "no" }"""
    (target / "schema.pbtxt").write_text(text, encoding="utf-8")


def _anomalies(target: Path, number: int, **_: Any) -> None:
    for split in ("train", "eval"):
        found = anomalies_pb2.Anomalies()
        if split == "eval" and number % 2:
            found.anomaly_info[EVIL].description = "unexpected values"
            found.anomaly_info[EVIL].reason.add(description=f"values {EVIL} are new")
        drift = found.drift_skew_info.add()
        drift.path.step.append("amount")
        drift.drift_measurements.add(type=2, value=0.12, threshold=0.1)
        folder = target / f"Split-{split}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "SchemaDiff.pb").write_bytes(found.SerializeToString())


def _model_run(target: Path, number: int, **_: Any) -> None:
    for writer, offset in (("train", 0.0), ("validation", 0.1)):
        records = [event_pb2.Event(file_version="brain.Event:2").SerializeToString()]
        for step in range(6):
            for tag in ("epoch_loss", f"epoch_{EVIL}"):
                value = summary_pb2.Summary.Value(tag=tag, simple_value=1 / (step + 1) + offset)
                event = event_pb2.Event(step=step, summary=summary_pb2.Summary(value=[value]))
                records.append(event.SerializeToString())
        folder = target / writer
        folder.mkdir(parents=True, exist_ok=True)
        torn = tfrecord(records) + struct.pack("<QI", 500, 0) + b"half"
        (folder / f"events.out.tfevents.{number}.v2").write_bytes(torn)


def _evaluation(
    target: Path, number: int, *, value: float = 0.9, metric: str = "recall", task: str = "binary"
) -> None:
    target.mkdir(parents=True, exist_ok=True)
    metrics, plots, validations = [], [], message(TFMA + "ValidationResult")()
    validations.validation_ok = value >= 0.8
    for key in ("", "de", EVIL):
        one = message(TFMA + "MetricsForSlice")()
        if key:
            one.slice_key.single_slice_keys.add(column="country", bytes_value=key.encode())
        given = value - (0.2 if key == EVIL else 0.0)
        # With a last blessed model TFMA writes its metrics too, after the new one's.
        for model, name, number_ in (
            ("candidate", metric, given),
            ("baseline", metric, given - 0.02),
            ("candidate", "fall_out", 0.01),
            ("baseline", "fall_out", 0.02),
            ("candidate", "example_count", 400.0),
            ("baseline", "example_count", 400.0),
        ):
            item = one.metric_keys_and_values.add()
            item.key.name, item.key.model_name, item.value.double_value.value = name, model, number_
            if name == metric:
                item.confidence_interval.lower_bound.double_value.value = number_ - 0.05
                item.confidence_interval.upper_bound.double_value.value = number_ + 0.05
        difference = one.metric_keys_and_values.add()
        difference.key.name, difference.key.is_diff, difference.value.double_value.value = metric, True, 0.02
        difference.key.model_name = "candidate"
        metrics.append(one.SerializeToString())
        plots.append(_plots(one.slice_key, task).SerializeToString())
    config = {
        "metricsSpecs": [
            {
                "metrics": [
                    {
                        "className": metric.title().replace("_", ""),
                        "threshold": {
                            "valueThreshold": {"lowerBound": 0.8},
                            "changeThreshold": {"direction": "HIGHER_IS_BETTER", "absolute": -0.1},
                        },
                    }
                ]
            }
        ]
    }
    (target / "eval_config.json").write_text(json.dumps({"evalConfig": config}), encoding="utf-8")
    (target / "metrics-00000-of-00001.tfrecord").write_bytes(tfrecord(metrics))
    (target / "plots-00000-of-00001.tfrecord").write_bytes(tfrecord(plots))
    (target / "validations.tfrecord").write_bytes(tfrecord([validations.SerializeToString()]))


def _plots(slice_key: Any, task: str) -> Any:
    found = message(TFMA + "PlotsForSlice")()
    found.slice_key.CopyFrom(slice_key)
    data = found.plot_keys_and_values.add().value
    if task == "binary":
        for i in range(101):
            t = i / 100
            data.confusion_matrix_at_thresholds.matrices.add(
                threshold=t, true_positives=100 * (1 - t**3), false_negatives=100 * t**3,
                false_positives=900 * (1 - t) ** 2, true_negatives=900 * (1 - (1 - t) ** 2),
            )  # fmt: skip
    if task == "multiclass":
        matrix = data.multi_class_confusion_matrix_at_thresholds.matrices.add(threshold=0.5)
        for a in range(10):
            for p in range(10):
                matrix.entries.add(
                    actual_class_id=a, predicted_class_id=p, num_weighted_examples=90 if a == p else 1
                )
        return found
    for i in range(20):
        bucket = data.calibration_histogram_buckets.buckets.add(
            lower_threshold_inclusive=i / 20, upper_threshold_exclusive=(i + 1) / 20
        )
        bucket.num_weighted_examples.value = 50
        bucket.total_weighted_label.value = 50 * i / 20
        bucket.total_weighted_refined_prediction.value = 50 * (i + 0.5) / 20
    return found


def _report(target: Path, number: int, **_: Any) -> None:
    target.mkdir(parents=True, exist_ok=True)
    (target / "picture one.png").write_bytes(png(bytes(range(256)), 16, 16, 1))
    (target / "page.html").write_text(
        "<h1>Report</h1><p>Ten rows were wrong.</p><img src='picture%20one.png'>", encoding="utf-8"
    )
    (target / "secret.pkl").write_bytes(b"not for a browser")


WRITERS: dict[str, Any] = {
    "Examples": _examples,
    "ExampleStatistics": _statistics,
    "Schema": _schema,
    "ExampleAnomalies": _anomalies,
    "ModelRun": _model_run,
    "ModelEvaluation": _evaluation,
    "Report": _report,
}


def build(home: Path) -> Builder:
    """Two projects with a few runs each, a failed one, a dead one, a half-written one and one of MLMD alone."""
    builder = Builder(home)
    for number, (value, blessed) in enumerate(((0.7, False), (0.83, True), (0.88, True)), 1):
        builder.run("card_fraud", number, value=value, blessed=blessed)
    builder.run("digits", 4, metric="sparse_categorical_accuracy", value=0.97, task="multiclass")
    builder.run("digits", 5, metric="sparse_categorical_accuracy", value=0.98, task="multiclass")
    builder.run("card_fraud", 6, record=False)
    failed = builder.run("card_fraud", 7, blessed=False, state="failed")
    failed.nodes["Trainer"] = NodeRecord(
        "failed", failed.started, failed.started + 9, {}, f"run_fn failed: {EVIL}"
    )
    for name in ("Evaluator", "Pusher", "ReportGen"):
        failed.nodes[name] = NodeRecord("skipped")
    failed.blessed, failed.metrics, failed.pushed = None, {}, ""
    builder.write(failed)
    dead = builder.run("digits", 8, state="running")
    dead.ended, dead.blessed, dead.metrics = 0.0, None, {}
    builder.write(dead)
    half = home / "runs" / "digits" / "digits-20260101-half"
    half.mkdir(parents=True)
    (half / "run.json").write_text('{"run_id": "digits-2026', encoding="utf-8")
    return builder
