"""Serving: what servers run, how fast they answer, and a form that sends one request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dashboards.drawing import svg
from dashboards.pages.classes import in_words
from dashboards.pages.numbers import whole_number
from dashboards.pages.site import Site
from dashboards.pages.suggestions import lines, suggestion, takes_examples
from dashboards.readers.servers import ModelState, quantile, rates
from pipelines.base import production

SHARES = (0.5, 0.9, 0.99)
DTYPES = {"object": "text or bytes", "bool": "true or false"}


def serving(site: Site, query: dict[str, str]) -> str:
    """All servers; `server`, `model`, `version` and `signature` open the request form."""
    return site.render("serving.html", **_values(site, query, None))


def request(site: Site, form: dict[str, str]) -> str:
    """The same page with the answer to the form's request."""
    answer: dict[str, Any] = {"ok": False, "text": "", "took": None, "words": []}
    try:
        version = whole_number(form.get("version"))
        outputs, took = site.servers.predict(
            form.get("server", ""), form.get("model", ""), version, form.get("signature") or "serving_default",
            form.get("inputs", ""), form.get("rows") == "1",
        )  # fmt: skip
        answer = {
            "ok": True,
            "text": lines(outputs)[:50_000],
            "took": took,
            "words": in_words(site.card(production.project_of(form.get("model", ""))), outputs),
        }
    except (ValueError, TypeError, KeyError) as error:
        answer["text"] = str(error)
    except Exception as error:  # serving.errors.ServingError: whatever the server answered
        answer["text"] = f"{getattr(error, 'code', type(error).__name__)}: {error}"
    return site.render("serving.html", **_values(site, form, answer))


def _values(site: Site, query: dict[str, str], answer: dict[str, Any] | None) -> dict[str, Any]:
    states = site.servers.states(site.served_names(site.projects()))
    servers = [
        {"state": s, "models": [_model(m) for m in sorted(s.models, key=lambda m: m.name)]} for s in states
    ]
    form = None
    if query.get("server") and query.get("model"):
        form = _form(site, query)
    return {"servers": servers, "form": form, "answer": answer, "example": _example(site)}


def _example(site: Site) -> str:
    """A model to name in the hints: the one that was pushed last, else the project that ran last."""
    rows = site.runs.rows()
    pushed = (Path(row.pushed).parent.name for row in rows if row.pushed)
    return next(pushed, rows[0].project if rows else "card_fraud")


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
        "spark": svg.sparkline([r for _, r in rate[-60:]], label="requests per second"),
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
    version = whole_number(query.get("version"))
    form: dict[str, Any] = {
        **query,
        "problem": "",
        "signatures": [],
        "signature": query.get("signature", ""),
        "rows": False,
    }
    try:
        metadata = site.servers.metadata(query["server"], query["model"], version)
    except Exception as error:  # a server's answer or an unknown address: shown, the page stays
        form["problem"] = str(error)
        return {**form, "chosen": None, "inputs": query.get("inputs", "")}
    names = [name for name in sorted(metadata.signatures) if not name.startswith("__")]
    name = (
        form["signature"]
        if form["signature"] in names
        else ("serving_default" if "serving_default" in names else names[0] if names else "")
    )
    chosen = metadata.signatures.get(name)
    rows = chosen is not None and takes_examples(chosen)
    form.update(signatures=names, signature=name, chosen=chosen, rows=rows, version=str(metadata.version))
    form["inputs"] = query.get("inputs") or lines(
        suggestion(site, query["model"], metadata.version, chosen, rows)
    )
    return form
