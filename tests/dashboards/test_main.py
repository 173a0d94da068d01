"""`viaduct dashboard` and `viaduct export` where the port is taken or HOME is no folder: one sentence each."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from dashboards import main
from dashboards.pages import export
from pipelines.base.errors import ProjectError, ViaductError


def _told(error: pytest.ExceptionInfo[ViaductError]) -> str:
    assert not isinstance(error.value, ProjectError), "nothing is wrong with a project"
    return str(error.value)


def test_a_taken_port_is_named_with_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ViaductError, match=f"127.0.0.1:{port}.*--port") as error:
            main.main(["--home", str(tmp_path), "--port", str(port)])
    assert "in use" in _told(error)


@pytest.mark.parametrize("command", [main.main, lambda argv: export.main([*argv, "card_fraud"])])
def test_a_home_that_is_no_folder_is_named_with_what_to_do(tmp_path: Path, command: object) -> None:
    home = tmp_path / "home"
    home.write_text("a file")
    with pytest.raises(ViaductError, match="VIADUCT_HOME") as error:
        command(["--home", str(home)])  # type: ignore[operator]
    assert str(home) in _told(error)


def test_a_file_that_cannot_be_written_is_named(home: Path, tmp_path: Path) -> None:
    with pytest.raises(ViaductError, match="cannot be written") as error:
        export.main(["card_fraud", "--home", str(home), "-o", str(tmp_path / "nowhere" / "run.html")])
    assert "nowhere" in _told(error)
