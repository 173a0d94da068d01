"""A few decoded examples of a split, with text as text, pictures as pictures and sound as sound.

Reads tf.Examples from TFRecords; other payloads are said to be so. Arrays whose length is a square (or three
squares) of picture size are drawn too, which is what Transform makes of pictures.
"""

from __future__ import annotations

import base64
import math
import struct
import zlib
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from dashboards.readers.files import Missing
from dashboards.readers.protos import message
from dashboards.readers.tfrecord import records

# A picture or sound larger than this would make the page heavy; its size is shown instead.
LARGEST_MEDIA = 40_000
MAGIC = {
    b"\x89PNG": ("image", "image/png"),
    b"\xff\xd8\xff": ("image", "image/jpeg"),
    b"GIF8": ("image", "image/gif"),
    b"BM": ("image", "image/bmp"),
    b"RIFF": ("audio", "audio/wav"),
}
SIDES = range(8, 129)


@dataclass(frozen=True)
class Cell:
    """One value. `kind` is text, number, image, audio or nothing; `full` is shown on hover, `source` a data URL."""

    kind: str
    text: str
    full: str = ""
    source: str = ""
    number: float | None = None


@dataclass(frozen=True)
class Sample:
    """Columns and rows of cells."""

    columns: tuple[str, ...]
    rows: tuple[dict[str, Cell], ...]


def read_sample(folder: Path, count: int = 12) -> Sample:
    """The first `count` examples under a Split- folder. Raises Missing where there is no TFRecord."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and "tfrecord" in p.name)
    files = files or sorted(p for p in folder.iterdir() if p.is_file())
    if not files:
        raise Missing(f"{folder} holds no examples.")
    example = message("tensorflow.Example")
    rows: list[dict[str, Cell]] = []
    for file in files:
        for record in islice(records(file), count - len(rows)):
            features = example.FromString(record).features.feature
            rows.append({name: cell(features[name]) for name in sorted(features)})
        if len(rows) >= count:
            break
    columns: dict[str, None] = {}
    for row in rows:
        columns.update(dict.fromkeys(row))
    return Sample(tuple(columns), tuple(rows))


def cell(feature: Any) -> Cell:
    """How one feature of an example is shown."""
    kind = feature.WhichOneof("kind")
    values = list(getattr(feature, kind).value) if kind else []
    if not values:
        return Cell("nothing", "—")
    if kind == "bytes_list":
        return _bytes(values)
    if len(values) == 1:
        text = f"{values[0]:.6g}" if kind == "float_list" else f"{values[0]}"
        return Cell("number", text, repr(values[0]), number=float(values[0]))
    picture = _drawn(values)
    head = ", ".join(f"{v:.4g}" for v in values[:6]) + (", …" if len(values) > 6 else "")
    full = f"{len(values):,} values, {min(values):.6g} … {max(values):.6g}"
    if picture:
        return Cell("image", full, full, picture)
    return Cell("text", f"[{head}]", full)


def _bytes(values: list[bytes]) -> Cell:
    first = values[0]
    for magic, (kind, mime) in MAGIC.items():
        if first.startswith(magic) and len(first) > 64:
            size = f"{mime}, {len(first):,} bytes"
            if len(first) > LARGEST_MEDIA:
                return Cell("text", size)
            return Cell(kind, size, size, f"data:{mime};base64,{base64.b64encode(first).decode()}")
    picture = _drawn(list(first)) if b"\0" in first else ""
    if picture:
        return Cell("image", f"{len(first):,} bytes", f"{len(first):,} bytes", picture)
    try:
        texts = [value.decode("utf-8") for value in values[:20]]
    except UnicodeDecodeError:
        return Cell("text", f"{len(first):,} bytes", first[:32].hex(" "))
    text = " · ".join(texts)
    return Cell("text", text if len(text) <= 300 else text[:299] + "…", text[:2000])


def _drawn(values: list[float]) -> str:
    """A data URL of the numbers as a square picture, grey or RGB; '' where their count is no square."""
    for channels in (1, 3):
        side = math.isqrt(len(values) // channels)
        if side in SIDES and side >= 16 and side * side * channels == len(values):
            low, high = min(values), max(values)
            if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
                return ""
            pixels = bytes(int(255 * (v - low) / (high - low)) for v in values)
            return "data:image/png;base64," + base64.b64encode(png(pixels, side, side, channels)).decode()
    return ""


def png(pixels: bytes, width: int, height: int, channels: int) -> bytes:
    """A PNG of 8-bit grey (1 channel) or RGB (3) pixels, rows from the top (RFC 2083)."""
    stride = width * channels
    rows = b"".join(b"\0" + pixels[y * stride : (y + 1) * stride] for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows, 6)), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
