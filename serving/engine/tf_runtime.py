"""The few parts of TensorFlow that serving needs, without the rest of the package.

`import tensorflow` runs thousands of modules (Keras, the public API, summaries) that a server never uses: five
times the CPU seconds and 250 MB more. In a process of our own, `serve_only` puts a bare package in its place
that has the same `__path__`, so that only what is imported by name is run. In a process that has TensorFlow
or may want it (tests, notebooks) the real package is used. TensorFlow is pinned; the module paths below are
those of 2.16.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import importlib
import importlib.machinery
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any


class _Bare(ModuleType):
    """The stand-in for the package."""


def serve_only() -> None:
    """Makes this process one that only serves: `import tensorflow` will give a package without contents.

    Does nothing where TensorFlow was imported before. Raises ImportError where it is not installed.
    """
    if "tensorflow" in sys.modules:
        return
    spec = importlib.machinery.PathFinder.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("The model server needs TensorFlow: install the extra 'server' of tfx-viaduct.")
    package = _Bare("tensorflow", "TensorFlow without its public API; see serving.engine.tf_runtime.")
    package.__path__ = list(spec.submodule_search_locations)
    package.__spec__ = importlib.machinery.ModuleSpec("tensorflow", None, is_package=True)
    package.__spec__.submodule_search_locations = package.__path__
    sys.modules["tensorflow"] = package


def release_memory() -> None:
    """Gives freed memory back to the system: glibc keeps it, and TensorFlow's buffers leave a lot of it."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


@dataclass(frozen=True)
class Runtime:
    """What `serving.engine.saved_model` uses of TensorFlow."""

    Session: Any
    Graph: Any
    SavedModelLoader: Any
    parse_saved_model: Any
    load_op_library: Any
    known_op: Any
    ConfigProto: Any
    CallableOptions: Any
    run_until: Any


def _timed_run(session_module: Any, config: Any) -> Any:
    """`run(session, fed, fetched, left_ms)`: one run that TensorFlow cancels after that time."""

    def run(session: Any, fed: Any, fetched: Any, left_ms: int) -> list[Any]:
        data = config.RunOptions(timeout_in_ms=left_ms).SerializeToString()
        options = session_module.tf_session.TF_NewBufferFromString(data)
        try:
            return list(session._call_tf_sessionrun(options, fed, fetched, [], None))
        finally:
            session_module.tf_session.TF_DeleteBuffer(options)

    return run


@functools.lru_cache(maxsize=1)
def runtime() -> Runtime:
    """Imports TensorFlow's session, graph and SavedModel loader; 0.7 CPU seconds after `serve_only`."""
    importlib.import_module("tensorflow")

    def part(path: str) -> Any:
        return importlib.import_module(f"tensorflow.{path}")

    loader = part("python.saved_model.loader_impl")
    # Saved collections name variables; their classes register themselves when they are imported.
    part("python.ops.resource_variable_ops")
    config = part("core.protobuf.config_pb2")
    if isinstance(sys.modules["tensorflow"], _Bare):
        # Modules live as long as the process: looking through them at every unload would stop all requests
        # for a tenth of a second.
        gc.collect()
        gc.freeze()
    session = part("python.client.session")
    return Runtime(
        Session=session.Session,
        Graph=part("python.framework.ops").Graph,
        SavedModelLoader=loader.SavedModelLoader,
        parse_saved_model=loader.parse_saved_model,
        load_op_library=part("python.framework.load_library").load_op_library,
        known_op=part("python.framework.op_def_registry").get,
        ConfigProto=config.ConfigProto,
        CallableOptions=config.CallableOptions,
        run_until=_timed_run(session, config),
    )
