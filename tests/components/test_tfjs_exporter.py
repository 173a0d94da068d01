"""TfjsExporter: the script it writes is JavaScript whatever the words are; its environment is whole or absent."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from components.tfjs_exporter import conversion, environment
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


def test_the_environment_of_another_lock_does_not_count_as_complete(tmp_path: Path) -> None:
    assert not environment.is_complete(tmp_path)
    (tmp_path / environment.MARKER).write_text("0" * 64)
    assert not environment.is_complete(tmp_path)


def test_an_installation_that_fails_says_which_command_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad_lock = tmp_path / "broken.lock"
    bad_lock.write_text("this is no requirement ==\n", encoding="utf-8")
    monkeypatch.setattr(environment, "LOCK", bad_lock)
    said: list[str] = []
    folder = tmp_path / "home" / "tfjs-venv"
    with pytest.raises(environment.EnvironmentFailed, match=r"failed with exit code \d"):
        environment.ensure(folder, said.append)
    assert "1 packages of broken.lock" in said[0] and str(folder) in said[0]
    assert list(folder.parent.iterdir()) == []


def test_a_complete_environment_is_used_without_a_word(tmp_path: Path) -> None:
    (tmp_path / environment.MARKER).write_text(environment._wanted() + "\n")
    assert environment.ensure(tmp_path, lambda text: pytest.fail(text)) == tmp_path


def test_the_place_is_the_variable_then_the_checkout_then_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "CHECKOUT", tmp_path)
    monkeypatch.delenv(environment.VARIABLE, raising=False)
    assert environment.location(tmp_path / "home") == tmp_path / "home"
    (tmp_path / ".tfjs-venv").mkdir()
    assert environment.location(tmp_path / "home") == tmp_path / ".tfjs-venv"
    monkeypatch.setenv(environment.VARIABLE, str(tmp_path / "elsewhere"))
    assert environment.location(tmp_path / "home") == tmp_path / "elsewhere"


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(environment.EnvironmentFailed, match=r"no-such-program cannot be started"):
        environment.run(["no-such-program"])
