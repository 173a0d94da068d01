"""Twins of TensorFlow Serving's request messages that cost less to parse, with the same bytes on the wire.

Protobuf decodes `repeated float float_val` number by number, 40 times slower than `tensor_content`. A packed
repeated field and a `bytes` field look the same on the wire, so these twins declare the number fields as
`repeated bytes` and `serving.wire.tensors` reads them with numpy. Likewise `tf.Example`s stay serialized, because
the graph wants them so, and so do shapes and model specs, of which few exist: they are read once and looked up.
Unpacked encodings (old clients) leave the twin's fields empty; `serving.wire.tensors` notices and parses again with
the original message. This module only defines the messages.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from serving.wire import protos

_FIELD = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "viaduct.serving"
_TASK = ".tensorflow.serving.InferenceTask"

# Field numbers of tensorflow.TensorProto that hold numbers or strings.
VALUE_FIELDS = {
    "float_val": 5, "double_val": 6, "int_val": 7, "string_val": 8, "scomplex_val": 9, "int64_val": 10,
    "bool_val": 11, "dcomplex_val": 12, "half_val": 13, "uint32_val": 16, "uint64_val": 17,
}  # fmt: skip


def _add(
    message: Any, name: str, number: int, kind: Any, repeated: bool = False, type_name: str = ""
) -> None:
    label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
    message.field.add(name=name, number=number, type=kind, label=label, type_name=type_name or None)


def _describe() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="viaduct/serving/messages.proto", package=_PACKAGE, syntax="proto3"
    )
    file.dependency.append(protos.inference_pb2.DESCRIPTOR.name)
    tensor = file.message_type.add(name="Tensor")
    _add(tensor, "dtype", 1, _FIELD.TYPE_INT32)
    _add(tensor, "tensor_shape", 2, _FIELD.TYPE_BYTES)
    _add(tensor, "version_number", 3, _FIELD.TYPE_INT32)
    _add(tensor, "tensor_content", 4, _FIELD.TYPE_BYTES)
    for name, number in VALUE_FIELDS.items():
        _add(tensor, name, number, _FIELD.TYPE_BYTES, repeated=True)

    def own(name: str) -> str:
        return f".{_PACKAGE}.{name}"

    named = file.message_type.add(name="NamedTensor")
    _add(named, "key", 1, _FIELD.TYPE_STRING)
    _add(named, "value", 2, _FIELD.TYPE_MESSAGE, type_name=own("Tensor"))
    predict = file.message_type.add(name="PredictRequest")
    _add(predict, "model_spec", 1, _FIELD.TYPE_BYTES)
    _add(predict, "inputs", 2, _FIELD.TYPE_MESSAGE, True, own("NamedTensor"))
    _add(predict, "output_filter", 3, _FIELD.TYPE_STRING, True)
    answer = file.message_type.add(name="PredictResponse")
    _add(answer, "outputs", 1, _FIELD.TYPE_MESSAGE, True, own("NamedTensor"))
    _add(answer, "model_spec", 2, _FIELD.TYPE_BYTES)
    examples = file.message_type.add(name="Examples")
    _add(examples, "examples", 1, _FIELD.TYPE_BYTES, True)
    _add(examples, "context", 2, _FIELD.TYPE_BYTES)
    given = file.message_type.add(name="Input")
    _add(given, "example_list", 1, _FIELD.TYPE_MESSAGE, type_name=own("Examples"))
    _add(given, "example_list_with_context", 2, _FIELD.TYPE_MESSAGE, type_name=own("Examples"))
    examples_request = file.message_type.add(name="ExamplesRequest")
    _add(examples_request, "model_spec", 1, _FIELD.TYPE_BYTES)
    _add(examples_request, "input", 2, _FIELD.TYPE_MESSAGE, type_name=own("Input"))
    multi = file.message_type.add(name="MultiInferenceRequest")
    _add(multi, "tasks", 1, _FIELD.TYPE_MESSAGE, True, _TASK)
    _add(multi, "input", 2, _FIELD.TYPE_MESSAGE, type_name=own("Input"))
    return file


def _classes() -> dict[str, Any]:
    pool = descriptor_pool.Default()
    described = pool.AddSerializedFile(_describe().SerializeToString())
    file = described or pool.FindFileByName("viaduct/serving/messages.proto")
    return {name: message_factory.GetMessageClass(d) for name, d in file.message_types_by_name.items()}


_ALL = _classes()
Tensor = _ALL["Tensor"]
PredictRequest = _ALL["PredictRequest"]
PredictResponse = _ALL["PredictResponse"]
ExamplesRequest = _ALL["ExamplesRequest"]  # ClassificationRequest and RegressionRequest look the same
MultiInferenceRequest = _ALL["MultiInferenceRequest"]
Input = _ALL["Input"]
