"""A pretrained feature extractor that somebody else made: loaded from a file or folder, with its digest and licence.

Three forms: a SavedModel (a TF Hub module is one; a folder or a .tar.gz of it), a Keras weight file (.h5) whose
architecture is named by import path, and a quantised TensorFlow Lite file of a plain convolutional network
(hub_tflite.py makes a graph of it). Nothing is fetched here, `viaduct data` does that, and nothing is trained.
"""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base.errors import ProjectError

if TYPE_CHECKING:
    import tensorflow as tf

ARCHIVES = (".tar.gz", ".tgz")
DEFAULT_SIDE = 224
LICENCES = ("LICENSE", "LICENCE", "LICENSE.txt", "LICENSE.md", "COPYING")
UNKNOWN_LICENCE = "not stated"


@dataclass(frozen=True)
class Extractor:
    """`features` takes pictures float32 [n, side, side, 3], 0 to 255, red first, and gives float32 [n, d].

    `tracked` is what a module must hold as an attribute so that the weights are exported with it.
    """

    features: Callable[[tf.Tensor], tf.Tensor]
    side: int
    tracked: Any


def facts(path: str | Path) -> dict[str, str]:
    """What goes into the lineage: the extractor's file name, sha256 and licence. Raises ProjectError if there is none.

    A folder's digest is that of its files' names and contents. The licence is the first line of a LICENSE beside the
    file or in the folder, else "not stated".
    """
    found = _existing(path)
    return {
        "extractor_name": found.name,
        "extractor_sha256": digest(found),
        "extractor_licence": licence(found),
    }


def digest(path: Path) -> str:
    """The sha256 of a file, or of a folder's names and contents in order."""
    if path.is_file():
        return _sha256([path.read_bytes()])
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return _sha256(
        part for file in files for part in (str(file.relative_to(path)).encode(), b"\0", file.read_bytes())
    )


def _sha256(parts: Iterable[bytes]) -> str:
    summed = hashlib.sha256()
    for part in parts:
        summed.update(part)
    return summed.hexdigest()


def licence(path: Path) -> str:
    """The first line with text of a licence file in the folder `path`, or beside the file."""
    folder = path if path.is_dir() else path.parent
    for name in LICENCES:
        if (folder / name).is_file():
            lines = (folder / name).read_text(encoding="utf-8", errors="replace").splitlines()
            return next((line.strip() for line in lines if line.strip()), UNKNOWN_LICENCE)
    return UNKNOWN_LICENCE


def load(path: str | Path, architecture: str = "") -> Extractor:
    """The extractor in `path`. Raises ProjectError for what is none, saying what was found and expected.

    `architecture`, for a weight file, is the import path of a function without arguments that builds the Keras model:
    pictures [n, side, side, 3] as above to features [n, d].
    """
    found = _existing(path)
    if found.is_dir() or found.name.endswith(ARCHIVES):
        return _saved_model(found)
    if found.suffix == ".h5":
        return _weights(found, architecture)
    if found.suffix == ".tflite":
        from pipelines.base import hub_tflite

        return Extractor(*hub_tflite.load(found))
    raise ProjectError(
        f"extractor {found} is no form that is known; expected a SavedModel's folder or .tar.gz, Keras weights "
        "(.h5) or TensorFlow Lite (.tflite)."
    )


def _existing(path: str | Path) -> Path:
    if not str(path):
        raise ProjectError("no extractor is named; pass its file or folder: --set extractor=PATH.")
    found = Path(path).expanduser()
    if not found.exists():
        raise ProjectError(f"extractor {str(path)!r} does not exist (looked for {found.absolute()}).")
    return found


def _weights(file: Path, architecture: str) -> Extractor:
    from components.user_code import import_function

    if not architecture:
        raise ProjectError(f"extractor {file} holds weights alone; name its architecture's import path.")
    model = import_function(architecture)()
    try:
        model.load_weights(str(file))
    except (OSError, ValueError) as error:
        raise ProjectError(f"extractor {file} does not fit {architecture}: {error}") from error
    model.trainable = False
    return Extractor(lambda images: model(images, training=False), int(model.input_shape[1]), model)


def _saved_model(path: Path) -> Extractor:
    import tensorflow as tf

    if path.is_file():
        # Loading reads all that is kept, so the files may go again.
        with tempfile.TemporaryDirectory() as folder:
            try:
                with tarfile.open(path) as archive:
                    archive.extractall(folder, filter="data")
            except tarfile.TarError as error:
                raise ProjectError(f"extractor {path} is no archive that can be read: {error}") from error
            roots = sorted(file.parent for file in Path(folder).rglob("saved_model.pb"))
            if not roots:
                raise ProjectError(f"extractor {path} has no saved_model.pb in it; expected a SavedModel.")
            return _saved_model(roots[0])
    try:
        loaded = tf.saved_model.load(str(path))
    except (OSError, ValueError) as error:
        raise ProjectError(f"extractor {path} is no SavedModel: {error}") from error
    signatures = loaded.signatures
    if not signatures:
        raise ProjectError(f"extractor {path} has no signature; expected one from pictures to features.")
    signature = signatures.get("serving_default") or next(iter(signatures.values()))
    takes, gives = signature.structured_input_signature[1], signature.structured_outputs
    shape = next(iter(takes.values())).shape if len(takes) == 1 else None
    if shape is None or shape.rank != 4 or shape[3] != 3:
        told = {name: str(spec.shape) for name, spec in takes.items()}
        raise ProjectError(
            f"extractor {path} takes {told}; expected one input of pictures [n, side, side, 3]."
        )
    # Hub modules take 0 to 1.
    (given,), wanted = takes, sorted(gives)[0]

    def features(images: tf.Tensor) -> tf.Tensor:
        told = signature(**{given: images / 255.0})[wanted]
        return tf.reshape(told, [tf.shape(images)[0], -1]) if told.shape.rank != 2 else told

    return Extractor(features, int(shape[1] or DEFAULT_SIDE), loaded)
