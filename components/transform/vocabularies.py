"""Vocabularies after their tokens are counted: merged, pruned, ordered, written. Elements are (number, token).

The file is TFT's byte for byte: a token a line, or a record of a gz TFRecord file; tokens with line breaks, where the
file has lines, were left out by TFT's own graph.
"""

from __future__ import annotations

import hashlib
import heapq
import os
from collections.abc import Iterable
from typing import Any

from components import records
from components.columns import manifest
from components.transform import accumulating
from components.transform.merging import Elements

_NO_THRESHOLD = float("-inf")


def merge(operation: Any, elements: Elements) -> tuple[Elements]:
    """VocabularyMerge: (number or (information, frequency), token) of (token, accumulator)."""
    from tensorflow_transform.analyzers import _VocabOrderingType as Order

    order = operation.vocab_ordering_type
    if order in (Order.MUTUAL_INFORMATION, Order.WEIGHTED_MUTUAL_INFORMATION):
        return (_information(operation, elements),)
    if order == Order.WEIGHTED_LABELS:
        summed = accumulating.SummedLabels()
        accumulators = accumulating.per_key(summed, elements, {})
        return ([(value, token) for token, value in accumulators.items()],)
    totals: dict[Any, Any] = {}
    for token, number in elements:
        totals[token] = totals[token] + number if token in totals else number
    return ([(number, token) for token, number in totals.items()],)


def _information(operation: Any, elements: Elements) -> Elements:
    from tensorflow_transform import analyzers, tf_utils
    from tensorflow_transform.beam import analyzer_impls

    combine = accumulating.means(operation.vocab_ordering_type)
    accumulators = accumulating.per_key(combine, elements, {})
    merged = {token: accumulating.combined(combine, value) for token, value in accumulators.items()}
    # All rows' labels are counted under a token that stands for none.
    sentinels = (tf_utils.GLOBAL_Y_COUNT_SENTINEL_STRING, tf_utils.GLOBAL_Y_COUNT_SENTINEL_INT)
    labels = [merged.pop(token) for token in list(merged) if token in sentinels]
    if not merged:
        return []
    least = operation.min_diff_from_avg
    if least is None:
        least = analyzers.calculate_recommended_min_diff_from_avg(labels[0].count * labels[0].weight)
    result = []
    for pair in merged.items():
        token, (information, _, frequency) = analyzer_impls._calculate_mutual_information_for_feature_value(
            pair, labels[0], operation.use_adjusted_mutual_info, least
        )
        result.append(((information, frequency), token))
    return result


def count(operation: Any, elements: Elements) -> tuple[Elements]:
    """VocabularyCount: at least one, since an empty vocabulary gets a token that stands for none."""
    import numpy as np

    return ([np.int64(max(len(elements), 1))],)


def prune(operation: Any, elements: Elements) -> tuple[Elements]:
    """VocabularyPrune: thresholds and the most frequent, over all and, with `key_fn`, per key as well."""
    dtype = operation.input_dtype
    kept = _above(elements, operation.frequency_threshold, operation.informativeness_threshold, dtype)
    if operation.top_k is not None:
        from tensorflow_transform.beam import analyzer_impls

        kept = heapq.nlargest(operation.top_k, kept)
        kept = analyzer_impls.maybe_add_empty_vocabulary_dummy(kept, dtype)
    if operation.key_fn:
        covering = _above(
            elements,
            operation.coverage_frequency_threshold,
            operation.coverage_informativeness_threshold,
            dtype,
        )
        if operation.coverage_top_k is not None:
            covering = _top_per_key(covering, operation.coverage_top_k, operation.key_fn)
        kept = list(dict.fromkeys([*kept, *covering]))
    return (kept,)


def _above(elements: Elements, least_frequency: Any, least_information: Any, dtype: str) -> Elements:
    """(number, token) of those that reach both thresholds; tokens that are numbers become text."""
    import tensorflow as tf

    text = dtype != tf.string.name
    thresholds = least_frequency > 0 or least_information > _NO_THRESHOLD
    kept = []
    for number, token in elements:
        pair = isinstance(number, tuple)
        if thresholds:
            information, frequency = number if pair else (float("inf"), number)
            if not (frequency >= least_frequency and information >= least_information):
                continue
        kept.append(
            (
                number[0] if pair else number,
                tf.compat.as_bytes(tf.compat.as_str_any(token)) if text else token,
            )
        )
    return kept


def _top_per_key(elements: Elements, most: int, key_fn: Any) -> Elements:
    import numpy as np

    groups: dict[Any, Elements] = {}
    for number, token in elements:
        number = float(number) if isinstance(number, np.float64) else number
        groups.setdefault(key_fn(token), []).append((number, token))
    return [element for group in groups.values() for element in heapq.nlargest(most, group)]


def order_and_write(
    operation: Any, folder: str, elements: Elements, reserved: Elements | None = None
) -> tuple[Elements]:
    """VocabularyOrderAndWrite: the file under `folder`; the element is its path."""
    import numpy as np

    path = os.path.join(folder, operation.vocab_filename)
    lines = _ordered(operation, elements, reserved)
    if operation.file_format == "tfrecord_gzip":
        path = f"{path}.tfrecord.gz"
        _write_records(path, lines)
    else:
        _write_lines(path, lines)
    return ([np.array(path)],)


def _ordered(operation: Any, elements: Elements, reserved: Elements | None) -> Iterable[Any]:
    from tensorflow_transform.beam import analyzer_impls

    if not operation.input_is_sorted or reserved:
        tokens = reserved[0][0] if reserved else ()
        kept = set(tokens)
        elements = [element for element in elements if element[1] not in kept] if kept else list(elements)
        if operation.fingerprint_shuffle:
            elements.sort(key=lambda element: hashlib.sha1(element[1]).digest())
        else:
            elements.sort(reverse=True)
        elements[:0] = [(-1, token) for token in tokens]
        elements = analyzer_impls.maybe_add_empty_vocabulary_dummy(elements, operation.input_dtype)
    if operation.store_frequency:
        return [analyzer_impls._count_and_token_to_bytes(*element) for element in elements]
    return [token for _, token in elements]


def _write_lines(path: str, lines: Iterable[Any]) -> None:
    with manifest.open_file(path, "wb") as file:
        for line in lines:
            file.write((line if isinstance(line, bytes) else str(line).encode()) + b"\n")


def _write_records(path: str, lines: Iterable[bytes]) -> None:
    # Beam's compression: zlib's own level.
    file = records.RecordFile(path, -1)
    try:
        file.append(records.framed(list(lines)))
    finally:
        file.close()
