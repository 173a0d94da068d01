"""The committed form of a compiled pipeline."""

from pathlib import Path

from pipelines.base import ir
from pipelines.base.paths import CHECKOUT


def test_an_edit_of_code_leaves_the_committed_pipeline_as_it_is() -> None:
    def committed(digest: str) -> str:
        return ir.golden_text(
            {"flags": [f"--code={digest}", digest * 2], "name": "card_fraud"}, Path("/home")
        )

    assert committed("0123456789abcdef") == committed("fedcba9876543210")
    assert "card_fraud" in committed("0123456789abcdef")


def test_folders_of_this_machine_are_not_in_the_committed_pipeline() -> None:
    text = ir.golden_text(
        {"model": "/made/home/serving/x", "code": f"{CHECKOUT}/pipelines/x"}, Path("/made/home")
    )
    assert "/made" not in text and str(CHECKOUT) not in text
    assert "{home}/serving/x" in text and "{checkout}/pipelines/x" in text
