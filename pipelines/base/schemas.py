"""The reviewed schema of a project beside what its data suggests, and data beside the schema, without a run.

`suggest` and `validate` are called in a child of the fork server (they need TFX) and return plain data.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from pipelines.base import executions, ir, jobs, metadata, run_record, whole
from pipelines.base.errors import ProjectError
from pipelines.base.paths import Paths, metadata_url

VALIDATOR, STATISTICS = "ExampleValidator", "StatisticsGen"


def suggest(project: str, home: str) -> dict[str, Any]:
    """{"run": id, "text": schema} that TFDV infers from the newest run's statistics, with bounds for its holes.

    Raises ProjectError where no run has statistics.
    """
    from google.protobuf import text_format

    from components.schema_gen.executor import suggested

    run_id, folder = _statistics(Paths.of(project, home))
    schema = suggested(file.read_bytes() for file in sorted(folder.glob("Split-*/FeatureStats.pb")))
    if schema is None:
        raise ProjectError(f"{project}: {folder} holds no statistics. Run the project again with --force.")
    return {"run": run_id, "text": text_format.MessageToString(schema)}


def _statistics(paths: Paths) -> tuple[str, Path]:
    for record in run_record.read_all(paths):
        node = record.nodes.get(STATISTICS)
        for output in node.summary.get("outputs", ()) if node is not None else ():
            if Path(output["uri"]).is_dir():
                return record.run_id, Path(output["uri"])
    raise ProjectError(
        f"{paths.project}: no run has statistics to go by. `viaduct run {paths.project} --data PATH` makes them, also "
        "where it stops later."
    )


def validate(project: str, settings: str, home: str) -> dict[str, Any]:
    """{"rows": by split, "warnings": sentences} of the settings' data, if the project's nodes up to its validator take
    it; whatever they hold against it is raised. `home` is a folder that is thrown away afterwards."""
    from pipelines.base import node

    paths = Paths.of(project, home)
    executions.settle_project(metadata.store(metadata_url(paths.home)), paths)
    run_id = f"{project}-validate"
    compiled = paths.runs / run_id / "ir.json"
    compiled.parent.mkdir(parents=True)
    jobs.compile_to(project, settings, home, str(compiled))
    told: dict[str, Any] = {"rows": {}, "warnings": []}
    for name in _up_to_validator(ir.nodes(ir.load(compiled)), project):
        summary = node.run_node(str(compiled), name, run_id, home)
        told["rows"] = told["rows"] or summary.get("rows", {})
        told["warnings"] += summary.get("warnings", [])
    return told


def _up_to_validator(nodes: list[ir.Node], project: str) -> list[str]:
    """The validator and what it waits for, in the order of the graph."""
    by_id = {one.id: one for one in nodes}
    if VALIDATOR not in by_id:
        raise ProjectError(f"{project}: its pipeline has no {VALIDATOR}, so nothing can be said of data.")
    wanted, left = {VALIDATOR}, [VALIDATOR]
    while left:
        for name in by_id[left.pop()].upstream:
            if name not in wanted:
                wanted.add(name)
                left.append(name)
    return [one.id for one in nodes if one.id in wanted]


def differences(paths: Paths, suggested: dict[str, Any]) -> list[str]:
    """Lines of a unified diff from the reviewed schema to the suggested one; [] where they say the same."""
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    if not paths.schema.exists():
        raise ProjectError(f"{paths.project} has no schema.pbtxt yet; --accept writes the suggested one.")
    texts = []
    for text in (paths.schema.read_text(encoding="utf-8"), str(suggested["text"])):
        try:
            schema = text_format.Parse(text, schema_pb2.Schema())
        except text_format.ParseError as error:
            raise ProjectError(f"{paths.schema}: no schema in text form: {error}") from error
        schema.feature.sort(key=lambda feature: feature.name)
        texts.append(text_format.MessageToString(schema).splitlines())
    here, there = f"{paths.project}/schema.pbtxt", f"suggested by {suggested['run']}"
    return list(difflib.unified_diff(texts[0], texts[1], here, there, lineterm="", n=4))


def accept(paths: Paths, suggested: dict[str, Any]) -> None:
    """Writes the suggested schema as the project's, for a person to review."""
    head = (
        f"# Suggested by the data of {suggested['run']}; nobody has reviewed it yet. Look at the types, at what may be "
        "missing\n# (presence), and at the words and ranges that are allowed (domains); then take this comment away.\n"
    )
    whole.write(paths.schema, (head + str(suggested["text"])).encode())
