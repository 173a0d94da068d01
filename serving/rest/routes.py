"""The paths of the REST API's model calls: which model, version and action a method and a path mean. Pure.

POST /v1/models/M[/versions/V|/labels/L]:predict|:classify|:regress
POST /v1/models/M:feedback
GET  /v1/models/M[/versions/V|/labels/L][/metadata]
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from serving.errors import InvalidArgument
from serving.wire.model_spec import Spec

_CALL = re.compile(
    r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?:(classify|regress|predict)", re.IGNORECASE
)
_FEEDBACK = re.compile(r"/v1/models/([^/:]+)()():(feedback)", re.IGNORECASE)
_STATUS = re.compile(
    r"/v1/models(?:/([^/:]+))?(?:/versions/(\d+)|/labels/([^/:]+))?(?:/(metadata))?", re.IGNORECASE
)
MAX_VERSION = 2**63 - 1


@dataclass(frozen=True)
class Route:
    """A parsed path. `action` is predict, classify, regress, feedback, status or metadata."""

    action: str
    spec: Spec


def parse_route(method: str, path: str) -> Route:
    """Raises InvalidArgument for anything that is no route of this method."""
    match = None
    if method == "POST":
        match = _CALL.fullmatch(path) or _FEEDBACK.fullmatch(path)
    elif method == "GET":
        match = _STATUS.fullmatch(path)
    if match is None:
        raise InvalidArgument(f"Malformed request: {method} {path}")
    name, version, label, last = match.groups()
    number = None
    if version:
        number = int(version) if len(version) < 20 else MAX_VERSION + 1
        if number > MAX_VERSION:
            raise InvalidArgument(f"Failed to convert version: {version[:40]} to numeric.")
    action = last.lower() if last else "status"
    return Route(action, Spec(_unquoted(name or ""), number, _unquoted(label) if label else None))


def _unquoted(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "replace")
