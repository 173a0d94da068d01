"""A project fresh from `viaduct new` on data with holes: trained, pushed, asked for rows that lack values; refused
when far more is missing than its reviewed schema allows. It runs in a copy of the checkout of its own."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.paths import CHECKOUT
from tests.environments import PACKAGES

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("new_project")]
ROWS = 900


def customers(file: Path, missing: float) -> None:
    """Customers of which those of short contracts leave; a share of the charges, and a few contracts, are not known."""
    chance = random.Random(11)
    lines = ["contract,months,charge,left"]
    for _ in range(ROWS):
        contract, months = chance.choice(["monthly", "yearly"]), chance.randrange(1, 60)
        left = int(chance.random() < (0.8 if contract == "monthly" and months < 30 else 0.1))
        charge = "" if chance.random() < missing else f"{chance.gauss(60, 20):.2f}"
        lines.append(f"{'' if chance.random() < 0.02 else contract},{months},{charge},{left}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("checkout")
    for room in set(PACKAGES) - {"pipelines"}:
        (folder / room).symlink_to(CHECKOUT / room)
    shutil.copytree(
        CHECKOUT / "pipelines", folder / "pipelines", ignore=shutil.ignore_patterns("__pycache__")
    )
    yield folder
    viaduct(folder, "host", "stop")


def viaduct(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipelines", *arguments],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(folder),
            "VIADUCT_HOME": str(folder / "home"),
            "VIADUCT_HOST_IDLE": "60",
        },
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.fixture(scope="module")
def run(checkout: Path) -> dict[str, Any]:
    """The first run's record: 5 % of the charges are missing."""
    assert viaduct(checkout, "new", "churning").returncode == 0
    customers(checkout / "customers.csv", missing=0.05)
    done = viaduct(checkout, "run", "churning", "--plain", "--data", "customers.csv")
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = (checkout / "home" / "runs" / "churning").glob("churning-*/run.json")
    told: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    return told


def output(run: dict[str, Any], node: str) -> Path:
    return Path(run["nodes"][node]["summary"]["outputs"][0]["uri"])


def test_a_few_empty_cells_break_nothing_and_are_counted_as_missing(run: dict[str, Any]) -> None:
    from tensorflow_metadata.proto.v0 import statistics_pb2

    assert run["blessed"] and run["pushed"]
    assert set(run["nodes"]["ArrowExampleGen"]["summary"]["rows"]) == {"train", "eval"}
    content = (output(run, "StatisticsGen") / "Split-train" / "FeatureStats.pb").read_bytes()
    (split,) = statistics_pb2.DatasetFeatureStatisticsList.FromString(content).datasets
    shares = {
        feature.path.step[0]: getattr(feature, str(feature.WhichOneof("stats"))).common_stats.num_missing
        / split.num_examples
        for feature in split.features
    }
    assert 0.02 < shares["charge"] < 0.08 and 0 < shares["contract"] < 0.05
    assert shares["months"] == shares["left"] == 0


def test_the_model_answers_rows_that_lack_any_value(run: dict[str, Any]) -> None:
    import tensorflow as tf

    serve = tf.saved_model.load(run["pushed"]).signatures["serving_default"]
    rows: list[dict[str, Any]] = [
        {},
        {"charge": 60.0},
        {"contract": b"yearly", "months": 3},
        {"contract": b"weekly", "months": 7, "charge": 1.0},
    ]
    answered = serve(tf.constant([example(tf, row) for row in rows]))["probability"].numpy()
    assert answered.shape == (len(rows),) and ((answered > 0) & (answered < 1)).all()


def example(tf: Any, row: dict[str, Any]) -> bytes:
    lists = {"charge": "float_list", "contract": "bytes_list", "months": "int64_list"}
    made = tf.train.Example()
    for name, value in row.items():
        getattr(made.features.feature[name], lists[name]).value.append(value)
    return bytes(made.SerializeToString())


def test_far_more_missing_than_the_accepted_schema_allows_is_refused_with_and_without_a_run(
    run: dict[str, Any], checkout: Path
) -> None:
    customers(checkout / "later.csv", missing=0.95)
    early = viaduct(checkout, "schema", "churning", "--diff")
    assert early.returncode == 1 and "--accept writes" in early.stderr
    assert viaduct(checkout, "schema", "churning", "--accept").returncode == 0
    shown = viaduct(checkout, "schema", "churning")
    assert shown.stdout.startswith(f"# Suggested by the data of {run['run_id']}")
    same = viaduct(checkout, "schema", "churning", "--diff")
    assert same.returncode == 0, same.stdout + same.stderr
    fit = viaduct(checkout, "validate", "churning", "customers.csv")
    assert fit.returncode == 0 and "nothing is held against it by the reviewed schema" in fit.stdout, (
        fit.stderr
    )
    told = "charge: The feature was present in fewer"
    unfit = viaduct(checkout, "validate", "churning", "later.csv")
    assert unfit.returncode == 1 and told in unfit.stderr
    done = viaduct(checkout, "run", "churning", "--plain", "--data", "later.csv")
    assert done.returncode == 1 and "ExampleValidator failed" in done.stdout and told in done.stdout
    assert "Transform            running" not in done.stdout
