"""Looks for mistakes in a project before anything runs: syntax, missing files, names, label, metrics, schema.

`project` is for people who ask; `before_run` is what `viaduct run` asks first. It reads sources and the schema and
runs nothing of the project but its card, so it imports neither TFX nor TensorFlow. What needs TensorFlow (does
preprocessing_fn trace, is the IR the committed one) is the contract tests' business.
"""

from __future__ import annotations

import ast
import importlib.util
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.base import ir, registry
from pipelines.base.errors import ProjectError, close_match
from pipelines.base.paths import project_folder
from pipelines.base.project import PROFILES, Evaluation, Project
from pipelines.base.source_facts import Source, metric_classes, snake_case

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import schema_pb2

REQUIRED = {
    "data.py": ("fetch", "sample"),
    "features.py": ("preprocessing_fn",),
    "model.py": ("run_fn",),
    "pipeline.py": ("create_pipeline",),
}
# Metrics whose names are not their classes' in snake_case.
NAMES = {
    "BinaryCrossEntropy": "binary_crossentropy",
    "CategoricalCrossEntropy": "categorical_crossentropy",
    "FBetaScore": "fbeta_score",
    "KLDivergence": "kullback_leibler_divergence",
    "LogCoshError": "logcosh",
}


def project(name: str) -> list[str]:
    """One line per finding, each naming the file; [] for a project without any."""
    findings = before_run(name)
    folder = project_folder(name)
    texts = {"README.md": "", "ir.json": f"; `viaduct compile {name}` writes it"}
    findings += [
        f"{name}/{file}: missing{how}" for file, how in texts.items() if not (folder / file).exists()
    ]
    try:
        if (folder / "ir.json").exists():
            findings += _nodes(name, ir.load(folder / "ir.json"), registry.get(name))
    except ProjectError as error:
        findings.append(str(error))
    return list(dict.fromkeys(findings))


def before_run(name: str) -> list[str]:
    """The findings that would end a run, or spoil it without a word; costs milliseconds."""
    folder = project_folder(name)
    source = Source(folder)
    if source.errors:
        return source.errors
    try:
        card = registry.get(name)
    except ProjectError as error:
        return [str(error)]
    findings = []
    for file, functions in REQUIRED.items():
        findings += _missing_functions(source, file, functions)
    findings += _metrics(card)
    schema, wrong = _schema(folder / "schema.pbtxt")
    if wrong:
        return [*findings, wrong]
    return [*findings, *_label(card, source, schema), *_slices(card, source, schema), *_read(source, schema)]


def refuse(name: str) -> None:
    """Raises ProjectError with the findings of `before_run`, if there are any."""
    findings = before_run(name)
    if findings:
        rest = "".join(f"\n  {finding}" for finding in findings[1:])
        raise ProjectError(f"{findings[0]}{rest}")


def _nodes(name: str, compiled: dict[str, object], card: Project) -> list[str]:
    nodes = {node.id for node in ir.nodes(compiled)}
    needed = ("Trainer", "Evaluator", "Pusher")
    return [f"{name}/ir.json: no node {node}" for node in needed if node not in nodes] + [
        f"{name}/project.py: heavy names {node!r}, which is no node"
        for node in card.heavy
        if node not in nodes
    ]


def _missing_functions(source: Source, file: str, functions: tuple[str, ...]) -> list[str]:
    tree = source.trees.get(file)
    if tree is None:
        return [f"{source.name}/{file}: missing"]
    # A function may be defined here or taken from a sibling.
    defined = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom):
            defined |= {alias.asname or alias.name for alias in statement.names}
    return [f"{source.name}/{file}: no function {f}" for f in functions if f not in defined]


def _metrics(card: Project) -> list[str]:
    """Metrics that nobody has, and bars on what is not measured."""
    if card.evaluation.function:
        return []
    known = metric_classes(_package("tensorflow_model_analysis", "metrics"))
    known |= metric_classes(_package("tf_keras", "api/_v2/keras/metrics"))
    file, findings, measured = f"{card.name}/project.py", [], set()
    for text in card.evaluation.metrics:
        metric, _, config = text.partition(":")
        try:
            given = json.loads(config) if config else {}
        except ValueError as error:
            findings.append(f"{file}: metric {text!r}: what follows the colon is no JSON ({error})")
            given = {}
        if known and metric not in known:
            classes = [name for name in known if name[:1].isupper()]
            findings.append(f"{file}: {_short(close_match('metric', metric, classes))}")
        measured.add(str(given.get("name") or NAMES.get(metric) or snake_case(metric)))
    for profile in PROFILES:
        for variant in card.variants:
            findings += [
                f"{file}: {profile} bar on {bar.metric!r}: {close_match('metric', bar.metric, measured)}"
                for bar in card.bars(profile, variant.name)
                if bar.metric not in measured
            ]
    findings += [
        f"{file}: search of {variant.name!r} by {variant.search.metric!r}: "
        + close_match("metric", variant.search.metric, measured)
        for variant in card.variants
        if variant.search is not None and variant.search.metric not in measured
    ]
    return list(dict.fromkeys(findings))


