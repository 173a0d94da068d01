"""Reads pretrained weights as their publishers give them: joblib's pickles in LZ4 frames, and TensorFlow.js shards.

Only files with the digests on the card are read, and of a pickle only arrays are built: a pickle may name any function
to call. Nothing is fetched here; `viaduct data faces` does that.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.base.errors import ProjectError
from pipelines.faces.project import PROJECT

LICENCE = "MIT"
HOW = "`viaduct data faces` fetches it; --set weights=FOLDER names the folder that holds mtcnn/ and face_api_tfjs/."
LZ4_MAGIC, LARGEST = b"\x04\x22\x4d\x18", 64 << 20


def digests(folder: str | Path) -> dict[str, str]:
    """{name: sha256} of the weight files in `folder`. ProjectError for one that is missing or not the card's."""
    found = {}
    for name, expected in PROJECT.data.sha256.items():
        file = Path(folder) / name
        if not file.is_file():
            raise ProjectError(f"faces: there is no {file}. {HOW}")
        found[name] = hashlib.sha256(file.read_bytes()).hexdigest()
        if found[name] != expected:
            raise ProjectError(f"faces: {file} has sha256 {found[name]}; expected {expected}. {HOW}")
    return found


def mtcnn(folder: str | Path, network: str) -> list[np.ndarray]:
    """The arrays of "pnet", "rnet" or "onet" in the order of its layers."""
    return unpickle(decompress(_bytes(folder, f"mtcnn/{network}.lz4")))


def tensorflow_js(folder: str | Path, model: str) -> dict[str, np.ndarray]:
    """{name: float32 array} of a TensorFlow.js model: a weights manifest and its one shard."""
    (group,) = json.loads(_bytes(folder, f"face_api_tfjs/{model}-weights_manifest.json"))
    return spread(group["weights"], _bytes(folder, f"face_api_tfjs/{model}.bin"))


def spread(entries: list[dict[str, Any]], shard: bytes) -> dict[str, np.ndarray]:
    """The arrays of a manifest's `entries` from their bytes, one behind the other; what is quantised to bytes is spread
    over its range again. ProjectError where the two differ in length."""
    at, arrays = 0, {}
    kinds = [np.dtype((entry.get("quantization") or entry)["dtype"]).newbyteorder("<") for entry in entries]
    sizes = [int(np.prod(entry["shape"])) * kind.itemsize for entry, kind in zip(entries, kinds, strict=True)]
    if sum(sizes) != len(shard):
        raise ProjectError(
            f"faces: the shard has {len(shard):,} bytes; its manifest speaks of {sum(sizes):,}. {HOW}"
        )
    for entry, kind, size in zip(entries, kinds, sizes, strict=True):
        values = np.frombuffer(shard[at : at + size], kind).astype(np.float32)
        at += size
        if scale := entry.get("quantization"):
            values = values * np.float32(scale["scale"]) + np.float32(scale["min"])
        arrays[entry["name"]] = values.reshape(entry["shape"])
    return arrays


def _bytes(folder: str | Path, name: str) -> bytes:
    data = (Path(folder) / name).read_bytes()
    got = hashlib.sha256(data).hexdigest()
    if got != PROJECT.data.sha256[name]:
        raise ProjectError(f"faces: {name} has sha256 {got}; expected {PROJECT.data.sha256[name]}. {HOW}")
    return data


def unpickle(data: bytes) -> list[np.ndarray]:
    """The list of arrays that joblib pickled. ProjectError for a pickle that names anything else.

    joblib writes an array as an object that says its shape and kind, and right behind it the numbers.
    """
    stream = io.BytesIO(data)
    # The reader in Python, whose steps can be added to: the one in C has none.
    in_python: Any = pickle._Unpickler

    class ArraysOnly(in_python):
        dispatch = dict(in_python.dispatch)

        def find_class(self, module: str, name: str) -> Any:
            if (module, name) not in ALLOWED:
                raise ProjectError(f"faces: the weights name {module}.{name}; expected arrays only. {HOW}")
            return ALLOWED[module, name]

        def load_build(self) -> None:
            super().load_build()
            if isinstance(self.stack[-1], _Described):
                self.stack[-1] = self.stack[-1].read(stream)

        dispatch[pickle.BUILD[0]] = load_build

    found: list[np.ndarray] = ArraysOnly(stream).load()
    return found


class _Described:
    """What joblib's pickle says of one array; its attributes are what it finds there."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: str

    def read(self, stream: io.BytesIO) -> np.ndarray:
        """The array's numbers, which are next in `stream`, behind their padding if there is one."""
        if getattr(self, "numpy_array_alignment_bytes", None) is not None:
            stream.read(stream.read(1)[0])
        count = int(np.prod(self.shape))
        values = np.frombuffer(stream.read(count * self.dtype.itemsize), self.dtype, count)
        return values.reshape(self.shape, order="F" if self.order == "F" else "C").copy()


ALLOWED: dict[tuple[str, str], Any] = {
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): _Described,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


def decompress(frame: bytes) -> bytes:
    """The content of one LZ4 frame (LZ4 frame format 1.6.4); its checksums are not looked at: the file's digest was."""
    if frame[:4] != LZ4_MAGIC:
        raise ProjectError(f"faces: {frame[:4]!r} begins no LZ4 frame. {HOW}")
    flags = frame[4]
    at = 7 + 8 * bool(flags & 8) + 4 * bool(flags & 1)
    out = bytearray()
    while size := struct.unpack_from("<I", frame, at)[0]:
        at += 4
        length = size & 0x7FFFFFFF
        block = frame[at : at + length]
        at += length + 4 * bool(flags & 16)
        if size >> 31:
            out += block
        else:
            _block(block, out)
        if len(out) > LARGEST:
            raise ProjectError(f"faces: the weights unpack to more than {LARGEST:,} bytes. {HOW}")
    return bytes(out)


def _block(block: bytes, out: bytearray) -> None:
    """Appends one LZ4 block: bytes as they are, then a piece of what came before, again and again."""
    at = 0

    def longer(length: int) -> int:
        nonlocal at
        if length == 15:
            while True:
                at += 1
                length += block[at - 1]
                if block[at - 1] != 255:
                    break
        return length

    while True:
        token = block[at]
        at += 1
        literals = longer(token >> 4)
        out += block[at : at + literals]
        at += literals
        if at >= len(block):
            return
        (back,) = struct.unpack_from("<H", block, at)
        at += 2
        length, start = longer(token & 15) + 4, len(out) - back
        # A piece may run into itself: then it repeats.
        piece = out[start : start + length]
        out += (piece * (length // len(piece) + 1))[:length]
