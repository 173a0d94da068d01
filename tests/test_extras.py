"""Each extra of setup.py alone: it names what its rooms import, it is in the lock, and with it the rooms start."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import environments, imports
from tests.conftest import missing
from tests.environments import CHECKOUT, PACKAGES, Environment
from tests.serving import savedmodels
from tests.serving.processes import ServerProcess

# One worker makes the wheel.
pytestmark = pytest.mark.xdist_group("extras")

# Extra -> the rooms it is for; a module may be named too.
ROOMS = {
    "": ["pipelines.__main__", "pipelines.cli*", "pipelines.base.live"],
    "client": ["serving.client", "serving.bench", "serving.wire", "serving.errors", "serving.telemetry.request_log"],
    "server": ["serving"],
    "pipelines": ["pipelines", "components", "bridges.warehouse", "bridges.examples", "serving"],
    "dashboards": ["dashboards"],
    "spark": ["bridges", "serving.engine", "serving.wire"],
    "airflow": ["dags", "pipelines", "components", "bridges.warehouse", "bridges.examples", "serving"],
}  # fmt: skip
# Imports that may fail, and those that only run in Airflow's own environment: extra -> name.
OPTIONAL = {
    "client": {"uvloop"},
    "pipelines": {"vertica_python"},
    "spark": {"vertica_python"},
    "airflow": {"airflow", "asgiref", "vertica_python"},
}
# Requirements that no import statement shows, and why they stand there.
UNSEEN = {
    "tensorflow": "the client reads message definitions from its folder",
    "tensorflow-serving-api": "the same",
    "plotly": "the pages' script, where the set-up could not fetch its basic bundle",
    "python-multipart": "starlette needs it for forms",
    "tensorflow-data-validation": "TFX's components of statistics, at the version that was tested",
    "pandas": "pyspark hands over Arrow batches only where pandas is installed",
    "tfx": "its packages are installed by ml-pipelines-sdk as well",
}


@pytest.fixture(scope="module")
def required() -> dict[str, list[Requirement]]:
    return environments.requirements()


def _imported(extra: str) -> dict[str, set[str]]:
    """Modules of other packages -> the modules of the extra's rooms that import them."""
    known = imports.modules(CHECKOUT, PACKAGES)
    importers: dict[str, set[str]] = {}
    for name in known:
        if any(imports.fits(name, room) for room in ROOMS[extra]):
            for other in imports.imports(name, known):
                if other.split(".")[0] not in {*imports.STDLIB, *PACKAGES}:
                    importers.setdefault(other, set()).add(name)
    return importers


@pytest.mark.parametrize("extra", ROOMS)
def test_an_extra_names_every_package_that_its_rooms_import(required, extra):
    named = {canonicalize_name(r.name) for r in (*required[""], *required[extra])}
    lacking = []
    for module, importers in sorted(_imported(extra).items()):
        if module.split(".")[0] in OPTIONAL.get(extra, ()):
            continue
        if not named & environments.providers(module):
            lacking.append(f"{module} (imported by {', '.join(sorted(importers)[:3])})")
    assert not lacking, f"setup.py's extra {extra!r} does not name the package of: {'; '.join(lacking)}"


@pytest.mark.parametrize("extra", ROOMS)
def test_an_extra_names_nothing_that_its_rooms_do_not_import(required, extra):
    provided = frozenset().union(*(environments.providers(module) for module in _imported(extra)))
    idle = {canonicalize_name(r.name) for r in required[extra]} - provided - UNSEEN.keys()
    assert not idle, f"setup.py's extra {extra!r} asks for {sorted(idle)}, which none of its rooms imports"


def test_the_lock_holds_what_every_extra_requires(required):
    assert set(required) == {*ROOMS, "all"}
    for extra in required:
        _, problems = environments.closure([*required[""], *required[extra]])
        assert problems == [], f"extra {extra!r}"


def test_the_extra_called_all_is_all_of_them(required):
    everything = {str(r) for wanted in required.values() for r in wanted}
    assert everything == {str(r) for r in (*required[""], *required["all"])}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    return environments.wheel(tmp_path_factory.mktemp("wheel"))


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_rooms(built):
    """But those that are for readers of the repository and for rebuilding what lies in it."""
    listed = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    needless = re.compile(r"(dags|dashboards/vendor)/README\.md|dashboards/vendor/package(-lock)?\.json")
    wanted = {name for name in listed.stdout.splitlines() if not needless.fullmatch(name)}
    wanted |= {f"pipelines/base/locks/requirements{which}.lock" for which in ("", "-airflow", "-tfjs")}
    with zipfile.ZipFile(built) as file:
        assert wanted - set(file.namelist()) == set()


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """The base folder of a model that doubles its input and adds one."""
    base = tmp_path_factory.mktemp("models") / "scaled"
    savedmodels.scaled(base / "1", 2)
    return base


