"""Bytes of pictures: idx files to arrays, arrays to PNG or raw, files checked and turned into either.

PNGs made here are stored, not deflated: the shard around them is gzip anyway, and packing twice costs four
times the time for a file no smaller.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from typing import TYPE_CHECKING

from components import unpacking
from components.arrow_example_gen.reading.files import DataFile, opened
from components.shards import InputError

if TYPE_CHECKING:
    import numpy as np

_PNG = b"\x89PNG\r\n\x1a\n"
MAX_PIXELS = 64 << 20
_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> colour type of PNG


def read_idx(path: str, dimensions: int) -> np.ndarray:
    """A uint8 array from an idx file, plain or .gz. Format: the bottom of MNIST's web page.

    Raises InputError: wrong magic number, another number of dimensions, too few or too many bytes.
    """
    import numpy as np

    with opened(DataFile(path, "idx", 0, path.endswith(".gz"))) as stream:
        head = stream.read(4 + 4 * dimensions)
        if len(head) < 4 + 4 * dimensions or head[:2] != b"\0\0" or head[2] != 8:
            raise InputError(f"{path}: not an idx file of unsigned bytes (it begins with {head[:4]!r}).")
        if head[3] != dimensions:
            raise InputError(
                f"{path}: {head[3]} dimensions, expected {dimensions}. Is it the other file of the pair?"
            )
        shape = struct.unpack_from(f">{dimensions}I", head, 4)
        size = math.prod(shape)
        data = unpacking.read_at_most(stream, size + 1)
    if len(data) != size:
        holds = f"more than {size}" if len(data) > size else str(len(data))
        raise InputError(
            f"{path}: says {shape} and holds {holds} bytes behind that. The file is cut or damaged."
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


def png_of(picture: np.ndarray) -> bytes:
    """uint8 (height, width) or (height, width, 1..4) to PNG. Format: RFC 2083."""
    import numpy as np

    height, width = picture.shape[:2]
    channels = 1 if picture.ndim == 2 else picture.shape[2]
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # each row starts with its filter: 0, none
    rows[:, 1:] = picture.reshape(height, width * channels)
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[channels], 0, 0, 0)
    parts = (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(rows.tobytes(), 0)), _chunk(b"IEND", b""))
    return _PNG + b"".join(parts)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def encoded(data: bytes, encoding: str, where: str) -> tuple[bytes, tuple[int, int, int]]:
    """A picture file as PNG, raw or as it is, and its (height, width, channels). It is decoded whole to
    check it.

    Raises InputError where the file is not a picture, or a damaged one.
    """
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as opened_image:
            if math.prod(opened_image.size) > MAX_PIXELS:
                raise InputError(
                    f"{where}: {opened_image.width} x {opened_image.height} pixels, expected at most {MAX_PIXELS:,}. "
                    "Scale it down."
                )
            opened_image.load()
            kind, image = opened_image.format, opened_image.copy()
            if image.mode not in ("L", "LA", "RGB", "RGBA"):
                image = image.convert("L" if image.mode in ("1", "I", "I;16", "F") else "RGB")
                kind = None if encoding == "png" else kind
            pixels = np.asarray(image)
    except InputError:
        raise
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{where}: not a whole picture ({error}). Replace or remove it.") from error
    shape = (pixels.shape[0], pixels.shape[1], 1 if pixels.ndim == 2 else pixels.shape[2])
    if encoding == "raw":
        return pixels.tobytes(), shape
    if encoding == "as_found" or kind == "PNG":
        return data, shape
    return png_of(pixels), shape
