"""Serving: what servers run, how fast they answer, and a form that sends one request."""

from __future__ import annotations

import base64
import json
from typing import Any

from dashboards import drawing
from dashboards.files import Missing
from dashboards.servers import ModelState, quantile, rates
from dashboards.site import Site

SHARES = (0.5, 0.9, 0.99)
DTYPES = {"object": "text or bytes", "bool": "true or false"}


def serving(site: Site, query: dict[str, str]) -> str:
    """All servers; `server`, `model`, `version` and `signature` open the request form."""
    return site.render("serving.html", **_values(site, query, None))


def request(site: Site, form: dict[str, str]) -> str:
    """The same page with the answer to the form's request."""
    answer: dict[str, Any] = {"ok": False, "text": "", "took": None}
    try:
        version = int(form["version"]) if form.get("version", "").isdigit() else None
        outputs, took = site.servers.predict(
            form.get("server", ""), form.get("model", ""), version, form.get("signature") or "serving_default",
            form.get("inputs", ""), form.get("rows") == "1",
        )  # fmt: skip
        answer = {
            "ok": True,
            "text": _lines(outputs)[:50_000],
            "took": took,
        }
    except (ValueError, TypeError, KeyError) as error:
        answer["text"] = str(error)
    except Exception as error:  # serving.errors.ServingError: whatever the server answered
        answer["text"] = f"{getattr(error, 'code', type(error).__name__)}: {error}"
    return site.render("serving.html", **_values(site, form, answer))


def _values(site: Site, query: dict[str, str], answer: dict[str, Any] | None) -> dict[str, Any]:
    states = site.servers.states(site.projects())
    servers = [
        {"state": s, "models": [_model(m) for m in sorted(s.models, key=lambda m: m.name)]} for s in states
    ]
    form = None
    if query.get("server") and query.get("model"):
        form = _form(site, query)
    return {"servers": servers, "form": form, "answer": answer, "example": _example(site)}


def _example(site: Site) -> str:
    """A project to name in the hints: the last one that pushed a model, else the last that ran."""
    rows = site.runs.rows()
    return next((row.project for row in rows if row.pushed), rows[0].project if rows else "card_fraud")


def _model(model: ModelState) -> dict[str, Any]:
    points = model.points
    last = points[-1] if points else None
    # Over the time this page has watched; before the second look, since the server's start.
    recent = _difference(points[0].latency, last.latency) if len(points) > 1 and last else ()
    latency = recent if recent and recent[-1][1] else (last.latency if last else ())
    rate = rates(points)
    batches = last.batches if last else ()
    return {
        "name": model.name,
        "versions": model.versions,
        "requests": last.requests if last else None,
        "errors": last.errors if last else None,
        "rate": rate[-1][1] if rate else None,
        "spark": drawing.sparkline([r for _, r in rate[-60:]], label="requests per second"),
        "latency": [(share, quantile(latency, share)) for share in SHARES],
        "batch": quantile(batches, 0.5),
        "watched": (points[-1].at - points[0].at) if len(points) > 1 else None,
    }


def _difference(
    old: tuple[tuple[float, float], ...], new: tuple[tuple[float, float], ...]
) -> tuple[tuple[float, float], ...]:
    before = dict(old)
    return tuple((bound, count - before.get(bound, 0.0)) for bound, count in new)


def _form(site: Site, query: dict[str, str]) -> dict[str, Any]:
    """The signatures of a version and an example request for the chosen one."""
    version = int(query["version"]) if query.get("version", "").isdigit() else None
    form: dict[str, Any] = {
        **query,
        "problem": "",
        "signatures": [],
        "signature": query.get("signature", ""),
        "rows": False,
    }
    try:
        found = site.servers.metadata(query["server"], query["model"], version)
    except Exception as error:  # a server's answer or an unknown address: shown, the page stays
        form["problem"] = str(error)
        return {**form, "chosen": None, "inputs": query.get("inputs", "")}
    names = [name for name in sorted(found.signatures) if not name.startswith("__")]
    name = (
        form["signature"]
        if form["signature"] in names
        else ("serving_default" if "serving_default" in names else names[0] if names else "")
    )
    chosen = found.signatures.get(name)
    rows = chosen is not None and takes_examples(chosen)
    form.update(signatures=names, signature=name, chosen=chosen, rows=rows, version=str(found.version))
    form["inputs"] = query.get("inputs") or _lines(_suggestion(site, query["model"], chosen, rows))
    return form


def takes_examples(signature: Any) -> bool:
    """Whether its only input is a list of serialized tf.Examples."""
    inputs = list(signature.inputs.values())
    return (
        len(inputs) == 1
        and inputs[0].dtype == "object"
        and inputs[0].name in ("examples", "inputs", "input_example_tensor")
    )


def _suggestion(site: Site, model: str, signature: Any, rows: bool) -> Any:
    """A row of the data where the signature takes examples, else zeros of the right shape."""
    if signature is None:
        return {}
    if rows:
        return [_row_of_data(site, model)]
    return {name: _zeros(info) for name, info in signature.inputs.items()}


def _zeros(info: Any) -> Any:
    value: Any = {"object": "", "bool": False}.get(info.dtype, 0.0 if "float" in info.dtype else 0)
    for size in reversed(info.shape or (1,)):
        value = [value] * (1 if size is None else min(size, 64))
    return value


def _row_of_data(site: Site, project: str) -> dict[str, Any]:
    """The first example of the project's newest evaluation split that can be read, label and all."""
    from pathlib import Path

    from dashboards.protos import message
    from dashboards.tfrecord import records

    try:
        for row in site.runs.rows(project)[:5]:
            for output in site.outputs(site.runs.record(row.run_id), "Examples"):
                if output["node"] == "Transform":
                    continue
                folder = site.files.inside(Path(output["uri"]) / "Split-eval")
                for file in sorted(folder.iterdir()):
                    for record in records(file):
                        return _json_row(message("tensorflow.Example").FromString(record))
    except (Missing, OSError):
        pass
    return {}


def _json_bytes(value: bytes) -> Any:
    """Text as text, anything else as {"b64": ...}, which `Servers.predict` turns back."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if all(character.isprintable() or character in "\n\t" for character in text):
        return text
    return {"b64": base64.b64encode(value).decode()}


def _lines(value: Any) -> str:
    """JSON with one line per name: a picture's numbers on lines of their own would fill pages."""
    if isinstance(value, list):
        return "[" + ",\n".join(_lines(item) for item in value) + "]"
    members = (f" {json.dumps(name)}: {json.dumps(item, ensure_ascii=False)}" for name, item in value.items())
    return "{\n" + ",\n".join(members) + "\n}"


def _json_row(example: Any) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, feature in sorted(example.features.feature.items()):
        kind = feature.WhichOneof("kind")
        values = list(getattr(feature, kind).value) if kind else []
        if kind == "bytes_list":
            values = [_json_bytes(v) for v in values]
        elif kind == "float_list":
            values = [float(f"{v:.7g}") for v in values]
        if values:
            row[name] = values[0] if len(values) == 1 else values
    return row
