"""Airflow's third DAG file: once a month `viaduct gc --apply`, and nothing else.

It begins paused, as every DAG does: who wants house to be kept unpauses it. The work is done by a process of the
interpreter that has ML Metadata, under the same HOME; it waits for nodes that are looking for their inputs, and they
for it. A param says how old a thing has to be.
"""

from __future__ import annotations

import sys
from pathlib import Path

from airflow.sdk import get_parsing_context

CHECKOUT = str(Path(__file__).resolve().parents[1])
if CHECKOUT not in sys.path:
    sys.path.insert(0, CHECKOUT)

from dags import housekeeping  # noqa: E402

if get_parsing_context().dag_id in (None, housekeeping.DAG_ID):
    globals()[housekeeping.DAG_ID] = housekeeping.build()
