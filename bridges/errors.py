"""What the bridges tell people: one sentence with what, what was got, what was expected, what to do.

Workers raise the same error; the driver finds its text in Spark's (see `bridges.spark.session.told`).
"""

from __future__ import annotations

from pipelines.base.errors import ViaductError


class BridgeError(ViaductError):
    """A model, a table, a cluster or a database is not what was asked for; the text is for the person who asked."""
