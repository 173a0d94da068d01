"""Cards check themselves; settings merge variant, profile and overrides; digests follow imports."""

from __future__ import annotations

import dataclasses
import re

import pytest

from components.shards import InputError
from pipelines.base import ir, registry
from pipelines.base.csv_reading import CsvReading
from pipelines.base.errors import ProjectError
from pipelines.base.live import bar_lines
from pipelines.base.paths import CHECKOUT
from pipelines.base.project import Bar, Evaluation, Profile, Variant
from pipelines.base.settings import Settings
from pipelines.base.spine import csv_options

CARD = registry.get("card_fraud")


def test_a_bar_has_exactly_one_bound() -> None:
    with pytest.raises(ProjectError, match="exactly one"):
        Bar("auc")
    with pytest.raises(ProjectError, match="exactly one"):
        Bar("auc", at_least=0.5, at_most=0.6)


def test_a_bar_is_met_by_its_own_value_and_never_by_nan_or_infinity() -> None:
    assert not Bar("odds", at_least=0.8).met_by(float("inf"))
    assert not Bar("odds", at_most=0.8).met_by(float("-inf"))
    assert Bar("auc", at_least=0.8).met_by(0.8)
    assert not Bar("auc", at_least=0.8).met_by(0.7999)
    assert Bar("rate", at_most=0.1).met_by(0.1)
    assert not Bar("rate", at_most=0.1).met_by(float("nan"))


def test_the_summary_says_by_how_much_a_bar_was_missed() -> None:
    lines = bar_lines(
        [Bar("auc", at_least=0.8), Bar("rate", at_most=0.1), Bar("gone", at_most=1)],
        {"auc": 0.75, "rate": 0.05},
    )
    assert [met for _, met, _ in lines] == [False, True, False]
    assert (
        "missed by 0.0500" in lines[0][2] and "met by 0.0500" in lines[1][2] and "not measured" in lines[2][2]
    )


def test_the_summary_tells_the_gates_verdicts_with_their_intervals_where_it_has_spoken() -> None:
    from dataclasses import replace

    from pipelines.base import registry
    from pipelines.base.live import gate_lines
    from pipelines.base.run_record import RunRecord

    card = registry.get("digits")
    settings = {"profile": "quick", "variant": "logistic"}
    record = RunRecord(
        "digits-1", "digits", settings, "", 1, "", 0.0, metrics={"sparse_categorical_accuracy": 0.91}
    )
    ((met, text),) = gate_lines(card, record)
    assert met and "met by 0.0100" in text
    record.failed_gates = ["recall changed by -0.2 against the last blessed model"]
    assert gate_lines(card, record)[1] == (False, record.failed_gates[0])
    verdicts = [{"passed": True, "text": "met by 0.0100, interval 0.89 to 0.93: not enough rows to be sure"}]
    assert gate_lines(card, replace(record, verdicts=verdicts)) == [(True, verdicts[0]["text"])]


def test_a_minimum_of_rows_below_zero_is_no_card() -> None:
    with pytest.raises(ProjectError, match=r"Evaluation: slice_rows is -1; expected 0 or more"):
        Evaluation(task="binary", slice_rows=-1)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "Card Fraud"}, "name"),
        ({"question": "Fraud"}, "question"),
        ({"variants": ()}, "variants"),
        ({"variants": (Variant("a", ""), Variant("a", ""))}, "variants"),
        ({"quick": Profile(bars=(), sample_rows=1)}, "quick.bars"),
        ({"quick": Profile(bars=(Bar("auc", at_least=0.1),), sample_rows=0)}, "sample_rows"),
        (
            {"full": Profile(bars=(Bar("auc", at_least=0.1),), sample_rows=9, parameters={"layers": 2})},
            "parameters",
        ),
    ],
)
def test_a_wrong_card_names_the_field(change: dict[str, object], field: str) -> None:
    with pytest.raises(ProjectError, match=field):
        dataclasses.replace(CARD, **change)  # type: ignore[arg-type]


