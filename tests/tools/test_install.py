"""The set-up's installer: the pieces of a lock, and real installations of made-up wheels without an index."""

import importlib.util
import shutil
import subprocess
import sys
import zipfile

import pytest

from pipelines.base.paths import CHECKOUT

PROGRAM = CHECKOUT / "tools" / "install.py"
spec = importlib.util.spec_from_file_location("viaduct_install", PROGRAM)
install = importlib.util.module_from_spec(spec)
spec.loader.exec_module(install)


def test_pieces_hold_every_line_once_and_in_its_order():
    lines = (CHECKOUT / "requirements.lock").read_text().split()
    parts = list(install.pieces(lines))
    assert [line for part in parts for line in part] == lines
    assert 5 <= len(parts) <= 2 * install.PIECES


def test_a_package_that_outweighs_a_piece_is_alone():
    lines = [f"light{i}==1" for i in range(40)]
    parts = list(install.pieces([*lines[:20], "tensorflow==2", *lines[20:]]))
    assert ["tensorflow==2"] in parts


def test_what_is_called_heavy_is_in_the_lock():
    names = {line.partition("==")[0] for line in (CHECKOUT / "requirements.lock").read_text().split()}
    assert set(install.HEAVY) <= names


def _wheel(folder, name, requires_python):
    info = f"{name}-1.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(
            f"{info}/METADATA",
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\nRequires-Python: {requires_python}\n",
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_a_lock_is_installed_also_what_says_that_it_is_for_older_pythons(tool, tmp_path, monkeypatch):
    if tool == "uv" and not shutil.which("uv"):
        pytest.skip("uv is missing")
    if tool == "pip":
        monkeypatch.setenv("PATH", "/nowhere")
    for name, wanted in (("first", ">=3"), ("second", "<3.11")):
        _wheel(tmp_path, name, wanted)
    lock = tmp_path / "a.lock"
    lock.write_text("# made up\nfirst==1\nsecond==1\n")
    bare = ["--without-pip"] if tool == "uv" else []
    subprocess.run([sys.executable, "-m", "venv", *bare, tmp_path / "made"], check=True)
    python = str(tmp_path / "made" / "bin" / "python")
    command = [sys.executable, str(PROGRAM), str(lock), python, "--no-index", "--find-links", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "50 %  1 of 2 packages" in done.stdout and "100 %  2 of 2 packages" in done.stdout
    subprocess.run([python, "-c", "import first, second"], check=True)

    lock.write_text("first==1\nabsent==1\n")
    failed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert failed.returncode != 0 and "absent" in failed.stderr
