"""The environment of the TensorFlow.js converter is whole or absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.tfjs_exporter import environment


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