def _short(text: str) -> str:
    """Without the list of all that is known, which is a hundred names long."""
    return text.partition(" Known: ")[0]


def _package(name: str, folder: str) -> Path | None:
    """`__init__.py` of a part of an installed package, which is not imported."""
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        return None
    return Path(next(iter(found.submodule_search_locations)), folder, "__init__.py")


def _schema(file: Path) -> tuple[schema_pb2.Schema | None, str]:
    """The reviewed schema, and what is wrong with it in words; (None, "") where there is none."""
    if not file.exists():
        return None, ""
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    where = f"{file.parent.name}/{file.name}"
    try:
        schema = text_format.Parse(file.read_text(encoding="utf-8"), schema_pb2.Schema())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        return None, f"{where}: no schema in text form: {error}"
    for feature in schema.feature:
        if feature.HasField("shape") and feature.presence.min_fraction not in (0.0, 1.0):
            return schema, (
                f"{where}: {feature.name!r} has a shape, and may be missing (min_fraction "
                f"{feature.presence.min_fraction:g}): take the shape away, or ask for all rows"
            )
    return schema, ""


def _label(card: Project, source: Source, schema: schema_pb2.Schema | None) -> list[str]:
    """A label that nothing knows, that features.py leaves out, or that is text where numbers are compared."""
    told, file = card.evaluation, f"{card.name}/project.py"
    if not told.label_key:
        return []
    columns = {feature.name for feature in schema.feature} if schema is not None else set()
    known = source.words("project.py") | columns
    findings = []
    for field, key in (("label_key", told.label_key), ("raw_label_key", told.raw_label_key)):
        if key and key not in known:
            words = [word for word in known if word.isidentifier()]
            hint = _short(close_match(field, key, words)).replace(
                "does not exist", "is in no file of the project"
            )
            findings.append(f"{file}: {hint}")
    raw = told.raw_label_key or ("" if told.preprocessing else told.label_key)
    if columns and raw and raw not in columns and not findings:
        findings.append(f"{file}: {close_match('label', raw, columns)} (schema.pbtxt)")
    return findings or [*_unmade_label(told, source), *_text_label(told, source.name, raw, schema)]


def _unmade_label(told: Evaluation, source: Source) -> list[str]:
    function = source.function("features.py", "preprocessing_fn")
    if function is None or told.task == "own":
        return []
    mentioned = source.mentioned(function)
    if mentioned is None or {told.label_key, told.raw_label_key or told.label_key} & mentioned:
        return []
    return [
        f"{source.name}/features.py:{function.lineno}: preprocessing_fn gives nothing under the label "
        f"{told.label_key!r}, which the Trainer learns from"
    ]


def _text_label(told: Evaluation, name: str, raw: str, schema: schema_pb2.Schema | None) -> list[str]:
    if schema is None or raw != told.label_key or told.task == "own" or told.preprocessing:
        return []
    from tensorflow_metadata.proto.v0 import schema_pb2

    texts = [f.name for f in schema.feature if f.name == raw and f.type == schema_pb2.BYTES]
    return [
        f"{name}/schema.pbtxt: the label {key!r} is text (BYTES), and predictions are compared with it: write numbers "
        "in the data, or let features.py make them under another name that the card's label_key says"
        for key in texts
    ]


def _slices(card: Project, source: Source, schema: schema_pb2.Schema | None) -> list[str]:
    """Slices by what is no feature: nothing would be sliced, and nobody told."""
    columns = {feature.name for feature in schema.feature} if schema is not None else set()
    made = bool(card.evaluation.preprocessing or card.evaluation.function or schema is None)
    known = columns | (source.words("project.py") if made else set())
    findings = []
    for key in dict.fromkeys(key for slice_ in card.evaluation.slices for key in slice_):
        if key not in known:
            words: Iterable[str] = columns or {word for word in known if word.isidentifier()}
            told = close_match("slice", key, words)
            findings.append(f"{card.name}/project.py: {told if columns else _short(told)}")
    return findings


def _read(source: Source, schema: schema_pb2.Schema | None) -> list[str]:
    """What preprocessing_fn reads and the schema does not have."""
    function = source.function("features.py", "preprocessing_fn")
    if function is None or schema is None:
        return []
    columns = [feature.name for feature in schema.feature]
    return list(
        dict.fromkeys(
            f"{source.name}/features.py:{line}: preprocessing_fn reads {key!r}; "
            f"{close_match('feature', key, columns)} (schema.pbtxt)"
            for key, line in source.read("features.py", function)
            if key not in columns
        )
    )
