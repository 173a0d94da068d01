"""Listings of ML Metadata that lose nothing when the clock has gone back.

Its store lists a context's executions in pages by the time they were made, and its next page begins below the last
id *and* the last time seen: executions made after the clock was set back stand on no page. Listed by id, which only
grows, all of them come. TFX finds a node's inputs and cached results by the same listing, so it is mended in the
store's class rather than where we call it.
"""

from __future__ import annotations

import functools
from typing import Any


def install() -> None:
    """Makes every MetadataStore of this process, TFX's included, list a context's executions by id, newest first.

    A caller that names an order of its own gets that order. Idempotent.
    """
    from ml_metadata import ListOptions, OrderByField
    from ml_metadata.metadata_store.metadata_store import MetadataStore

    if getattr(MetadataStore, "_viaduct_listings", False):
        return
    listed = MetadataStore.get_executions_by_context

    @functools.wraps(listed)
    def get_executions_by_context(
        self: Any, context_id: int, list_options: Any = None, extra_options: Any = None
    ) -> Any:
        by_id = list_options or ListOptions(order_by=OrderByField.ID, is_asc=False)
        return listed(self, context_id, by_id, extra_options)

    MetadataStore.get_executions_by_context = get_executions_by_context
    MetadataStore._viaduct_listings = True
