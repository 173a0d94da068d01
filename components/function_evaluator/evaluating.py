"""Measures candidate and baseline by the project's function on the same data, and writes the evaluation.

Arguments and result are what JSON has, since a Beam worker may be the one who does it.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from components import finite
from components.confidence.judging import Terms
from components.function_evaluator import results, sampling
from components.function_evaluator.measuring import Given, Measure
from components.function_evaluator.sampling import Drawn
from components.report_gen import reading
from components.user_code import import_function
from pipelines.base.errors import ProjectError
from pipelines.base.project import Bar

# The signature that every project has, and how many rows it is asked at once.
ANSWERS, BATCH = "serve_examples", 256


def evaluate(
    function: str,
    given: Mapping[str, Any],
    last: str | None,
    bars: Sequence[Mapping[str, Any]],
    slices: Sequence[Sequence[str]],
    slice_rows: int,
    folder: str,
) -> dict[str, Any]:
    """Calls the function of that import path once for the candidate and once for the last blessed model's SavedModel.

    `given` has the fields of a `Given`. Writes TFMA's files to `folder`. Returns {"blessed": whether the bars are met,
    "no_comparison": why the last model could not be measured, or ""}. Raises what the function raises for the
    candidate, MeasureError for a result without its bars, ProjectError with the number of rows where the model's own
    answers are no numbers.
    """
    measure: Measure = import_function(function)
    asked = _given(given)
    candidate = _measured(measure, asked)
    for name, value in sorted(candidate.measured[()].items() if () in candidate.measured else ()):
        logging.info("%s = %.6g", name, value)
    baseline, why = (None, "") if last is None else _measure_last(measure, replace(asked, model=Path(last)))
    locations = {results.CANDIDATE if baseline else "": str(asked.model)}
    if baseline:
        locations[results.BASELINE] = str(last)
    os.makedirs(folder, exist_ok=True)
    config = results.eval_config(bars, slices)
    terms = Terms(tuple(Bar(**bar) for bar in bars), slice_rows)
    blessed = results.write(
        Path(folder), config, candidate, baseline, locations, ",".join(asked.files), terms
    )
    return {"blessed": blessed, "no_comparison": why}


def _given(fields: Mapping[str, Any]) -> Given:
    graph = fields["transform_graph"]
    return Given(
        model=Path(fields["model"]),
        examples=fields["examples"],
        splits=tuple(fields["splits"]),
        transform_graph=None if graph is None else Path(graph),
        parameters=fields["parameters"],
    )


def _measure_last(measure: Measure, given: Given) -> tuple[Drawn | None, str]:
    """What the last blessed model measures, or why it cannot be measured."""
    try:
        drawn = sampling.draw(measure(given))
    except Exception as error:
        text = str(error).splitlines()
        return None, f"{type(error).__name__}: {text[0] if text else ''}"
    return replace(drawn, measured={key: _finite(metrics) for key, metrics in drawn.measured.items()}), ""


def _measured(measure: Measure, given: Given) -> Drawn:
    """What `measure` gives; where it fails, or a metric of all rows is NaN, the model's answers are looked at."""
    try:
        drawn = sampling.draw(measure(given))
    except ProjectError:
        raise
    except Exception:
        _refuse_nan(given)
        raise
    overall: Mapping[str, float] = drawn.measured.get((), {})
    if any(isinstance(value, float) and math.isnan(value) for value in overall.values()):
        _refuse_nan(given)
    return drawn


def _refuse_nan(given: Given) -> None:
    """Raises ProjectError if outputs of `serve_examples` for the evaluated rows are NaN; models without it pass.

    An infinity may be meant, as the score of an item that is not there.
    """
    import tensorflow as tf

    if not (given.model / "saved_model.pb").exists():
        return
    model = reading.saved_model(given.model)
    if ANSWERS not in model.signatures:
        return
    bad = rows = 0
    for batch in tf.data.TFRecordDataset(given.files, "GZIP").batch(BATCH):
        outputs = [value.numpy() for value in model.signatures[ANSWERS](examples=batch).values()]
        nan = [
            np.isnan(value).reshape(len(value), -1).any(axis=1)
            for value in outputs
            if value.dtype.kind == "f"
        ]
        rows += len(batch)
        bad += int(np.logical_or.reduce(nan).sum()) if nan else 0
    finite.refuse(bad, rows)


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
