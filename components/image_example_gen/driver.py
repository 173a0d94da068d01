"""The driver of our ExampleGens, whose cache key here also covers the pictures inside class folders."""

from __future__ import annotations

from components import example_gen_driver


class Driver(example_gen_driver.Driver):
    """Folders that match are data."""

    FOLDERS = True
