"""Digests of source: of what a module imports, and of all that a project's results depend on."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.base import data, digest, run_record
from pipelines.base.paths import Paths
from pipelines.base.project import Bar, DataSource, Evaluation, Profile, Project, Variant
from pipelines.base.settings import Settings

PROFILE = Profile(bars=(Bar("auc", at_least=0.5),), sample_rows=3)
CARD = Project(
    name="rain",
    title="Rain",
    question="Will it rain?",
    model="none",
    data=DataSource("none", "none", "none", "none"),
    variants=(Variant("only", "the only one"),),
    quick=PROFILE,
    full=PROFILE,
    evaluation=Evaluation(task="own"),
)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a project `rain` in a workspace of its own, where digests look."""
    folder = tmp_path / "pipelines" / "rain"
    folder.mkdir(parents=True)
    for name, text in {
        "../__init__.py": "",
        "__init__.py": "",
        "pipeline.py": "",
        "data.py": "from pipelines.rain import sampling\n",
        "sampling.py": "CLOUDS = 1\n",
        "rows.py": "SPLITS = ('train',)\n",
        "evaluate.py": "K = 10\n",
        "README.md": "Rain.\n",
        "ir.json": "{}\n",
        "page.html": "<p>\n",
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.setenv("VIADUCT_WORKSPACE", str(tmp_path))
    return folder


def test_a_digest_changes_with_what_a_module_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "pipelines"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("from pipelines import b\n")
    (package / "b.py").write_text("X = 1\n")
    (package / "c.py").write_text("Y = 1\n")
    monkeypatch.setenv("VIADUCT_WORKSPACE", str(tmp_path))
    before = digest.source_digest("pipelines.a")
    (package / "c.py").write_text("Y = 2\n")
    assert digest.source_digest("pipelines.a") == before
    (package / "b.py").write_text("X = 2\n")
    assert digest.source_digest("pipelines.a") != before
    with pytest.raises(FileNotFoundError, match="nothing"):
        digest.source_digest("pipelines.nothing")


@pytest.mark.parametrize("edited", ["data.py", "rows.py", "evaluate.py", "sampling.py", "page.html"])
def test_an_edit_of_anything_a_project_runs_changes_the_fingerprint_of_its_runs(
    source: Path, tmp_path: Path, edited: str
) -> None:
    paths = Paths.of("rain", tmp_path / "home")
    settings = Settings(variant="only", profile="quick", parameters={})
    (tmp_path / "rain.csv").touch()
    before = run_record.fingerprint(paths, settings, tmp_path / "rain.csv")
    assert run_record.fingerprint(paths, settings, tmp_path / "rain.csv") == before
    (source / edited).write_text((source / edited).read_text() + "# another line\n", encoding="utf-8")
    assert run_record.fingerprint(paths, settings, tmp_path / "rain.csv") != before


def test_what_is_only_read_by_people_or_compiled_does_not_count(source: Path) -> None:
    before = digest.project_digest("rain")
    (source / "README.md").write_text("Snow.\n", encoding="utf-8")
    (source / "ir.json").write_text("{ }\n", encoding="utf-8")
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "data.pyc").write_bytes(b"1")
    assert digest.project_digest("rain") == before


def test_a_sample_is_made_anew_when_a_module_that_makes_it_changes(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Module:
        @staticmethod
        def sample(folder: Path, rows: int, seed: int) -> None:
            (folder / "rain.csv").write_text((source / "sampling.py").read_text(encoding="utf-8"))

    monkeypatch.setattr(data, "_module", lambda project: Module)
    paths = Paths.of("rain", tmp_path / "home")
    first = data.sample(CARD, paths, 3)
    assert data.sample(CARD, paths, 3) == first
    (source / "rows.py").write_text("SPLITS = ('train', 'eval')\n", encoding="utf-8")
    assert data.sample(CARD, paths, 3) == first, "rows.py has no part in the sample"
    (source / "sampling.py").write_text("CLOUDS = 2\n", encoding="utf-8")
    second = data.sample(CARD, paths, 3)
    assert (second / "span-0" / "rain.csv").read_text() == "CLOUDS = 2\n"
