"""What follows on accumulators, element by element: merging, outputs, keys. Pure functions over TFT's operations.

A function takes an operation and its inputs (a list of elements each) and returns a list of elements per output.
"""

from __future__ import annotations

import itertools
from typing import Any

from components.transform import accumulating

Elements = list[Any]


def merge(operation: Any, elements: Elements) -> tuple[Elements]:
    """CacheableCombineMerge: all accumulators as one, and its output."""
    return (_merged(_wrapper(operation), elements),)


def merge_packed(operation: Any, elements: Elements) -> tuple[Elements]:
    """PackedCombineMerge: (label, accumulator) pairs of several combiners; {label: output}."""
    from tensorflow_transform.beam import analyzer_impls

    wrapper = analyzer_impls._PackedCombinerWrapper(operation.combiners, is_combining_accumulators=True)
    return (_merged(wrapper, elements),)


def merge_per_key(operation: Any, elements: Elements) -> tuple[Elements]:
    """CacheableCombinePerKeyMerge: (key, output) of (key, accumulator)."""
    wrapper = _wrapper(operation)
    accumulators = accumulating.per_key(wrapper, elements, {})
    return ([(key, accumulating.combined(wrapper, value)) for key, value in accumulators.items()],)


def extract(operation: Any, elements: Elements) -> tuple[Elements, ...]:
    """ExtractCombineMergeOutputs, packed or not: the outputs of the one element, each by itself."""
    (outputs,) = elements
    if len(outputs) != operation.num_outputs:
        raise ValueError(f"{operation.label} gave {len(outputs)} values, expected {operation.num_outputs}")
    return tuple([output] for output in outputs)


def format_keys(operation: Any, elements: Elements) -> tuple[Elements, ...]:
    """CacheableCombinePerKeyFormatKeys: keys in order, then each output stacked in that order."""
    from tensorflow_transform.beam import analyzer_impls

    infos = operation.combiner.output_tensor_infos()
    tagged = analyzer_impls._merge_outputs_by_key(elements, [info.dtype for info in infos])
    values = {output.tag: output.value for output in tagged}
    return tuple([values[tag]] for tag in ("key", *map(str, range(len(infos)))))


def format_large(operation: Any, elements: Elements) -> tuple[Elements]:
    """CacheableCombinePerKeyFormatLarge: ("output,output", key), to be written as a vocabulary with frequencies."""
    import tensorflow as tf

    text = tf.compat.as_str_any
    return ([(text(",".join(map(text, outputs))), key) for key, outputs in elements],)


def scale_boundaries(operation: Any, elements: Elements) -> tuple[Elements, ...]:
    """ScaleAndFlattenPerKeyBucketBouandaries: boundaries, scale, shift and number of buckets."""
    from tensorflow_transform.beam import analyzer_impls

    (matrix,) = elements
    return tuple([value] for value in analyzer_impls._join_boundary_rows(matrix))


def flatten(operation: Any, *inputs: Elements) -> tuple[Elements]:
    return (list(itertools.chain(*inputs)),)


def flatten_lists(operation: Any, elements: Elements) -> tuple[Elements]:
    return (list(itertools.chain.from_iterable(elements)),)


def add_key(operation: Any, elements: Elements) -> tuple[Elements]:
    return ([(operation.key, element) for element in elements],)


def extract_from_dict(operation: Any, elements: Elements) -> tuple[Elements]:
    keys = operation.keys
    if isinstance(keys, tuple):
        return ([tuple(element[key] for key in keys) for element in elements],)
    return ([element[keys] for element in elements],)


def bind(operation: Any, elements: Elements) -> tuple[Elements]:
    """CreateTensorBinding: the value for one of the graph's tensors."""
    from tensorflow_transform.beam import impl

    (value,) = elements
    return (
        [
            impl._TensorBinding(
                value, operation.tensor_name, operation.dtype_enum, operation.is_asset_filepath
            )
        ],
    )


def encode(operation: Any, elements: Elements) -> tuple[Elements]:
    """EncodeCache: what the cache holds."""
    return ([operation.coder.encode_cache(element) for element in elements],)


def nothing(operation: Any, *inputs: Elements) -> tuple[Elements]:
    """InstrumentDatasetCache, which counts for Beam's metrics."""
    return ([],)


def _wrapper(operation: Any) -> Any:
    from tensorflow_transform.beam import analyzer_impls

    return analyzer_impls._CombinerWrapper(operation.combiner, is_combining_accumulators=True)


def _merged(wrapper: Any, elements: Elements) -> Elements:
    accumulator = wrapper.create_accumulator()
    for element in elements:
        accumulator = wrapper.add_input(accumulator, element)
    return [accumulating.combined(wrapper, accumulator)]
