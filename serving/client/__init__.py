"""One client for TensorFlow Serving's protocol, over gRPC or REST, blocking or asyncio; numpy in, numpy out.

    with Client("127.0.0.1:8500") as client:             # gRPC; Client("http://127.0.0.1:8501") is REST
        client.predict("digits", {"image": images})      # {"probability": array}
        client.predict_examples("card_fraud", [{"V1": 0.3, "Amount": 12.5}])
        client.metadata("digits").signatures["serving_default"].inputs["image"].shape
        client.status("digits")                          # [VersionStatus(version=2, state="AVAILABLE")]
        answer = client.predict("digits", x, key="ann")  # answer.version: which version answered ann
        client.feedback("digits", {answer.request_id: {"bought": True}})   # what ann did then

Errors are `serving.errors`: a call raises a ServingError and nothing else from the network. Its `.code` is
gRPC's status name over both transports: InvalidArgument (the request), NotFound (model, version, label),
FailedPrecondition (signature, model state), ResourceExhausted (a queue is full), DeadlineExceeded (the
timeout of the call), Unavailable (loading, draining, unreachable: repeated with growing waits as `Retry`
says, within the call's timeout), and so on. Wrong arguments that never reach the network raise ValueError.

Works against the real `tensorflow_model_server` as well as ours. Imports neither TensorFlow nor TFX. It does
not balance load over several servers: give it the address of what does.
"""

from serving.client.aio import AsyncClient
from serving.client.blocking import Client
from serving.client.results import (
    Heads,
    ModelMetadata,
    Outputs,
    Retry,
    Rows,
    Scored,
    Signature,
    TensorInfo,
    Tls,
    Values,
    VersionStatus,
)  # fmt: skip
from serving.client.split import Split
from serving.errors import ServingError

__all__ = [
    "AsyncClient",
    "Client",
    "Heads",
    "ModelMetadata",
    "Outputs",
    "Retry",
    "Rows",
    "Scored",
    "ServingError",
    "Signature",
    "Split",
    "TensorInfo",
    "Tls",
    "Values",
    "VersionStatus",
]
