"""Imports TFX, TensorFlow and Beam without what no node of ours needs, and tells AutoGraph what to pass over.

Two thirds of the time to import `tfx.v1` go into Google's AI Platform and into a grammar of internationalised
addresses; BigQuery and Pub/Sub cost another second. All stay available: they are imported when something asks for
them. Nothing is imported with this module itself.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WARM_IMPORTS = (
    "tensorflow",
    "tfx.v1",
    "tfx.orchestration.portable.launcher",
    "tfx.orchestration.local.runner_utils",
    "tfx.dsl.compiler.compiler",
    "tfx.components.transform.executor",
    "tfx.components.evaluator.executor",
    "tfx.components.statistics_gen.executor",
    "tfx.components.example_validator.executor",
    "tfx.components.trainer.executor",
    "tfx.components.pusher.executor",
    "tf_keras",
    "apache_beam.runners.direct.direct_runner",
)
# Beam imports the packages of BigQuery and Pub/Sub where it reads from them, and until then asks for nothing in them.
POSTPONED = (
    "tfx.v1.extensions",
    "google.cloud.bigquery",
    "google.cloud.bigquery_storage_v1",
    "google.cloud.pubsub",
)
ADDRESS_GRAMMAR = "rfc3987_syntax"
UNCONVERTED = ("tf_keras", "tensorflow_transform")
CALLS_PROJECTS_STEPS = "tf_keras.src.engine.training"


class _Postponed(types.ModuleType):
    """Stands for a package until somebody asks for something in it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.imported(), name)

    def imported(self) -> types.ModuleType:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return importlib.import_module(self.__name__)


class _WholesFirst(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports a postponed package before anything in it, as Python does with others."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        package = sys.modules.get(name.rpartition(".")[0])
        if not isinstance(package, _Postponed):
            return None
        package.imported()
        # The package may have imported what is looked for.
        return importlib.machinery.ModuleSpec(name, self) if name in sys.modules else None

    def create_module(self, spec: Any) -> types.ModuleType:
        self._spec = sys.modules[spec.name].__spec__
        return sys.modules[spec.name]

    def exec_module(self, module: types.ModuleType) -> None:
        module.__spec__ = self._spec


def import_all() -> None:
    """Imports everything nodes use: 4 CPU seconds, 780 MB; run once per process, before any thread or op."""
    light()
    with _nothing_collected():
        for name in WARM_IMPORTS:
            importlib.import_module(name)
    leave_libraries_unconverted()


def light() -> None:
    """Makes imports of TFX that follow cheaper; does nothing where they have happened."""
    import_jsonschema()
    if not any(isinstance(finder, _WholesFirst) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WholesFirst())
    for package in POSTPONED:
        if package not in sys.modules and (folder := _folder_of(package)) is not None:
            postponed = _Postponed(package)
            postponed.__path__ = [str(folder)]
            sys.modules[package] = postponed


@contextlib.contextmanager
def _nothing_collected() -> Iterator[None]:
    """Modules stay: looking through all their objects for garbage again and again is a fifth of importing them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _folder_of(package: str) -> Path | None:
    """Where a package lies, found without importing it or what it is part of; None where it is not installed."""
    top, *rest = package.split(".")
    spec = importlib.util.find_spec(top)
    roots = (spec.submodule_search_locations if spec is not None else None) or ()
    folders = [Path(root).joinpath(*rest) for root in roots]
    return next((folder for folder in folders if (folder / "__init__.py").is_file()), None)


def import_jsonschema() -> None:
    """Imports jsonschema without its checker of internationalised addresses, which it does without where absent.

    That checker compiles a grammar for two seconds. Airflow's params and Kubernetes's client import it; neither
    checks an address here.
    """
    if "jsonschema" in sys.modules or ADDRESS_GRAMMAR in sys.modules:
        return
    sys.modules[ADDRESS_GRAMMAR] = None  # type: ignore[assignment]
    try:
        importlib.import_module("jsonschema")
    finally:
        del sys.modules[ADDRESS_GRAMMAR]


def leave_libraries_unconverted() -> None:
    """Lets AutoGraph pass over tf_keras and TFT as it does over TensorFlow and `keras`.

    TensorFlow's list of libraries that need no conversion was written before Keras 2 was renamed to tf_keras.
    Rewriting its source took half of a small training's time. A project's own layers and steps are converted
    still, and so is the one module of Keras that calls a project's `train_step`.
    """
    from tensorflow.python.autograph.core import config

    known = {str(rule) for rule in config.CONVERSION_RULES}
    new = [
        config.Convert(CALLS_PROJECTS_STEPS),
        *(config.DoNotConvert(library) for library in UNCONVERTED),
    ]
    config.CONVERSION_RULES = (*config.CONVERSION_RULES, *(rule for rule in new if str(rule) not in known))
