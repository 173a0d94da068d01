"""A SavedModel ready to run: its signatures as plain calls from named arrays to named arrays.

Loads with TensorFlow's own loader into a graph session of its own, as TensorFlow Serving does, and prepares a
session callable per signature that runs in the calling thread (nine times cheaper than calling the restored
Python function). Calls may come from any thread. It does not check what requests ask for, batch or log:
see `serving.handlers`. TensorFlow is imported when the first model is loaded.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from serving.core.servable import LoadFailed
from serving.engine import kernels, op_libraries
from serving.engine.call import Call
from serving.engine.tf_runtime import release_memory, runtime
from serving.errors import Internal, ServingError, error_of, name_of
from serving.wire import messages, tensors
from serving.wire.arrays import Array

logger = logging.getLogger(__name__)

# Tensors by name: what a signature takes and gives.
Arrays = dict[str, Array]

DEFAULT_SIGNATURE = "serving_default"
INIT_SIGNATURE = "__saved_model_init_op"
MAX_FILTERS = 32


@dataclass(frozen=True)
class EngineOptions:
    """How sessions are made. 0 threads: TensorFlow decides."""

    tags: tuple[str, ...] = ("serve",)
    intra_op_threads: int = 0
    inter_op_threads: int = 0
    session_config: bytes = b""
    op_libraries: tuple[str, ...] = ()
    strict_shapes: bool = False


@dataclass
class Signature:
    """One signature: names and types of its tensors, and `run`, a call in the caller's thread.

    `seconds` is about the least that a small call costs; it starts unknown.
    """

    name: str
    definition: Any
    inputs: dict[str, int]
    defaults: dict[str, Array]
    outputs: tuple[str, ...]
    model: SavedModel
    # Sizes after the first one, -1 where any will do; None where even the number of dimensions is open.
    shapes: dict[str, tuple[int, ...] | None] = field(default_factory=dict)
    # Whether requests must have these shapes; else the graph decides what it takes.
    strict: bool = False
    # False where the shapes alone say that some tensor does not have a row for each row of the others.
    by_rows: bool = True
    seconds: float | None = None
    # False where what a call takes depends on what it is asked.
    steady: bool = True
    # Calls that have kept the event loop although they should have been quick.
    felt: int = 0
    _calls: dict[tuple[str, ...], Call] = field(default_factory=dict)

    def run(
        self, inputs: Mapping[str, Array], wanted: tuple[str, ...] = (), deadline: float | None = None
    ) -> dict[str, Array]:
        """Outputs by alias. `inputs` holds every input; `wanted` limits the outputs (empty: all). Where the
        `deadline` (of time.monotonic) passes, the run is cancelled: that ends it before its next op.

        Raises ServingError with TensorFlow's code and text where the graph refuses.
        """
        wanted = wanted or self.outputs
        call = self._calls.get(wanted)
        if call is None:
            call = self._prepare(wanted)
        try:
            values = call(inputs) if deadline is None else call.until(inputs, deadline)
        except ServingError:
            raise
        except Exception as error:
            raise _translated(error) from None
        return {alias: _array(value) for alias, value in zip(wanted, values, strict=True)}

    def prepare(self) -> None:
        """Builds the full call now, so that no request waits for it."""
        self._prepare(self.outputs)

    def forget(self) -> None:
        """Lets go of the prepared calls, which hold the session."""
        self._calls.clear()

    def _prepare(self, wanted: tuple[str, ...]) -> Call:
        call = self.model.make_call(self, wanted)
        if len(self._calls) < MAX_FILTERS:
            self._calls[wanted] = call
        return call

    def timed(self, seconds: float) -> None:
        """Hears what a small call took. Slow ones count little: they mostly waited for a processor."""
        if self.seconds is None or seconds < self.seconds:
            self.seconds = seconds
        else:
            self.seconds = self.seconds * 0.95 + min(seconds, self.seconds * 4) * 0.05


def _array(value: Any) -> Array:
    """Sessions give scalars as Python or numpy scalars; `np.asarray` would cut NULs off the end of bytes."""
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, bytes):
        array = np.empty((), object)
        array[()] = value
        return array
    return np.asarray(value)


def _sizes(shape: Any) -> tuple[int, ...] | None:
    return None if shape.unknown_rank else tuple(dim.size for dim in shape.dim)


def _may_go_by_rows(definition: Any) -> bool:
    """Whether all inputs and outputs can have one common number of rows; shapes that are not known may."""
    shapes = [
        _sizes(info.tensor_shape) for info in (*definition.inputs.values(), *definition.outputs.values())
    ]
    return len({shape[:1] for shape in shapes if shape is not None}) <= 1 and () not in shapes


def _translated(error: Exception) -> ServingError:
    """TensorFlow's error with its own code and text; anything else is INTERNAL, without a stack trace."""
    code = getattr(error, "error_code", None)
    message = getattr(error, "message", None)
    if isinstance(code, int) and isinstance(message, str):
        return error_of(name_of(code), message)
    if isinstance(error, (ValueError, TypeError)):
        return error_of("INVALID_ARGUMENT", f"{error}")
    logger.exception("A model call failed in an unexpected way")
    return Internal(f"{type(error).__name__}: {error}")


