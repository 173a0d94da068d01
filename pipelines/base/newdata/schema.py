"""The schema.pbtxt of a new project, as text: types, presence with some slack, the label's values. Needs no protos."""

from __future__ import annotations

import json
import math

from pipelines.base.newdata.columns import Column, Role
from pipelines.base.newdata.findings import Findings

HEAD = """\
# Written from the data by `viaduct new`; nobody has reviewed it. Look at:
# - type: is each INT a quantity or a code, each BYTES a word or a number written strangely?
# - presence: min_fraction is what was found, less a tenth; a delivery with fewer values stops the run.
# - the label: every row has one, and a value that is not listed stops the run.
# Then write a sentence in place of these lines, and bounds where you know them: float_domain { min: 0 }.
"""


def text(found: Findings) -> str:
    columns = [*found.features, *found.of(Role.LABEL, Role.KEY)]
    return HEAD + "".join(_feature(column, found) for column in columns)


def _feature(column: Column, found: Findings) -> str:
    lines = [f"  name: {_quoted(column.name)}", f"  type: {column.type}"]
    if column.role is Role.LABEL:
        lines += ["  presence { min_fraction: 1.0 min_count: 1 }", "  shape { dim { size: 1 } }"]
        if column.type == "BYTES":
            raw = sorted(set(found.source.table.column(column.name).to_pylist()))
            lines.append(f"  string_domain {{ {' '.join(f'value: {_quoted(value)}' for value in raw)} }}")
        elif column.type == "INT" and found.target.classes:
            ends = int(found.target.classes[0]), int(found.target.classes[-1])
            lines.append(f"  int_domain {{ min: {ends[0]} max: {ends[1]} }}")
    else:
        lines.append("  value_count { max: 1 }")
        least = _least_presence(1 - column.missing, found.eval_rows)
        if least > 0:
            lines.append(f"  presence {{ min_fraction: {least:g} }}")
    return "feature {\n" + "\n".join(lines) + "\n}\n"


def _least_presence(share: float, rows: int) -> float:
    """A tenth less than was found, and less what chance does in a split of `rows` rows."""
    chance = 4 * math.sqrt(max(share * (1 - share), 1 / rows) / rows)
    return max(0.0, math.floor(100 * (0.9 * share - chance)) / 100)


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
