"""The analyzer cache: what analyzers found in each data set, kept for runs to come, in TFT's own files.

A folder per data set: MANIFEST (a pickled {key: number}), `<number>-00000-of-00001.gz` with a TFRecord per element,
and METADATA. TFT on Beam reads what is written here and the other way round; keys hold TFT's version of the format.
An entry that cannot be read whole counts as none.
"""

from __future__ import annotations

import collections
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from components import records
from components.columns import framing, manifest

if TYPE_CHECKING:
    from tensorflow_transform.beam.analyzer_cache import DatasetKey


_AT_ONCE = 4096


def read(folder: str, keys: Collection[DatasetKey]) -> dict[DatasetKey, Any]:
    """What the cache at `folder` has of the data sets: TFT's DatasetCache, with patterns of files for its entries."""
    from tensorflow_transform.beam import analyzer_cache

    found = {}
    for key in sorted(keys):
        place = analyzer_cache._get_dataset_cache_path(folder, key)
        numbers = analyzer_cache._ManifestFile(place).read()
        patterns = {entry: os.path.join(place, f"{number}-*-of-*") for entry, number in numbers.items()}
        patterns = {entry: pattern for entry, pattern in patterns.items() if _is_whole(pattern)}
        if patterns:
            found[key] = analyzer_cache.DatasetCache(patterns, None)
    return found


def elements(pattern: str) -> Iterator[bytes]:
    """The encoded elements of an entry. Raises framing.Broken for files that are not whole."""
    from tfx.dsl.io import fileio

    for path in sorted(fileio.glob(pattern)):
        for batch in framing.batches_of(path, _AT_ONCE, _AT_ONCE << 10):
            yield from batch


def _is_whole(pattern: str) -> bool:
    from absl import logging
    from tfx.dsl.io import fileio

    if not fileio.glob(pattern):
        return False
    try:
        collections.deque(elements(pattern), maxlen=0)
    except framing.Broken as error:
        logging.warning("An entry of the analyzer cache is not used: %s", error)
        return False
    return True


def carry_over(source: str, target: str, keys: Iterable[DatasetKey]) -> None:
    """Copies what the cache at `source` has of the data sets to `target`: the next run reads this one's only."""
    from tensorflow_transform.beam import analyzer_cache
    from tfx.dsl.io import fileio
    from tfx.utils import io_utils

    for key in keys:
        place = analyzer_cache._get_dataset_cache_path(source, key)
        if fileio.isdir(place):
            io_utils.copy_dir(place, analyzer_cache._get_dataset_cache_path(target, key))


def write(
    folder: str,
    entries: Mapping[DatasetKey, Mapping[bytes, list[bytes]]],
    sizes: Mapping[DatasetKey, int],
) -> None:
    """Adds entries to the cache at `folder`; `sizes` are the data sets' bytes in memory. Manifests come last."""
    from tensorflow_transform.beam import analyzer_cache
    from tfx.dsl.io import fileio

    for key, found in entries.items():
        place = analyzer_cache._get_dataset_cache_path(folder, key)
        fileio.makedirs(place)
        with analyzer_cache._ManifestFile(place) as file:
            numbers = dict(file.read())
            first = max(numbers.values(), default=-1) + 1
            for number, (entry, encoded) in enumerate(found.items(), first):
                _write(os.path.join(place, f"{number}-00000-of-00001.gz"), encoded)
                numbers[entry] = number
            metadata = analyzer_cache.DatasetCacheMetadata(sizes.get(key, 0)).encode()
            name = f"{analyzer_cache._METADATA_FILE_NAME}-00000-of-00001"
            with manifest.open_file(os.path.join(place, name), "wb") as plain:
                plain.write(records.framed([metadata]))
            file.write(numbers)


def _write(path: str, encoded: list[bytes]) -> None:
    file = records.RecordFile(path, 1)
    try:
        file.append(records.framed(encoded))
    finally:
        file.close()