def test_overrides_are_read_as_the_type_they_replace() -> None:
    settings = Settings.of(CARD, overrides={"epochs": "3", "learning_rate": "1e-2"})
    assert settings.parameters["epochs"] == 3 and settings.parameters["learning_rate"] == 0.01
    assert Settings.of(CARD, profile="full").parameters["epochs"] == CARD.variants[0].parameters["epochs"]


def test_how_csv_files_are_written_is_the_cards_but_for_what_is_said_for_a_run() -> None:
    card = dataclasses.replace(CARD, csv=CsvReading(delimiter=";", null_values=("NA",)))
    settings = Settings.of(card, csv={"null_values": ["?"], "decimal": ","})
    assert settings.csv == CsvReading(delimiter=";", null_values=("?",), decimal=",")
    assert csv_options(Settings.from_json(settings.to_json())) == settings.csv.changed()
    assert Settings.from_json(Settings.of(CARD).to_json()) == Settings.of(CARD)
    assert csv_options(Settings.of(CARD)) == {}
    with pytest.raises(ProjectError, match=r"expected '\.' or ','"):
        Settings.of(CARD, csv={"decimal": "x"})


def test_an_error_is_told_with_its_first_cause() -> None:
    try:
        try:
            raise ValueError("the root")
        except ValueError as error:
            raise RuntimeError("on the way") from error
    except RuntimeError as caught:
        text = ir.describe(caught)
    assert re.fullmatch(
        r"tests/base/test_project.py:\d+: ValueError: the root; raised again as RuntimeError: on the way",
        text,
    )


def test_an_error_that_passed_through_a_project_is_told_with_that_line_first() -> None:
    from pipelines.card_fraud import data

    try:
        data.sample(CHECKOUT / "no such folder", 100, 1)
    except OSError as caught:
        text = ir.describe(caught)
    assert re.match(r"pipelines/card_fraud/data.py:\d+: FileNotFoundError: ", text), text


def test_a_long_text_loses_its_head_and_a_persons_sentence_nothing() -> None:
    long = "begin " + "x " * 2000 + "the end"
    told = ir.describe(ValueError(long))
    assert told.startswith("ValueError: ... x") and told.endswith("the end") and len(told) < 700
    try:
        try:
            raise InputError(long)
        except InputError as error:
            raise RuntimeError("on the way") from error
    except RuntimeError as caught:
        assert ir.describe(caught) == " ".join(long.split())


def test_what_a_beam_runner_tells_of_its_worker_ends_in_what_was_raised_there() -> None:
    told = RuntimeError(
        "Pipeline job-1 failed in state FAILED: Traceback (most recent call last):\n"
        '  File "runner.py", line 1, in run\n    raise RuntimeError(result.error)\n'
        "RuntimeError: a Beam worker is gone\n\n"
    )
    assert ir.describe(told) == (
        "RuntimeError: Pipeline job-1 failed in state FAILED: RuntimeError: a Beam worker is gone"
    )


def test_a_release_is_a_plan_that_the_server_understands() -> None:
    from pipelines.base.project import Release
    from serving.release import plan as plans

    assert plans.from_json(Release().plan()) == plans.Plan()
    card = Release("5,100", margin=2, on_timeout="rollback", step_minutes=1, limit_minutes=2, approve=True)
    plan = plans.from_json(card.plan())
    assert (plan.shares, plan.step_s, plan.limit_s) == ((0.05, 1.0), 60, 120)
    assert plan.approve


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", "5,1,100"),
        ("steps", "soon,100"),
        ("margin", 1.0),
        ("on_timeout", "wait"),
        ("step_minutes", 90.0),
        ("tolerable", 1.0),
        ("max_changed", 0.0),
    ],
)
def test_a_release_that_cannot_be_names_its_field(field: str, value: object) -> None:
    from pipelines.base.project import Release

    with pytest.raises(ProjectError, match=f"Release: {field}.*expected"):
        Release(**{field: value})  # type: ignore[arg-type]
