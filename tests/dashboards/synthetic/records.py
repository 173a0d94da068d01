"""TFRecords as TensorFlow frames them, and the name that tests give to what may be called anything."""

from __future__ import annotations

import struct

# Hostile on purpose: a page that interprets it fails its test.
EVIL = 'it\'s <b>"bold"</b> & a/b </script>'


def tfrecord(records: list[bytes]) -> bytes:
    """Records in TFRecord's framing, checksums and all."""
    return b"".join(
        head + struct.pack("<I", _masked(head)) + r + struct.pack("<I", _masked(r))
        for r in records
        for head in [struct.pack("<Q", len(r))]
    )


def _masked(data: bytes) -> int:
    import google_crc32c

    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
