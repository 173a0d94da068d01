"""Cards check themselves; settings merge variant, profile and overrides; digests follow imports."""

from __future__ import annotations

import dataclasses

import pytest

from pipelines.base import digest, ir, registry
from pipelines.base.live import bar_lines
from pipelines.base.project import Bar, Profile, ProjectError, Settings, Variant

CARD = registry.get("card_fraud")


def test_a_bar_has_exactly_one_bound() -> None:
    with pytest.raises(ProjectError, match="exactly one"):
        Bar("auc")
    with pytest.raises(ProjectError, match="exactly one"):
        Bar("auc", at_least=0.5, at_most=0.6)


def test_a_bar_is_met_by_its_own_value_and_never_by_nan() -> None:
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


def test_a_digest_changes_with_what_a_module_imports(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    package = tmp_path / "pipelines"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("from pipelines import b\n")
    (package / "b.py").write_text("X = 1\n")
    (package / "c.py").write_text("Y = 1\n")
    monkeypatch.setattr(digest, "CHECKOUT", tmp_path)
    before = digest.source_digest("pipelines.a")
    (package / "c.py").write_text("Y = 2\n")
    assert digest.source_digest("pipelines.a") == before
    (package / "b.py").write_text("X = 2\n")
    assert digest.source_digest("pipelines.a") != before
    with pytest.raises(FileNotFoundError, match="nothing"):
        digest.source_digest("pipelines.nothing")


def test_an_error_is_told_with_its_first_cause() -> None:
    try:
        try:
            raise ValueError("the root")
        except ValueError as error:
            raise RuntimeError("on the way") from error
    except RuntimeError as caught:
        text = ir.describe(caught)
    assert "RuntimeError: on the way" in text and "caused by ValueError: the root" in text
