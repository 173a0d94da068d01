"""Airflow's DAG file: one DAG per project, from the project's card and committed ir.json; and for cards that ask,
`<project>.release` and `<project>.retraining`.

A project that is broken has no DAG here and an import error in viaduct_broken.py, so the others go on: Airflow
stops scheduling every DAG of a file that has an import error.
"""

from __future__ import annotations

import sys
from pathlib import Path

from airflow.sdk import DAG, get_parsing_context

CHECKOUT = str(Path(__file__).resolve().parents[1])
if CHECKOUT not in sys.path:
    sys.path.insert(0, CHECKOUT)

from dags import ir_dag  # noqa: E402


def _dags(wanted: str | None) -> dict[str, DAG]:
    """The DAGs of the project that `wanted` is of, or all; a name may be any word, so nothing else is global here."""
    made: dict[str, DAG] = {}
    project = wanted and wanted.partition(".")[0]
    for name in ir_dag.wanted(ir_dag.committed(), project):
        try:
            made[name] = ir_dag.build(name)
            made |= {dag.dag_id: dag for dag in ir_dag.beside(name)}
        except Exception:
            if name == project:
                raise
    return made


globals().update(_dags(get_parsing_context().dag_id))
