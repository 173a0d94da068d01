"""Guards every request: this host only, reading only, same origin only; and headers that keep pages harmless.

The dashboard has no accounts, so it listens on loopback; a Host header of another name is refused, because a
page elsewhere could otherwise reach it through a name that resolves to 127.0.0.1. The few POSTs (a request to a
model server, TensorBoard) must come from our own pages.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
READING = ("GET", "HEAD")
POSTS = ("/serving/request", "/tensorboard")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "media-src data:; font-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
# Reports are HTML that a pipeline wrote: shown in a frame, without scripts, forms or anything from elsewhere.
# They keep our origin so that their own pictures load; without scripts they can do nothing with it.
REPORT_POLICY = (
    "sandbox allow-same-origin; default-src 'none'; img-src data: 'self'; "
    "style-src 'unsafe-inline'; frame-ancestors 'self'"
)


class Guard:
    """ASGI middleware. `hosts` are the names besides loopback under which the dashboard may be asked."""

    def __init__(self, app: Any, hosts: Iterable[str] = ()) -> None:
        self.app = app
        self.hosts = {*LOOPBACK, *hosts}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        refused = self.refusal(scope)
        if refused:
            await _refuse(send, *refused)
            return

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with_policy(message["headers"])
            await send(message)

        await self.app(scope, receive, guarded)

    def refusal(self, scope: Any) -> tuple[int, str] | None:
        """(status, reason) if the request is not to be answered."""
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        return refusal(scope["method"], headers, self.hosts, may_post=scope["path"] in POSTS)


def refusal(
    method: str, headers: Mapping[str, str], hosts: Container[str], *, may_post: bool
) -> tuple[int, str] | None:
    """(status, reason) if a request is not to be answered under the names `hosts`; header names in lower case."""
    host = headers.get("host", "")
    if _name(host) not in hosts:
        return 421, f"This dashboard does not answer for the host {host!r}."
    if method not in READING and not (method == "POST" and may_post):
        return 405, "The dashboard is read-only."
    if method == "POST":
        origin, site = headers.get("origin", ""), headers.get("sec-fetch-site", "same-origin")
        if urlsplit(origin).netloc != host or site != "same-origin":
            return 403, "Requests from other origins are refused."
    elif headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
        return 403, "Requests from other origins are refused."
    return None


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _with_policy(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    given = {name.lower() for name, _ in headers}
    ours = {
        b"content-security-policy": POLICY.encode(),
        b"x-content-type-options": b"nosniff",
        b"referrer-policy": b"same-origin",
        b"cross-origin-opener-policy": b"same-origin",
        b"cross-origin-resource-policy": b"same-origin",
        b"cache-control": b"no-store",
    }
    return [*headers, *((name, value) for name, value in ours.items() if name not in given)]


async def _refuse(send: Any, status: int, reason: str) -> None:
    body = reason.encode("utf-8", "replace")
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": _with_policy(headers)})
    await send({"type": "http.response.body", "body": body})
