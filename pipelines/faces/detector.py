"""MTCNN as a graph: three small networks that look for faces at all sizes, each with fewer candidates and more to say.

Zhang, Zhang, Li, Qiao 2016: a proposal network over a pyramid of smaller and smaller pictures, a refining one on what
it proposes, and one that also gives five landmarks; candidates that overlap are thinned out after each. Boxes are
(left, top, right, bottom), landmarks (across, down): left and right eye, nose, left and right corner of the mouth.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.faces import features, weights

if TYPE_CHECKING:
    import tensorflow as tf

# The smallest side of a face, in pixels of a picture whose longer side has features.LONGEST at most.
SMALLEST_FACE, WINDOW, STRIDE = 20, 12, 2
SHRINK = 0.709
# The networks' own thresholds, and the overlap from which on two candidates are one.
SURE = (0.6, 0.7, 0.8)
SAME = (0.5, 0.7, 0.7)
CANDIDATES, REFINED, MAX_FACES = 200, 100, 50


def make_detector(folder: str | Path) -> Any:
    """A tf.Module with `detect` and `detect_in`, of the weights in `folder`."""
    import tensorflow as tf

    class Detector(tf.Module):
        spec = {
            "faces": tf.TensorSpec([], tf.int32),
            "boxes": tf.TensorSpec([MAX_FACES, 4], tf.float32),
            "landmarks": tf.TensorSpec([MAX_FACES, 5, 2], tf.float32),
            "scores": tf.TensorSpec([MAX_FACES], tf.float32),
        }

        def __init__(self) -> None:
            super().__init__(name="mtcnn")
            self.networks = [
                [tf.Variable(array, trainable=False) for array in weights.mtcnn(folder, name)]
                for name in ("pnet", "rnet", "onet")
            ]

        def detect(self, picture: tf.Tensor) -> dict[str, tf.Tensor]:
            """Faces of a picture, float32 [height, width, 3] of 0 to 255, the surest first; zeros behind the last.

            `faces` [] their number, MAX_FACES at most; boxes and landmarks in pixels.
            """
            normal = (picture - 127.5) / 128
            boxes, scores = proposals(self.networks[0], normal)
            boxes, scores = refined(self.networks[1], normal, boxes)
            boxes, scores, landmarks = outputs(self.networks[2], normal, boxes)
            return {
                "faces": tf.shape(boxes)[0],
                "boxes": padded(boxes),
                "landmarks": padded(landmarks),
                "scores": padded(scores),
            }

        def detect_in(self, picture: tf.Tensor) -> dict[str, tf.Tensor]:
            """Faces of a decoded picture, uint8 [height, width, 3]; places in shares of its width and height."""
            small = features.bounded(picture)
            told = self.detect(tf.cast(small, tf.float32))
            size = tf.cast(tf.shape(small)[1::-1], tf.float32)
            told["boxes"] /= tf.tile(size, [2])
            told["landmarks"] /= size
            return told

    return Detector()


def padded(values: tf.Tensor) -> tf.Tensor:
    """[k, ...] -> [MAX_FACES, ...], zeros behind."""
    import tensorflow as tf

    behind = [[0, MAX_FACES - tf.shape(values)[0]], *[[0, 0]] * (values.shape.rank - 1)]
    return tf.ensure_shape(tf.pad(values, behind), [MAX_FACES, *values.shape[1:]])


def proposals(arrays: list[Any], normal: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Boxes [k, 4] and scores [k] of the windows in which the first network sees a face, at every size."""
    import tensorflow as tf

    size = tf.shape(normal)[:2]
    shorter = tf.cast(tf.reduce_min(size), tf.float32)
    first = WINDOW / SMALLEST_FACE

    def more(scale: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        return shorter * scale >= WINDOW

    def look(scale: tf.Tensor, boxes: tf.Tensor, scores: tf.Tensor) -> tuple[tf.Tensor, ...]:
        smaller = tf.cast(tf.math.ceil(tf.cast(size, tf.float32) * scale), tf.int32)
        seen = tf.image.resize(normal, smaller, antialias=True)
        offsets, likely = proposal_network(arrays, seen)
        places = tf.where(likely > SURE[0])
        corner = tf.cast(tf.reverse(places, [1]), tf.float32) * STRIDE
        windows = tf.concat([corner, corner + WINDOW], axis=1) / scale
        sure, moves = tf.gather_nd(likely, places), tf.gather_nd(offsets, places)
        kept = thinned(windows, sure, SAME[0], CANDIDATES)
        found = tf.gather(windows, kept) + tf.gather(moves, kept) * (WINDOW / scale)
        return scale * SHRINK, tf.concat([boxes, found], 0), tf.concat([scores, tf.gather(sure, kept)], 0)

    start = (tf.constant(first, tf.float32), tf.zeros([0, 4]), tf.zeros([0]))
    shapes = (tf.TensorShape([]), tf.TensorShape([None, 4]), tf.TensorShape([None]))
    _, boxes, scores = tf.while_loop(more, look, start, shape_invariants=shapes)
    kept = thinned(boxes, scores, SAME[1], CANDIDATES)
    return tf.gather(boxes, kept), tf.gather(scores, kept)


def refined(arrays: list[Any], normal: tf.Tensor, boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """What the second network leaves of boxes [k, 4], moved, with its scores."""
    import tensorflow as tf

    boxes = one_more(squares(boxes))
    offsets, likely = refining_network(arrays, patches(normal, boxes, 24))
    likely = likely[:-1]
    sure = tf.where(likely > SURE[1])[:, 0]
    boxes, scores = moved(tf.gather(boxes, sure), tf.gather(offsets, sure)), tf.gather(likely, sure)
    kept = thinned(boxes, scores, SAME[1], REFINED)
    return tf.gather(boxes, kept), tf.gather(scores, kept)


def outputs(arrays: list[Any], normal: tf.Tensor, boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """What the third network leaves of boxes [k, 4]: boxes, scores and landmarks [k, 5, 2], the surest first."""
    import tensorflow as tf

    boxes = one_more(squares(boxes))
    offsets, points, likely = output_network(arrays, patches(normal, boxes, 48))
    likely = likely[:-1]
    # Five places across, then five down, in shares of the box.
    places = tf.stack([points[:, :5], points[:, 5:]], axis=2)
    landmarks = boxes[:, None, :2] + places * (boxes[:, 2:] - boxes[:, :2])[:, None]
    sure = tf.where(likely > SURE[2])[:, 0]
    boxes, scores = moved(tf.gather(boxes, sure), tf.gather(offsets, sure)), tf.gather(likely, sure)
    landmarks = tf.gather(landmarks, sure)
    # A face within a face is the same one, however much smaller it is.
    kept = tf.image.non_max_suppression_overlaps(shared(boxes), scores, MAX_FACES, SAME[2])
    return tf.gather(boxes, kept), tf.gather(scores, kept), tf.gather(landmarks, kept)


def one_more(boxes: tf.Tensor) -> tf.Tensor:
    """Boxes [k, 4] with one behind that nobody asks about: a fused convolution of no rows fails in TensorFlow."""
    import tensorflow as tf

    return tf.pad(boxes, [[0, 1], [0, 0]])


def thinned(boxes: tf.Tensor, scores: tf.Tensor, same: float, most: int) -> tf.Tensor:
    """Which boxes stay, the surest first, if of two that share more than `same` of their union one goes."""
    import tensorflow as tf

    return tf.image.non_max_suppression(tf.gather(boxes, [1, 0, 3, 2], axis=1), scores, most, same)


def shared(boxes: tf.Tensor) -> tf.Tensor:
    """Of boxes [k, 4] the area that two share, in shares of the smaller one, [k, k]."""
    import tensorflow as tf

    corner = tf.maximum(boxes[:, None, :2], boxes[None, :, :2])
    opposite = tf.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    common = tf.reduce_prod(tf.maximum(0.0, opposite - corner), axis=2)
    area = tf.reduce_prod(tf.maximum(1e-6, boxes[:, 2:] - boxes[:, :2]), axis=1)
    return common / tf.minimum(area[:, None], area[None])


def squares(boxes: tf.Tensor) -> tf.Tensor:
    """Boxes [k, 4] made squares of their longer side about the same middle."""
    import tensorflow as tf

    middle, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    half = tf.reduce_max(size, axis=1, keepdims=True) / 2
    return tf.concat([middle - half, middle + half], axis=1)


def moved(boxes: tf.Tensor, offsets: tf.Tensor) -> tf.Tensor:
    """Boxes [k, 4] whose sides moved by shares of their width and height."""
    import tensorflow as tf

    return boxes + offsets * tf.tile(boxes[:, 2:] - boxes[:, :2], [1, 2])


def patches(normal: tf.Tensor, boxes: tf.Tensor, side: int) -> tf.Tensor:
    """The picture in boxes [k, 4], each [side, side, 3]; grey beyond its edge. Taken twice as large and averaged, so
    that less is taken from single pixels."""
    import tensorflow as tf

    size = tf.cast(tf.shape(normal)[:2], tf.float32)
    last = tf.maximum(size - 1, 1.0)
    left, top, right, bottom = tf.unstack(boxes, axis=1)
    places = tf.stack([top / last[0], left / last[1], bottom / last[0], right / last[1]], axis=1)
    count = tf.shape(boxes)[0]
    large = tf.image.crop_and_resize(normal[None], places, tf.zeros([count], tf.int32), [2 * side, 2 * side])
    return tf.nn.avg_pool2d(large, 2, 2, "VALID")


def proposal_network(arrays: list[Any], picture: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Picture [h, w, 3] -> offsets [h', w', 4] and the likelihood [h', w'] of a face in each window."""
    import tensorflow as tf

    layers = _Layers(arrays)
    body = tf.nn.max_pool2d(layers.convolution(picture[None]), 2, 2, "SAME")
    body = layers.convolution(layers.convolution(body))
    offsets = layers.plain(body)
    return offsets[0], tf.nn.softmax(layers.plain(body))[0, ..., 1]


def refining_network(arrays: list[Any], seen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Patches [k, 24, 24, 3] -> offsets [k, 4] and likelihoods [k]."""
    import tensorflow as tf

    layers = _Layers(arrays)
    body = tf.nn.max_pool2d(layers.convolution(seen), 3, 2, "SAME")
    body = tf.nn.max_pool2d(layers.convolution(body), 3, 2, "VALID")
    body = layers.dense(_flat(layers.convolution(body)))
    offsets = layers.linear(body)
    return offsets, tf.nn.softmax(layers.linear(body))[:, 1]


def output_network(arrays: list[Any], seen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Patches [k, 48, 48, 3] -> offsets [k, 4], landmarks [k, 10] and likelihoods [k]."""
    import tensorflow as tf

    layers = _Layers(arrays)
    body = tf.nn.max_pool2d(layers.convolution(seen), 3, 2, "SAME")
    body = tf.nn.max_pool2d(layers.convolution(body), 3, 2, "VALID")
    body = tf.nn.max_pool2d(layers.convolution(body), 2, 2, "SAME")
    body = layers.dense(_flat(layers.convolution(body)))
    offsets, landmarks = layers.linear(body), layers.linear(body)
    return offsets, landmarks, tf.nn.softmax(layers.linear(body))[:, 1]


def _flat(body: tf.Tensor) -> tf.Tensor:
    """[k, h, w, c] as the weights count it: column by column."""
    import tensorflow as tf

    return tf.reshape(tf.transpose(body, [0, 2, 1, 3]), [tf.shape(body)[0], int(np.prod(body.shape[1:]))])


class _Layers:
    """Takes a network's arrays in their order, a layer's with each call."""

    def __init__(self, arrays: list[Any]) -> None:
        self._rest = iter(arrays)

    def _next(self) -> tf.Tensor:
        import tensorflow as tf

        return tf.convert_to_tensor(next(self._rest))

    def plain(self, values: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        return tf.nn.conv2d(values, self._next(), 1, "VALID") + self._next()

    def linear(self, values: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        return tf.matmul(values, self._next()) + self._next()

    def convolution(self, values: tf.Tensor) -> tf.Tensor:
        return self._prelu(self.plain(values))

    def dense(self, values: tf.Tensor) -> tf.Tensor:
        return self._prelu(self.linear(values))

    def _prelu(self, values: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        return tf.maximum(values, 0.0) + self._next() * tf.minimum(values, 0.0)
