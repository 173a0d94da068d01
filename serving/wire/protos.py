"""TensorFlow Serving's messages, and its RPCs as plain method paths, without importing TensorFlow.

The generated modules live inside the packages `tensorflow` and `tensorflow_serving` and need nothing but
protobuf; only `tensorflow/__init__.py`, which Python runs first, makes them cost ten seconds and half a
gigabyte. So they are loaded here by their files, under their own names, without their parent package. A later
`import tensorflow` in the same process is the real one and finds these modules already loaded; where
TensorFlow is there already, they are imported as usual. All of it happens under the import system's own lock
of `tensorflow`, so another thread may import TensorFlow at the same time.

This module does not open connections or know about numpy; see `serving.client.tensors` and `serving.client`.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from types import SimpleNamespace
from typing import Any


def _package_folder(package: str) -> Path:
    spec = PathFinder.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(
            f"The client needs the message definitions inside the package {package!r}, which is not "
            "installed here. Install the extra 'client' of tfx-viaduct (tensorflow, tensorflow-serving-api)."
        )
    return Path(next(iter(spec.submodule_search_locations)))


def _import(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
    """What `import` means inside the generated modules: their own kind comes through `_load`."""
    if name.split(".")[0] in ("tensorflow", "tensorflow_serving") and fromlist:
        if name.endswith("_pb2"):
            return _load(name)
        return SimpleNamespace(**{item: _load(f"{name}.{item}") for item in fromlist})
    return __import__(name, globals, locals, fromlist, level)


def _load(name: str) -> Any:
    """The generated module of that name ("tensorflow.core.framework.tensor_pb2"); the caller holds the lock."""
    if name in sys.modules:
        return sys.modules[name]
    if "tensorflow" in sys.modules:
        return importlib.import_module(name)
    package, *inner = name.split(".")
    path = _package_folder(package).joinpath(*inner).with_suffix(".py")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ImportError(f"{package!r} has no {path}; is its version one that tfx-viaduct is made for?")
    module = importlib.util.module_from_spec(spec)
    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _import}
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    module.__dict__["__builtins__"] = vars(builtins)
    if package == "tensorflow_serving":
        # These parents are empty, so they are imported for real and know their children as usual.
        setattr(importlib.import_module(name.rpartition(".")[0]), inner[-1], module)
    return module


def _lock() -> Any:
    """Other threads that import TensorFlow wait at this lock, and if they came first, we wait for them."""
    return importlib._bootstrap._ModuleLockManager("tensorflow")  # type: ignore[attr-defined]


def _serving(name: str) -> Any:
    return _load(f"tensorflow_serving.{name}")


with _lock():
    example_pb2: Any = _load("tensorflow.core.example.example_pb2")
    feature_pb2: Any = _load("tensorflow.core.example.feature_pb2")
    tensor_pb2: Any = _load("tensorflow.core.framework.tensor_pb2")
    tensor_shape_pb2: Any = _load("tensorflow.core.framework.tensor_shape_pb2")
    types_pb2: Any = _load("tensorflow.core.framework.types_pb2")
    meta_graph_pb2: Any = _load("tensorflow.core.protobuf.meta_graph_pb2")
    saved_model_pb2: Any = _load("tensorflow.core.protobuf.saved_model_pb2")
    classification_pb2: Any = _serving("apis.classification_pb2")
    get_model_metadata_pb2: Any = _serving("apis.get_model_metadata_pb2")
    get_model_status_pb2: Any = _serving("apis.get_model_status_pb2")
    inference_pb2: Any = _serving("apis.inference_pb2")
    input_pb2: Any = _serving("apis.input_pb2")
    model_management_pb2: Any = _serving("apis.model_management_pb2")
    model_pb2: Any = _serving("apis.model_pb2")
    predict_pb2: Any = _serving("apis.predict_pb2")
    prediction_log_pb2: Any = _serving("apis.prediction_log_pb2")
    regression_pb2: Any = _serving("apis.regression_pb2")
    model_server_config_pb2: Any = _serving("config.model_server_config_pb2")

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
