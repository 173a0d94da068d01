"""What takes in batches: TFT's combiners, whole or per key, and counts of tokens.

An accumulator takes the arrays of a batch (`add`) and has as `result` the elements that Beam's collection would hold.
The combiners are TFT's, wrapped as TFT wraps them for Beam. Memory is that of the accumulators: a vocabulary's is its
distinct tokens.
"""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Arrays = Mapping[str, "np.ndarray"]


class Packed:
    """Several combiners over one batch; the one element is {label: accumulator}."""

    def __init__(self, operation: Any, keys: Any) -> None:
        from tensorflow_transform.beam import analyzer_impls

        self._wrapper = analyzer_impls._PackedCombinerWrapper(
            operation.combiners, is_combining_accumulators=False
        )
        self._accumulator = self._wrapper.create_accumulator()

    def add(self, arrays: Arrays) -> None:
        self._accumulator = self._wrapper.add_input(self._accumulator, arrays)

    def result(self) -> list[Any]:
        return [combined(self._wrapper, self._accumulator)]


class Combined:
    """One combiner over the tensors `keys`; the one element is its accumulator."""

    def __init__(self, operation: Any, keys: tuple[str, ...]) -> None:
        from tensorflow_transform.beam import analyzer_impls

        self._wrapper = analyzer_impls._CombinerWrapper(operation.combiner, is_combining_accumulators=False)
        self._keys = keys
        self._accumulator = self._wrapper.create_accumulator()

    def add(self, arrays: Arrays) -> None:
        values = tuple(arrays[key] for key in self._keys)
        self._accumulator = self._wrapper.add_input(self._accumulator, values)

    def result(self) -> list[Any]:
        return [combined(self._wrapper, self._accumulator)]


class CombinedPerKey:
    """A combiner per key, the first of the tensors; elements are (key, accumulator)."""

    def __init__(self, operation: Any, keys: tuple[str, ...]) -> None:
        from tensorflow_transform.beam import analyzer_impls

        self._wrapper = analyzer_impls._CombinerWrapper(operation.combiner, is_combining_accumulators=False)
        self._split = analyzer_impls._split_inputs_by_key
        self._keys = keys
        self._accumulators: dict[Any, Any] = {}

    def add(self, arrays: Arrays) -> None:
        accumulators, wrapper = self._accumulators, self._wrapper
        for key, values in self._split(tuple(arrays[key] for key in self._keys)):
            accumulator = accumulators[key] if key in accumulators else wrapper.create_accumulator()
            accumulators[key] = wrapper.add_input(accumulator, values)

    def result(self) -> list[Any]:
        return [(key, combined(self._wrapper, value)) for key, value in self._accumulators.items()]


class Tokens:
    """Tokens and how often they come, or their weights; elements are (token, number)."""

    def __init__(self, keys: tuple[str, ...], flatten: Callable[..., Iterable[Any]], weighted: bool) -> None:
        self._keys, self._flatten, self._weighted = keys, flatten, weighted
        self._counts: collections.Counter[Any] = collections.Counter()

    def add(self, arrays: Arrays) -> None:
        values = self._flatten(tuple(arrays[key] for key in self._keys))
        if not self._weighted:
            self._counts.update(values)
            return
        counts = self._counts
        for token, weight in values:
            counts[token] += weight

    def result(self) -> list[Any]:
        return list(self._counts.items())


class KeyedTokens:
    """Tokens with what a function of Beam's kind combines of their values; elements are (token, accumulator)."""

    def __init__(self, keys: tuple[str, ...], flatten: Callable[..., Iterable[Any]], combine: Any) -> None:
        self._keys, self._flatten, self._combine = keys, flatten, combine
        self._accumulators: dict[Any, Any] = {}

    def add(self, arrays: Arrays) -> None:
        per_key(self._combine, self._flatten(tuple(arrays[key] for key in self._keys)), self._accumulators)

    def result(self) -> list[Any]:
        return [(token, combined(self._combine, value)) for token, value in self._accumulators.items()]


class SummedLabels:
    """As `beam.CombineFn`: component-wise sums of (weight, [weight per label])."""

    def create_accumulator(self) -> Any:
        return 0.0, []

    def add_input(self, accumulator: Any, value: Any) -> Any:
        return self.merge_accumulators([accumulator, value])

    def merge_accumulators(self, accumulators: Any) -> Any:
        from tensorflow_transform.beam import analyzer_impls

        return analyzer_impls.sum_labeled_weights(list(accumulators))

    def extract_output(self, accumulator: Any) -> Any:
        return accumulator


def vocabulary(operation: Any, keys: tuple[str, ...]) -> Tokens | KeyedTokens:
    """The accumulator for the order that a vocabulary has."""
    from tensorflow_transform.analyzers import _VocabOrderingType as Order
    from tensorflow_transform.beam import analyzer_impls as impls

    order = operation.vocab_ordering_type
    if order in (Order.MUTUAL_INFORMATION, Order.WEIGHTED_MUTUAL_INFORMATION):
        weighted = order == Order.WEIGHTED_MUTUAL_INFORMATION
        flatten = functools.partial(
            impls._flatten_to_key_and_means_accumulator_list, compute_weighted=weighted
        )
        return KeyedTokens(keys, flatten, means(order))
    if order == Order.WEIGHTED_LABELS:
        return KeyedTokens(keys, impls._flatten_value_and_labeled_weights_to_list_of_tuples, SummedLabels())
    if order == Order.WEIGHTED_FREQUENCY:
        return Tokens(keys, impls._flatten_value_and_weights_to_list_of_tuples, weighted=True)
    return Tokens(keys, impls._flatten_value_to_list, weighted=False)


def means(order: Any) -> Any:
    """TFT's combination of tokens' means, for the two orders by mutual information."""
    from tensorflow_transform.analyzers import _VocabOrderingType as Order
    from tensorflow_transform.beam import analyzer_impls

    return analyzer_impls._WeightedMeanCombineFn(
        output_shape=(None,), compute_weighted=order == Order.WEIGHTED_MUTUAL_INFORMATION
    )


def per_key(combine: Any, pairs: Iterable[tuple[Any, Any]], accumulators: dict[Any, Any]) -> dict[Any, Any]:
    """Adds (key, value) pairs to `accumulators`, which it returns."""
    for key, value in pairs:
        accumulator = accumulators[key] if key in accumulators else combine.create_accumulator()
        accumulators[key] = combine.add_input(accumulator, value)
    return accumulators


def combined(combine: Any, accumulator: Any) -> Any:
    """The output for an accumulator, in the order in which Beam calls a CombineFn."""
    if hasattr(combine, "compact"):
        accumulator = combine.compact(accumulator)
    return combine.extract_output(combine.merge_accumulators([accumulator]))