class SavedModel:
    """A loaded SavedModel. Thread-safe; `close` may be called once no call is running."""

    def __init__(self, session: Any, signatures: Mapping[str, Any], strict: Collection[str] = ()) -> None:
        """`strict`: the signatures whose requests must have their shapes."""
        self._session = session
        self._strict = strict
        self._lock = threading.Lock()
        self.definitions = {k: v for k, v in signatures.items() if k != INIT_SIGNATURE}
        self.signatures = {name: self._signature(name, d) for name, d in self.definitions.items()}
        # Signature name -> Batcher, where batching is on; closed together with the model.
        self.batchers: dict[str, Any] = {}
        # The same names, where those batchers leave lone quick calls alone (see `serving.execution.crowd.Crowd`).
        self.crowds: dict[str, Any] = {}
        self.on_close: Callable[[], None] = lambda: None

    def _signature(self, name: str, definition: Any) -> Signature:
        defaults = {}
        for alias, proto in definition.defaults.items():
            twin = messages.Tensor.FromString(proto.SerializeToString())
            defaults[alias] = tensors.decode(twin, alias)
        return Signature(
            name=name,
            definition=definition,
            inputs={alias: info.dtype for alias, info in sorted(definition.inputs.items())},
            defaults=defaults,
            outputs=tuple(sorted(definition.outputs)),
            model=self,
            shapes={alias: _sizes(info.tensor_shape) for alias, info in definition.inputs.items()},
            strict=name in self._strict,
            by_rows=_may_go_by_rows(definition),
        )

    def make_call(self, signature: Signature, wanted: Sequence[str]) -> Call:
        """A call that feeds all inputs of the signature and fetches the `wanted` outputs, in their order."""
        feeds = {a: signature.definition.inputs[a].name for a in signature.inputs}
        fetches = [signature.definition.outputs[a].name for a in wanted]
        try:
            with self._lock:
                return Call(self._session, feeds, fetches)
        except Exception as error:
            raise _translated(error) from None

    def close(self) -> None:
        for batcher in self.batchers.values():
            batcher.close()
        self.batchers.clear()
        self.on_close()
        for signature in self.signatures.values():
            signature.forget()
        self.signatures.clear()
        session, self._session = self._session, None
        if session is not None:
            session.close()
        # Graphs and their ops refer to each other; without this their memory stays until some later round.
        release_memory()


def _parsed(path: str) -> Any:
    """The SavedModel message of a folder. Raises LoadFailed with TensorFlow Serving's texts."""
    folder = Path(path)
    if not (folder / "saved_model.pb").is_file() and not (folder / "saved_model.pbtxt").is_file():
        raise LoadFailed(
            "NOT_FOUND",
            f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {path}. Check that "
            "the directory exists and that you have the right permissions for accessing it.",
        )
    try:
        return runtime().parse_saved_model(path)
    except Exception as error:
        raise LoadFailed("DATA_LOSS", f"Can't parse the SavedModel in {path}: {error}") from error


def _graph_for(saved_model: Any, tags: tuple[str, ...]) -> Any:
    for graph in saved_model.meta_graphs:
        if set(graph.meta_info_def.tags) == set(tags):
            return graph
    known = "; ".join("{ " + ", ".join(g.meta_info_def.tags) + " }" for g in saved_model.meta_graphs)
    raise LoadFailed(
        "NOT_FOUND",
        f"Could not find meta graph def matching supplied tags: {{ {' '.join(tags)} }}. To inspect available "
        f"tag-sets in the SavedModel, please use the SavedModel CLI: `saved_model_cli`. It has: {known}",
    )


def load(path: str, options: EngineOptions | None = None) -> SavedModel:
    """Loads a version's folder. Raises LoadFailed; leaves nothing behind when it does."""
    options = options or EngineOptions()
    started = time.monotonic()
    tensorflow = runtime()
    for library in options.op_libraries:
        op_libraries.load(library)
    op_libraries.load_listed(path)
    meta_graph = _graph_for(_parsed(path), options.tags)
    op_libraries.load_missing(op.name for op in meta_graph.meta_info_def.stripped_op_list.op)
    config = tensorflow.ConfigProto()
    config.MergeFromString(options.session_config)
    if options.intra_op_threads:
        config.intra_op_parallelism_threads = options.intra_op_threads
    if options.inter_op_threads:
        config.inter_op_parallelism_threads = options.inter_op_threads
    if not config.session_inter_op_thread_pool:
        # Ops of timed runs: those of a model that hangs must not hold up another model's.
        config.use_per_session_threads = True
    if not config.gpu_options.per_process_gpu_memory_fraction:
        # A GPU is shared with whatever else runs there; TensorFlow would take all of its memory.
        config.gpu_options.allow_growth = True
    session = tensorflow.Session(graph=tensorflow.Graph(), config=config)
    try:
        with session.graph.as_default():
            meta_graph = tensorflow.SavedModelLoader(path).load(session, list(options.tags))
        session.graph.finalize()
        definitions = dict(meta_graph.signature_def)
        ending = kernels.signatures_with(meta_graph, kernels.ending())
        model = SavedModel(session, definitions, definitions.keys() if options.strict_shapes else ending)
        for name in kernels.signatures_with(meta_graph, kernels.LOOPING) & model.signatures.keys():
            model.signatures[name].steady = False
    except Exception as error:
        session.close()
        if isinstance(error, LoadFailed):
            raise
        known = _translated(error) if hasattr(error, "error_code") else None
        code = known.code if known else "INTERNAL"
        raise LoadFailed(code, known.message if known else f"{type(error).__name__}: {error}") from error
    for signature in model.signatures.values():
        try:
            signature.prepare()
        except ServingError as error:
            logger.warning("Signature %r of %s cannot be prepared: %s", signature.name, path, error.message)
    devices = ", ".join(device.name.rpartition("device:")[2] for device in session.list_devices())
    seconds = time.monotonic() - started
    logger.info(
        "Read %s in %.2f s: signatures %s, devices %s", path, seconds, list(model.signatures), devices
    )
    return model
