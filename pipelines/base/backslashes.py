"""Backslashes in ML Metadata's PostgreSQL backend, which writes broken SQL for any text that holds one.

Its quoting expects `'text'` from the client library, which answers ` E'text'` as soon as there is a backslash: an
Evaluator whose config nests JSON cannot be recorded. Here every backslash becomes a character of the private use
area on its way into a PostgreSQL store and a backslash again on its way out; other stores see nothing of it.
"""

from __future__ import annotations

import functools
from typing import Any

BACKSLASH, STAND_IN = "\\", "\uf05c"


def install() -> None:
    """Makes every PostgreSQL MetadataStore of this process, TFX's included, translate. Idempotent."""
    from ml_metadata.metadata_store.metadata_store import MetadataStore

    if getattr(MetadataStore, "_viaduct_backslashes", False):
        return
    begin, call = MetadataStore.__init__, MetadataStore._call_method

    @functools.wraps(begin)
    def __init__(self: Any, config: Any, *args: Any, **kwargs: Any) -> None:
        fields = config.DESCRIPTOR.fields_by_name
        self._viaduct_postgresql = "postgresql" in fields and config.HasField("postgresql")
        begin(self, config, *args, **kwargs)

    @functools.wraps(call)
    def _call_method(self: Any, method_name: str, request: Any, response: Any) -> None:
        if not self._viaduct_postgresql:
            return call(self, method_name, request, response)
        if BACKSLASH.encode() in request.SerializeToString():
            request = translated(request, BACKSLASH, STAND_IN)
        call(self, method_name, request, response)
        if STAND_IN.encode() in response.SerializeToString():
            response.CopyFrom(translated(response, STAND_IN, BACKSLASH))
        return None

    MetadataStore.__init__, MetadataStore._call_method = __init__, _call_method
    MetadataStore._viaduct_backslashes = True


def translated(message: Any, old: str, new: str) -> Any:
    """A copy of a protobuf message with `old` replaced in every text it holds (keys of maps aside)."""
    copy = type(message)()
    copy.CopyFrom(message)
    _translate(copy, old, new)
    return copy


def _translate(message: Any, old: str, new: str) -> None:
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _translate_map(value, field.message_type.fields_by_name["value"], old, new)
        elif field.type == field.TYPE_MESSAGE:
            for inner in value if field.label == field.LABEL_REPEATED else [value]:
                _translate(inner, old, new)
        elif field.type == field.TYPE_STRING and field.label == field.LABEL_REPEATED:
            for i, text in enumerate(value):
                value[i] = text.replace(old, new)
        elif field.type == field.TYPE_STRING:
            setattr(message, field.name, value.replace(old, new))


def _translate_map(values: Any, kind: Any, old: str, new: str) -> None:
    for key in values:
        if kind.type == kind.TYPE_MESSAGE:
            _translate(values[key], old, new)
        elif kind.type == kind.TYPE_STRING:
            values[key] = values[key].replace(old, new)