class Alone:
    """An extra that is all that is installed. Commands run in an empty folder, with a HOME of their own."""

    def __init__(self, environment: Environment, folder: Path) -> None:
        self.environment = environment
        self.folder = folder
        folder.mkdir()
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "TMPDIR", "LD_LIBRARY_PATH")}
        homes = {"HOME": folder, "VIADUCT_HOME": folder / "home", "AIRFLOW_HOME": folder / "airflow"}
        self.variables = {
            **kept,
            **{name: str(path) for name, path in homes.items()},
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }

    def run(self, *command: str, status: int = 0, timeout_s: float = 300) -> str:
        """Output of a command, which has to end with `status`."""
        done = subprocess.run(
            self.environment.command(*command),
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == status, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"[
            -6000:
        ]
        return done.stdout + done.stderr

    def import_all(self, rooms: list[str]) -> None:
        """Imports every module of the rooms, from the environment and not from this checkout."""
        known = imports.modules(CHECKOUT, PACKAGES)
        names = [n for n in known if any(imports.fits(n, room) for room in rooms)]
        names = [n for n in names if not n.endswith(".__main__")]
        script = (
            f"import importlib, serving, sys; assert {str(self.environment.folder)!r} in serving.__file__\n"
            f"for name in {names!r}: importlib.import_module(name)"
        )
        self.run("python", "-c", script)

    @contextlib.contextmanager
    def started(self, *command: str, says: str) -> Iterator[re.Match[str]]:
        """A command that runs until it is told to stop; the match of `says` in what it prints first."""
        log = self.folder / "output.txt"
        with open(log, "w") as file:
            process = subprocess.Popen(
                self.environment.command(*command),
                cwd=self.folder,
                env=self.variables,
                stdout=file,
                stderr=file,
            )
        try:
            deadline = time.monotonic() + 120
            while not (match := re.search(says, log.read_text())):
                assert process.poll() is None, log.read_text()[-6000:]
                assert time.monotonic() < deadline, log.read_text()[-6000:]
                time.sleep(0.05)
            yield match
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


@pytest.fixture
def alone(request, tmp_path, built, required) -> Iterator[Alone]:
    """The environment of an extra: of links, or from a package index at the versions of the lock."""
    extra, way = request.param
    folder = tmp_path / "environment"
    try:
        environment = Environment(folder)
        if way == "links":
            brought, _ = environments.closure([*required[""], *required[extra]])
            environment.link(brought.values())
            done = environment.install(built, extra, "--no-index")
        else:
            done = environment.install(built, extra)
            unreachable = re.search(r".*(connection broken|name resolution|timed out).*", done.stderr)
            if done.returncode and unreachable:
                missing(f"a package index that can be reached ({unreachable[0].strip()[-120:]})")
        assert done.returncode == 0, done.stderr[-6000:]
        yield Alone(environment, tmp_path / "work")
    finally:
        # pytest keeps the folders of several sessions, and this one is large.
        shutil.rmtree(folder)


def only(extra: str, way: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("alone", [(extra, way)], ids=[way], indirect=True)


@pytest.mark.slow
@only("client", "links")
def test_with_the_client_alone_a_server_is_asked(alone, model):
    alone.import_all(ROOMS["client"])
    with ServerProcess("--model_name=scaled", f"--model_base_path={model}") as server:
        for address in (server.grpc_address, server.url):
            shown = alone.run("viaduct", "status", "scaled", "--address", address, "--wait", "60")
            assert "version 1 " in shown
            script = (
                "import sys; from serving.client import Client\n"
                f"with Client({address!r}) as client: print(client.predict('scaled', [[1.0, 2.0]])['y'].tolist())\n"
                "assert 'tensorflow' not in sys.modules"
            )
            assert "[[3.0, 5.0]]" in alone.run("python", "-c", script)
        shown = alone.run(
            "viaduct", "bench-serving", server.grpc_address, "scaled", "--seconds", "0.3", "--json"
        )
        assert json.loads(shown.splitlines()[-1])["errors"] == {}
    for command in ("status", "predict", "bench-serving"):
        assert "--help" in alone.run("viaduct", command, "--help")


@pytest.mark.slow
@only("server", "links")
def test_with_the_server_alone_a_model_is_served(alone, model):
    alone.import_all(ROOMS["server"])
    assert "--model_base_path" in alone.run("viaduct", "serve", "--help")
    flags = [
        "--model_name=scaled",
        f"--model_base_path={model}",
        "--port=0",
        "--rest_api_port=0",
        "--enable_batching",
    ]
    with alone.started("viaduct", "serve", *flags, says=r"ready grpc=(\S+) rest=(\S+)") as match:
        request = urllib.request.Request(
            f"http://{match[2]}/v1/models/scaled:predict", b'{"instances": [[1, 2]]}'
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert json.load(answer) == {"predictions": [[3.0, 5.0]]}
        shown = alone.run("viaduct", "status", "scaled", "--address", match[1])
        assert "AVAILABLE" in shown


@pytest.mark.slow
@only("dashboards", "index")
def test_with_the_dashboards_alone_the_first_page_is_shown(alone):
    alone.import_all(ROOMS["dashboards"])
    (alone.folder / "home").mkdir()
    with alone.started("viaduct", "dashboard", "--port", "0", says=r"Dashboard on (http://\S+/)") as match:
        for page in ("", "models", "serving", "compare"):
            with urllib.request.urlopen(match[1] + page, timeout=60) as answer:
                assert (answer.status, b"<html" in answer.read()) == (200, True)


@pytest.mark.slow
@only("pipelines", "links")
def test_with_the_pipelines_alone_a_project_is_compiled(alone):
    alone.import_all(ROOMS["pipelines"])
    assert "card_fraud" in alone.run("viaduct", "list")
    script = "from pipelines.base import golden; print(golden.update_all(['card_fraud'], True))"
    assert "{'card_fraud': " in alone.run("python", "-c", script)


@pytest.mark.slow
@only("airflow", "links")
def test_with_airflow_alone_every_projects_code_is_found_importable_and_the_command_starts(alone):
    """The DAGs themselves are built in Airflow's own environment (tests/dags/test_dags.py)."""
    script = "from dags import code_check\nfrom pipelines.base import registry\n"
    alone.run("python", "-c", script + "for name in registry.names(): code_check.check(name)")
    alone.import_all(["dags.services", "dags.cluster", "dags.control", "dags.follow"])
    assert "trigger" in alone.run("viaduct", "airflow", "--help")
