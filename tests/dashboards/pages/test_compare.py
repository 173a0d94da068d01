"""Two runs side by side."""

from __future__ import annotations

from typing import Any

RUN = "card_fraud-20260101-000003-abcd"
DIGITS = "digits-20260101-000005-abcd"


def test_compare_says_what_changed_and_by_how_much(client: Any) -> None:
    page = client.get(f"/compare?a=card_fraud-20260101-000001-abcd&b={RUN}").text
    assert "parameter epochs" in page and "data span" in page and "code of Trainer" in page
    assert "+0.18 better" in page
