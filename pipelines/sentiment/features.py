"""From a raw string to 40 word numbers, inside the graph; web/tokens.js does exactly the same in a browser.

The rules are chosen so that both can be equal for every string: only A-Z are lowered (Unicode's case tables differ
between versions and languages), words are runs of a-z, 0-9, the apostrophe and code points from fixed ranges
outside ASCII, everything else separates. A word's number is its place in the vocabulary plus 2; 1 is any other
word, 0 fills up in front. Of a longer text the last 40 words count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

TEXT_KEY, LABEL_KEY, TOKENS_KEY = "text", "label", "tokens_xf"
# How many lines have this text: people repeat each other, and the fit weighs that down.
COPIES_KEY = "copies"
# What the rows carry for the evaluation's slices; a client does not send it.
SLICE_KEYS = ("length",)
LENGTH = 40
VOCABULARY = "words"
FILL, UNKNOWN, FIRST_WORD = 0, 1, 2
# Letters from Latin-1 on, without the blocks of punctuation, symbols of layout and private signs in between.
WORD_RANGES = (
    "a-z0-9'\\x{C0}-\\x{1FFF}\\x{2070}-\\x{2FFF}\\x{3040}-\\x{FDFF}\\x{FE70}-\\x{FEFE}\\x{FF10}-\\x{10FFFF}"
)
APOSTROPHES = "[\\x{2018}\\x{2019}]"


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """`text` [n, 1] -> `tokens_xf` int64 [n, 40]; `label` and `copies` stay.

    The vocabulary is the training split's, all words of it.
    """
    import tensorflow_transform as tft

    words = split_words(inputs[TEXT_KEY][:, 0])
    numbers = tft.compute_and_apply_vocabulary(
        words, default_value=UNKNOWN - FIRST_WORD, vocab_filename=VOCABULARY
    )
    return {
        TOKENS_KEY: pad(numbers + FIRST_WORD),
        LABEL_KEY: inputs[LABEL_KEY],
        COPIES_KEY: inputs[COPIES_KEY],
    }


def split_words(text: tf.Tensor) -> tf.RaggedTensor:
    """The words of strings [n] as a ragged [n, words]; bytes that are no UTF-8 count as U+FFFD."""
    import tensorflow as tf

    text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")
    text = tf.strings.lower(text)
    text = tf.strings.regex_replace(text, APOSTROPHES, "'")
    text = tf.strings.regex_replace(text, f"[^{WORD_RANGES}]+", " ")
    words = tf.strings.split(text, " ")
    return tf.ragged.boolean_mask(words, tf.not_equal(words, ""))


def pad(numbers: tf.RaggedTensor) -> tf.Tensor:
    """The last LENGTH numbers of each row, int64 [n, LENGTH], filled up in front."""
    import tensorflow as tf

    backwards = numbers[:, -LENGTH:][:, ::-1].to_tensor(FILL, shape=[None, LENGTH])
    return tf.reverse(backwards, axis=[1])


def page_settings() -> dict[str, object]:
    """The rules above for web/tokens.js, which holds none of its own."""
    return {
        "length": LENGTH,
        "fill": FILL,
        "unknown": UNKNOWN,
        "first_word": FIRST_WORD,
        "word_ranges": WORD_RANGES,
        "apostrophes": APOSTROPHES,
    }
