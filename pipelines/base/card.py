"""The short table of figures in a project's README, made of a run's record: data, metrics, rivals, bars, cost, command.

`card.json` beside the README keeps the figures, one entry for each name that models are served under; the table
between two markers of the README is rendered from it. So the table cannot differ from the run, nor the bars in it from
the project's card: `check` says where they do. Standard library only; it runs nothing and measures nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipelines.base import production, run_record, whole
from pipelines.base.errors import ProjectError
from pipelines.base.paths import Paths
from pipelines.base.project import FULL, Bar, Project
from pipelines.base.run_record import RunRecord
from pipelines.base.settings import Settings

FILE = "card.json"
BEGIN, END = "<!-- card:begin -->", "<!-- card:end -->"
Entry = dict[str, Any]


def choose(card: Project, paths: Paths, run_id: str = "") -> RunRecord:
    """The run `run_id`, else the newest that succeeded with the full profile. Raises ProjectError if there is none."""
    for record in run_record.read_all(paths):
        wanted = record.run_id == run_id if run_id else record.settings.get("profile") == FULL
        if wanted and record.state == "succeeded" and record.verdicts:
            return record
    asked = f"No run {run_id!r}" if run_id else "No run with the full profile"
    raise ProjectError(
        f"{card.name}: {asked} in {paths.runs} has succeeded and was judged. Make one: viaduct run {card.name} "
        f"--profile {FULL} --data PATH"
    )


def entry(card: Project, paths: Paths, record: RunRecord) -> Entry:
    """The figures of a run. Raises ProjectError if its variant or its bars are no longer the card's."""
    settings = record.settings
    made_up = production.is_made_up(paths, str(settings["data"]))
    bars = card.bars(settings["profile"], settings["variant"])
    told = [v for v in record.verdicts if v["kind"] == "bar" and not v["slice"]]
    asked, judged = set(_bounds(bars)), set(_bounds_of(told))
    if asked != judged:
        raise ProjectError(
            f"{card.name}: {record.run_id} was judged by other bars, {sorted(judged - asked)} instead of "
            f"{sorted(asked - judged)}; run it again."
        )
    costs = {name: node.summary.get("cost", {}) for name, node in record.nodes.items()}
    largest = max(costs, key=lambda name: costs[name].get("peak_mb", 0.0))
    return {
        "variant": settings["variant"],
        "profile": settings["profile"],
        "data": "a made-up sample" if made_up else _shown(paths, str(settings["data"])),
        "rows": _rows(record),
        "metrics": [_measured(metric, bars, told) for metric in dict.fromkeys(bar.metric for bar in bars)],
        "rivals": {
            metric: {"name": name, "value": record.metrics[metric], "ours": _ours(metric, record.metrics)}
            for metric, name in card.rivals.items()
            if metric in record.metrics
        },
        "wall_s": round(record.ended - record.started, 1),
        "cpu_s": round(sum(cost.get("cpu_s", 0.0) for cost in costs.values()), 1),
        "peak_mb": round(costs[largest].get("peak_mb", 0.0)),
        "largest": largest,
        "cached": sum(node.state == "cached" for node in record.nodes.values()),
        "date": time.strftime("%Y-%m-%d", time.gmtime(record.ended)),
        "command": _command(card, paths, settings, made_up=made_up),
    }


