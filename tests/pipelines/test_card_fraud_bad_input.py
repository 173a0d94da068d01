"""card_fraud with a broken file: the run ends, says where the file is wrong, and leaves nothing of it behind.

One HOME for all, in file order: what a bad run left there must not touch the good one after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.base import metadata, run_record
from pipelines.base.forkserver import client as forkserver
from pipelines.base.paths import Paths, metadata_url
from pipelines.card_fraud import data
from tests.conftest import viaduct

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("card-fraud-bad-input")]
ROWS, BAD_LINE, V3 = 8_000, 4_242, 3
Change = Callable[[list[list[str]]], None]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("bad_input") / "home"
    yield folder
    forkserver.stop(folder)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A folder with a good creditcard.csv."""
    folder = tmp_path / "transactions"
    folder.mkdir()
    data.sample(folder, ROWS, seed=7)
    return folder


def _without_v14(lines: list[list[str]]) -> None:
    column = next(i for i, name in enumerate(lines[0]) if name.strip('"') == "V14")
    for row in lines:
        del row[column]


def _with_a_text(lines: list[list[str]]) -> None:
    lines[BAD_LINE - 1][V3] = "unknown"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without_v14, ("'V14'", "missing")),
        (_with_a_text, (f"line {BAD_LINE}", "'V3'", "'unknown'")),
    ],
    ids=["a missing column", "a text in a number column"],
)
def test_a_broken_file_ends_the_run_with_one_line_that_says_where(
    change: Change, said: tuple[str, ...], good: Path, home: Path
) -> None:
    file = good / data.FILE
    lines = [line.split(",") for line in file.read_text().splitlines()]
    change(lines)
    file.write_text("\n".join(map(",".join, lines)) + "\n")
    done = viaduct("run", "card_fraud", "--plain", "--data", str(good), home=home)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    (cause,) = [line for line in done.stdout.splitlines() if line.startswith("ArrowExampleGen failed:")]
    assert all(part in cause for part in (str(file), *said)), cause

    paths = Paths.of("card_fraud", home)
    record = next(run_record.read_all(paths))
    assert record.state == "failed" and record.nodes["ArrowExampleGen"].state == "failed"
    assert not list(paths.pipeline_root.rglob("*.gz")), "rows of the broken file were left"
    assert not list(paths.serving.parent.glob("*/*"))
    store = metadata.store(metadata_url(home))
    assert not [a for a in store.get_artifacts_by_type("Examples") if a.state == a.LIVE]
    assert not [e for e in store.get_executions() if e.last_known_state in (e.NEW, e.RUNNING)]


def test_the_next_run_with_a_good_file_is_right(good: Path, home: Path) -> None:
    done = viaduct("run", "card_fraud", "--plain", "--data", str(good), home=home)
    # Two dozen frauds judge: whether the bar of recall is met hangs on how a processor rounds, and is not asked here.
    assert done.returncode in (0, 3), done.stdout + done.stderr
    paths = Paths.of("card_fraud", home)
    record = next(run_record.read_all(paths))
    assert record.state == "succeeded" and {"recall", "fall_out"} <= set(record.metrics)
    assert (done.returncode == 0) is record.blessed is bool(record.pushed and Path(record.pushed).is_dir())
    assert sum(record.nodes["ArrowExampleGen"].summary["rows"].values()) == ROWS
