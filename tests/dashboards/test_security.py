"""Who may ask what: this host, reading, same origin; and what a page may load."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil", "[::2]", "a b"]
)
def test_a_foreign_host_header_is_refused(client: Any, host: str) -> None:
    answer = client.get("/", headers={"host": host})
    assert answer.status_code == 421 and "<html" not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8080", "localhost:9", "[::1]:80"])
def test_loopback_names_are_answered(client: Any, host: str) -> None:
    assert client.get("/healthz", headers={"host": host}).status_code == 200


def test_a_host_that_was_allowed_is_answered(make_client: Any, home: Any) -> None:
    client = make_client(home, hosts=["dash.example"])
    assert client.get("/healthz", headers={"host": "dash.example"}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/run", "/models", "/static/app.js"])
def test_writing_is_refused(client: Any, method: str, path: str) -> None:
    assert client.request(method, path, headers={"origin": "http://127.0.0.1"}).status_code == 405


@pytest.mark.parametrize("path", ["/serving/request", "/tensorboard"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {},
        {"origin": "http://127.0.0.1", "sec-fetch-site": "cross-site"},
    ],
)
def test_a_form_of_another_origin_is_refused(client: Any, path: str, headers: dict[str, str]) -> None:
    assert client.post(path, data={"run": "x"}, headers=headers).status_code == 403


def test_another_site_cannot_embed_or_fetch_a_page(client: Any) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert client.get("/", headers=headers).status_code == 403
    assert client.get("/", headers={**headers, "sec-fetch-mode": "navigate"}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/nowhere", "/plotly.min.js"])
def test_every_answer_carries_the_policy(client: Any, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert (
        "default-src 'none'" in policy
        and "script-src 'self';" in policy
        and "frame-ancestors 'none'" in policy
    )
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize(
    "path", ["/static/../main.py", "/static/%2e%2e/main.py", "/static/..%2f..%2fsetup.py"]
)
def test_static_files_stay_in_their_folder(client: Any, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_request_goes_only_to_a_server_that_was_named(client: Any) -> None:
    form = {"server": "http://127.0.0.1:22", "model": "m", "inputs": "{}"}
    answer = client.post("/serving/request", data=form, headers={"origin": "http://127.0.0.1"})
    assert answer.status_code == 200 and "is not a server of this dashboard" in answer.text


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nowhere", 404), ("/run?id=none", 404), ("/", 500), ("/static/none", 404), ("/run%00", 404)],
)
def test_a_page_of_an_error_carries_the_policy_too(
    home: Any, path: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from starlette.testclient import TestClient

    from dashboards.app import create_app

    app = create_app(home)

    def broken(*_: Any) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(app.state.site.runs, "rows", broken if status == 500 else app.state.site.runs.rows)
    answer = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False).get(path)
    assert answer.status_code == status
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    if status == 500:
        assert "RuntimeError" in answer.text and "a mistake of ours" not in answer.text
