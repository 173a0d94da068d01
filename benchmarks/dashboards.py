"""The dashboards at 1,000 runs and 10,000 artifacts: how long Home and a run's page take, how large they are.

Fills an ML Metadata database (SQLite) and the runs' records in a temporary folder, starts `viaduct dashboard` on
it in a process of its own and asks over HTTP, one request at a time, pages taking turns. `rss_growth` is the
server's resident memory after all page loads / before them (10,000 loads, 600 with --quick), both after warm-up.
Filling writes through MLMD's own API and takes longer than the measuring.

home_ms, run_page_ms: medians, whole request on loopback.   page_kb: the largest page before compression.
wide_data_ms: the data page of a run with 10,000 features beside another split and the span before, asked for again.
wide_first_ms: the same page when its files are read for the first time; wide_compared_s: until it can also tell what
changed, for which it does not wait.   export_mb: such a run with its training curves as one file.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(CHECKOUT)
from benchmarks.report import arguments, finish, interleave, median, spread, table  # noqa: E402

RUNS, ARTIFACTS_PER_RUN = 1000, 10
FEATURES, EPOCHS, CURVES = 10_000, 100, 6
PROJECTS = ("card_fraud", "digits", "sentiment", "exoplanets", "stock_prices")
NODES = {
    "CsvExampleGen": ("Examples",),
    "StatisticsGen": ("ExampleStatistics",),
    "SchemaGen": ("Schema",),
    "ExampleValidator": ("ExampleAnomalies",),
    "Transform": ("TransformGraph", "Examples"),
    "Trainer": ("Model", "ModelRun"),
    "Evaluator": ("ModelEvaluation", "ModelBlessing"),
}


class Filler:
    """Writes runs whose records and metadata agree; no artifact has files."""

    def __init__(self, home: Path) -> None:
        from ml_metadata import MetadataStore
        from ml_metadata.proto import metadata_store_pb2 as pb

        self.home, self.pb = home, pb
        config = pb.ConnectionConfig()
        config.sqlite.filename_uri = str(home / "metadata.sqlite")
        config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self.store = MetadataStore(config)
        self.kinds = {
            kind: self.store.put_artifact_type(pb.ArtifactType(name=kind))
            for kinds in NODES.values()
            for kind in kinds
        }
        self.steps = {n: self.store.put_execution_type(pb.ExecutionType(name=f"tfx.{n}")) for n in NODES}
        self.contexts = {
            n: self.store.put_context_type(pb.ContextType(name=n))
            for n in ("pipeline", "pipeline_run", "node")
        }

    def run(self, number: int) -> None:
        """One run of a project; the executions and artifacts are written in three calls."""
        pb, project = self.pb, PROJECTS[number % len(PROJECTS)]
        run_id = f"{project}-20260101-{number:06d}-abcd"
        names = [
            ("pipeline", project),
            ("pipeline_run", run_id),
            *(("node", f"{project}.{n}") for n in NODES),
        ]
        ids = [self._context(kind, name) for kind, name in names]
        executions = self.store.put_executions(
            [
                pb.Execution(type_id=kind, last_known_state=pb.Execution.COMPLETE)
                for kind in self.steps.values()
            ]
        )
        uri = f"{self.home}/pipelines/{project}"
        made = [(node, kind) for node, kinds in NODES.items() for kind in kinds]
        artifacts = self.store.put_artifacts(
            [
                pb.Artifact(type_id=self.kinds[k], uri=f"{uri}/{n}/{k}/{number}", state=pb.Artifact.LIVE)
                for n, k in made
            ]
        )
        by_node = dict(zip(NODES, executions, strict=True))
        self.store.put_attributions_and_associations(
            [pb.Attribution(artifact_id=a, context_id=c) for a in artifacts for c in ids[:2]],
            [pb.Association(execution_id=e, context_id=c) for e, n in zip(executions, ids[2:], strict=True)
             for c in (*ids[:2], n)],
        )  # fmt: skip
        events = [self._event(a, by_node[n], 4, k) for a, (n, k) in zip(artifacts, made, strict=True)]
        events += [self._event(artifacts[0], by_node[n], 3, "examples") for n in list(NODES)[1:]]
        self.store.put_events(events)
        self._record(number, project, run_id, by_node, list(zip(artifacts, made, strict=True)), uri)

    def _context(self, kind: str, name: str) -> int:
        known = self.store.get_context_by_type_and_name(kind, name)
        if known is not None:
            return known.id
        return self.store.put_contexts([self.pb.Context(type_id=self.contexts[kind], name=name)])[0]

    def _event(self, artifact: int, execution: int, kind: int, key: str) -> Any:
        event = self.pb.Event(artifact_id=artifact, execution_id=execution, type=kind)
        event.path.steps.add().key = key
        return event

    def _record(
        self, number: int, project: str, run_id: str, executions: dict[str, int], made: list[Any], uri: str
    ) -> None:
        from pipelines.base.run_record import NodeRecord, RunRecord

        started = time.time() - 600.0 * (RUNS - number)
        nodes = {}
        for at, name in enumerate(NODES):
            outputs = [
                {"key": kind.lower(), "type": kind, "id": a, "uri": f"{uri}/{n}/{kind}/{number}"}
                for a, (n, kind) in made
                if n == name
            ]
            summary: dict[str, Any] = {"execution": executions[name], "cached": False, "outputs": outputs}
            if at == 0:
                summary |= {"rows": {"all": 20_000}, "span": number}
            nodes[name] = NodeRecord("done", started + 10 * at, started + 10 * at + 9, summary)
        record = RunRecord(
            run_id=run_id,
            project=project,
            settings={"variant": None, "profile": "quick", "parameters": {"epochs": number % 7}},
            fingerprint="f",
            pid=1,
            pid_started="x",
            started=started,
            ended=started + 70,
            state="succeeded",
            blessed=number % 3 > 0,
            metrics={"recall": 0.8 + number % 10 / 100, "fall_out": 0.01},
            model=f"{uri}/Trainer/Model/{number}",
            nodes=nodes,
        )
        folder = self.home / "runs" / project / run_id
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(asdict(record)), encoding="utf-8")
        graph = [
            {
                "pipelineNode": {
                    "nodeInfo": {"id": n, "type": {"name": n}},
                    "upstreamNodes": list(NODES)[max(0, i - 1) : i],
                }
            }
            for i, n in enumerate(NODES)
        ]
        (folder / "ir.json").write_text(json.dumps({"nodes": graph}), encoding="utf-8")


def widen(home: Path, number: int) -> str:
    """Gives a run that `Filler` wrote the statistics of FEATURES features and training curves; returns its id."""
    import random

    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from tensorflow_metadata.proto.v0 import statistics_pb2 as pb

    project, chance = PROJECTS[number % len(PROJECTS)], random.Random(number)
    root = home / "pipelines" / project
    for split in ("train", "eval"):
        statistics = pb.DatasetFeatureStatisticsList()
        dataset = statistics.datasets.add(num_examples=20_000)
        for at in range(FEATURES):
            feature = dataset.features.add(type=pb.FeatureNameStatistics.FLOAT)
            feature.path.step.append(f"f{at}")
            stats, low = feature.num_stats, chance.random()
            stats.common_stats.num_non_missing = stats.common_stats.tot_num_values = 20_000
            stats.mean, stats.std_dev, stats.min, stats.median, stats.max = low + 5, 3, low, low + 5, low + 10
            for kind in (pb.Histogram.STANDARD, pb.Histogram.QUANTILES):
                buckets = stats.histograms.add(type=kind).buckets
                for i in range(10):
                    buckets.add(low_value=low + i, high_value=low + i + 1, sample_count=2000)
        folder = root / "StatisticsGen" / "ExampleStatistics" / str(number) / f"Split-{split}"
        folder.mkdir(parents=True)
        (folder / "FeatureStats.pb").write_bytes(statistics.SerializeToString())
    writer = EventFileWriter(str(root / "Trainer" / "ModelRun" / str(number) / "train"))
    for step in range(EPOCHS):
        values = [
            summary_pb2.Summary.Value(tag=f"epoch_{i}", simple_value=chance.random()) for i in range(CURVES)
        ]
        writer.add_event(event_pb2.Event(step=step, summary=summary_pb2.Summary(value=values)))
    writer.close()
    return f"{project}-20260101-{number:06d}-abcd"


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) / 1024


def measure(home: Path, loads: int, rounds: int, wide: str) -> dict[str, float]:
    """Starts the dashboard on `home` and returns the figures. `wide` is a run of many features."""
    import httpx

    command = [
        sys.executable,
        "-m",
        "dashboards.main",
        "--home",
        str(home),
        "--port",
        "0",
        "--server",
        "http://127.0.0.1:1",
    ]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    try:
        assert server.stdout is not None
        found = re.search(r"http://\S+:\d+", server.stdout.readline())
        assert found is not None, "the dashboard did not start"
        newest = f"{PROJECTS[(RUNS - 1) % len(PROJECTS)]}-20260101-{RUNS - 1:06d}-abcd"
        pages = {"home": "/", "run": f"/run?id={newest}", "project": "/project?name=card_fraud",
                 "models": "/models?project=card_fraud", "lineage": f"/lineage?run={newest}"}  # fmt: skip
        sizes: dict[str, float] = {}
        with httpx.Client(base_url=found[0], timeout=60, trust_env=False) as http:

            def ask(name: str) -> float:
                start = time.perf_counter()
                answer = http.get(pages[name])
                assert answer.status_code == 200, (name, answer.status_code)
                sizes[name] = len(answer.content) / 1000
                return 1000 * (time.perf_counter() - start)

            # The metadata's process starts with the first page; it is no part of the wide one.
            ask("home")
            started = time.perf_counter()
            pages["wide"] = f"/data?run={wide}"
            first_ms = ask("wide")
            while "data-live" in http.get("/data/live", params={"run": wide}).text:
                time.sleep(0.05)
            compared_s = time.perf_counter() - started
            exported = http.get("/export", params={"run": wide})
            assert exported.status_code == 200
            samples = interleave(
                {name: lambda name=name: ask(name) for name in pages}, rounds, progress=False
            )  # type: ignore[misc]
            mix = ("home", "run", "run", "run")
            for i in range(200):
                ask(mix[i % 4])
            before = rss_mb(server.pid)
            for i in range(loads):
                http.get(pages[mix[i % 4]] if i % 10 else f"/run?id={_other(i)}")
            after = rss_mb(server.pid)
        rows = [(name, spread(values), sizes[name]) for name, values in samples.items()]
        table(
            ["page", "milliseconds", "kB"],
            rows,
            title=f"{RUNS:,} runs, {RUNS * ARTIFACTS_PER_RUN:,} artifacts",
        )
        print(f"resident memory: {before:.0f} MB before, {after:.0f} MB after {loads:,} page loads")
        return {
            "home_ms": median(samples["home"]),
            "run_page_ms": median(samples["run"]),
            "page_kb": max(sizes.values()),
            "wide_data_ms": median(samples["wide"]),
            "wide_first_ms": first_ms,
            "wide_compared_s": compared_s,
            "export_mb": len(exported.content) / 1e6,
            "rss_growth": after / before,
        }
    finally:
        server.terminate()
        server.wait(10)


def _other(number: int) -> str:
    number = number * 7 % RUNS
    return f"{PROJECTS[number % len(PROJECTS)]}-20260101-{number:06d}-abcd"


def main() -> int:
    options = arguments(__doc__ or "").parse_args()
    # SQLite waits for the disk at every commit; memory makes filling quick and leaves reading what it is.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="viaduct-bench-", dir=memory) as folder:
        start, filler = time.perf_counter(), Filler(Path(folder))
        # The last two of one project are wide, so that one has the other's span before it.
        for number in range(RUNS):
            filler.run(number)
        wide = [widen(Path(folder), number) for number in (RUNS - 1 - len(PROJECTS), RUNS - 1)][-1]
        print(f"filled {RUNS:,} runs in {time.perf_counter() - start:.0f} s", file=sys.stderr)
        del filler
        figures = measure(
            Path(folder),
            600 if options.quick else 10_000,
            options.rounds or (20 if options.quick else 60),
            wide,
        )
    finish("dashboards", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
