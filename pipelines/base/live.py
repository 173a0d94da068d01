"""Shows a run: a table that lives in a terminal, plain lines elsewhere, and the summary at the end.

Reads the record and the nodes' progress files; decides nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipelines.base import production
from pipelines.base.project import Bar, Project
from pipelines.base.run_folder import progress_file
from pipelines.base.run_record import NodeRecord, RunRecord

# Columns of a terminal below which a bar would take what the words need.
WIDE = 80
STYLES = {
    "waiting": "dim",
    "running": "bold cyan",
    "done": "green",
    "cached": "blue",
    "failed": "bold red",
    "cancelled": "yellow",
    "skipped": "dim",
}


def progress_of(folder: Path, node: str) -> dict[str, Any]:
    """The node's last progress report, {} if there is none."""
    try:
        return json.loads(progress_file(folder, node).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def detail(record: NodeRecord, progress: dict[str, Any]) -> str:
    """What is worth saying about a node in one short line."""
    if record.state == "failed":
        return record.error
    summary = record.summary
    parts = []
    if summary.get("rows"):
        parts.append(", ".join(f"{name} {count:,} rows" for name, count in summary["rows"].items()))
    if summary.get("warnings"):
        first, *others = summary["warnings"]
        parts.append(f"warning: {first}" + (f" (and {len(others)} more)" if others else ""))
    if str(summary.get("engine", "")).startswith("Beam"):
        parts.append(f"by {summary['engine']}")
    if "blessed" in summary:
        parts.append("blessed" if summary["blessed"] else "not blessed")
    if summary.get("tuned"):
        parts.append(summary["tuned"])
    if summary.get("pushed"):
        parts.append(f"version {Path(summary['pushed']).name}")
    if not parts and progress:
        total = f" of {progress['total']:,.0f}" if progress.get("total") else ""
        parts.append(f"{progress['done']:,.0f}{total} {progress['unit']}")
        parts.extend(f"{name} {value:.4g}" for name, value in progress.get("figures", {}).items())
    return ", ".join(parts)


def seconds(record: NodeRecord) -> str:
    """Elapsed time of a node, '' before it starts."""
    if not record.started or (record.ended and record.ended < record.started):
        return ""
    return f"{(record.ended or time.time()) - record.started:.1f} s"


class TerminalView:
    """A table redrawn in place. Use as a context manager."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=8, transient=False)

    def __enter__(self) -> TerminalView:
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        self._live.console.print(Text(text))

    def update(self, record: RunRecord, folder: Path) -> None:
        self._live.update(run_table(record, folder, self._live.console.width))


def run_table(record: RunRecord, folder: Path, width: int = WIDE) -> Group:
    """The table of nodes: state, elapsed time, a progress bar where steps are known and there is room, detail."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("node", "state", "time"):
        table.add_column(column, justify="right" if column == "time" else "left", no_wrap=True)
    if width >= WIDE:
        table.add_column()
    table.add_column()
    for name, node in record.nodes.items():
        progress = progress_of(folder, name) if node.state in ("running", "done") else {}
        bar: Any = ""
        if node.state == "running" and progress.get("total"):
            bar = ProgressBar(total=progress["total"], completed=progress["done"], width=20)
        style = STYLES.get(node.state, "")
        state = Text(node.state, style)
        bars = [bar] if width >= WIDE else []
        table.add_row(name, state, seconds(node), *bars, Text(detail(node, progress), overflow="fold"))
    elapsed = (record.ended or time.time()) - record.started
    return Group(Text(f"{record.run_id}  {record.state}  {elapsed:.0f} s", "bold"), table)


class PlainView:
    """One line whenever a node changes state, and every ten seconds while one works: for pipes and CI logs."""

    INTERVAL_S = 10.0

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, str] = {}
        self._last: dict[str, float] = {}

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def say(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

    def update(self, record: RunRecord, folder: Path) -> None:
        now = time.monotonic()
        for name, node in record.nodes.items():
            changed = self._said.get(name, "waiting") != node.state
            due = node.state == "running" and now - self._last.get(name, now) > self.INTERVAL_S
            if changed or due:
                self._said[name], self._last[name] = node.state, now
                text = detail(node, progress_of(folder, name) if node.state in ("running", "done") else {})
                self.say(f"{name:<20} {node.state:<9} {seconds(node):>8}  {text}".rstrip())


def view_for(console: Console) -> TerminalView | PlainView:
    """The live table on a terminal, plain lines elsewhere."""
    return TerminalView(console) if console.is_terminal else PlainView(console)


def bar_lines(bars: Iterable[Bar], metrics: dict[str, float]) -> list[tuple[str, bool, str]]:
    """(metric, met, text) for each bar; the text says by how much it was met or missed."""
    lines = []
    for bar in bars:
        value = metrics.get(bar.metric)
        if value is None:
            lines.append((bar.metric, False, f"{bar}: not measured"))
            continue
        met, gap = bar.met_by(value), abs(value - bar.bound)
        lines.append(
            (
                bar.metric,
                met,
                f"{bar.metric} {value:.4f} (bar {bar}): {'met' if met else 'missed'} by {gap:.4f}",
            )
        )
    return lines


def gate_lines(project: Project, record: RunRecord) -> list[tuple[bool, str]]:
    """(passed, text) of every bar and comparison: the gate's verdicts with their intervals, where it has spoken."""
    if record.verdicts:
        return [(bool(verdict["passed"]), str(verdict["text"])) for verdict in record.verdicts]
    lines = []
    if record.metrics:
        bars = project.bars(record.settings["profile"], record.settings["variant"])
        lines = [(met, text) for _, met, text in bar_lines(bars, record.metrics)]
    # Bars on all rows are told above; what is left are slices and the comparison with the last blessed model.
    rest = [gate for gate in record.failed_gates if "changed by" in gate or " for " in gate]
    return [*lines, *((False, gate) for gate in rest)]


def summary(project: Project, record: RunRecord, folder: Path) -> list[Text]:
    """What a person wants to know when a run has ended, a line each; nothing in it is markup."""
    lines = [Text()]
    for name, node in record.nodes.items():
        if node.state == "failed":
            told = node.error.removeprefix(f"{project.name}: {name} failed: ")
            lines += [
                Text.assemble((f"{name} failed", "bold red"), f": {told}"),
                Text(f"  log: {folder / 'logs' / (name + '.log')}"),
            ]
    lines += [
        Text.assemble("  ", ("warn", "yellow"), f"  {text}")
        for node in record.nodes.values()
        for text in node.summary.get("warnings", ())
    ]
    lines += [
        Text.assemble("  ", ("pass", "green") if met else ("MISS", "red"), f"  {text}")
        for met, text in gate_lines(project, record)
    ]
    if record.pushed:
        lines.append(Text.assemble(("Blessed and pushed", "green"), f": {record.pushed}"))
        lines.append(Text(f"  {production.describe(Path(record.pushed).parent.name)}"))
    elif record.blessed is False:
        lines.append(
            Text.assemble(
                ("Not blessed, not pushed", "yellow"),
                f": the model is kept at {record.model}; what was served before stays.",
            )
        )
    if record.state == "cancelled":
        finished = any(node.state in ("done", "cached") for node in record.nodes.values())
        rest = (
            "The same command again goes on from the finished nodes." if finished else "Nothing was done yet."
        )
        lines.append(Text.assemble(("Cancelled", "yellow"), f". {rest}"))
    return lines
