"""Live quality: what intervals promise at all looks, and real logs joined with real files of outcomes by request id."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import time

import numpy as np
import pytest

from pipelines import cli
from pipelines.base import registry, run_record
from pipelines.base.errors import ProjectError
from pipelines.base.project import Evaluation
from pipelines.base.rollout import Watch
from pipelines.base.watching import answers, quality, state, windows
from pipelines.base.watching.loop import Watcher
from pipelines.base.watching.quality import Figure
from serving.ab import feedback_command
from serving.client.tensors import encode
from serving.telemetry.request_log import frame
from serving.wire import feedback, protos
from tests.base.watching.conftest import VERSION, rows

CARD = registry.get("card_fraud")
BINARY = CARD.evaluation
DAY = 86400.0


def log_of(kind: str, version: int = VERSION):
    log = protos.prediction_log_pb2.PredictionLog()
    spec = getattr(log, kind).response
    if kind != "multi_inference_log":
        spec.model_spec.version.value = version
    return log, spec


def predict(scores, name: str = "score"):
    log, response = log_of("predict_log")
    response.outputs[name].CopyFrom(encode(np.array(scores, np.float32), name))
    return log


def write_answers(folder, number: int, scores: dict[str, float]) -> None:
    """A finished log file: under each id a request of one row, and the score it got."""
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for (request_id, score), row in zip(scores.items(), rows(len(scores), seed=number), strict=True):
        log = predict([[score]])
        given = np.empty(1, object)
        given[0] = row
        log.predict_log.request.model_spec.name = "card_fraud"
        log.predict_log.request.inputs["examples"].CopyFrom(encode(given, "examples"))
        log.log_metadata.sampling_config.sampling_rate = 1.0
        log_id = feedback.LogId(request_id=request_id)
        records.append(frame(log.SerializeToString() + log_id.SerializeToString()))
    (folder / f"card_fraud-20260101T000{number:03d}Z-7-{number}.tfrecord").write_bytes(b"".join(records))


def tell(paths, tmp_path, outcomes: dict[str, float | str]) -> None:
    """`viaduct feedback` of a file."""
    file = tmp_path / "outcomes.jsonl"
    file.write_text("".join(json.dumps({"request_id": i, "Class": v}) + "\n" for i, v in outcomes.items()))
    paths.serving.mkdir(parents=True, exist_ok=True)
    assert feedback_command.main([str(paths.serving), str(file)]) == 0


def watcher(paths, **terms) -> Watcher:
    card = dataclasses.replace(CARD, watch=dataclasses.replace(Watch(rows=100), **terms))
    return Watcher(card, paths, "card_fraud")


def of(kept: state.State) -> dict:
    return {one["metric"]: one for one in kept.quality[str(VERSION)]["metrics"]}


def test_a_rates_interval_holds_at_all_looks_together():
    random, missed = np.random.default_rng(3), 0
    looks = [*range(1, 20), *range(20, 1000, 25)]
    for _ in range(200):
        hits = np.cumsum(random.random(1000) < 0.2)
        ends = [quality.rate_interval(int(hits[n - 1]), n, 0.05) for n in looks]
        missed += any(not low <= 0.2 <= high for low, high in ends)
    assert missed <= 10
    low, high = quality.rate_interval(200, 1000, 0.05)
    assert 0.15 < low < 0.2 < high < 0.25
    assert quality.rate_interval(0, 10, 0.05)[0] == 0.0
    assert quality.rate_interval(10, 10, 0.05)[1] == 1.0


def test_a_losss_interval_holds_at_all_looks_from_enough_answers_on():
    random, missed = np.random.default_rng(4), 0
    for _ in range(200):
        values = random.exponential(2.0, 2000)
        ends = [quality.mean_interval(values[:n], 0.05) for n in range(100, 2000, 100)]
        missed += any(not low <= 2.0 <= high for low, high in ends)
    assert missed <= 10
    assert quality.mean_interval(values[:99], 0.05) == (None, None)
    assert quality.mean_interval(np.ones(200), 0.05) == (None, None)


def test_metrics_are_those_of_the_evaluation_and_only_a_bar_can_be_missed():
    actual = [1.0] * 200 + [0.0] * 200
    predicted = [0.9] * 100 + [0.1] * 300
    figures = {
        "recall": Figure(0.8, 0.75, 0.85),
        "fall_out": Figure(0.01, 0.0, 0.02),
        "precision": Figure(1.0),
        "auc": Figure(0.9),
    }
    found = {
        m["metric"]: m for m in quality.measure(BINARY, predicted, actual, figures, ["recall", "fall_out"])
    }
    assert list(found) == ["recall", "fall_out", "precision"]
    assert (found["recall"]["value"], found["recall"]["rows"], found["recall"]["worse"]) == (0.5, 200, True)
    assert (found["fall_out"]["value"], found["fall_out"]["worse"]) == (0.0, False)
    assert not quality.measure(BINARY, predicted, actual, figures, [])[0]["worse"]
    # Where nothing was evaluated the task's own metrics are shown, and nothing is worse than nothing.
    bare = quality.measure(BINARY, predicted, actual, {}, ["recall"])
    assert [m["metric"] for m in bare] == ["recall", "fall_out", "precision"]
    assert not any(m["worse"] for m in bare)
    assert "no such figure" in quality.line("1", bare[0])


def test_classes_and_losses_have_their_metrics_too():
    classes = Evaluation(task="multiclass", label_key="kind", classes=("a", "b", "c"))
    (accuracy,) = quality.measure(
        classes, [0.0, 1.0, 2.0, 2.0], [0.0, 1.0, 1.0, 2.0], {"sparse_categorical_accuracy": Figure(0.9)}, []
    )
    assert accuracy["value"] == 0.75
    assert [quality.truth(v, classes) for v in ("b", "2", 1.0, "x", "nan")] == [1.0, 2.0, 1.0, None, None]
    random = np.random.default_rng(1)
    actual = random.normal(size=500)
    predicted = actual + random.normal(0, 2.0, 500)
    (rmse,) = quality.measure(
        Evaluation(task="regression", label_key="y"), predicted, actual,
        {"root_mean_squared_error": Figure(1.0, 0.9, 1.1)}, ["root_mean_squared_error"],
    )  # fmt: skip
    assert rmse["low"] < rmse["value"] < rmse["high"]
    assert rmse["value"] == pytest.approx(2.0, abs=0.2)
    assert rmse["worse"]


def test_an_answer_says_one_thing_or_nothing_over_every_rpc(tmp_path):
    several = Evaluation(task="multiclass", label_key="k", prediction_key="p", classes=("x", "y", "z"))
    assert answers.predicted(predict([[0.25]]), BINARY) == 0.25
    assert answers.predicted(predict([0.1, 0.2]), BINARY) is None  # two rows, one outcome
    assert answers.predicted(predict([[0.25]], "other"), BINARY) is None
    assert answers.predicted(predict([[0.1, 0.2, 0.7]], "p"), several) == 2.0
    log, response = log_of("classify_log")
    for label, score in (("y", 0.6), ("x", 0.4)):
        response.result.classifications.add().classes.add(label=label, score=score)
    assert answers.predicted(log, several) is None  # two rows
    log, response = log_of("classify_log")
    row = response.result.classifications.add()
    for label, score in (("y", 0.6), ("x", 0.4)):
        row.classes.add(label=label, score=score)
    assert answers.predicted(log, several) == 1.0
    assert answers.predicted(log, dataclasses.replace(BINARY, classes=("x", "y"))) == pytest.approx(0.6)
    log, response = log_of("regress_log")
    response.result.regressions.add(value=1.5)
    assert answers.predicted(log, Evaluation(task="regression", label_key="y")) == 1.5
    log, response = log_of("multi_inference_log")
    response.results.add().regression_result.regressions.add(value=2.5)
    assert answers.predicted(log, Evaluation(task="regression", label_key="y")) == 2.5
    # Which version gave it stands in each of its results.
    response.results[0].model_spec.version.value = 7
    file, versions = tmp_path / "log.tfrecord", []
    file.write_bytes(frame(log.SerializeToString()))
    assert list(windows.rows_of(file, lambda record, log, version: versions.append(version))) == []
    assert versions == [7]


def test_outcomes_are_joined_with_answers_in_whichever_order_and_worse_quality_is_an_alarm(paths, tmp_path):
    (paths.serving / str(VERSION)).mkdir(parents=True, exist_ok=True)
    watch = watcher(paths)
    kept = state.load(watch.folder)
    assert watch.quality_lines(kept) == [
        "no outcomes yet: what 'Class' was is told with `viaduct feedback card_fraud FILE`"
    ]
    # Its evaluation said recall 0.85. Outcomes come before their log file is whole, one twice, one of nobody.
    tell(paths, tmp_path, {f"early {n}": 1 for n in range(20)} | {"nobody": 1})
    tell(paths, tmp_path, {"early 0": 0})
    assert watch.look()[0].quality == {}
    write_answers(paths.request_logs, 1, {f"early {n}": 0.9 if n < 18 else 0.2 for n in range(20)})
    kept, said, due = watch.look()
    assert kept.quality[str(VERSION)]["outcomes"] == 20
    assert (of(kept)["recall"]["value"], of(kept)["recall"]["rows"]) == (0.9, 20)
    assert (of(kept)["recall"]["evaluated"], of(kept)["recall"]["worse"]) == (0.85, False)
    assert (said, due.reason) == ([], "")
    # The log first, then what became of it: most frauds are missed now.
    write_answers(paths.request_logs, 2, {f"late {n}": 0.9 if n % 2 else 0.1 for n in range(200)})
    assert of(watch.look()[0])["recall"]["rows"] == 20
    tell(paths, tmp_path, {f"late {n}": "fraud" if n < 190 else "?" for n in range(200)})
    kept, said, due = watch.look()
    assert len(said) == 1
    assert said[0].startswith(f"ALARM: version {VERSION}: recall 0.5381 (0.4")
    assert said[0].endswith("0.85 in its evaluation: WORSE")
    assert kept.quality[str(VERSION)]["odd"] == 10
    assert (due.reason, due.now) == ("quality: recall", True)
    # It is told once, also by another process, and another version has a clean sheet.
    assert watcher(paths).look()[1] == []
    assert [a["metric"] for a in state.load(watch.folder).alarms] == ["recall"]
    assert watcher(paths, on_quality=False).look()[2].reason == ""
    (paths.serving / str(VERSION + 1)).mkdir()
    assert watcher(paths).look()[2].reason == ""


def test_an_evaluations_interval_is_the_bound_and_answers_grow_too_old(paths, tmp_path, monkeypatch):
    record = next(run_record.read_all(paths))
    verdict = {"kind": "bar", "slice": "", "metric": "recall", "low": 0.3, "high": 0.99, "judged": True}
    record.verdicts = [verdict, {**verdict, "kind": "change", "low": -1.0}]
    record.write(paths.runs / record.run_id)
    write_answers(paths.request_logs, 1, {f"r{n}": 0.9 if n % 2 else 0.1 for n in range(200)})
    tell(paths, tmp_path, {f"r{n}": 1 for n in range(200)})
    watch = watcher(paths)
    kept, said, _ = watch.look()
    assert of(kept)["recall"]["evaluated_low"] == 0.3
    assert not any("ALARM" in line for line in said)
    later = time.time() + 40 * DAY
    monkeypatch.setattr(time, "time", lambda: later)
    assert watch.look()[0].quality == {}


def test_a_kill_between_the_join_and_the_state_counts_nothing_twice(paths, tmp_path, monkeypatch):
    write_answers(paths.request_logs, 1, {f"r{n}": 0.9 for n in range(30)})
    tell(paths, tmp_path, {f"r{n}": 1 for n in range(30)})
    watch = watcher(paths)

    def killed(*given, **named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(state, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            watch.look()
    kept, _, _ = watcher(paths).look()
    assert (of(kept)["recall"]["rows"], kept.quality[str(VERSION)]["answers"]) == (30, 30)
    # A file that is no database is put aside.
    (watch.folder / answers.FILE).write_bytes(b"no database" * 100)
    watcher(paths).look()
    assert (watch.folder / f"{answers.FILE}.broken").exists()
    with sqlite3.connect(watch.folder / answers.FILE) as db:
        assert db.execute("SELECT count(*) FROM outcomes").fetchone() == (30,)


def test_the_command_says_how_things_stand(paths, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VIADUCT_HOME", str(tmp_path))
    assert cli.main(["watch", "card_fraud", "--once", "--dry-run"]) == 0
    assert "no outcomes yet" in capsys.readouterr().out
    write_answers(paths.request_logs, 1, {f"r{n}": 0.9 for n in range(30)})
    tell(paths, tmp_path, {f"r{n}": 1 for n in range(30)})
    cli.main(["watch", "card_fraud", "--once", "--dry-run"])
    assert "recall 1 (0.8" in capsys.readouterr().out
    cli.main(["watch", "card_fraud", "--status", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["quality"][str(VERSION)]["outcomes"] == 30


def test_a_project_that_judges_by_itself_says_that_quality_is_not_measured(paths):
    card = dataclasses.replace(CARD, evaluation=Evaluation(task="own", function="a.b.c"))
    watch = Watcher(card, paths, "card_fraud")
    write_answers(paths.request_logs, 1, {"r": 0.5})
    assert watch.quality_lines(watch.look()[0]) == [
        "live quality is not measured: the evaluation is a function of the project's own"
    ]


def test_a_card_with_no_time_for_outcomes_is_refused():
    with pytest.raises(ProjectError, match="outcome_days is 0"):
        Watch(outcome_days=0)
