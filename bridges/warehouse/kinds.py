"""The kinds of columns, which are those of tf.Examples, and the types of PostgreSQL (and of Redshift) that are one.

Whole numbers and booleans, fractions, texts (and dates, which stay texts), bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

INT, FLOAT, TEXT, BOOL, BYTES = "int", "float", "text", "bool", "bytes"
# pg_type's oids, which PostgreSQL fixes for its own types.
POSTGRESQL_KINDS = {
    16: BOOL, 20: INT, 21: INT, 23: INT, 26: INT, 700: FLOAT, 701: FLOAT, 1700: FLOAT, 17: BYTES,
    18: TEXT, 19: TEXT, 25: TEXT, 114: TEXT, 1042: TEXT, 1043: TEXT, 3802: TEXT, 2950: TEXT,
    1082: TEXT, 1083: TEXT, 1114: TEXT, 1184: TEXT, 1266: TEXT, 1186: TEXT,
}  # fmt: skip
# Those whose values come as texts.
POSTGRESQL_TEXTS = frozenset({18, 19, 25, 1042, 1043})


@dataclass(frozen=True)
class Column:
    """A column of the result, as the catalogue has it. `cast`: its values are to be asked for as texts."""

    name: str
    kind: str
    cast: bool = False
