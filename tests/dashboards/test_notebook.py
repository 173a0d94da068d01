"""The notebook that sets TFDV's and TFMA's numbers beside the page's, executed on this session's finished run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.paths import CHECKOUT

NOTEBOOK = "notebooks/run_in_tfdv_and_tfma.ipynb"


@pytest.mark.slow
def test_the_notebook_runs_on_a_fresh_run_and_its_assertions_hold(
    finished_run: Callable[[str], Any], tmp_path: Path
) -> None:
    run = finished_run("card_fraud")
    home = run.paths.runs.parents[1]
    command = [
        sys.executable,
        "-m",
        "nbconvert",
        "--execute",
        "--to",
        "notebook",
        "--output-dir",
        str(tmp_path),
    ]
    done = subprocess.run(
        [*command, NOTEBOOK], capture_output=True, text=True, cwd=CHECKOUT, check=False,
        env={**os.environ, "VIADUCT_HOME": str(home)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    executed = (tmp_path / Path(NOTEBOOK).name).read_text(encoding="utf-8")
    assert run.record.run_id in executed and "rows in both" in executed


def test_the_committed_notebook_is_executed_in_order_without_an_error() -> None:
    cells = json.loads((CHECKOUT / NOTEBOOK).read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert not [o for cell in code for o in cell["outputs"] if o["output_type"] == "error"]
