"""Imports TFX, TensorFlow and Beam without what no node of ours needs, and tells AutoGraph what to pass over.

Two thirds of the time to import `tfx.v1` go into Google's AI Platform and into a grammar of internationalised
addresses. Both stay available: the first is imported when something asks for it. Nothing is imported with this
module itself.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import types
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
POSTPONED = "tfx.v1.extensions"
ADDRESS_GRAMMAR = "rfc3987_syntax"
UNCONVERTED = ("tf_keras", "tensorflow_transform")
CALLS_PROJECTS_STEPS = "tf_keras.src.engine.training"


class _Postponed(types.ModuleType):
    """Stands for a package until somebody asks for something in it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def import_all() -> None:
    """Imports everything nodes use: 6 CPU seconds, 780 MB; run once per process, before any thread or op."""
    light()
    for name in WARM_IMPORTS:
        importlib.import_module(name)
    leave_libraries_unconverted()


def light() -> None:
    """Makes imports of TFX that follow cheaper; does nothing where they have happened."""
    import_jsonschema()
    if POSTPONED not in sys.modules:
        folder = _folder_of(POSTPONED)
        postponed = _Postponed(POSTPONED)
        postponed.__path__ = [str(folder)]
        sys.modules[POSTPONED] = postponed


def _folder_of(package: str) -> Path:
    top, _, rest = package.partition(".")
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"No module named {top!r}", name=top)
    return Path(spec.origin).parent.joinpath(*rest.split("."))


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
