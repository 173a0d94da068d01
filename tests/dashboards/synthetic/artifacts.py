"""Small artifacts of every other kind that pages read, as TFX's components write them."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2

from dashboards.readers.protos import message
from dashboards.readers.samples import png
from tests.dashboards.synthetic.evaluations import evaluation
from tests.dashboards.synthetic.records import EVIL, tfrecord


def folder_of(target: Path, number: int, **_: Any) -> None:
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
    "ModelEvaluation": evaluation,
    "Report": _report,
}
