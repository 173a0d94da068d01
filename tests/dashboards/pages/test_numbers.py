"""Numbers of URLs, forms and folder names: plain digits that fit, and anything else is a page in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dashboards.pages.numbers import finite_number, whole_number

RUN = "card_fraud-20260101-000003-abcd"
ODD = [
    "²",
    "٣",
    "99999999999999999999",
    "9223372036854775808",
    "-1",
    "1.0",
    "+1",
    " 1",
    "1_0",
    "x",
    "",
    "1e3",
    "0x1",
]


@pytest.mark.parametrize("text", ODD)
def test_what_is_no_number_is_none(text: str) -> None:
    assert whole_number(text) is None


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("007", 7), ("9223372036854775807", 2**63 - 1)])
def test_plain_digits_are_a_number(text: str, number: int) -> None:
    assert whole_number(text) == number


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-inf", "1e999", "1_0", "٣", "²", "0x1", "", "x", "1,5", "--1"]
)
def test_what_is_no_finite_number_is_none_either(text: str) -> None:
    assert finite_number(text) is None


@pytest.mark.parametrize(("text", "number"), [("0.5", 0.5), ("-.5", -0.5), ("1e-3", 0.001), ("2", 2.0)])
def test_a_decimal_number_is_read(text: str, number: float) -> None:
    assert finite_number(text) == number


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize(
    "page", ["artifact?id=", "lineage?artifact=", f"data?run={RUN}&page=", "report/{}/page.html",
             "serving?server=http://127.0.0.1:1&model=m&version=", f"evaluation?run={RUN}&threshold="]
)  # fmt: skip
def test_no_number_of_a_url_is_an_error_of_ours(client: Any, page: str, text: str) -> None:
    from urllib.parse import quote

    given = quote(text, safe="")
    answer = client.get("/" + (page.format(given) if "{}" in page else page + given))
    assert answer.status_code in (200, 404) and "<h1>" in answer.text


def test_a_version_of_a_form_is_no_error_either(client: Any) -> None:
    form = {"server": "http://127.0.0.1:1", "model": "m", "version": "²", "inputs": "{}"}
    answer = client.post("/serving/request", data=form, headers={"origin": "http://127.0.0.1"})
    assert answer.status_code == 200


def test_features_and_version_folders_may_be_called_like_no_number(
    make_client: Any, synthetic: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dashboards.pages.changes import _natural

    assert sorted(["x1²", "x10", "x2", "²", "x٣"], key=_natural) == ["x1²", "x2", "x10", "x٣", "²"]
    synthetic.Builder(tmp_path).run("card_fraud", 1)
    for name in ("²", "٣", "12345678901234567890123"):
        (tmp_path / "serving" / "card_fraud" / name).mkdir()
    page = make_client(tmp_path).get("/")
    assert page.status_code == 200 and "1700000001 pushed" in page.text
