"""Where projects are found: a workspace's beside the platform's, by every module that looks for code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dags import code_check
from pipelines.base import digest, ir, paths, registry, scaffold
from pipelines.base.errors import ProjectError
from pipelines.base.forkserver import client
from pipelines.base.paths import CHECKOUT, Paths

CARD = """from pipelines.base.project import Bar, DataSource, Evaluation, Profile, Project, Variant

PROFILE = Profile(bars=(Bar("auc", at_least=0.5),), sample_rows=3)
PROJECT = Project(
    name="NAME", title="Mine", question="Is this one mine?", model="none",
    data=DataSource("none", "none", "none", "none"), variants=(Variant("only", "the only one"),),
    quick=PROFILE, full=PROFILE, evaluation=Evaluation(task="own"),
)
"""


def project(workspace: Path, name: str) -> Path:
    folder = workspace / "pipelines" / name
    folder.mkdir(parents=True)
    (folder / "project.py").write_text(CARD.replace("NAME", name))
    (folder / "__init__.py").touch()
    (folder / "features.py").write_text("from pipelines.base import holes\n")
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "viaduct.toml").touch()
    project(tmp_path, "rain")
    return tmp_path


@pytest.fixture
def inside(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIADUCT_WORKSPACE", str(workspace))
    return workspace


def python(code: str, cwd: Path, **env: str) -> str:
    """What a fresh interpreter prints in `cwd`."""
    kept = {name: value for name, value in os.environ.items() if name != "VIADUCT_WORKSPACE"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={**kept, "PYTHONPATH": str(CHECKOUT), **env},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


ASK = "from pipelines.base import registry; print(registry.get({!r}).question, len(registry.names()))"


def test_a_project_is_found_from_below_the_workspace_and_from_elsewhere_by_name(
    workspace: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere, count = tmp_path_factory.mktemp("elsewhere"), len(registry.names())
    below = workspace / "pipelines" / "rain"
    assert python(ASK.format("rain"), below) == f"Is this one mine? {count + 1}"
    assert python(ASK.format("rain"), elsewhere, VIADUCT_WORKSPACE=str(workspace)).startswith(
        "Is this one mine?"
    )
    assert "Project 'rain' does not exist" in python(ASK.format("rain"), elsewhere)
    kept = "import os, pipelines; os.chdir('/'); print(os.environ['VIADUCT_WORKSPACE'])"
    assert python(kept, below) == str(workspace), "processes that this one starts elsewhere find it"
    assert python("import os, pipelines; print('VIADUCT_WORKSPACE' in os.environ)", elsewhere) == "False"


def test_the_platforms_projects_stay_and_one_of_the_same_name_gives_way(workspace: Path) -> None:
    assert "fraud" in python(ASK.format("card_fraud"), workspace)
    project(workspace, "card_fraud")
    assert python(ASK.format("card_fraud"), workspace).startswith("Is this one mine?")
    assert python("import pipelines.digits.project as p; print(p.PROJECT.name)", workspace) == "digits"


@pytest.mark.parametrize("hiding", ["base/__init__.py", "__init__.py", "cli.py"])
def test_what_would_hide_the_platform_hides_nothing_and_is_told(workspace: Path, hiding: str) -> None:
    (workspace / "pipelines" / hiding).parent.mkdir(exist_ok=True)
    (workspace / "pipelines" / hiding).touch()
    told = python(ASK.format("rain"), workspace / "pipelines")
    assert "has the name of a part of the platform" in told


def test_a_variable_that_names_no_workspace_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIADUCT_WORKSPACE", str(tmp_path))
    with pytest.raises(ProjectError, match=r"is no workspace: it has no viaduct\.toml"):
        registry.names()


def test_digests_see_the_code_of_the_workspace(inside: Path) -> None:
    module, whole = digest.source_digest("pipelines.rain.features"), digest.project_digest("rain")
    (inside / "pipelines" / "rain" / "features.py").write_text("from pipelines.base import holes  # more\n")
    assert digest.source_digest("pipelines.rain.features") != module
    assert digest.project_digest("rain") != whole
    assert digest.source_digest("pipelines.base.holes") == digest.source_digest("pipelines.base.holes")


def test_the_code_check_of_airflow_reads_the_workspace(inside: Path) -> None:
    code_check._exists.cache_clear()
    code_check.check("rain")
    (inside / "pipelines" / "rain" / "features.py").write_text("from pipelines.rain import gone\n")
    with pytest.raises(code_check.BrokenCode, match=r"^pipelines/rain/features\.py:1: ImportError"):
        code_check.check("rain")
    code_check._exists.cache_clear()


def test_an_error_names_the_workspaces_line_and_the_graph_no_folder(inside: Path) -> None:
    file = inside / "pipelines" / "rain" / "model.py"
    file.write_text("def run():\n    raise ValueError('wet')\n")
    scope: dict[str, object] = {}
    exec(compile(file.read_text(), str(file), "exec"), scope)
    with pytest.raises(ValueError) as raised:
        scope["run"]()  # type: ignore[operator]
    assert ir.describe(raised.value) == "pipelines/rain/model.py:2: ValueError: wet"
    text = ir.golden_text({"a": f"{inside}/data", "b": f"{CHECKOUT}/x"}, Path("/made/home"))
    assert '"{workspace}/data"' in text and '"{checkout}/x"' in text


def test_a_workspace_has_a_home_and_a_warm_process_of_its_own(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VIADUCT_HOME", raising=False)
    elsewhere = client.socket_path(workspace)
    monkeypatch.setenv("VIADUCT_WORKSPACE", str(workspace))
    assert paths.default_home() == workspace / ".viaduct"
    assert client.socket_path(workspace) != elsewhere
    assert paths.working_folder() == workspace


def test_a_new_project_goes_into_the_workspace_and_without_one_nowhere(
    inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        scaffold.create("snow") == inside / "pipelines" / "snow" == Paths.of("snow", inside / "home").source
    )
    assert registry.own_names() == ["rain", "snow"]
    monkeypatch.delenv("VIADUCT_WORKSPACE")
    monkeypatch.setattr(paths, "INSTALLED", True)
    with pytest.raises(ProjectError, match="needs a workspace, and there is none here"):
        scaffold.create("hail")


def test_an_installed_platform_is_put_on_no_other_interpreters_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/of/the/user")
    assert paths.python_path() == f"{CHECKOUT}:/of/the/user"
    monkeypatch.setattr(paths, "INSTALLED", True)
    assert paths.python_path() == "/of/the/user"
