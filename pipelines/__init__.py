"""Viaduct's pipelines. Importing this package sets what TensorFlow must find in the environment, and joins the
workspace's projects; nothing else.

TFX 1.16 needs Keras 2, which TensorFlow 2.16 gives only with TF_USE_LEGACY_KERAS=1, set before its import.

A workspace is a folder of a user's own with a file `viaduct.toml` (`viaduct init`). Its `pipelines/<project>` are found
as `pipelines.<project>`, beside those that come with this package and before them, so that an upgrade that brings a
project of the same name changes nothing there. VIADUCT_WORKSPACE names it; where that is not set it is the current
folder, or the nearest above it with such a file, and the variable is set for all processes that this one starts.
"""

import os

WORKSPACE_VARIABLE, MARKER = "VIADUCT_WORKSPACE", "viaduct.toml"

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def _workspace() -> str:
    """The workspace's absolute path, '' for none."""
    try:
        if given := os.environ.get(WORKSPACE_VARIABLE):
            return os.path.abspath(os.path.expanduser(given))
        folder = os.getcwd()
    except OSError:  # a current folder that is gone
        return ""
    while not os.path.isfile(os.path.join(folder, MARKER)):
        folder, below = os.path.dirname(folder), folder
        if folder == below:
            return ""
    return folder


def _is_project(folder: str, name: str) -> bool:
    """Whether a part of the platform is a project; its `base` has a module of the same name as a card."""
    return name != "base" and os.path.isfile(os.path.join(folder, name, "project.py"))


def _join(own: str, platform: str) -> None:
    """Puts the folder `own` on this package's path: first, but last where it would hide a part of the platform, which
    registry.py tells of."""
    if not os.path.isdir(own) or os.path.samefile(own, platform):
        return
    same = [name for name in os.listdir(own) if os.path.exists(os.path.join(platform, name))]
    hides = any(name != "__pycache__" and not _is_project(platform, name) for name in same)
    __path__.insert(len(__path__) if hides else 0, own)


if _found := _workspace():
    os.environ[WORKSPACE_VARIABLE] = _found
    _join(os.path.join(_found, "pipelines"), os.path.dirname(os.path.abspath(__file__)))
