"""The work of Rehearsal: runs the server room's rehearsal as a program of its own, and writes what it said.

`serving` is never imported: what goes over is a file of terms and one of rows, what comes back result.json and the
warm-up file. A model that misses a bar is not blessed, which is no error of the node.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from absl import logging
from tfx import types
from tfx.components.util import model_utils
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from pipelines.base import whole
from pipelines.base.errors import ProjectError

TERMS_KEY, SPLIT_KEY, CODE_KEY = "terms", "split", "code"
MODEL_KEY, MODEL_BLESSING_KEY, EXAMPLES_KEY, BLESSING_KEY = "model", "model_blessing", "examples", "blessing"
PROGRAM = "serving.rehearsal.main"
# As the program calls its files, and TFX's InfraValidator its own.
RESULT, WARM_UP = "result.json", "tf_serving_warmup_requests"
BLESSED, NOT_BLESSED = "INFRA_BLESSED", "INFRA_NOT_BLESSED"
ROWS = 200
CHECKOUT = Path(__file__).resolve().parents[2]


class Executor(base_executor.BaseExecutor):
    """Custom properties of the blessing: `blessed`, `has_model`, `rehearsed` (0 or 1), `bars` (JSON)."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises ProjectError where nothing can be asked, RuntimeError where the rehearsal itself broke."""
        blessing = artifact_utils.get_single_instance(output_dict[BLESSING_KEY])
        folder = Path(blessing.uri)
        folder.mkdir(parents=True, exist_ok=True)
        if not model_utils.is_model_blessed(
            artifact_utils.get_single_instance(input_dict[MODEL_BLESSING_KEY])
        ):
            logging.info("The model was not blessed; there is nothing to rehearse.")
            _mark(blessing, blessed=False, rehearsed=False)
            return
        model = artifact_utils.get_single_instance(input_dict[MODEL_KEY])
        export = Path(path_utils.serving_model_path(model.uri, path_utils.is_old_model_artifact(model)))
        work = folder / "rehearsal"
        work.mkdir(exist_ok=True)
        examples = artifact_utils.get_single_instance(input_dict[EXAMPLES_KEY])
        rows = write_rows(
            Path(artifact_utils.get_split_uri([examples], exec_properties[SPLIT_KEY])), work / "rows"
        )
        terms = json.loads(exec_properties[TERMS_KEY])
        result = rehearse({**terms, "candidate": str(export), "rows": str(rows), "out": str(work)}, work)
        for bar in result["bars"]:
            logging.info("%s: %s: %s", bar["name"], "met" if bar["passed"] else "MISSED", bar["text"])
        blessing.set_string_custom_property("bars", json.dumps(result["bars"]))
        if result["passed"]:
            stamp(export, work / WARM_UP, Path(path_utils.stamped_model_path(blessing.uri)))
            blessing.set_int_custom_property("has_model", 1)
        _mark(blessing, blessed=result["passed"], rehearsed=True)


def rehearse(terms: dict[str, Any], work: Path) -> dict[str, Any]:
    """Runs the program with `terms`; its result. Raises ProjectError or RuntimeError with what it said."""
    file = work / "terms.json"
    whole.write(file, json.dumps(terms, indent=1))
    ended = subprocess.run(
        [sys.executable, "-m", PROGRAM, str(file)],
        cwd=CHECKOUT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    said = (
        ended.stderr.strip().rpartition("rehearsal: ")[2] if ended.returncode == 1 else ended.stderr[-2000:]
    )
    if ended.returncode == 1 and "rehearsal: " in ended.stderr:
        raise ProjectError(
            f"The model cannot be rehearsed: {said} Log requests (`viaduct serve P --request_log_rate=0.1`), or take "
            "`rehearsal=` from the card."
        )
    if ended.returncode:
        raise RuntimeError(f"The rehearsal ended with {ended.returncode}: {said}")
    result: dict[str, Any] = json.loads((work / RESULT).read_text(encoding="utf-8"))
    return result


def write_rows(split: Path, target: Path) -> Path:
    """The first rows of a split's gz TFRecords as one plain TFRecord file."""
    import tensorflow as tf

    files = [str(path) for path in sorted(split.glob("*.gz"))]
    with tf.io.TFRecordWriter(str(target)) as writer:
        for record in tf.data.TFRecordDataset(files, "GZIP").take(ROWS) if files else ():
            writer.write(record.numpy())
    return target


def stamp(export: Path, warm_up: Path, target: Path) -> None:
    """The model with its warm-up file in `target`; other files are links to the export's where the disk has them."""
    shutil.copytree(export, target, copy_function=_linked, dirs_exist_ok=True)
    extra = target / "assets.extra" / WARM_UP
    extra.parent.mkdir(exist_ok=True)
    # A project that exports a file of its own knows better.
    if not extra.exists():
        shutil.copy2(warm_up, extra)


def _linked(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _mark(blessing: types.Artifact, *, blessed: bool, rehearsed: bool) -> None:
    (Path(blessing.uri) / (BLESSED if blessed else NOT_BLESSED)).touch()
    blessing.set_int_custom_property("blessed", int(blessed))
    blessing.set_int_custom_property("rehearsed", int(rehearsed))
