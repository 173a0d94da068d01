"""Arguments that several commands have, and numbers that make sense. Part of cli.py."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from pipelines.base import production, registry
from pipelines.base.paths import Paths
from pipelines.base.project import Project

# What NumPy's generators and TensorFlow's int64 versions take.
MOST_SEEDS = (1 << 32) - 1
MOST_VERSIONS = (1 << 63) - 1


def project_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("project", help="a project; `viaduct list` names them")


def model_argument(text: str) -> tuple[Project, str]:
    """The card and the served name that `card_fraud`, `card_fraud.sample` ... name. Raises ProjectError for others."""
    card = registry.get(production.project_of(text))
    return card, production.check_name(card, Paths.of(card.name), text)


def number(least: int, of: str, most: int | None = None, zero: str = "") -> Callable[[str], int]:
    """A type for argparse: a whole number from `least` to `most`, of what is called `of`; `zero` says what 0 means."""
    expected = {0: "a whole number from 0", 1: "a positive whole number"}[least]
    if zero:
        expected = f"0 ({zero}) or a positive whole number"
    expected += (f" of {of}" if of else "") + (f" to {most}" if most is not None else "")

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = -1
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"got {text!r}, expected {expected}")
        return value

    return read


def csv_arguments(parser: argparse.ArgumentParser) -> None:
    """How CSV files are written, for this run; `csv_reading` gives them."""
    group = parser.add_argument_group("CSV files", "where they are not written as the card says")
    group.add_argument("--csv-delimiter", metavar="SIGN", help="between values: ';', '|', tab")
    group.add_argument(
        "--csv-null", action="append", metavar="WORD", help="means a missing value, as NA; may be repeated"
    )
    group.add_argument("--csv-decimal", metavar="SIGN", help="decimal sign of numbers: '.' or ','")
    group.add_argument("--csv-thousands", metavar="SIGN", help="groups digits, as ',' in 1,234")
    group.add_argument("--csv-encoding", metavar="NAME", help="as latin-1 or cp1252 (utf-8)")


def csv_reading(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of CsvReading that were said on the command line."""
    delimiter = options.csv_delimiter
    said = {
        "delimiter": {"tab": "\t", "\\t": "\t"}.get(delimiter, delimiter),
        "null_values": None if options.csv_null is None else tuple(options.csv_null),
        "decimal": options.csv_decimal,
        "thousands": options.csv_thousands,
        "encoding": options.csv_encoding,
    }
    return {name: value for name, value in said.items() if value is not None}


def parallel_argument(parser: argparse.ArgumentParser, what: str, usual: str) -> None:
    """`--parallel N`: how many of `what` at once; `usual` is what 0 comes to."""
    parser.add_argument(
        "--parallel",
        type=number(0, what, zero="by cores"),
        default=0,
        metavar="N",
        help=f"{what} at once ({usual}, by cores)",
    )
