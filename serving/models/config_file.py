"""Follows `--model_config_file`: reads it again and applies it where it says something new.

When to look is the caller's business. A file that cannot be read or is refused changes nothing and is complained
about once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from serving.errors import ServingError
from serving.models import model_config

logger = logging.getLogger(__name__)


class ConfigFile:
    """`applied` is the configuration that holds already; `apply` raises ServingError where it refuses one."""

    def __init__(self, path: str, applied: Any, apply: Callable[[Any], None]) -> None:
        self._path = path
        self._applied = applied
        self._apply = apply
        self._complaint = ""

    def look(self) -> None:
        try:
            config = model_config.read(self._path)
            if config != self._applied:
                self._apply(config)
                self._applied = config
            self._complaint = ""
        except ServingError as error:
            if error.message != self._complaint:
                logger.error("The configuration stays as it is: %s: %s", error.code, error.message)
            self._complaint = error.message
