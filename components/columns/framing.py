"""Reads gz TFRecord files record by record in bounded memory, and says how many are whole where one is cut off.

Both checksums of every record are checked, as TensorFlow does. Writing is components.records'.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from components.columns.manifest import open_file

_CHUNK = 1 << 20
_MOST_AT_ONCE = 8 << 20  # zeros are packed a thousand to one
_LONGEST = 1 << 31


class Broken(ValueError):
    """The file ends early, or is no such file; the text says where and how."""


def batches_of(path: str, rows: int, size: int) -> Iterator[list[bytes]]:
    """Lists of at most `rows` records, about `size` bytes together. Raises Broken, after the last whole record."""
    batch: list[bytes] = []
    held = 0
    try:
        for record in _records(path):
            batch.append(record)
            held += len(record)
            if len(batch) == rows or held >= size:
                yield batch
                batch, held = [], 0
    except Broken:
        # What is whole goes first, so that the reader can count it.
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _records(path: str) -> Iterator[bytes]:
    import google_crc32c

    checksum, head, foot = google_crc32c.value, struct.Struct("<QI"), struct.Struct("<I")
    rest = b""
    lengths: set[bytes] = set()
    for chunk in _unzipped(path):
        data = rest + chunk if rest else chunk
        place, end = 0, len(data)
        while place + 12 <= end:
            length, crc = head.unpack_from(data, place)
            told = data[place : place + 12]
            # The same few lengths come again and again; each is checked once.
            if told not in lengths:
                if crc != masked(checksum(told[:8])) or length > _LONGEST:
                    raise Broken("what stands where a record's length should be is none")
                lengths.add(told)
            stop = place + 12 + length
            if stop + 4 > end:
                break
            record = data[place + 12 : stop]
            crc = checksum(record)
            if foot.unpack_from(data, stop)[0] != ((((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF):
                raise Broken("a record's checksum differs")
            yield record
            place = stop + 4
        rest = data[place:]
    if rest:
        raise Broken("the last record is cut off")


def masked(crc: int) -> int:
    """TFRecord's masked CRC-32C."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _unzipped(path: str) -> Iterator[bytes]:
    """The decompressed bytes in chunks; a file may be several gzip members, one after the other."""
    inflate = zlib.decompressobj(31)
    begun = False
    with open_file(path, "rb") as file:
        while data := file.read(_CHUNK):
            while data:
                try:
                    yield inflate.decompress(data, _MOST_AT_ONCE)
                except zlib.error as error:
                    raise Broken(f"gzip: {error}") from error
                begun, data = True, inflate.unconsumed_tail
                if inflate.eof:
                    data, inflate, begun = inflate.unused_data, zlib.decompressobj(31), False
    if begun:
        raise Broken("the gzip file is cut off")
