"""What requests say in their headers, as an ASGI scope holds them: names in lower case, values as bytes."""

from __future__ import annotations

from typing import Any

from serving.release.split import KEY

_KEY = KEY.encode()


def has_header(scope: dict[str, Any], wanted: bytes) -> bool:
    return any(name == wanted for name, _ in scope["headers"])


def key_of(scope: dict[str, Any]) -> str | None:
    """What the caller says in `x-viaduct-key`: who asks, to whom the same version should answer."""
    for name, value in scope["headers"]:
        if name == _KEY:
            return str(value.decode("utf-8", "replace"))
    return None


def accepts_gzip(scope: dict[str, Any]) -> bool:
    for name, value in scope["headers"]:
        if name == b"accept-encoding":
            return b"gzip" in value.lower()
    return False
