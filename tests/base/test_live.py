"""What a person reads on the terminal is what was said: nothing in an error's text is taken for markup."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.base import live, registry
from pipelines.base.run_record import NodeRecord, RunRecord

# Beam's and TensorFlow's own ways to say where something happened.
ERROR = (
    r"bad token [/INST] :warning: \[x] predictions [while running 'ExtractPredictions/Map'] of [b] a\b[/b] are "
    r"[nan, nan] [/red] C:\\"
)


def failed_run() -> RunRecord:
    return RunRecord(
        run_id="card_fraud-1",
        project="card_fraud",
        settings={"profile": "quick", "variant": "autoencoder"},
        fingerprint="",
        pid=0,
        pid_started="",
        started=0.0,
        state="failed",
        nodes={"Evaluator": NodeRecord("failed", error=ERROR)},
    )


@pytest.mark.parametrize("view", [live.PlainView, live.TerminalView])
def test_an_errors_brackets_survive_in_every_view(view: type, tmp_path: Path) -> None:
    written = io.StringIO()
    shown = view(Console(file=written, width=400))
    shown.say(f"Interrupted: {ERROR}")
    shown.update(failed_run(), tmp_path)
    assert f"Interrupted: {ERROR}" in written.getvalue()


def test_the_summary_tells_error_and_places_as_they_are(tmp_path: Path) -> None:
    written = io.StringIO()
    console = Console(file=written, width=400)
    folder = tmp_path / "[home]" / "runs [b]"
    record = failed_run()
    record.model, record.pushed = f"{folder}/model", f"{folder}/pushed"
    for line in live.summary(registry.get("card_fraud"), record, folder):
        console.print(line, highlight=False, soft_wrap=True)
    record.pushed, record.blessed = "", False
    for line in live.summary(registry.get("card_fraud"), record, folder):
        console.print(line, highlight=False, soft_wrap=True)
    text = written.getvalue()
    assert ERROR in text
    assert f"{folder}/logs/Evaluator.log" in text and f"{folder}/pushed" in text and f"{folder}/model" in text


def test_in_sixty_columns_the_nodes_keep_their_names_and_errors_all_their_words(tmp_path: Path) -> None:
    record = failed_run()
    record.nodes = {
        "LatestBlessedModel": NodeRecord("failed", error="the data breaks the schema in many words")
    }
    written = io.StringIO()
    Console(file=written, width=60).print(live.run_table(record, tmp_path, 60))
    lines = written.getvalue().splitlines()
    assert max(map(len, lines)) <= 60
    assert "LatestBlessedModel" in lines[2] and "failed" in lines[2] and "…" not in written.getvalue()
    words = " ".join(line[30:].strip() for line in lines[2:])
    assert "the data breaks the schema in many words" in words


@pytest.mark.parametrize(
    ("state", "told"), [("done", "goes on from the finished nodes"), ("cancelled", "Nothing was done yet")]
)
def test_a_cancelled_run_says_what_is_true_of_the_next(state: str, told: str, tmp_path: Path) -> None:
    record = failed_run()
    record.state, record.nodes = "cancelled", {"Transform": NodeRecord(state)}
    assert told in str(live.summary(registry.get("card_fraud"), record, tmp_path)[-1])


def test_warnings_about_the_data_are_shown_with_the_node_and_at_the_end() -> None:
    said = ["months: 54 numbers and 6 'NA' [sic]: read as text.", "zip: read as numbers."]
    node = NodeRecord("done", summary={"rows": {"all": 60}, "warnings": said})
    assert live.detail(node, {}) == f"all 60 rows, warning: {said[0]} (and 1 more)"
    record = RunRecord("card_fraud-1", "card_fraud", {}, "", 0, "", 0.0, nodes={"ExampleGen": node})
    lines = live.summary(registry.get("card_fraud"), record, Path("run"))
    assert [line.plain for line in lines if "warn" in line.plain] == [
        "  warn  months: 54 numbers and 6 'NA' [sic]: read as text.",
        "  warn  zip: read as numbers.",
    ]
