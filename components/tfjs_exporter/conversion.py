"""From a Keras HDF5 file to a folder for browsers: the converter's own files, and one script that needs no server.

model/model.json, model/*.bin    TensorFlow.js layers format, for any page that is served
model.js                         the same model, vocabulary and settings as a script, so that the page also opens
                                 from a disk (browsers refuse to fetch files next to a local page)
tf.min.js                        the runtime
...                              the project's page
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.tfjs_exporter import environment
from pipelines.base import whole

GLOBAL = "VIADUCT_MODEL"
# Files of the page that a browser loads; tests and notes beside them stay behind.
PAGE_FILES = ("*.html", "*.js", "*.css", "*.svg")


def convert(keras_file: Path, folder: Path, venv: Path) -> None:
    """Writes the layers format of `keras_file` to `folder`. Raises EnvironmentFailed with the converter's words."""
    # Not the script in bin/: it holds the path under which the environment was made.
    start = "from tensorflowjs.converters.converter import pip_main; pip_main()"
    python = str(venv / "bin" / "python")
    command = [python, "-c", start, "--input_format=keras", str(keras_file), str(folder)]
    keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    # An environment of its own: neither our PYTHONPATH nor our TensorFlow settings.
    environment.run(command, env={**keep, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""})


def bundle(model: Path, assets: Mapping[str, Any]) -> str:
    """The script that sets `VIADUCT_MODEL` to topology, weights (base64) and `assets` of a converted model."""
    described = json.loads((model / "model.json").read_text(encoding="utf-8"))
    specs: list[Any] = []
    weights = b""
    for group in described["weightsManifest"]:
        specs += group["weights"]
        weights += b"".join((model / path).read_bytes() for path in group["paths"])
    content = {
        "modelTopology": described["modelTopology"],
        "weightSpecs": specs,
        "weights": base64.b64encode(weights).decode(),
        "convertedBy": described.get("convertedBy", ""),
        "assets": dict(assets),
    }
    # JSON is JavaScript but for these two line ends, and "</" could close the script element.
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("</", "<\\/")
    return f"globalThis.{GLOBAL} = {text};\n"


def export(
    keras_file: Path, page: Path, assets: Mapping[str, Any], venv: Path, target: Path
) -> Sequence[str]:
    """Makes `target` (aside, then renamed): converted model, script, runtime and page. Returns the names in it."""
    with whole.folder(target, replace=True) as aside:
        convert(keras_file, aside / "model", venv)
        (aside / "model.js").write_text(bundle(aside / "model", assets), encoding="utf-8")
        shutil.copyfile(venv / environment.RUNTIME, aside / "tf.min.js")
        for pattern in PAGE_FILES:
            for file in sorted(page.glob(pattern)):
                shutil.copyfile(file, aside / file.name)
    return sorted(path.name for path in target.iterdir())
