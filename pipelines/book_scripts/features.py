"""From text to word numbers and back, in the graph, the same in training and in serving.

Text becomes lower case; punctuation becomes tokens of its own, written as names between bars so that none is
mistaken for a word; the end of a paragraph is one of them. `to_text` undoes it as far as lower case allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

TEXT_KEY, POSITION_KEY = "text", "position"
WORDS_XF, POSITION_XF = "words_xf", "position_xf"
VOCABULARY = "words"
MIN_COUNT = 2
UNKNOWN = "||unknown||"
RETURN = "||return||"
# Order matters: `--` before what is made of single marks. Token, pattern, mark, space before and after the mark.
PUNCTUATION = (
    ("||dash||", "--", "--", " ", " "),
    ("||quote_open||", "“", "“", " ", ""),
    ("||quote_close||", "”", "”", "", " "),
    ("||quote||", '"', '"', " ", " "),
    ("||period||", r"\.", ".", "", " "),
    ("||comma||", ",", ",", "", " "),
    ("||semicolon||", ";", ";", "", " "),
    ("||colon||", ":", ":", "", " "),
    ("||exclamation||", "!", "!", "", " "),
    ("||question||", r"\?", "?", "", " "),
    ("||bracket_open||", r"\(", "(", " ", ""),
    ("||bracket_close||", r"\)", ")", "", " "),
    ("||square_open||", r"\[", "[", " ", ""),
    ("||square_close||", r"\]", "]", "", " "),
    (RETURN, r"\n+", "\n", "", ""),
)


def tokens(text: tf.Tensor) -> tf.RaggedTensor:
    """Texts [n] -> words and punctuation tokens [n, words], lower case."""
    import tensorflow as tf

    text = tf.strings.lower(text, encoding="utf-8")
    for token, pattern, _, _, _ in PUNCTUATION:
        text = tf.strings.regex_replace(text, pattern, f" {token} ")
    return tf.strings.split(text)


def to_text(words: tf.Tensor) -> tf.Tensor:
    """Joined words [n] (one space between) -> readable text [n]: marks in place, lower case."""
    import tensorflow as tf

    for token, _, mark, before, after in PUNCTUATION:
        escaped = token.replace("|", r"\|")
        words = tf.strings.regex_replace(words, f" ?{escaped} ?", before + mark + after)
    words = tf.strings.regex_replace(words, " +", " ")
    # A closing mark follows the mark before it at once.
    words = tf.strings.regex_replace(words, r" ([.,;:!?)\]”])", r"\1")
    return tf.strings.strip(words)


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """A paragraph's text [n, 1] -> word numbers [n, words] (sparse), its end included; and its position.

    Words seen less than MIN_COUNT times in the training split are the last number, "unknown".
    """
    import tensorflow as tf
    import tensorflow_transform as tft

    ended = tf.strings.join([tf.squeeze(inputs[TEXT_KEY], axis=1), "\n"])
    words = tokens(ended).to_sparse()
    numbers = tft.compute_and_apply_vocabulary(
        words,
        frequency_threshold=MIN_COUNT,
        num_oov_buckets=1,
        vocab_filename=VOCABULARY,
    )
    return {WORDS_XF: numbers, POSITION_XF: inputs[POSITION_KEY]}
