"""Ops on shapes that they do not expect, each in a process of its own, and what became of them.

Prints a line per op: its name, how its process ended (0, or minus the signal) and the shape that ended it. TensorFlow
is imported once and the processes are forked from that, before any session has threads. Run by test_kernels.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import contextlib

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

R, F, I32, I64, S = tf.raw_ops, tf.float32, tf.int32, tf.int64, tf.string
IMAGES = (None, 8, 8, 3)
SHAPES: list[tuple[int, ...]] = [
    (), (0,), (1,), (2,), (4,), (2, 1), (2, 2), (2, 4), (0, 4), (2, 0), (2, 3), (2, 4, 1), (1, 2, 4), (2, 2, 4),
    (8, 8, 3), (0, 8, 3), (2, 8, 8, 3), (0, 8, 8, 3), (2, 8, 8, 1), (2, 4, 4, 4, 3), (1, 1, 1, 1, 1, 1),
]  # fmt: skip


def ones(*shape: int) -> Any:
    return tf.constant(np.ones(shape, np.float32))


def cell(x: Any) -> dict[str, Any]:
    state = {"x": x, "cs_prev": ones(2, 3), "h_prev": ones(2, 3), "w": ones(7, 12)}
    return {**state, "wci": ones(3), "wcf": ones(3), "wco": ones(3), "b": ones(12)}


def gathered(x: Any) -> Any:
    splits = [tf.constant([0, 1, 2], I64)]
    return R.RaggedGather(
        params_nested_splits=splits, params_dense_values=ones(2), indices=x, OUTPUT_RAGGED_RANK=1
    )[1]


# Op -> (type and declared shape of its input, the op on it).
Case = tuple[Any, tuple[Any, ...], Callable[[Any], Any]]
CASES: dict[str, Case] = {
    "DrawBoundingBoxes": (F, IMAGES, lambda x: R.DrawBoundingBoxes(images=x, boxes=ones(2, 1, 4))),
    "DrawBoundingBoxesV2": (
        F, IMAGES, lambda x: R.DrawBoundingBoxesV2(images=x, boxes=ones(2, 1, 4), colors=ones(1, 4))
    ),
    "FakeQuantWithMinMaxVarsPerChannel": (
        F, (None, 4), lambda x: R.FakeQuantWithMinMaxVarsPerChannel(inputs=x, min=ones(4) * 0, max=ones(4))
    ),
    "LSTMBlockCell": (F, (None, 4), lambda x: R.LSTMBlockCell(**cell(x))[1]),
    "RaggedGather": (I32, (None,), gathered),
    "ScatterNd": (I32, (None, 1), lambda x: tf.scatter_nd(x, ones(2), [8])),
    # These fail in an orderly way.
    "MatMul": (F, (None, 4), lambda x: tf.matmul(x, ones(4, 3))),
    "BatchMatMulV2": (F, (None, 4), lambda x: R.BatchMatMulV2(x=x, y=ones(4, 3))),
    "BiasAdd": (F, (None, 4), lambda x: tf.nn.relu(tf.nn.bias_add(tf.matmul(x, ones(4, 3)), ones(3)))),
    "Softmax": (F, (None, 4), tf.nn.softmax),
    "TopKV2": (F, (None, 4), lambda x: tf.nn.top_k(x, 2)[0]),
    "Sum": (F, (None, 4), lambda x: tf.reduce_sum(x, 1)),
    "ConcatV2": (F, (None, 4), lambda x: tf.concat([x, ones(2, 4)], 1)),
    "GatherV2": (I32, (None, 4), lambda x: tf.gather(ones(10, 3), x)),
    "GatherNd": (F, (None, 4), lambda x: tf.gather_nd(x, [[0, 1]])),
    "Transpose": (F, (None, 4), lambda x: tf.transpose(x, [1, 0])),
    "StridedSlice": (F, (None, 4), lambda x: x[:, 1]),
    "Einsum": (F, (None, 4), lambda x: tf.einsum("bi,ij->bj", x, ones(4, 3))),
    "Conv2D": (F, IMAGES, lambda x: tf.nn.conv2d(x, ones(3, 3, 3, 4), 1, "SAME")),
    "Conv3D": (F, (None, 4, 4, 4, 3), lambda x: tf.nn.conv3d(x, ones(2, 2, 2, 3, 4), [1] * 5, "SAME")),
    "DepthwiseConv2dNative": (F, IMAGES, lambda x: tf.nn.depthwise_conv2d(x, ones(3, 3, 3, 1), [1] * 4, "SAME")),
    "MaxPool": (F, IMAGES, lambda x: tf.nn.max_pool2d(x, 2, 2, "SAME")),
    "AvgPool": (F, IMAGES, lambda x: tf.nn.avg_pool2d(x, 2, 2, "SAME")),
    "FusedBatchNormV3": (
        F, IMAGES, lambda x: R.FusedBatchNormV3(
            x=x, scale=ones(3), offset=ones(3), mean=ones(3), variance=ones(3), is_training=False
        )[0],
    ),
    "ResizeBilinear": (F, IMAGES, lambda x: tf.image.resize(x, [4, 4])),
    "AudioSpectrogram": (F, (16, None), lambda x: R.AudioSpectrogram(input=x, window_size=4, stride=2)),
    "DecodeRaw": (S, (None,), lambda x: tf.io.decode_raw(x, tf.uint8)),
    "StringSplitV2": (S, (None,), lambda x: R.StringSplitV2(input=x, sep=tf.constant(""))[1]),
    "ParseExampleV2": (
        S, (None,), lambda x: tf.io.parse_example(x, {"x": tf.io.FixedLenFeature([1], F, [1.0])})["x"]
    ),
    "GRUBlockCell": (
        F, (None, 4), lambda x: R.GRUBlockCell(
            x=x, h_prev=ones(2, 3), w_ru=ones(7, 6), w_c=ones(7, 3), b_ru=ones(6), b_c=ones(3)
        )[3],
    ),
    "MatrixInverse": (F, (None, 2, 2), tf.linalg.inv),
    "ReverseSequence": (
        F, (None, 4), lambda x: tf.reverse_sequence(x, tf.constant([1, 2], I64), seq_axis=1, batch_axis=0)
    ),
    "LookupTableFindV2": (
        S, (None,), lambda x: tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(["a"], [1.0]), -1.0
        ).lookup(x),
    ),
}  # fmt: skip


def run(name: str, report: int) -> None:
    """All shapes on one op; says which comes next before it runs."""
    kind, declared, make = CASES[name]
    v1 = tf.compat.v1
    with tf.Graph().as_default():
        x = v1.placeholder(kind, declared)
        y = tf.identity(make(x))
        with v1.Session() as session:
            session.run(v1.tables_initializer())
            # As the server prepares it: a session's other ways check the shape in Python.
            options = config_pb2.CallableOptions(feed=[x.name], fetch=[y.name])
            options.run_options.inter_op_thread_pool = -1
            call = session._make_callable_from_options(options)
            for shape in SHAPES:
                os.write(report, f"{shape}\n".encode())
                value = np.full(shape, b"a", object) if kind == S else np.ones(shape, kind.as_numpy_dtype)
                with contextlib.suppress(tf.errors.OpError, ValueError):
                    call(value)


def main() -> None:
    tf.compat.v1.disable_eager_execution()
    for name in sys.argv[1:] or CASES:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            run(name, write)
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as lines:
            shapes = lines.read().splitlines()
        _, status = os.waitpid(child, 0)
        print(name, os.waitstatus_to_exitcode(status), shapes[-1] if shapes else "not built", flush=True)


if __name__ == "__main__":
    main()
