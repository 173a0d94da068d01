"""A pushed model for Spark: found and read on the driver, loaded once in each worker process, never pickled.

What travels is `ModelAt`, a path with the digest of what lay there; a worker that finds other content refuses. The
driver reads signatures from the SavedModel's messages and imports no TensorFlow for it.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridges.errors import BridgeError
from bridges.examples import parsing
from bridges.spark.session import SERVE_ONLY
from pipelines.base import data_state, registry
from pipelines.base.errors import close_match
from pipelines.base.paths import Paths
from serving.errors import ServingError
from serving.wire import protos

if TYPE_CHECKING:
    from serving.engine.saved_model import SavedModel, Signature

DEFAULT_SIGNATURE, EXAMPLES_SIGNATURE = "serving_default", "serve_examples"
_MODELS_KEPT = 3
_loaded: OrderedDict[str, SavedModel] = OrderedDict()


@dataclass(frozen=True)
class Tensor:
    """One input or output: TensorFlow's type number, and sizes (-1: any; None: even the rank is open)."""

    name: str
    type: int
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class ModelAt:
    """One signature of one version's folder, as `digest` knew it. `features`: what it parses of tf.Examples, if it
    takes those."""

    path: str
    digest: str
    name: str
    version: int
    signature: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    features: tuple[parsing.Feature, ...] | None


def find(model: str | Path, version: int | None = None, signature: str = "") -> ModelAt:
    """The version's folder at that path, or the newest (or that) version of what is served under that name: a project,
    or a project and its kind, as card_fraud.sample.

    Without a `signature`, the one that takes raw rows: `serve_examples` where there is one, else `serving_default`.
    Raises BridgeError for what is no model and for a signature that it has not.
    """
    folder = _folder(model, version)
    definitions, functions = _read(folder)
    chosen = signature or (EXAMPLES_SIGNATURE if EXAMPLES_SIGNATURE in definitions else DEFAULT_SIGNATURE)
    if chosen not in definitions:
        raise BridgeError(f"{folder}: {close_match('Signature', chosen, definitions)}")
    definition = definitions[chosen]
    inputs, outputs = _tensors(definition.inputs), _tensors(definition.outputs)
    return ModelAt(
        path=str(folder),
        digest=data_state.of(folder, None),
        name=folder.parent.name,
        version=int(folder.name) if folder.name.isdecimal() else 0,
        signature=chosen,
        inputs=inputs,
        outputs=outputs,
        features=_features(definition, inputs, functions),
    )


def _folder(model: str | Path, version: int | None) -> Path:
    given = Path(model).expanduser()
    name = str(model)
    project = name.partition(".")[0]
    if project in registry.names() and not (given / "saved_model.pb").is_file():
        base = Paths.of(project).served(name)
    elif _is_model(given):
        return given.absolute()
    else:
        base = given.absolute()
        if not base.is_dir():
            raise BridgeError(
                f"{name!r} is neither a model nor a project: expected a folder with saved_model.pb, one of numbered "
                f"versions, or a project's name. {close_match('Project', name, registry.names())}"
            )
    there = sorted(
        int(path.name) for path in base.glob("[0-9]*") if path.name.isdecimal() and _is_model(path)
    )
    if not there:
        others = [
            path.name
            for path in sorted(base.parent.glob(f"{project}*"))
            if path.name.partition(".")[0] == project and any(path.glob("[0-9]*"))
        ]
        hint = f"There is: {', '.join(others)}." if others else f"`viaduct run {project}` makes one."
        raise BridgeError(f"{base} holds no pushed model. {hint}")
    if version is not None and version not in there:
        raise BridgeError(f"{base} has no version {version}; there are {', '.join(map(str, there[-20:]))}.")
    return base / str(version if version is not None else there[-1])


def _is_model(folder: Path) -> bool:
    return (folder / "saved_model.pb").is_file()


def _read(folder: Path) -> tuple[dict[str, Any], tuple[Any, Any]]:
    """The signatures of the graph that serves, and (its nodes, its functions by name)."""
    message = protos.saved_model_pb2.SavedModel()
    try:
        message.ParseFromString((folder / "saved_model.pb").read_bytes())
    except (OSError, ValueError) as error:
        raise BridgeError(f"{folder}/saved_model.pb cannot be read as a SavedModel: {error}") from None
    except Exception as error:
        raise BridgeError(
            f"{folder}/saved_model.pb is no SavedModel ({type(error).__name__}: {error})."
        ) from None
    for graph in message.meta_graphs:
        if "serve" in graph.meta_info_def.tags:
            library = {function.signature.name: function for function in graph.graph_def.library.function}
            definitions = {k: v for k, v in graph.signature_def.items() if not k.startswith("__")}
            return definitions, (graph.graph_def.node, library)
    raise BridgeError(f"{folder}/saved_model.pb has no graph tagged 'serve'; was it exported for serving?")


def _tensors(infos: Any) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(
            name,
            info.dtype,
            None if info.tensor_shape.unknown_rank else tuple(d.size for d in info.tensor_shape.dim),
        )
        for name, info in sorted(infos.items())
    )


def _features(
    definition: Any, inputs: tuple[Tensor, ...], graph: tuple[Any, Any]
) -> tuple[parsing.Feature, ...] | None:
    if len(inputs) != 1 or inputs[0].type != protos.types_pb2.DT_STRING:
        return None
    return parsing.features_of([info.name for info in definition.outputs.values()], *graph)


def loaded(model: ModelAt) -> Signature:
    """The signature, ready to call, in this process. Raises BridgeError where the folder holds something else now."""
    held = _loaded.get(model.digest)
    if held is None:
        held = _load(model)
        _loaded[model.digest] = held
        while len(_loaded) > _MODELS_KEPT:
            _loaded.popitem(last=False)[1].close()
    _loaded.move_to_end(model.digest)
    return held.signatures[model.signature]


def _load(model: ModelAt) -> SavedModel:
    from serving.core.servable import LoadFailed
    from serving.engine import saved_model, tf_runtime

    if data_state.of(Path(model.path), None) != model.digest:
        raise BridgeError(
            f"{model.path} is not what the driver saw (digest {model.digest}), or this worker does not reach it. Put "
            "models on storage that all workers share, and push new versions into folders of their own."
        )
    if os.environ.get(SERVE_ONLY):
        tf_runtime.serve_only()
    try:
        # A task has one core; Spark's tasks are what runs side by side.
        options = saved_model.EngineOptions(intra_op_threads=1, inter_op_threads=1)
        return saved_model.load(model.path, options)
    except (LoadFailed, ServingError) as error:
        raise BridgeError(f"{model.path} cannot be loaded: {error}") from None
