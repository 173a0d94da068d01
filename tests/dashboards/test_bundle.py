"""plotly's script: the basic bundle where the set-up could fetch it, else the whole; neither names a foreign host."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from dashboards import bundle
from dashboards.pages import assets
from tests.conftest import missing


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment without the bundle."""
    target = tmp_path / "share" / "basic.js"
    monkeypatch.setattr(bundle, "installed", lambda: target)
    assets.plotly_script.cache_clear()
    assets.plotly_packed.cache_clear()
    yield target
    assets.plotly_script.cache_clear()
    assets.plotly_packed.cache_clear()


def fake_npm(folder: Path, content: bytes) -> None:
    """An npm that packs `content` as the bundle."""
    archive = folder / "packed.tgz"
    with tarfile.open(archive, "w:gz") as files:
        member = tarfile.TarInfo(bundle.MEMBER)
        member.size = len(content)
        files.addfile(member, io.BytesIO(content))
    npm = folder / "npm"
    npm.write_text(f'#!/bin/sh\ncp {archive} "$4/package.tgz"\n')
    npm.chmod(0o755)


def test_the_bundle_of_this_environment_is_the_one_that_was_looked_at() -> None:
    if shutil.which("npm") is None:
        missing("npm")
    assert bundle.main() == 0
    assert hashlib.sha256(bundle.installed().read_bytes()).hexdigest() == bundle.SHA256
    assert assets.plotly_file() == bundle.installed()


def test_without_npm_the_whole_of_plotly_is_used_and_the_set_up_says_so(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(elsewhere.parent))
    assert bundle.main() == 1
    assert "npm is not on PATH" in capsys.readouterr().out
    assert assets.plotly_file().name == "plotly.min.js"


def test_no_script_names_a_foreign_host(elsewhere: Path) -> None:
    assert assets.FOREIGN.search(assets.plotly_file().read_text(encoding="utf-8"))
    assert not assets.FOREIGN.search(assets.plotly_script())


def test_a_file_holds_the_same_script_packed_and_the_whole_of_plotly_too_fits_into_two_megabytes(
    elsewhere: Path,
) -> None:
    packed = assets.plotly_packed()
    assert gzip.decompress(base64.b64decode(packed)).decode() == assets.plotly_script()
    assert len(packed) < 2_000_000, "without npm"


def test_another_file_under_the_same_name_is_not_taken(
    elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_npm(tmp_path, b"alert(1)")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert bundle.main() == 1
    assert "is not what it was" in capsys.readouterr().out
    assert not elsewhere.exists()


def test_the_bundle_that_was_asked_for_is_kept(
    elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"var Plotly;"
    fake_npm(tmp_path, content)
    monkeypatch.setattr(bundle, "SHA256", hashlib.sha256(content).hexdigest())
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert bundle.main() == 0
    assert elsewhere.read_bytes() == content
