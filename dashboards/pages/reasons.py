"""Why a run ended as it did, in one sentence: the cause of a failure, the gates that refused a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from dashboards.drawing.words import beside, cause
from dashboards.pages.bars import Held, held
from dashboards.pages.site import Site
from dashboards.readers.evaluation import Gate, read_evaluation
from dashboards.readers.files import Missing
from pipelines.base import production
from pipelines.base.run_record import RunRecord

# Gates named in one sentence; the evaluation has them all.
MOST_GATES = 5


def why(site: Site, record: RunRecord) -> str:
    """One sentence on the verdict; '' while there is nothing to say."""
    if record.state == "failed":
        return _failure(record)
    if record.state == "dead":
        return "The process that ran it ended without saying so. The same command goes on from the finished nodes."
    if record.blessed is None:
        return "The model has not been judged." if record.state != "running" else ""
    if record.blessed:
        return "Every bar was met. " + _pushed(record)
    return refusal(site, record)


def _pushed(record: RunRecord) -> str:
    if not record.pushed:
        return "Not pushed."
    name = Path(record.pushed).parent.name
    return "Pushed." + (
        f" {production.describe(name)}" if production.project_of(name) == record.project else ""
    )


def _failure(record: RunRecord) -> str:
    failed = {name: node.error for name, node in record.nodes.items() if node.state == "failed"}
    if not failed:
        return "The run failed."
    return " ".join(
        f"{name} failed: {cause(error)[0] or 'it did not say why'}." for name, error in failed.items()
    )


def refusal(site: Site, record: RunRecord) -> str:
    """Each gate that was missed with its value, its slice and what it needs; by bars alone without an evaluation."""
    missed = [said(gate) for gate in _gates(site, record) if not gate.passed]
    if missed:
        more = f"; and {len(missed) - MOST_GATES} more" if len(missed) > MOST_GATES else ""
        return f"Refused: {'; '.join(missed[:MOST_GATES])}{more}."
    below = [_below(one) for one in held(site.bars(record), record.metrics) if not one.met]
    if below:
        return f"Refused: {'; '.join(below)}."
    told: Sequence[object] = record.failed_gates if isinstance(record.failed_gates, list) else ()
    if told:
        return f"Refused: {'; '.join(map(str, told))}."
    return "Refused: a slice or the comparison with the last blessed model failed a gate; its evaluation is not there."


def said(gate: Gate) -> str:
    """'recall is 0.71 for country = de, needs ≥ 0.8'."""
    where = f" for {gate.slice}" if gate.slice else ""
    if gate.text and not gate.passed:
        return gate.text
    if gate.kind == "change":
        moved = "changed" if gate.value is None else f"changed by {gate.value:+.3g}"
        return f"{gate.metric} {moved} against the last blessed model{where}, needs {gate.bound}"
    return f"{gate.metric} {_is(gate.value, gate.bounds)}{where}, needs {gate.bound}"


def _below(one: Held) -> str:
    return f"{one.metric} {_is(one.value, one.bounds)}, needs {one.needs}"


def _is(value: float | None, bounds: Iterable[float]) -> str:
    return "was not measured" if value is None else f"is {beside(value, bounds)}"


def _gates(site: Site, record: RunRecord) -> list[Gate]:
    outputs = site.outputs(record, "ModelEvaluation")
    try:
        return site.parsed(outputs[0]["uri"], read_evaluation).gates if outputs else []
    except Missing:
        return []
