"""TfjsExporter: the script it writes is JavaScript whatever the words are."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np

from components.tfjs_exporter import conversion
from tests.conftest import missing


def _converted(folder: Path, weights: np.ndarray) -> Path:
    """A folder as the converter writes it: topology, manifest and two shards."""
    folder.mkdir()
    content = weights.astype("<f4").tobytes()
    (folder / "a.bin").write_bytes(content[:6])
    (folder / "b.bin").write_bytes(content[6:])
    manifest = [
        {
            "paths": ["a.bin", "b.bin"],
            "weights": [{"name": "w", "shape": list(weights.shape), "dtype": "float32"}],
        }
    ]
    described = {"modelTopology": {"name": "m"}, "weightsManifest": manifest, "convertedBy": "a converter"}
    (folder / "model.json").write_text(json.dumps(described), encoding="utf-8")
    return folder


def test_the_script_holds_topology_weights_and_words_that_could_break_a_script(tmp_path: Path) -> None:
    weights = np.arange(5, dtype=np.float32) / 3
    words = ["plain", "</script><b>", "\u2028line", 'quo"te', "日本"]
    script = conversion.bundle(_converted(tmp_path / "model", weights), {"words": words})
    assert "</script" not in script and "\u2028" not in script
    if shutil.which("node") is None:
        missing("node")
    program = (
        f"{script}\nconst m = globalThis.{conversion.GLOBAL};\n"
        "const bytes = Buffer.from(m.weights, 'base64');\n"
        "const values = Array.from(new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4));\n"
        "console.log(JSON.stringify({ words: m.assets.words, values, name: m.modelTopology.name }));"
    )
    done = subprocess.run(["node", "-"], input=program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["words"] == words and found["name"] == "m"
    np.testing.assert_array_equal(np.array(found["values"], np.float32), weights)
