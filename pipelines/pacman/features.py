"""What a row holds, and how packed looks are unpacked: in the graph for served tf.Examples, in numpy for the Trainer.

Transform leaves an episode as it is. Nothing of it is scaled by statistics: an agent soon sees what no random episode
shows, and bits and pixels have scales of their own.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from pipelines.pacman.game import SHAPES

if TYPE_CHECKING:
    import tensorflow as tf

SEED_KEY, NOOPS_KEY, SCORE_KEY = "seed", "noops", "score"
ACTIONS_KEY, REWARDS_KEY, LOST_KEY = "actions", "rewards", "lost"


def xf(key: str) -> str:
    """The name of a transformed feature."""
    return f"{key}_xf"


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Packed looks, seed and no-ops [n, 1], and the lists of actions, rewards and lives lost, under new names."""
    keys = (*SHAPES, SEED_KEY, NOOPS_KEY, ACTIONS_KEY, REWARDS_KEY, LOST_KEY)
    return {xf(key): inputs[key] for key in keys}


def unpacked(packed: bytes, kind: str) -> np.ndarray:
    """The looks uint8 [steps, ...] of a row."""
    return np.frombuffer(zlib.decompress(packed), np.uint8).reshape(-1, *SHAPES[kind])


def middle(packed: tf.Tensor, kind: str, depth: int) -> tf.Tensor:
    """Rows' packed looks [n] -> the last `depth` looks at the middle step of each, uint8 [n, depth, ...]."""
    import tensorflow as tf

    shape = SHAPES[kind]

    def one(text: tf.Tensor) -> tf.Tensor:
        raw = tf.io.decode_raw(tf.io.decode_compressed(text, "ZLIB"), tf.uint8)
        looks = tf.reshape(raw, [-1, *shape])
        at = tf.shape(looks)[0] // 2
        numbers = tf.maximum(at - tf.range(depth - 1, -1, -1), 0)
        return tf.ensure_shape(tf.gather(looks, numbers), [depth, *shape])

    return tf.map_fn(one, packed, fn_output_signature=tf.TensorSpec([depth, *shape], tf.uint8))
