"""Says which tokens a vocabulary loses: TFT leaves out those with line breaks, since its file has a token a line.

They become out-of-vocabulary without a word. What TFT's filter takes is noted while preprocessing_fn is traced; rows
are counted only where a column that it reads holds a line break at all, so that other data pays a search. It does not
keep the tokens (their vocabulary's file could not), and it counts nothing behind other analyzers.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from unittest import mock

from components.transform import models
from components.transform.tracing import Traced

if TYPE_CHECKING:
    import pyarrow as pa

_BREAK = re.compile(rb"[\r\n]")
# RE2's, over the whole token.
_BROKEN_TOKEN = r"(?s).*[\r\n].*"


@contextlib.contextmanager
def noted() -> Iterator[list[Any]]:
    """The tensors of tokens, as lists of text, that TFT filters by lines while the block traces a preprocessing_fn."""
    from tensorflow_transform import tf_utils

    found: list[Any] = []
    make = tf_utils._make_regex_filter_fn

    def make_and_note(x: Any, filter_regex: str | None) -> Any:
        if filter_regex is not None:
            found.append(x)
        return make(x, filter_regex)

    with mock.patch.object(tf_utils, "_make_regex_filter_fn", make_and_note):
        yield found


class Lost:
    """Counts lost tokens by the columns that they come from. `tokens` are what `noted` gave for `traced`."""

    def __init__(self, traced: Traced, tokens: list[Any], config: Any) -> None:
        self._traced, self._config = traced, config
        self._tokens = [tensor for tensor in tokens if tensor.graph is traced.graph]
        self._model: models.Model | None = None
        self._names: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    def add(self, batch: pa.RecordBatch) -> None:
        """Counts one batch of the analyzed columns."""
        if not self._tokens or not _has_break(batch):
            return
        try:
            if self._model is None:
                self._model = models.TracedModel(self._traced, self._signature(), self._config)
            lost = models.arrays(self._model.apply(batch))
        except Exception as error:
            # Tokens made of other analyzers' values cannot be had yet. The work itself goes on.
            logging.info("Tokens with line breaks are not counted: %s", error)
            self._tokens = []
            return
        for name, count in lost.items():
            self._counts[name] += int(count)

    def _signature(self) -> Mapping[str, Any]:
        import tensorflow as tf
        from tensorflow_transform import graph_tools

        signature = {}
        with self._traced.graph.as_default():
            for number, tensor in enumerate(self._tokens):
                columns = graph_tools.get_dependent_inputs(self._traced.graph, self._traced.inputs, [tensor])
                self._names[str(number)] = ", ".join(sorted(columns))
                broken = tf.strings.regex_full_match(tensor, _BROKEN_TOKEN)
                signature[str(number)] = tf.reduce_sum(tf.cast(broken, tf.int64))
        return signature

    def warnings(self) -> list[str]:
        """What a person should know, a sentence for each set of columns, however many vocabularies are made of it."""
        most: dict[str, int] = {}
        for name, count in self._counts.items():
            most[self._names[name]] = max(count, most.get(self._names[name], 0))
        return [
            f"{count:,} tokens of {columns} hold a line break: a vocabulary leaves such out, so they count as unknown. "
            "Replace line breaks in preprocessing_fn (tf.strings.regex_replace) to keep them"
            for columns, count in sorted(most.items())
            if count
        ]


def _has_break(batch: pa.RecordBatch) -> bool:
    """Whether there may be a line break in a text of the batch."""
    return any(_in_array(column) for column in batch.columns)


def _in_array(array: pa.Array) -> bool:
    import pyarrow as pa

    kind = array.type
    while pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_string(kind)):
        return False
    buffers = array.buffers()
    # The last one holds the bytes of all texts, perhaps of neighbouring batches too: then one is counted for nothing.
    return buffers[-1] is not None and _BREAK.search(buffers[-1]) is not None
