"""`viaduct feedback MODEL FILE`: takes what users did from a file, beside what servers are told.

    viaduct feedback shop orders.jsonl       {"request_id": "4f0c...", "bought": true, "spent": 12.5} on each line
    viaduct feedback shop orders.csv         request_id,bought,spent

All of a file is taken or nothing, and a file may be given again: of a request and a name the first outcome counts. No
server has to run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from serving.ab.ledger import FOLDER, OUTCOMES, written
from serving.ab.lines import Lines
from serving.ab.outcomes import OutcomeError, of_file


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="viaduct feedback", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("model", help="a project's name, or the folder that holds a model's versions")
    p.add_argument("file", type=Path, help="JSON lines or CSV")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 taken, 1 refused, 2 wrong usage."""
    options = parser().parse_args(argv)
    base = Path(options.model)
    if not base.is_dir():
        print(
            f"viaduct feedback: {base} is no folder; expected one that holds a model's versions",
            file=sys.stderr,
        )
        return 2
    try:
        lines = written(of_file(options.file))
        if not lines:
            raise OutcomeError(f"{options.file} holds no outcome")
        writer = Lines()
        try:
            writer.put(base / FOLDER, OUTCOMES, lines, durable=True).result()
        finally:
            writer.close()
    except (OutcomeError, OSError) as error:
        print(f"viaduct feedback: {error}. Nothing was taken.", file=sys.stderr)
        return 1
    print(f"{len(lines):,} outcomes of {options.file} are kept in {base / FOLDER}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
