"""The house rules: who may import whom, no circles, how long modules may be, no name that hides a package."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from tests import imports

CHECKOUT = Path(__file__).resolve().parents[1]
ROOMS = ("pipelines", "components", "bridges", "dags", "serving", "dashboards")
MODULE_LINES, FUNCTION_LINES = 400, 60

B = "pipelines.base"
# Standard library only, and so for every room but the server.
LEAVES = (f"{B}.errors", f"{B}.whole", f"{B}.alias", f"{B}.csv_reading", f"{B}.search")
CARDS = (*LEAVES, f"{B}.paths", f"{B}.project", f"{B}.rollout", f"{B}.settings", f"{B}.registry")
# What reads compiled pipelines, runs and data; nothing heavy is imported at their top.
RECORDS = (
    *CARDS,
    f"{B}.digest",
    f"{B}.data_state",
    f"{B}.ir",
    f"{B}.production",
    f"{B}.run_record",
    f"{B}.run_folder",
)
TFX = ("tfx", "ml_metadata", "tensorflow_metadata", "tensorflow_model_analysis", "tensorflow_transform")
LEARNING = ("numpy", "tensorflow", "tf_keras", "tensorflow_transform", "google")
ARITHMETIC = ("numpy", "pandas", "pyarrow", "scipy", "sklearn", "PIL")
FORESTS = "tensorflow_decision_forests"
WIRE = ("serving.errors", "serving.wire", "google", "numpy")

# Module, package or pattern (`*` is anything within one part): what its modules may import besides the standard
# library and the same package. The longest entry that fits a module holds; "-" forbids the own package too.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "pipelines": ("-",),
    "pipelines.__main__": ("-", "pipelines.cli"),
    "pipelines.cli*": ("-", B, "pipelines.cli*", "bridges.spark.session", "rich"),
    "pipelines.base": ("components", "bridges.warehouse", "numpy", "rich", "google", "absl", *TFX, *LEARNING),
    # What lies where servers log is named by them.
    "pipelines.base.housekeeping.loose": (B, "serving.client.log_files"),
    "pipelines.base.errors": ("-",),
    "pipelines.base.whole": ("-",),
    "pipelines.base.alias": ("-", f"{B}.errors"),
    "pipelines.base.csv_reading": ("-", f"{B}.errors"),
    "pipelines.base.search": ("-", f"{B}.errors"),
    "pipelines.base.paths": ("-", *LEAVES),
    "pipelines.base.project": ("-", *LEAVES, f"{B}.rollout"),
    "pipelines.base.rollout": ("-", *LEAVES),
    "pipelines.base.settings": ("-", *LEAVES, f"{B}.project"),
    "pipelines.base.registry": ("-", *CARDS),
    "pipelines.base.directions": ("-", *CARDS),
    "pipelines.base.digest": ("-", *CARDS),
    "pipelines.base.data_state": ("-", *CARDS),
    "pipelines.base.leftovers": ("-", *CARDS),
    "pipelines.base.run_record": ("-", *RECORDS),
    "pipelines.base.run_folder": ("-", *RECORDS),
    "pipelines.base.production": ("-", *RECORDS),
    "pipelines.base.home": ("-", *LEAVES),
    "pipelines.base.forkserver.client": ("-", *CARDS, f"{B}.home", f"{B}.forkserver"),
    "pipelines.base.callers": ("-", *RECORDS, f"{B}.forkserver.client"),
    "pipelines.base.runner": ("-", *RECORDS, f"{B}.callers", f"{B}.forkserver.client"),
    "pipelines.base.answer": ("-", *RECORDS, f"{B}.raw_rows", "serving.client", "serving.errors", "numpy"),
    "pipelines.base.raw_rows": ("-", f"{B}.errors", f"{B}.csv_reading", "numpy"),
    "pipelines.base.tabular": (
        *LEAVES,
        f"{B}.csv_reading",
        f"{B}.holes",
        "bridges.warehouse",
        "components",
        "pyarrow",
        *LEARNING,
        *TFX,
        FORESTS,
    ),
    # The closed loop reads what a server logged, and its release's files.
    "pipelines.base.watching": (
        *RECORDS,
        f"{B}.answer",
        f"{B}.lineage",
        f"{B}.releases",
        f"{B}.summary",
        "ml_metadata",
        "serving.ab.ledger",
        "serving.ab.lines",
        "serving.client",
        "serving.errors",
        "serving.release.commands",
        "serving.release.folder",
        "serving.telemetry.request_log",
        "serving.wire",
        "numpy",
    ),
    # Optuna is nowhere else, and what a trial tells of its steps needs nothing: every training imports it.
    "pipelines.base.tuning": (B, "components", "optuna", *TFX, *LEARNING),
    "pipelines.base.tuning.steps": ("-", *LEAVES),
    # Makes projects about a user's own file; nothing at work imports it.
    "pipelines.base.newdata": (
        B,
        "bridges.warehouse",
        "components",
        "pyarrow",
        "pandas",
        "numpy",
        "sklearn",
        "threadpoolctl",
    ),
    # A project: its own folder, the base, components, and what its model is made of.
    "pipelines.*": (
        B,
        "components",
        *LEARNING,
        *ARITHMETIC,
        "tensorflow_model_analysis",
        FORESTS,
        "tensorflow_probability",
        "gpflow",
        "openpyxl",
        "tfx",
    ),
    "pipelines.*.project": ("-", *CARDS),
    "pipelines.traffic_signs.project": ("-", *CARDS, "pipelines.traffic_signs.signs"),
    "pipelines.speech_commands.project": ("-", *CARDS, "pipelines.speech_commands.words"),
    "pipelines.customer_spending.spark_tables": (
        B,
        "pipelines.customer_spending",
        "bridges.errors",
        "bridges.spark.session",
        "bridges.spark.windows",
        "pyarrow",
    ),
    # The client of a stream asks a running server, as `viaduct predict` does.
    "pipelines.speech_commands.streaming": (B, "pipelines.speech_commands", "serving.client", "numpy"),
    # An emulator of games, in processes that know nothing of TensorFlow.
    "pipelines.pacman.game": ("-", f"{B}.errors", "gymnasium", "ale_py", "numpy"),
    "pipelines.pacman.episodes": ("-", "pipelines.pacman.game", "numpy"),
    "pipelines.pacman.actors": ("-", *CARDS, "pipelines.pacman.game", "pipelines.pacman.episodes", "numpy"),
    # Who plays asks a running server.
    "pipelines.pacman.play": (B, "pipelines.pacman", "serving.client", "serving.errors", "numpy"),
    # TFX components of ours.
    "components": (
        *LEAVES,
        f"{B}.data_state",
        f"{B}.project",
        "bridges.errors",
        "bridges.examples",
        "bridges.warehouse",
        "bridges.spark.driver",
        "bridges.spark.training",
        *TFX,
        *LEARNING,
        *ARITHMETIC,
        "tensorflow_data_validation",
        "apache_beam",
        "tfx_bsl",
        "google_crc32c",
        "matplotlib",
        "absl",
    ),
    # A process of its own on another machine, which runs a project's run_fn.
    "components.spark_trainer.worker": (
        *LEAVES,
        f"{B}.ir",
        f"{B}.forkserver.containment",
        f"{B}.training",
        "bridges.spark.training",
        "tensorflow",
        "tfx",
    ),
    # Spark and warehouses beside models: a SavedModel is the engine's, TFX is never seen.
    "bridges": (
        *LEAVES,
        f"{B}.data_state",
        f"{B}.paths",
        f"{B}.registry",
        *WIRE,
        "serving.core.servable",
        "serving.engine",
        "serving.client",
        "numpy",
        "pyarrow",
        "pyspark",
        "py4j",
        "psycopg2",
        "vertica_python",
    ),
    "bridges.errors": ("-", f"{B}.errors"),
    # Airflow's files never see TFX or TensorFlow.
    "dags": (
        *RECORDS,
        f"{B}.callers",
        f"{B}.forkserver",
        f"{B}.home",
        f"{B}.live",
        f"{B}.stack",
        "serving.release.command",
        "serving.release.folder",
        "airflow",
        "asgiref",
        "psycopg2",
        "rich",
    ),
    # The server never sees TFX or a pipeline; its core knows nothing but itself.
    "serving": ("-", "serving", "grpc", "grpc_health", "grpc_reflection", "google", "uvloop", "tensorflow"),
    "serving.core": (),
    "serving.errors": ("-",),
    "serving.wire": ("serving.errors", "google", "numpy", "ml_dtypes", "tensorflow", "tensorflow_serving"),
    "serving.engine": (*WIRE, "serving.core", "tensorflow"),
    "serving.execution": (*WIRE, "serving.core", "serving.engine"),
    "serving.telemetry": (*WIRE, "google_crc32c"),
    "serving.models": (
        *WIRE,
        "serving.core",
        "serving.engine",
        "serving.execution",
        "serving.telemetry",
        "watchfiles",
    ),
    # One server of several processes: the supervisor's side, and (member, worker) the server's.
    "serving.workers": (
        "serving.ab.keeper",
        "serving.beginning",
        "serving.core",
        "serving.errors",
        "serving.flags",
        "serving.main",
        "serving.models",
        "serving.options",
        "serving.release",
        "serving.server",
        "serving.telemetry.memory",
        "serving.telemetry.metrics",
    ),
    "serving.workers.agreement": ("-", "serving.core"),
    "serving.workers.fleet": ("-", "serving.core", "serving.workers.agreement"),
    # Traffic that a version earns: plans, records and judging know no server; the two on a request's way do.
    "serving.release": ("serving.core", "numpy"),
    "serving.release.split": ("-",),
    "serving.release.judge": ("-", "numpy"),
    "serving.release.plan": ("-",),
    "serving.release.router": (
        *WIRE,
        "serving.core",
        "serving.engine",
        "serving.execution.runner",
        "serving.release",
    ),
    "serving.release.shadow": (*WIRE, "serving.core", "serving.engine", "serving.release"),
    # What users did: files and arithmetic beside the releases that divide them.
    "serving.ab": ("serving.errors", "serving.release", "numpy"),
    "serving.ab.outcomes": ("-",),
    # A version on a server of its own before it is pushed; a program, which a pipeline's node starts.
    "serving.rehearsal": (
        *WIRE,
        "serving.bench.http2",
        "serving.bench.load",
        "serving.bench.payload",
        "serving.client",
        "serving.engine.op_libraries",
        "serving.release.commands",
        "serving.release.folder",
        "serving.release.shadow",
        "serving.telemetry.request_log",
        "tensorflow",
    ),
    "serving.rest": (
        *WIRE,
        "serving.engine",
        "serving.handlers",
        "serving.release.router",
        "serving.release.split",
        "serving.telemetry.access_log",
        "httptools",
        "orjson",
        "uvicorn",
    ),
    "serving.client": (
        *WIRE,
        "grpc",
        "httpx",
        "ml_dtypes",
        "serving.release.split",
        "serving.telemetry.request_log",
    ),
    "serving.bench": (*WIRE, "serving.client", "grpc", "uvloop"),
    # The dashboards read; pages draw what readers read.
    "dashboards": ("-", *RECORDS, "dashboards", "starlette", "uvicorn", "tensorboard"),
    "dashboards.readers": (
        *RECORDS,
        f"{B}.directions",
        f"{B}.lineage",
        f"{B}.metadata",
        f"{B}.watching.quality",
        f"{B}.watching.record",
        f"{B}.watching.state",
        "serving.ab",
        "serving.client",
        "serving.release",
        "numpy",
        "google",
        "httpx",
        "ml_metadata",
        "tensorboard",
        "tensorflow_metadata",
    ),
    "dashboards.drawing": ("dashboards.readers", *CARDS, "markupsafe"),
    "dashboards.pages": (
        "dashboards.readers",
        "dashboards.drawing",
        "dashboards.security",
        "dashboards.bundle",
        *RECORDS,
        f"{B}.directions",
        f"{B}.live",
        f"{B}.summary",
        "serving.release.record",
        "jinja2",
        "markupsafe",
    ),
}


def _known() -> dict[str, Path]:
    return imports.modules(CHECKOUT, ROOMS)


def test_every_module_imports_only_what_its_room_may() -> None:
    assert imports.breaches(_known(), MAY_IMPORT) == []


def test_every_entry_of_the_table_is_a_room_that_stands() -> None:
    names = _known()
    unused = [entry for entry in MAY_IMPORT if not any(imports.fits(name, entry) for name in names)]
    assert unused == []


def test_no_import_circles() -> None:
    assert imports.circle(_known()) == []


def _tree(root: Path, **modules: str) -> dict[str, Path]:
    """Modules of a made-up house: `a__b="import x"` is a/b.py; packages get an empty __init__.py."""
    for name, text in modules.items():
        file = root.joinpath(*name.split("__")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        for folder in [file.parent, *file.parent.parents]:
            if folder == root:
                break
            (folder / "__init__.py").touch()
        file.write_text(text, encoding="utf-8")
    return imports.modules(root, sorted({name.split("__")[0] for name in modules}))


TABLE = {
    "server": ("numpy", "shared"),
    "server.core": (),
    "server.core.leaf": ("-",),
    "shared": (),
    "p.*": ("shared",),
}


@pytest.mark.parametrize(
    ("modules", "told"),
    [
        ({"server__main": "import numpy\nfrom shared import words", "shared__words": ""}, []),
        ({"server__main": "import pandas"}, ["server.main imports pandas"]),
        ({"server__main": "def f():\n    from pandas.io import json"}, ["server.main imports pandas.io"]),
        ({"server__core__policy": "import numpy"}, ["server.core.policy imports numpy"]),
        (
            {"server__core__policy": "from server import main", "server__main": ""},
            ["server.core.policy imports server.main"],
        ),
        (
            {"server__core__policy": "from ..main import run", "server__main": "run = 1"},
            ["server.core.policy imports server.main"],
        ),
        ({"server__core__policy": "from server.core import other", "server__core__other": ""}, []),
        (
            {"server__core__leaf": "from server.core import other", "server__core__other": ""},
            ["server.core.leaf imports server.core.other"],
        ),
        (
            {"server__main": "try:\n    import pandas\nexcept ImportError:\n    pass"},
            ["server.main imports pandas"],
        ),
        (
            {"server__main": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas"},
            [],
        ),
        ({"p__one__a": "from p.one import b\nimport shared.words", "p__one__b": "", "shared__words": ""}, []),
        ({"p__one__a": "from p.two import b", "p__two__b": ""}, ["p.one.a imports p.two.b"]),
        (
            {"attic__a": "x = 1"},
            ["attic stands in no room of the table", "attic.a stands in no room of the table"],
        ),
    ],
)
def test_a_broken_wall_is_told_with_both_sides(
    tmp_path: Path, modules: dict[str, str], told: list[str]
) -> None:
    assert imports.breaches(_tree(tmp_path, **modules), {**TABLE, "p": ()}) == told


@pytest.mark.parametrize(
    ("modules", "round_trip"),
    [
        ({"a__x": "from a import y", "a__y": "import json"}, False),
        ({"a__x": "from a import y", "a__y": "from a.x import name"}, True),
        ({"a__x": "from a import y", "a__y": "def f():\n    import b.z", "b__z": "from a import x"}, True),
        (
            {
                "a__x": "from a import y",
                "a__y": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a.x",
            },
            False,
        ),
    ],
)
def test_a_circle_is_found_wherever_it_is_imported(
    tmp_path: Path, modules: dict[str, str], round_trip: bool
) -> None:
    assert bool(imports.circle(_tree(tmp_path, **modules))) is round_trip


@pytest.mark.parametrize("module", RECORDS)
def test_cards_and_records_import_nothing_heavy_at_the_top(module: str) -> None:
    roots = {name.split(".")[0] for name in imports.imports(module, _known(), top_level_only=True)}
    assert roots <= imports.STDLIB | {"pipelines"}


@pytest.mark.parametrize("file", _known().values(), ids=_known())
def test_modules_and_functions_stay_short_and_say_what_they_do(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert text.count("\n") <= MODULE_LINES, f"{file.name} has {text.count(chr(10))} lines"
    assert ast.get_docstring(tree), f"{file.name} has no docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name != "create_pipeline":
            length = (node.end_lineno or 0) - node.lineno + 1
            # The spine is a list of nodes with a sentence each, which may be longer.
            limit = 110 if node.name == "spine" else FUNCTION_LINES
            assert length <= limit, f"{file.name}: {node.name} has {length} lines"


def test_no_module_is_called_utils_or_hides_a_package() -> None:
    taken = {
        "tensorflow",
        "tfx",
        "airflow",
        "grpc",
        "numpy",
        "pandas",
        "apache_beam",
        "keras",
        "rich",
        "typing",
        "types",
    }
    for file in _known().values():
        assert file.stem not in {"utils", "helpers", "misc", "common"}, file
        assert file.stem not in taken, file


def test_no_registry_host_or_machine_path_is_named() -> None:
    hosts = ("pypi" + ".org", "pythonhosted" + ".org", "registry.npmjs" + ".org", "deb.debian" + ".org")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, listed.splitlines()):
        if (CHECKOUT / name).is_file():
            text = (CHECKOUT / name).read_text(encoding="utf-8", errors="replace")
            assert not any(host in text for host in hosts), name
            assert "/work" + "/" not in text, name