def table(card: Project, entries: Mapping[str, Entry]) -> str:
    """The entries side by side as Markdown, production first."""
    names = sorted(entries, key=lambda name: (name != card.name, name))
    metrics = list(dict.fromkeys(m["metric"] for name in names for m in entries[name]["metrics"]))
    rivals = list(dict.fromkeys(m for name in names for m in entries[name]["rivals"]))
    by_metric = {name: {m["metric"]: m for m in entries[name]["metrics"]} for name in names}
    lines = [
        ("", [f"`{name}`" for name in names]),
        ("---", ["---"] * len(names)),
        ("data", [f"{entries[n]['data']}; {entries[n]['rows']}" for n in names]),
        *((f"`{m}`", [_metric(by_metric[name].get(m)) for name in names]) for m in metrics),
        *((f"rival: `{m}`", [_rival(entries[name]["rivals"].get(m)) for name in names]) for m in rivals),
        *([("to beat", [card.to_beat] * len(names))] if card.to_beat else []),
        ("took", [_cost(entries[name]) for name in names]),
        ("date, command", [f"{entries[name]['date']}, `{entries[name]['command']}`" for name in names]),
    ]
    return "\n".join(f"| {head} | {' | '.join(cells)} |" for head, cells in lines)


def write(card: Project, paths: Paths, record: RunRecord) -> None:
    """Puts the run's figures into card.json, in place of those of the same name, and the table into the README."""
    name = production.name_of_settings(card, paths, record.settings)
    entries = {**read(paths), name: entry(card, paths, record)}
    readme = paths.source / "README.md"
    text = readme.read_text(encoding="utf-8")
    shown = f"{BEGIN}\n{table(card, entries)}\n{END}"
    if _block(text) is None:
        # After the title and the paragraph that says what it is.
        title, what, *rest = [*text.rstrip().split("\n\n", 2), ""][:3]
        text = "\n\n".join(filter(None, [title, what, shown, *rest])) + "\n"
    else:
        text = text.replace(f"{BEGIN}{_block(text)}{END}", shown)
    whole.write(paths.source / FILE, json.dumps(dict(sorted(entries.items())), indent=1) + "\n")
    whole.write(readme, text)


def check(card: Project, paths: Paths) -> list[str]:
    """What is wrong with the table, a line for each finding; [] for a project without one."""
    readme = paths.source / "README.md"
    block = _block(readme.read_text(encoding="utf-8")) if readme.exists() else None
    again = f"`viaduct card {card.name} --write` after a run mends it"
    try:
        entries = read(paths)
    except ProjectError as error:
        return [str(error)]
    if not entries:
        return [f"{card.name}/README.md: has a table of figures, but no {FILE}; {again}."] if block else []
    findings = [
        f"{card.name}/{FILE}: {name}: {problem}; {again}."
        for name, one in entries.items()
        for problem in _outdated(card, name, one)
    ]
    try:
        same = block is not None and block.strip() == table(card, entries)
    except (KeyError, TypeError, ValueError) as error:
        return [*findings, f"{card.name}/{FILE}: cannot be shown: {type(error).__name__}: {error}; {again}."]
    return (
        findings if same else [*findings, f"{card.name}/README.md: the table is not that of {FILE}; {again}."]
    )


