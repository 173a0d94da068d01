"""The network that judges translations: it is trained here, on training pictures, and never meets a translator.

It tells the kinds of pictures apart, and all of them from pictures of neither: mixtures of a shoe and a bag, means of
several pictures, and pictures whose tiles lie in disorder. Without these two classes divide everything there is between
them, and a smear at the right place passes for a bag.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from pipelines.shoe_bags.features import BAG, SHOE

SEED = 2026
NEITHER = "neither"
# Pictures of a kind that are learned from, the batch, and how many batches.
MOST, BATCH, STEPS = 4_000, 128, 600
# Of spoiled pictures there are half as many as of real ones; the bounds of a mixture's second part; tiles of a side.
SPOILED_SHARE, MIXED, MEANT, TILES = 0.5, (0.35, 0.65), 8, 4
FEATURES = 64


class Judge(NamedTuple):
    """`kinds` [k] in the order of the network's answers, the last being NEITHER; `domains` [k] of each, "" for it."""

    kinds: tuple[str, ...]
    domains: tuple[str, ...]
    network: Any

    def look(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """uint8 [n, side, side, channels] -> (domains [n] of the likeliest kind, features float64 [n, 64])."""
        import tensorflow as tf

        parts = [self.network(tf.constant(pixels[at : at + 500])) for at in range(0, len(pixels), 500)]
        answers, features = (np.concatenate([part[i].numpy() for part in parts]) for i in (0, 1))
        return np.array(self.domains)[answers.argmax(axis=1)], features.astype(np.float64)


def train(pixels: np.ndarray, kinds: np.ndarray, domains: np.ndarray) -> Judge:
    """A Judge from training pictures uint8 [n, side, side, channels], their kinds [n] and domains [n]."""
    import tensorflow as tf
    import tf_keras as keras

    random = np.random.default_rng(SEED)
    keras.utils.set_random_seed(SEED)
    names = tuple(np.unique(kinds).tolist())
    of = {name: str(domains[kinds == name][0]) for name in names}
    rows = np.concatenate([random.permutation(np.flatnonzero(kinds == name))[:MOST] for name in names])
    spoiled = spoil(random, pixels[rows], domains[rows])
    shown = np.concatenate([pixels[rows], spoiled])
    answers = np.concatenate([np.searchsorted(names, kinds[rows]), np.full(len(spoiled), len(names))])
    answering, model = _network(pixels.shape[1:], len(names) + 1)
    falling = keras.optimizers.schedules.CosineDecay(3e-3, STEPS)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    answering.compile(keras.optimizers.Adam(falling), loss)
    order = np.concatenate(
        [random.permutation(len(shown)) for _ in range(math.ceil(STEPS * BATCH / len(shown)))]
    )
    for at in range(0, STEPS * BATCH, BATCH):
        some = order[at : at + BATCH]
        answering.train_on_batch(shown[some], answers[some])
    return Judge((*names, NEITHER), (*of.values(), ""), tf.function(model, reduce_retracing=True))


def _network(shape: tuple[int, ...], classes: int) -> tuple[Any, Any]:
    """(pictures -> logits, pictures -> (logits, features)), of the same layers."""
    import tf_keras as keras

    layers = keras.layers
    given = keras.Input(shape, dtype="uint8")
    body, side, width = layers.Rescaling(1 / 127.5, -1.0)(given), shape[0], 16
    while side > 4:
        body = layers.Conv2D(width, 3, 2, "same", activation="relu")(body)
        side, width = side // 2, min(2 * width, 64)
    features = layers.Dense(FEATURES, activation="relu")(layers.Flatten()(body))
    logits = layers.Dense(classes)(features)
    return keras.Model(given, logits), keras.Model(given, [logits, features])


def spoil(random: np.random.Generator, pixels: np.ndarray, domains: np.ndarray) -> np.ndarray:
    """Pictures of neither domain, half as many as `pixels` uint8 [n, side, side, channels], a third of each sort."""
    shoes, bags = pixels[domains == SHOE], pixels[domains == BAG]
    each = max(1, round(len(pixels) * SPOILED_SHARE / 3))

    def some(of: np.ndarray) -> np.ndarray:
        return of[random.integers(len(of), size=each)].astype(np.float32)

    share = random.uniform(*MIXED, size=(each, 1, 1, 1))
    mixed = (1 - share) * some(shoes) + share * some(bags)
    alike = [np.mean([some(domain) for _ in range(MEANT)], axis=0) for domain in (shoes, bags)]
    means = np.where(np.arange(each)[:, None, None, None] % 2 == 0, alike[0], alike[1])
    made = np.concatenate([mixed, means]).round().astype(np.uint8)
    return np.concatenate([made, disordered(random, some(pixels).astype(np.uint8))])


def disordered(random: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """Pictures [n, side, side, channels] whose sixteen tiles lie at random places."""
    count, side, _, channels = pixels.shape
    tile = side // TILES
    tiles = pixels.reshape(count, TILES, tile, TILES, tile, channels).swapaxes(2, 3)
    tiles = tiles.reshape(count, TILES * TILES, tile, tile, channels)
    moved = np.stack([one[random.permutation(TILES * TILES)] for one in tiles])
    return moved.reshape(count, TILES, TILES, tile, tile, channels).swapaxes(2, 3).reshape(pixels.shape)
