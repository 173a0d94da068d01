"""What fills project.py, data.py and pipeline.py: facts as literals."""

from __future__ import annotations

from pipelines.base.newdata import prose
from pipelines.base.newdata.code_model import label_id
from pipelines.base.newdata.code_tasks import TASKS
from pipelines.base.newdata.findings import Findings
from pipelines.base.newdata.layout import literals

# So many passes over the rows, but never more or fewer steps of gradient descent than these.
PASSES, FEWEST_STEPS, MOST_STEPS = 30, 1_200, 6_000
QUICK_ROWS = 5_000


def data(found: Findings) -> dict[str, str]:
    """Values for the template data.py."""
    source = found.source
    if source.address:
        return {
            "FILES": "rows of query.sql in the database that the card names",
            "IMPORTS": "from pipelines.base.tabular import queries",
            "SOURCE": 'QUERY = Path(__file__).with_name("query.sql")',
            "FETCH_DOC": "Copies the rows as they are now, for `--data`; runs without it read the database.",
            "FETCH": "queries.copy(PROJECT.data.database, QUERY, folder)",
            "SAMPLE_DOC": "`rows` rows of the query in an order that `seed` decides; all, where there are no more.",
            "SAMPLE": "queries.draw(PROJECT.data.database, QUERY, folder, rows, seed)",
        }
    files = "file" if len(source.files) == 1 else f"{len(source.files)} files"
    return {
        "FILES": f"{files} that the project was made from, copied or drawn from",
        "IMPORTS": "from pipelines.base.tabular import files",
        "SOURCE": f"SOURCE = Path({str(source.path)!r})",
        "FETCH_DOC": "Copies the rows of SOURCE into `folder`; ProjectError if it is gone.",
        "FETCH": "files.copy(SOURCE, folder)",
        "SAMPLE_DOC": "`rows` rows of SOURCE in an order that `seed` decides; all, where there are no more.",
        "SAMPLE": "files.draw(SOURCE, folder, rows, seed, PROJECT.csv)",
    }


def pipeline(found: Findings) -> dict[str, str]:
    """Values for the template pipeline.py."""
    source, key, time = found.source, found.key, found.split_time
    by = f"; rows of one {key!r} stay together" if key else f": the latest by {time!r}" if time else ""
    options: dict[str, object] = {
        "pattern": "**/*" if source.path.is_dir() else "",
        "query": bool(source.address),
        "split_key": key,
        "split_time": time,
    }
    return {
        "READS": "a query's rows, or files," if source.address else "files, or a query's rows,",
        "BY": by,
        "READING": "".join(f"        {name}={value!r},\n" for name, value in options.items() if value),
    }


def project(found: Findings) -> dict[str, str]:
    """Values for the template project.py."""
    measured, rows, task = found.baseline, found.source.table.num_rows, TASKS[found.target.task]
    side = "at_most" if measured.smaller_is_better else "at_least"
    loss = abs(found.bar - measured.linear)
    return {
        "BARS_WHY": prose.bars_comment(found),
        "BAR": f"Bar({measured.metric!r}, {side}={_rounded(found.bar)}, max_loss={_rounded(loss)})",
        "TITLE": repr(f"{found.target.name} of {found.source.path.name}"),
        "QUESTION": repr(prose.question(found)),
        "DATA_TITLE": repr(f"{found.source.path.name}, as it was given"),
        "SIZE": repr(f"{rows:,} rows, {len(found.columns)} columns"),
        "URL": f"pipelines/{found.name}/{'query.sql' if found.source.address else 'data.py'}",
        "DATABASE": f"        database={found.source.address!r},\n" if found.source.address else "",
        "VARIANTS": "".join(f"        {variant}\n" for variant in _variants(found)),
        "QUICK_ROWS": f"{min(rows, QUICK_ROWS):_}",
        "ROWS": f"{rows:_}",
        "TASK": found.target.task,
        "LABEL_KEY": repr(label_id(found) if found.target.classes else found.target.name),
        "PREDICTION": task.output,
        "METRICS": ", ".join(map(repr, task.metrics)),
        "SLICES": f"        slices={tuple((name,) for name in found.slices)!r},\n" if found.slices else "",
        "CLASSES": _classes(found),
        "CSV_IMPORT": "from pipelines.base.csv_reading import CsvReading\n"
        if found.source.csv.changed()
        else "",
        "CSV": _csv(found),
    }


def _csv(found: Findings) -> str:
    options = ", ".join(f"{name}={value!r}" for name, value in found.source.csv.changed().items())
    return f"    csv=CsvReading({options}),\n" if options else ""


def _classes(found: Findings) -> str:
    if not found.target.classes:
        return ""
    options = (
        "preprocessing=('labels',)",
        f"classes={literals(found.target.classes)}",
        f"raw_label_key={found.target.name!r}",
    )
    return "".join(f"        {option},\n" for option in options)


def _variants(found: Findings) -> list[str]:
    """The one that is taken by default first."""
    rows = found.train_rows
    fit = {
        # As strong as scikit-learn's usual penalty of a linear model.
        "l2": float(f"{1 / rows:.1g}"),
        "batch_size": batch_size(rows),
        "steps": steps(rows),
    }
    network = {"units": 64, "dropout": 0.1, "learning_rate": 2e-3, "weight_decay": 1e-3, **fit}
    straight = {"units": 0, "dropout": 0.0, "learning_rate": 1e-2, "weight_decay": 0.0, **fit}
    trees = {"trees": 300, "depth": 6, "shrinkage": 0.1}
    made = {
        "linear": f"Variant('linear', 'a linear model', {straight!r}),",
        "dense": f"Variant('dense', 'a linear model and a network, added up', {network!r}),",
        "boosted": f"Variant('boosted', 'gradient-boosted trees, stopped early', {trees!r}),",
    }
    return sorted(made.values(), key=lambda text: text != made[found.default])


def batch_size(rows: int) -> int:
    """Small tables need many steps more than they need fast ones."""
    return 32 if rows < 3_000 else 128 if rows < 20_000 else 256


def steps(rows: int) -> int:
    """Those of PASSES passes, within limits."""
    wanted = 100 * round(PASSES * rows / batch_size(rows) / 100)
    return max(FEWEST_STEPS, min(MOST_STEPS, wanted))


def _rounded(number: float) -> str:
    return repr(float(f"{number:.3g}"))
