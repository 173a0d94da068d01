"""The served thing: from canonical pictures to faces, embeddings and names, and its signatures.

It knows nobody. Whom it can name is said by the request: a gallery of embeddings and the names of their rows. To enrol
somebody is to keep what `embed` answers; to forget somebody is to delete those rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from pipelines.base import training
from pipelines.faces import alignment, features, network
from pipelines.faces.features import IMAGE_KEY, NAME_KEY, PERSON_KEY, PICTURE_XF, SLICE_KEYS
from pipelines.faces.measures import NOTHING

if TYPE_CHECKING:
    import tensorflow as tf

# Pixels of a face's side below which nothing is said of it.
SMALLEST = 20


class Embedder(NamedTuple):
    """`embed`: crops [n, side, side, 3], 0 to 255 -> embeddings [n, dimensions]; `model` holds its variables.

    `reach` is how far its crops go (alignment.py).
    """

    model: Any
    embed: Callable[[Any], Any]
    side: int
    dimensions: int
    reach: float = 1.0


def make_recogniser(embedder: Embedder, detector: Any = None) -> Any:
    """A tf.Module around `embedder`. Without a `detector` every picture is taken to be one face from edge to edge."""
    import tensorflow as tf

    side, reach = embedder.side, embedder.reach

    class Recogniser(tf.Module):
        def __init__(self) -> None:
            super().__init__(name="recogniser")
            self.embedder = embedder
            self.model = embedder.model
            self.detector = detector
            self.threshold = tf.Variable(0.0, trainable=False, name="threshold")

        def faces(self, pictures: tf.Tensor) -> dict[str, tf.Tensor]:
            """Of PNGs [n] the largest face each: `crop` [n, side, side, 3], its `box` [n, 4], and how many `faces` [n].

            Boxes are in shares of the picture's width and height.
            """

            def one(picture: tf.Tensor) -> dict[str, tf.Tensor]:
                return _largest(picture, side, reach, detector) if detector else _everything(picture, side)

            return tf.map_fn(
                lambda png: one(features.pixels(png)),
                pictures,
                fn_output_signature={
                    "crop": tf.TensorSpec([side, side, 3], tf.float32),
                    "faces": tf.TensorSpec([], tf.int32),
                    "box": tf.TensorSpec([4], tf.float32),
                },
            )

        def embed(self, pictures: tf.Tensor) -> dict[str, tf.Tensor]:
            """PNGs [n] -> `embedding` [n, d] (zeros where no face was found), `found`, `faces`, `box`."""
            seen = self.faces(pictures)
            found = seen["faces"] > 0
            embeddings = embedder.embed(seen["crop"])
            return {
                "embedding": tf.where(found[:, None], embeddings, 0.0),
                "found": found,
                "faces": seen["faces"],
                "box": seen["box"],
            }

    return Recogniser()


def _everything(picture: tf.Tensor, side: int) -> dict[str, tf.Tensor]:
    import tensorflow as tf

    size = tf.shape(picture)[:2]
    return {
        "crop": alignment.whole(picture, side),
        "faces": tf.cast(tf.reduce_min(size) >= SMALLEST, tf.int32),
        "box": tf.constant([0.0, 0.0, 1.0, 1.0]),
    }


def _largest(picture: tf.Tensor, side: int, reach: float, detector: Any) -> dict[str, tf.Tensor]:
    import tensorflow as tf

    told = detector.detect(picture)
    count = told["faces"]
    boxes, landmarks = told["boxes"], told["landmarks"]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    largest = tf.argmax(area)

    def crop() -> tf.Tensor:
        return alignment.aligned(picture, landmarks[largest], side, reach)

    nothing = tf.zeros([side, side, 3])
    size = tf.cast(tf.shape(picture)[1::-1], tf.float32)
    return {
        "crop": tf.ensure_shape(tf.cond(count > 0, crop, lambda: nothing), [side, side, 3]),
        "faces": count,
        "box": boxes[largest] / tf.tile(size, [2]),
    }


def identify(
    told: dict[str, tf.Tensor], gallery: tf.Tensor, person: tf.Tensor, least: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Whose row [m, d] of the gallery is the most alike each embedding, if it is alike enough.

    `person` [n] is "" and `row` -1 where nothing was found, or nobody in the gallery reaches the similarity `least`.
    """
    import tensorflow as tf

    faces = told["embedding"]
    squares = (
        tf.reduce_sum(faces**2, axis=1)[:, None]
        + tf.reduce_sum(gallery**2, axis=1)[None]
        - 2 * tf.matmul(faces, gallery, transpose_b=True)
    )
    alike = 1 - tf.maximum(squares, 0.0) / 2
    # A row that is like nobody, so that an empty gallery has a most alike row too.
    alike = tf.pad(
        tf.where(told["found"][:, None], alike, NOTHING), [[0, 0], [0, 1]], constant_values=NOTHING
    )
    row, best = tf.argmax(alike, axis=1), tf.reduce_max(alike, axis=1)
    known = (best >= least) & (best > NOTHING)
    names = tf.gather(tf.concat([person, [""]], axis=0), row)
    return {
        "person": tf.where(known, names, ""),
        "row": tf.where(known, row, -1),
        "similarity": best,
        "threshold": tf.fill(tf.shape(best), least),
        "found": told["found"],
        "faces": told["faces"],
        "box": told["box"],
    }


