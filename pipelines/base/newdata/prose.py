"""Words about the findings: the README's tables, comments, the question, and what the command prints."""

from __future__ import annotations

import json

from pipelines.base.newdata import splits
from pipelines.base.newdata.columns import Column, Role
from pipelines.base.newdata.findings import Findings
from pipelines.base.newdata.layout import listed

METRICS = {
    "auc": "AUC",
    "sparse_categorical_accuracy": "accuracy",
    "root_mean_squared_error": "root mean squared error",
}
NOTHING_LEARNED = (
    "a linear model was no better than the naive answer: these columns may tell nothing of the label"
)
ROLE_WORDS = {Role.KEY: "key of the split"}


def question(found: Findings) -> str:
    name, classes = found.target.name, found.target.classes
    if len(classes) == 2:
        return f"Is {name} {classes[1]} or {classes[0]}?"
    return f"Which {name} is it?" if classes else f"How much is {name}?"


def became(column: Column) -> str:
    return ROLE_WORDS.get(column.role, column.role.value)


def balance(found: Findings) -> str:
    """The label's classes with their shares, or its range."""
    from pipelines.base.newdata.target import texts

    column = found.source.table.column(found.target.name)
    if not found.target.classes:
        values = column.to_numpy()
        return f"from {values.min():,.6g} to {values.max():,.6g}, {values.mean():,.6g} on average"
    values = texts(column)
    shares = [f"{name} {values.count(name) / len(values):.1%}" for name in found.target.classes[:10]]
    return ", ".join(shares) + (", ..." if len(found.target.classes) > 10 else "")


def bars_comment(found: Findings) -> str:
    measured = found.baseline
    return (
        f"Measured on held-out training rows: {naive_name(found)} {measured.naive:.4g}, {linear_name(found)} "
        f"{measured.linear:.4g}.\n# The bar is near the linear model's, as far as {found.eval_rows:,} evaluation rows "
        "can tell."
    )


def naive_name(found: Findings) -> str:
    return {
        "binary": "chance",
        "multiclass": "always the most frequent class",
        "regression": "always the mean",
    }[found.target.task]


def linear_name(found: Findings) -> str:
    return "ridge regression" if not found.target.classes else "logistic regression"


def default_why(found: Findings) -> str:
    """Why the default variant is what it is."""
    return {
        "linear": "because nothing was clearly better on held-out training rows",
        "dense": "because a network was the best on held-out training rows"
        if found.baseline.network is not None
        else "because trees were not clearly better than a linear model on held-out training rows",
        "boosted": "because trees were the best on held-out training rows",
    }[found.default]


def figures(found: Findings) -> list[tuple[str, float]]:
    """What was measured on held-out training rows, by its name."""
    measured = found.baseline
    made = [(naive_name(found), measured.naive), (linear_name(found), measured.linear)]
    if measured.network is not None:
        made.append(("a network", measured.network))
    return [*made, ("boosted trees", measured.boosted)]


def row(found: Findings) -> str:
    """A row as JSON in a shell's single quotes, for `viaduct predict --row`: at most six features of it."""
    table = found.source.table
    shown = {}
    for column in found.features[:6]:
        values = table.column(column.name).drop_null()
        value = values[len(values) // 2].as_py()
        shown[column.name] = value.strip() if isinstance(value, str) else value
    return json.dumps(shown, ensure_ascii=False).replace("'", "\\u0027")


def readme(found: Findings) -> dict[str, str]:
    measured = found.baseline
    rows = [
        f"| `{c.name}` | {became(c)} | {f'{c.missing:.1%}' if c.missing else '-'} | {_cell(c.about)} |"
        for c in found.columns
    ]
    nulls = found.source.csv.null_values
    read = f" {listed([f'`{word}`' for word in nulls])} is read as a missing value." if nulls else ""
    return {
        "QUESTION_TEXT": question(found),
        "DATA_TEXT": (
            f"`{found.source.path.name}`: {found.source.table.num_rows:,} rows; {found.target.name} is "
            f"{balance(found)}.{read}"
        ),
        "FOUND": "\n".join(rows) + "\n",
        "DEFAULT": found.default,
        "DEFAULT_WHY": default_why(found),
        "BARS_TEXT": (
            f"{METRICS[measured.metric]} of {found.bar:.3g} or {'less' if measured.smaller_is_better else 'more'}: "
            f"near what a linear model reaches, as far as {found.eval_rows:,} evaluation rows can tell, and at least\n"
            f"half of the way from {naive_name(found)}."
        ),
        "METRIC": METRICS[measured.metric],
        "SPLIT": f"The evaluation split was looked at for none of this: {splitting(found)}.",
        "FIGURES": "".join(f"| {name} | {value:.4g} |\n" for name, value in figures(found)),
        "ROW": row(found),
    }


def splitting(found: Findings) -> str:
    """Which rows judge."""
    share = f"{found.eval_rows:,} of {found.train_rows + found.eval_rows:,} rows judge"
    if found.split_time:
        return f"{share}, the latest by `{found.split_time}`"
    if found.key:
        return f"{share}, chosen by chance; those of one `{found.key}` stay together"
    return f"{share}, chosen by chance"


def _time_hint(found: Findings) -> list[tuple[str, str]]:
    known = [] if found.split_time else splits.times(found.columns)
    if not known:
        return []
    which = listed([repr(name) for name in known])
    return [
        ("time", f"if {which} says when a row came about: --split-by time:{known[0]} lets later rows judge")
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def summary(found: Findings) -> list[str]:
    """What was found and decided, as lines of plain text: a table of the columns, then the decisions."""
    measured = found.baseline
    cells = [("column", "becomes", "missing", "about")]
    cells += [(c.name, became(c), f"{c.missing:.1%}" if c.missing else "-", c.about) for c in found.columns]
    widths = [min(32, max(len(row[place]) for row in cells)) for place in range(3)]
    table = [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)) + f"  {row[3]}"
        for row in cells
    ]
    nulls = found.source.csv.null_values
    facts = [
        (
            "rows",
            f"{found.source.table.num_rows:,}; {found.eval_rows:,} of them judge the model and nothing else",
        ),
        ("split", splitting(found).replace("`", "'")),
        *_time_hint(found),
        ("label", f"{found.target.name} ({found.target.why}), {found.target.task}: {balance(found)}"),
        *(
            [("missing", f"{listed([repr(word) for word in nulls])} and empty cells mean a missing value")]
            if nulls
            else []
        ),
        (
            "baseline",
            f"{METRICS[measured.metric]} on held-out training rows: "
            + ", ".join(f"{name} {value:.4g}" for name, value in figures(found)),
        ),
        *([("careful", NOTHING_LEARNED)] if found.linear_gain <= 0 else []),
        ("bar", f"{METRICS[measured.metric]} {'<=' if measured.smaller_is_better else '>='} {found.bar:.3g}"),
        ("model", f"{found.default}, {default_why(found)}"),
        *([("slices", listed(found.slices))] if found.slices else []),
        *(("unsure", sentence) for sentence in found.source.unsure),
    ]
    return [*table, "", *(f"{name:<9} {text}" for name, text in facts)]
