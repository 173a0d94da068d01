"""Names and transformation of the events: ids become numbers, kinds of events become strengths.

Both vocabularies are the training split's, which ends before the first evaluated event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

VISITOR_KEY, ITEM_KEY, EVENT_KEY, TIME_KEY = "visitorid", "itemid", "event", "timestamp"
VISITOR_XF, ITEM_XF, STRENGTH_XF, TIME_XF = "visitor_xf", "item_xf", "strength_xf", "time_xf"
VISITORS, ITEMS = "visitors", "items"
# What a client may send besides the visitor: items seen since the training, oldest first.
SEEN_KEY = "items_seen"
STRENGTHS = {"view": 1, "addtocart": 2, "transaction": 3}
MS_PER_DAY = 86_400_000.0


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Raw columns [n, 1] -> number of the visitor and of the item, strength 1 to 3, milliseconds; each int64 [n, 1].

    An unknown visitor or item has number -1.
    """
    import tensorflow as tf
    import tensorflow_transform as tft

    event = inputs[EVENT_KEY]
    strength = tf.zeros_like(event, tf.int64)
    for name, value in STRENGTHS.items():
        strength += tf.cast(tf.equal(event, name), tf.int64) * value
    return {
        VISITOR_XF: tft.compute_and_apply_vocabulary(inputs[VISITOR_KEY], vocab_filename=VISITORS),
        ITEM_XF: tft.compute_and_apply_vocabulary(inputs[ITEM_KEY], vocab_filename=ITEMS),
        STRENGTH_XF: strength,
        TIME_XF: inputs[TIME_KEY],
    }
