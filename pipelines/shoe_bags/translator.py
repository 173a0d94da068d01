"""The served model: pictures in, a picture of the other domain out, and back again.

Translations are uint8 pictures also on the way back, so that nothing can be hidden between two grey levels and the way
there and back is exactly what two requests would give. It trains nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.base import training
from pipelines.shoe_bags import network
from pipelines.shoe_bags.features import (
    DOMAIN_KEY,
    IMAGE_KEY,
    INFORMATION_KEYS,
    IS_BAG_KEY,
    PICTURE_KEY,
    is_bag,
    pictures,
)

if TYPE_CHECKING:
    import tensorflow as tf


def make_translator(to_bag: Any, to_shoe: Any, side: int, channels: int) -> tf.Module:
    """A module around two functions of pictures [n, side, side, channels] from -1 to 1, Keras models or others."""
    import tensorflow as tf

    class Translator(tf.Module):
        def __init__(self) -> None:
            super().__init__(name="translator")
            self.to_bag_network, self.to_shoe_network = to_bag, to_shoe

        def to_bag(self, pixels: tf.Tensor) -> tf.Tensor:
            return network.pixels(to_bag(network.scaled(pixels)))

        def to_shoe(self, pixels: tf.Tensor) -> tf.Tensor:
            return network.pixels(to_shoe(network.scaled(pixels)))

        def opened(self, images: tf.Tensor) -> tf.Tensor:
            return pictures(images, side, channels)

        def there_and_back(self, pixels: tf.Tensor, bag: tf.Tensor) -> dict[str, tf.Tensor]:
            """uint8 pictures [n, ...] and whether each is a bag, int64 [n]."""
            shoes, bags = tf.where(bag == 0)[:, 0], tf.where(bag == 1)[:, 0]
            order = tf.concat([shoes, bags], axis=0)[:, None]
            blank = tf.zeros([1, side, side, channels], tf.uint8)

            def some(of: Any, given: tf.Tensor) -> tf.Tensor:
                # A transposed convolution refuses no pictures at all.
                return of(tf.concat([given, blank], axis=0))[:-1]

            def other(given: tf.Tensor, of_shoes: Any, of_bags: Any) -> tf.Tensor:
                parts = some(of_shoes, tf.gather(given, shoes)), some(of_bags, tf.gather(given, bags))
                made = tf.scatter_nd(order, tf.concat(parts, axis=0), tf.shape(given, tf.int64))
                return tf.ensure_shape(made, [None, side, side, channels])

            made = other(pixels, self.to_bag, self.to_shoe)
            found = other(made, self.to_shoe, self.to_bag)
            # Grey pictures have no axis for their one channel.
            shown = (made, found) if channels > 1 else (made[..., 0], found[..., 0])
            return {"translation": shown[0], "reconstruction": shown[1]}

    return Translator()


def signatures(translator: Any, transformed: Any) -> dict[str, Any]:
    """`shoe_to_bag` (also `serving_default`), `bag_to_shoe`, `there_and_back`, `serve_examples`; see the README."""
    import tensorflow as tf

    images = tf.TensorSpec([None], tf.string, name=IMAGE_KEY)
    domains = tf.TensorSpec([None], tf.string, name=DOMAIN_KEY)

    def only(pixels: tf.Tensor) -> tf.Tensor:
        return pixels[..., 0] if pixels.shape[-1] == 1 else pixels

    @tf.function(input_signature=[images])
    def shoe_to_bag(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"translation": only(translator.to_bag(translator.opened(image)))}

    @tf.function(input_signature=[images])
    def bag_to_shoe(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"translation": only(translator.to_shoe(translator.opened(image)))}

    @tf.function(input_signature=[images, domains])
    def there_and_back(image: tf.Tensor, domain: tf.Tensor) -> dict[str, tf.Tensor]:
        return translator.there_and_back(translator.opened(image), is_bag(domain))

    def of_rows(rows: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        bag = tf.reshape(rows[IS_BAG_KEY], [-1])
        return translator.there_and_back(translator.opened(rows[PICTURE_KEY]), bag)

    serve_examples = training.examples_signature(
        of_rows, transformed, translator, label_keys=INFORMATION_KEYS
    )
    return {
        "serving_default": shoe_to_bag,
        "shoe_to_bag": shoe_to_bag,
        "bag_to_shoe": bag_to_shoe,
        "there_and_back": there_and_back,
        "serve_examples": serve_examples,
    }
