"""Messages of ours beside TensorFlow Serving's, which stay as they are: feedback by request id, and a log's id.

    service viaduct.serving.FeedbackService { rpc Give(GiveRequest) returns (GiveResponse) }
    message GiveRequest  { string model = 1; repeated Outcome outcomes = 2; }
    message Outcome      { string request_id = 1; repeated Value values = 2; }
    message Value        { string name = 1; oneof kind { double number = 2; string text = 3; } }
    message GiveResponse { int64 kept = 1; }
    message LogId        { string request_id = 50001; }

A LogId's bytes stand behind those of a PredictionLog, where readers that do not know it pass over an unknown field.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = descriptor_pb2.FieldDescriptorProto
_FILE, _PACKAGE = "viaduct/serving/feedback.proto", "viaduct.serving"
SERVICE, METHOD = f"{_PACKAGE}.FeedbackService", "Give"
PATH = f"/{SERVICE}/{METHOD}"
# What an answer's request is called, in a REST header and in gRPC's trailing metadata.
REQUEST_ID = "x-viaduct-request-id"


def _describe() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name=_FILE, package=_PACKAGE, syntax="proto3")

    def message(name: str, *fields: tuple[str, int, Any, str]) -> Any:
        made = file.message_type.add(name=name)
        for key, number, kind, of in fields:
            label = _FIELD.LABEL_REPEATED if of else _FIELD.LABEL_OPTIONAL
            made.field.add(name=key, number=number, type=kind, label=label, type_name=of or None)
        return made

    value = message("Value", ("name", 1, _FIELD.TYPE_STRING, ""), ("number", 2, _FIELD.TYPE_DOUBLE, ""),
                    ("text", 3, _FIELD.TYPE_STRING, ""))  # fmt: skip
    value.oneof_decl.add(name="kind")
    value.field[1].oneof_index = value.field[2].oneof_index = 0
    message("Outcome", ("request_id", 1, _FIELD.TYPE_STRING, ""),
            ("values", 2, _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.Value"))  # fmt: skip
    message("GiveRequest", ("model", 1, _FIELD.TYPE_STRING, ""),
            ("outcomes", 2, _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.Outcome"))  # fmt: skip
    message("GiveResponse", ("kept", 1, _FIELD.TYPE_INT64, ""))
    message("LogId", ("request_id", 50001, _FIELD.TYPE_STRING, ""))
    service = file.service.add(name="FeedbackService")
    service.method.add(
        name=METHOD, input_type=f".{_PACKAGE}.GiveRequest", output_type=f".{_PACKAGE}.GiveResponse"
    )
    return file


def _classes() -> dict[str, Any]:
    pool = descriptor_pool.Default()
    described = pool.AddSerializedFile(_describe().SerializeToString())
    file = described or pool.FindFileByName(_FILE)
    return {name: message_factory.GetMessageClass(d) for name, d in file.message_types_by_name.items()}


_ALL = _classes()
GiveRequest, GiveResponse, LogId = _ALL["GiveRequest"], _ALL["GiveResponse"], _ALL["LogId"]


def as_objects(request: Any) -> list[dict[str, Any]]:
    """The outcomes of a GiveRequest as REST's JSON has them; a value of no kind is None."""
    return [
        {
            **{
                v.name: getattr(v, v.WhichOneof("kind")) if v.WhichOneof("kind") else None for v in one.values
            },
            "request_id": one.request_id,
        }
        for one in request.outcomes
    ]


def request_of(model: str, outcomes: Any) -> Any:
    """A GiveRequest from {request id: {name: number or text}}."""
    made = GiveRequest(model=model)
    for request_id, values in outcomes.items():
        one = made.outcomes.add(request_id=request_id)
        for name, value in values.items():
            entry = one.values.add(name=name)
            if isinstance(value, str):
                entry.text = value
            else:
                entry.number = float(value)
    return made
