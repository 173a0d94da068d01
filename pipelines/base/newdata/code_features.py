"""What fills features.py: a step for each kind of column that there is, and no others."""

from __future__ import annotations

import dataclasses
import re

from pipelines.base.newdata.columns import Role
from pipelines.base.newdata.findings import Findings
from pipelines.base.newdata.layout import docstring, listed, literals, names

WORD_BUCKETS = 256
# What pipelines.base.tabular.features has for preprocessing_fn.
HELPERS = "CALENDAR_WIDTH calendar category class_ids flattened number seconds without_nan words xf"
HOLES = "filled is_missing"


@dataclasses.dataclass(frozen=True)
class Step:
    """One kind of columns: constants with their names, lines of preprocessing_fn, the vector's name and width."""

    constants: tuple[str, ...]
    body: tuple[str, ...]
    columns: tuple[str, ...] = ()
    vector: str = ""
    does: str = ""


def features(found: Findings) -> dict[str, str]:
    """Values for the template features.py."""
    makers = (_numbers, _holes, _calendar, _texts, _categories)
    steps = [step for make in makers if (step := make(found)) is not None]
    classes = bool(found.target.classes)
    constants = [f"CLASSES = {literals(found.target.classes)}"] if classes else []
    constants += [constant for step in steps for constant in step.constants]
    columns = ", ".join(f"*{name}" for step in steps for name in step.columns)
    vectors = ", ".join(step.vector for step in steps if step.vector)
    constants.append(
        "# What the ExampleGen writes, and the widths of the transformed features that are vectors.\n"
        f"COLUMNS = ({columns}, LABEL_KEY)\nVECTORS: dict[str, int] = {{{vectors}}}"
    )
    label = "class_ids(inputs[LABEL_KEY], CLASSES)" if classes else "tf.cast(inputs[LABEL_KEY], tf.float32)"
    body = ["outputs: dict[str, Any] = {}", *(line for step in steps for line in step.body)]
    body.append(f"outputs[LABEL_KEY] = {label}")
    does = [step.does for step in steps if step.does]
    does.append("the place of the class in CLASSES" if classes else "the label")
    text = "\n".join([*constants, *body])
    holes = _used(HOLES, text)
    return {
        "HOLES": f"from pipelines.base.holes import {holes}\n" if holes else "",
        "IMPORTS": _used(HELPERS, text),
        "LABEL": repr(found.target.name),
        "CONSTANTS": "\n".join(constants) + "\n",
        "DOES": docstring(f"Raw columns -> {listed(does)}."),
        "TFT": "    import tensorflow_transform as tft\n" if "tft." in text else "",
        "BODY": "".join(f"    {line}\n" for line in body),
    }


def _used(helpers: str, text: str) -> str:
    return ", ".join(name for name in helpers.split() if re.search(rf"(?<![_\w]){name}\b(?!_)", text))


def _numbers(found: Findings) -> Step | None:
    numbers = found.of(Role.NUMBER)
    if not numbers:
        return None
    long = [column for column in numbers if column.long_tail]
    constants = [f"NUMBERS = {names(numbers)}"]
    read = "number(inputs[key])"
    if long:
        constants.append(
            f"# Numbers with a long tail: their logarithm is scaled.\nLONG_TAILED = {names(long)}"
        )
        read = f"flattened({read}) if key in LONG_TAILED else {read}"
    body = (
        f"numbers = [{read} for key in NUMBERS]",
        "z_scores = tft.scale_to_z_score(tf.concat(numbers, axis=1), elementwise=True)",
        'outputs["numbers_xf"] = without_nan(z_scores)',
    )
    return Step(tuple(constants), body, ("NUMBERS",), '"numbers_xf": len(NUMBERS)', "z-scores of the numbers")


def _holes(found: Findings) -> Step | None:
    holes = [column for column in found.of(Role.NUMBER) if column.missing]
    if not holes:
        return None
    constant = f"# Numbers that may be missing; whether they are is a feature.\nWITH_HOLES = {names(holes)}"
    body = (
        "holes = [is_missing(inputs[key]) for key in WITH_HOLES]",
        'outputs["missing_xf"] = tf.concat(holes, axis=1)',
    )
    return Step((constant,), body, (), '"missing_xf": len(WITH_HOLES)', "which numbers are missing")


def _calendar(found: Findings) -> Step | None:
    """Dates as text and seconds since 1970 end as the same parts."""
    kinds = {
        "DATES": (found.of(Role.DATE), "seconds(inputs[key])"),
        "MOMENTS": (found.of(Role.MOMENT), "filled(inputs[key], 0)"),
    }
    there = {name: kind for name, kind in kinds.items() if kind[0]}
    if not there:
        return None
    moments = " + ".join(f"[{read} for key in {name}]" for name, (_, read) in there.items())
    count = " + ".join(f"len({name})" for name in there)
    return Step(
        tuple(f"{name} = {names(columns)}" for name, (columns, _) in there.items()),
        (
            f"moments = {moments}",
            'outputs["calendar_xf"] = tf.concat([calendar(moment) for moment in moments], axis=1)',
        ),
        tuple(there),
        f'"calendar_xf": CALENDAR_WIDTH * {f"({count})" if len(there) > 1 else count}',
        "parts of the calendar",
    )


def _texts(found: Findings) -> Step | None:
    texts = found.of(Role.TEXT)
    if not texts:
        return None
    body = (
        "bags = [words(inputs[key], WORD_BUCKETS) for key in TEXTS]",
        'outputs["words_xf"] = tf.concat(bags, axis=1)',
    )
    constant = f"TEXTS = {names(texts)}\nWORD_BUCKETS = {WORD_BUCKETS}"
    return Step(
        (constant,), body, ("TEXTS",), '"words_xf": WORD_BUCKETS * len(TEXTS)', "hashed words of the texts"
    )


def _categories(found: Findings) -> Step | None:
    categories = found.of(Role.CATEGORY)
    if not categories:
        return None
    constant = (
        f"CATEGORIES = {names(categories)}\n# Values of fewer rows count as unknown ones.\nLEAST_ROWS = 3"
    )
    body = (
        "for key in CATEGORIES:",
        "    outputs[xf(key)] = tft.compute_and_apply_vocabulary(",
        "        category(inputs[key]), frequency_threshold=LEAST_ROWS, num_oov_buckets=1, vocab_filename=xf(key)",
        "    )",
    )
    does = "places of the categories in their vocabularies"
    return Step((constant,), body, ("CATEGORIES",), "", does)