def read(paths: Paths) -> dict[str, Entry]:
    """The entries of card.json by served name; {} where there is none. Raises ProjectError for what is no such file."""
    file = paths.source / FILE
    if not file.exists():
        return {}
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        return {str(name): dict(one) for name, one in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ProjectError(f"{paths.project}/{FILE} is no card: {error}. Write it anew.") from error


def _outdated(card: Project, name: str, one: Entry) -> list[str]:
    """Where an entry says other than the project's card."""
    if name not in production.names(card):
        return ["no model of the project has that name"]
    try:
        bars = [str(bar) for bar in card.bars(one["profile"], one["variant"])]
        told = [f"{m['metric']} {need}" for m in one["metrics"] for need in m["bar"].split(" and ")]
    except (KeyError, TypeError, AttributeError, ProjectError) as error:
        return [f"is incomplete: {error}"]
    found = [] if sorted(bars) == sorted(told) else [f"bars are {sorted(told)}, the project's {sorted(bars)}"]
    unknown = sorted(set(one["rivals"]) - set(card.rivals))
    return [*found, *([f"rivals {unknown} are not the project's"] if unknown else [])]


def _block(text: str) -> str | None:
    _, begin, rest = text.partition(BEGIN)
    block, end, _ = rest.partition(END)
    return block if begin and end else None


def _shown(paths: Paths, data: str) -> str:
    """A path without what lies above it on this machine."""
    folder = Path(data)
    return f"HOME/data/{paths.project}" if folder == paths.data else f"DATA/{folder.name}"


def _rows(record: RunRecord) -> str:
    """'1,680 train, 422 tune, 492 eval rows', as the ExampleGen tells."""
    counted = [node.summary["rows"] for node in record.nodes.values() if node.summary.get("rows")]
    rows: dict[str, int] = max(counted, key=lambda split: sum(split.values()), default={})
    told = ", ".join(f"{count:,}" + ("" if name == "all" else f" {name}") for name, count in rows.items())
    judged = record.metrics.get("example_count")
    ending = f", judged on {judged:,.0f}" if judged and "eval" not in rows else ""
    return f"{told} rows{ending}" if told else "rows not told"


def _bounds(bars: Iterable[Bar]) -> list[tuple[str, float]]:
    return [(bar.metric, bar.bound) for bar in bars]


def _bounds_of(verdicts: Iterable[Mapping[str, Any]]) -> list[tuple[str, float]]:
    return [(str(verdict["metric"]), verdict["bound"]) for verdict in verdicts]


def _measured(metric: str, bars: Iterable[Bar], verdicts: Iterable[Mapping[str, Any]]) -> Entry:
    """A metric's value and interval, its bars in one text (two are a band), and whether it met them."""
    needs = [str(bar).removeprefix(metric).strip() for bar in bars if bar.metric == metric]
    mine = [verdict for verdict in verdicts if verdict["metric"] == metric]
    shown = {key: mine[0][key] for key in ("value", "low", "high")}
    met = all(verdict["passed"] for verdict in mine)
    return {"metric": metric, "bar": " and ".join(needs), **shown, "passed": met}


def _command(card: Project, paths: Paths, settings: Mapping[str, Any], *, made_up: bool) -> str:
    """The command that makes such a run, with what differs from its defaults."""
    parts = ["viaduct", "run", card.name]
    if settings["variant"] != card.variants[0].name:
        parts += ["--variant", settings["variant"]]
    usual = Settings.of(card, settings["variant"], settings["profile"]).parameters
    for key, value in settings.get("parameters", {}).items():
        if usual.get(key) != value:
            parts += ["--set", f"{key}={value}"]
    if settings["profile"] == FULL:
        parts += ["--profile", FULL]
    shown = _shown(paths, str(settings["data"]))
    if not made_up and shown.startswith("DATA/"):
        parts += ["--data", shown]
    return " ".join(map(str, parts))


def _metric(metric: Mapping[str, Any] | None) -> str:
    if metric is None:
        return ""
    low, high = metric["low"], metric["high"]
    interval = "" if low is None or high is None else f" ({_number(low)} to {_number(high)})"
    return (
        f"{_number(metric['value'])}{interval}, bar {metric['bar']} {'met' if metric['passed'] else 'MISSED'}"
    )


def _ours(rival: str, metrics: Mapping[str, float]) -> float | None:
    """The model's own value of what `nll_last_value` is a rival's of: `nll`, the longest name that it begins with."""
    own = [metric for metric in metrics if rival.startswith(f"{metric}_")]
    return metrics[max(own, key=len)] if own else None


def _rival(rival: Mapping[str, Any] | None) -> str:
    if rival is None:
        return ""
    ours = "" if rival["ours"] is None else f"; ours {_number(rival['ours'])}"
    return f"{_number(rival['value'])}, {rival['name']}{ours}"


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4g}"


def _cost(one: Entry) -> str:
    told = f"{one['wall_s']:,.0f} s"
    if one["cpu_s"]:
        told += (
            f" ({one['cpu_s']:,.0f} s of processors); {one['peak_mb']:,} MB at the peak, in {one['largest']}"
        )
    return told + (f"; from the cache: {one['cached']} nodes" if one["cached"] else "")