def signatures(recogniser: Any, transformed: Any) -> dict[str, Any]:
    """`embed` (also the default), `identify`, `align`, `serve_examples`, and `detect` where there is a detector.

    `identify` takes a scalar, so that no server puts requests with their galleries into one batch.
    """
    import tensorflow as tf

    image = tf.TensorSpec([None], tf.string, name=IMAGE_KEY)

    @tf.function(input_signature=[image])
    def embed(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return recogniser.embed(features.canonical(image))

    @tf.function(input_signature=[image])
    def align(image: tf.Tensor) -> dict[str, tf.Tensor]:
        seen = recogniser.faces(features.canonical(image))
        return {"face": network.grey(seen["crop"]), "found": seen["faces"] > 0}

    @tf.function(
        input_signature=[
            image,
            tf.TensorSpec([None, recogniser.embedder.dimensions], tf.float32, name="gallery"),
            tf.TensorSpec([None], tf.string, name="person"),
            tf.TensorSpec([], tf.float32, name="threshold"),
        ]
    )
    def recognise(
        image: tf.Tensor, gallery: tf.Tensor, person: tf.Tensor, threshold: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        with tf.control_dependencies(_checks(gallery, person, threshold)):
            least = tf.where(tf.equal(threshold, 0.0), recogniser.threshold, threshold)
        return identify(recogniser.embed(features.canonical(image)), gallery, person, least)

    serve_examples = training.examples_signature(
        lambda rows: recogniser.embed(rows[PICTURE_XF]),
        transformed,
        recogniser,
        label_keys=[PERSON_KEY, NAME_KEY, *SLICE_KEYS],
    )
    found = {"serving_default": embed, "embed": embed, "identify": recognise, "align": align}
    if recogniser.detector is not None:
        found["detect"] = _detect(recogniser, image)
    return {**found, "serve_examples": serve_examples}


def _checks(gallery: tf.Tensor, person: tf.Tensor, threshold: tf.Tensor) -> list[tf.Operation]:
    import tensorflow as tf

    rows, names = tf.shape(gallery)[0], tf.shape(person)[0]
    return [
        tf.debugging.Assert(tf.equal(rows, names), ["gallery and person differ in their rows:", rows, names]),
        tf.debugging.Assert(
            tf.reduce_all(tf.math.is_finite(gallery)), ["gallery holds a number that is not finite"]
        ),
        tf.debugging.Assert(tf.math.is_finite(threshold), ["threshold is not finite:", threshold]),
    ]


def _detect(recogniser: Any, image: Any) -> Any:
    import tensorflow as tf

    @tf.function(input_signature=[image])
    def detect(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return tf.map_fn(
            lambda one: recogniser.detector.detect_in(features.decode(one)),
            image,
            fn_output_signature=recogniser.detector.spec,
        )

    return detect
