"""How a server, or a supervisor of several, begins to follow its models. It opens no port and loads nothing itself."""

from __future__ import annotations

import argparse
from typing import Any

from serving.errors import ServingError
from serving.flags import UsageError
from serving.models.models import Models
from serving.models.watch import Watcher


def begin_models(flags: argparse.Namespace, models: Models, config: Any, watcher: Watcher) -> None:
    """Applies the first configuration and has folders followed. Raises UsageError for one that is refused."""
    try:
        models.apply(config)
    except ServingError as error:
        raise UsageError(f"Failed to start server. Error: {error.code}: {error.message}") from None
    if flags.file_system_poll_wait_seconds > 0:
        models.source.start()
        if flags.watch_file_system:
            watcher.start()
