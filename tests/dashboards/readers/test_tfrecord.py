"""TFRecords, whole and torn."""

from __future__ import annotations

import struct
from pathlib import Path

from dashboards.readers import tfrecord


def test_records_are_read_up_to_a_torn_one(tmp_path: Path) -> None:
    file = tmp_path / "x"
    whole = b"".join(struct.pack("<QI", 3, 0) + data + b"\0\0\0\0" for data in (b"abc", b"def"))
    file.write_bytes(whole + struct.pack("<QI", 10, 0) + b"half")
    assert list(tfrecord.records(file)) == [b"abc", b"def"]
    file.write_bytes(struct.pack("<QI", 1 << 60, 0) + b"x")
    assert list(tfrecord.records(file)) == []
