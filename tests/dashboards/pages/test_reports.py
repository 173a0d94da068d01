"""A run's own report: which of its files a browser gets, and how."""

from __future__ import annotations

import re
from typing import Any

RUN = "card_fraud-20260101-000003-abcd"
DIGITS = "digits-20260101-000005-abcd"


def test_a_report_is_served_in_a_sandbox_and_nothing_else_of_it(client: Any) -> None:
    page = client.get(f"/evaluation?run={RUN}").text
    links = re.findall(r'src="(/report[^"]+)"', page)
    assert len(links) == 2
    for link in links:
        answer = client.get(link)
        assert answer.status_code == 200 and answer.headers["content-security-policy"].startswith("sandbox")
        assert "script" not in answer.headers["content-security-policy"]
    folder = links[0].rpartition("/")[0]
    for name in ("secret.pkl", "..%2f..%2f..%2fmetadata.sqlite", "%2fetc%2fpasswd", "%2e%2e/x", "a%00b", "."):
        assert client.get(f"{folder}/{name}").status_code == 404
    assert client.get(folder.replace("report/", "report/9") + "/page.html").status_code == 404
