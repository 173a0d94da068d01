"""TensorFlow Serving's messages, and the services as plain method paths, without importing TensorFlow.

The generated modules live inside the packages `tensorflow` and `tensorflow_serving` and need nothing but
protobuf; only `tensorflow/__init__.py` makes them cost ten seconds and half a gigabyte. So while they are
imported here, a stand-in package `tensorflow` with the right `__path__` takes its place, and it is gone
afterwards: a later `import tensorflow` in the same process is the real one and finds these modules already
loaded. Where TensorFlow is imported already, nothing is replaced. A thread that meets the stand-in while it
is there gets the real package's attributes through it.

This module does not open connections or know about numpy; see `serving.client_tensors` and `serving.client`.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any


class _StandIn(ModuleType):
    """Poses as `tensorflow` for the thread that made it; forwards every other thread to the real package."""

    def __init__(self, path: list[str]) -> None:
        super().__init__("tensorflow")
        self.__path__ = path
        spec = importlib.machinery.ModuleSpec("tensorflow", None, is_package=True)
        spec.submodule_search_locations = path
        self.__spec__ = spec
        self._owner = threading.get_ident()
        self._gone = threading.Event()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or (threading.get_ident() == self._owner and not self._gone.is_set()):
            raise AttributeError(name)
        self._gone.wait()
        return getattr(importlib.import_module("tensorflow"), name)

    def leave(self) -> None:
        if sys.modules.get("tensorflow") is self:
            del sys.modules["tensorflow"]
        self._gone.set()


@contextlib.contextmanager
def _without_tensorflow() -> Iterator[None]:
    """Inside it `tensorflow.core...` modules can be imported without running `tensorflow/__init__.py`."""
    if "tensorflow" in sys.modules:
        yield
        return
    spec = importlib.machinery.PathFinder.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(
            "The client needs the message definitions inside the package 'tensorflow', which is not "
            "installed here. Install the extra 'client' of tfx-viaduct (tensorflow, tensorflow-serving-api)."
        )
    stand_in = _StandIn(list(spec.submodule_search_locations))
    sys.modules["tensorflow"] = stand_in
    try:
        yield
    finally:
        stand_in.leave()


with _without_tensorflow():
    from tensorflow.core.example import example_pb2, feature_pb2
    from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
    from tensorflow.core.protobuf import meta_graph_pb2
    from tensorflow_serving.apis import (
        classification_pb2,
        get_model_metadata_pb2,
        get_model_status_pb2,
        inference_pb2,
        input_pb2,
        model_management_pb2,
        model_pb2,
        predict_pb2,
        prediction_log_pb2,
        regression_pb2,
    )
    from tensorflow_serving.config import model_server_config_pb2

# RPC name -> (path on the wire, request class, response class)
METHODS: dict[str, tuple[str, Any, Any]] = {
    name: (f"/tensorflow.serving.{service}/{name}", request, response)
    for service, name, request, response in [
        ("PredictionService", "Predict", predict_pb2.PredictRequest, predict_pb2.PredictResponse),
        (
            "PredictionService",
            "Classify",
            classification_pb2.ClassificationRequest,
            classification_pb2.ClassificationResponse,
        ),
        (
            "PredictionService",
            "Regress",
            regression_pb2.RegressionRequest,
            regression_pb2.RegressionResponse,
        ),
        (
            "PredictionService",
            "MultiInference",
            inference_pb2.MultiInferenceRequest,
            inference_pb2.MultiInferenceResponse,
        ),
        (
            "PredictionService",
            "GetModelMetadata",
            get_model_metadata_pb2.GetModelMetadataRequest,
            get_model_metadata_pb2.GetModelMetadataResponse,
        ),
        (
            "ModelService",
            "GetModelStatus",
            get_model_status_pb2.GetModelStatusRequest,
            get_model_status_pb2.GetModelStatusResponse,
        ),
        (
            "ModelService",
            "HandleReloadConfigRequest",
            model_management_pb2.ReloadConfigRequest,
            model_management_pb2.ReloadConfigResponse,
        ),
    ]
}

__all__ = [
    "METHODS",
    "classification_pb2",
    "example_pb2",
    "feature_pb2",
    "get_model_metadata_pb2",
    "get_model_status_pb2",
    "inference_pb2",
    "input_pb2",
    "meta_graph_pb2",
    "model_management_pb2",
    "model_pb2",
    "model_server_config_pb2",
    "predict_pb2",
    "prediction_log_pb2",
    "regression_pb2",
    "tensor_pb2",
    "tensor_shape_pb2",
    "types_pb2",
]
