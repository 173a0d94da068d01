"""The commands that keep HOME in order: `viaduct gc`, `pin`, `unpin`, `du`. Part of cli.py.

What goes and what stays is pipelines.base.housekeeping's; here it is asked for and shown.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines import cli_output as output
from pipelines.base.errors import ViaductError
from pipelines.base.housekeeping import ages, sizes
from pipelines.base.paths import default_home

if TYPE_CHECKING:
    from rich.table import Table

    from pipelines.base.housekeeping.planning import Plan, Thing

OLDER_THAN = "30d"
SHOWN = 40


def define_gc(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--apply", action="store_true", help="do it; without it the table is all that happens")
    what.add_argument(
        "--restore",
        nargs="?",
        const="",
        metavar="WHAT",
        help="put back what is in the trash: all, or what a date, a project or a part of a name says",
    )
    what.add_argument(
        "--empty-trash", action="store_true", help="remove what is in the trash now, not after a week"
    )
    parser.add_argument(
        "--older-than",
        default=OLDER_THAN,
        metavar="AGE",
        help=f"as 30d or 12h ({OLDER_THAN}); an hour at least",
    )
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a model server's model_config_file: versions and labels in it are kept; may be repeated",
    )
    parser.add_argument("--all", action="store_true", help=f"every line, not the largest {SHOWN}")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(do=_gc)


def _gc(options: argparse.Namespace) -> int:
    from pipelines.base.housekeeping import applying, in_use
    from pipelines.base.housekeeping.planning import Question

    home = default_home()
    if not home.is_dir():
        raise ViaductError(f"HOME {home} is not there; nothing is kept, and nothing goes.")
    if options.restore is not None:
        return _restore(home, options.restore)
    if options.empty_trash:
        count, failed = applying.empty(home)
        return _ended(f"Freed {ages.size(count)}.", failed)
    question = Question(home, ages.seconds(options.older_than), in_use.configurations(home, options.config))
    if not options.apply:
        plan = applying.look(question)
        if options.json:
            print(json.dumps(_plain(plan), indent=1))
        else:
            _show(plan, everything=options.all)
        return 0
    done = applying.apply(question)
    for thing in sorted(done.moved, key=lambda thing: -thing.bytes):
        print(f"{ages.size(thing.bytes):>8}  {thing.project} {thing.kind} {thing.name}: {thing.why}")
    for note in done.notes:
        print(note)
    total = ages.size(sum(thing.bytes for thing in done.moved))
    text = (
        f"{len(done.moved)} things ({total}) are in {home / 'trash'} and will be purged after 7 days."
        if done.moved
        else ""
    )
    back = " `viaduct gc --restore` puts them back." if done.moved else ""
    freed = f" Freed {ages.size(done.freed)}." if done.freed else ""
    return _ended((text or "Nothing goes.") + back + freed, done.failed)


def _restore(home: Path, wanted: str) -> int:
    from pipelines.base.housekeeping import applying

    restored, failed = applying.restore(home, wanted)
    for item in restored:
        print(f"{ages.size(item.bytes):>8}  {item.project} {item.kind} {item.name}")
    return _ended(
        f"{len(restored)} things are back. The next `viaduct gc` may take them again: pin what stays.", failed
    )


def _ended(text: str, failed: list[str]) -> int:
    print(text)
    for line in failed:
        print(f"viaduct: {line}")
    return 1 if failed else 0


def _show(plan: Plan, *, everything: bool) -> None:
    console = output.console()
    for note in plan.notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    going = sorted(plan.going, key=lambda thing: -thing.bytes)
    shown = going if everything else going[:SHOWN]
    if going:
        console.print(_table("would go", "why", [_cells(thing) for thing in shown]))
        if len(shown) < len(going):
            smaller = ages.size(sum(thing.bytes for thing in going[len(shown) :]))
            console.print(f"and {len(going) - len(shown)} smaller ones, {smaller} (--all)", highlight=False)
        console.print()
    if plan.staying:
        console.print(_table("stays", "because it is", _reasons(plan.staying)))
        console.print()
    text = f"{ages.size(plan.bytes)} in {len(going)} things would go. `viaduct gc --apply` moves them to the trash."
    console.print(text if going else "Nothing would go.", markup=False, highlight=False, soft_wrap=True)


def _cells(thing: Thing) -> tuple[str, str, str, str]:
    owner = f"{thing.project} " if thing.project else ""
    return ages.size(thing.bytes), f"{owner}{thing.kind}: {thing.name}", ages.age(thing.age), thing.why


def _reasons(staying: list[Thing]) -> list[tuple[str, str, str, str]]:
    """What stays, by project and reason."""
    grouped: dict[tuple[str, str], list[Thing]] = defaultdict(list)
    for thing in staying:
        grouped[thing.project, thing.why].append(thing)
    rows = []
    for (project, why), things in sorted(grouped.items()):
        kinds = ", ".join(sorted({thing.kind for thing in things}))
        oldest = max(thing.age for thing in things)
        size = ages.size(sum(thing.bytes for thing in things))
        rows.append((size, f"{project or 'HOME'}: {len(things)} ({kinds})", ages.age(oldest), why))
    return rows


def _table(title: str, why: str, rows: list[tuple[str, str, str, str]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("size", title, "age", why):
        table.add_column(column, justify="right" if column in ("size", "age") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _plain(plan: Plan) -> dict[str, object]:
    def plain(thing: Thing) -> dict[str, object]:
        return {
            "project": thing.project, "kind": thing.kind, "name": thing.name, "bytes": thing.bytes,
            "age_s": round(thing.age), "why": thing.why, "artifacts": list(thing.artifacts),
            "paths": [str(path) for path in thing.paths],
        }  # fmt: skip

    return {
        "going": [plain(thing) for thing in plan.going],
        "staying": [plain(thing) for thing in plan.staying],
        "notes": plan.notes,
    }


def define_pin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", help="a run's id, as `viaduct runs` shows it; none: what is pinned")
    parser.add_argument("--why", default="", help="the reason, for others")
    parser.set_defaults(do=_pin)


def _pin(options: argparse.Namespace) -> None:
    from pipelines.base.housekeeping import pins

    home = default_home()
    if options.run is None:
        for file in sorted((home / "runs").glob(f"*/*/{pins.PIN}")):
            said = pins.read(file.parent) or {}
            print(f"{file.parent.name}  {said.get('who', '')}  {said.get('why', '')}".rstrip())
        return
    pins.pin(home, options.run, options.why)
    print(f"{options.run} is pinned: what it made and what that was made of stays. `viaduct unpin` ends it.")


def define_unpin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="a run's id")
    parser.set_defaults(do=_unpin)


def _unpin(options: argparse.Namespace) -> None:
    from pipelines.base.housekeeping import pins

    taken = pins.unpin(default_home(), options.run)
    print(f"{options.run} is no longer pinned." if taken else f"{options.run} was not pinned.")


def define_du(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("project", nargs="?", help="all, if none is named")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(do=_du)


def _du(options: argparse.Namespace) -> None:
    home = default_home()
    rows = [row for row in sizes.rows(home) if options.project in (None, row.project)]
    if options.project is not None and not rows:
        known = sorted({row.project for row in sizes.rows(home) if row.project})
        raise ViaductError(
            f"{options.project!r} has nothing under {home}. There is: {', '.join(known) or 'none'}."
        )
    if options.json:
        print(json.dumps([row._asdict() for row in rows], indent=1))
        return
    for row in rows:
        print(f"{ages.size(row.bytes):>8}  {row.project or 'HOME'}: {row.kind}")
    print(f"{ages.size(sum(row.bytes for row in rows)):>8}  in all", end="")
    print(f" under {home}; {ages.size(sizes.free(home)[0])} of the disk are free" if home.is_dir() else "")
