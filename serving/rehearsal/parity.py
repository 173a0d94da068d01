"""How far a server's answers are from what the export gives when TensorFlow runs it directly, without our engine.

The distance of two numbers is |a - b| / max(1, |a|): absolute below one, relative above. Text that differs is 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serving.client.tensors import decode
from serving.engine import op_libraries
from serving.rehearsal.driving import outputs_of
from serving.wire import protos

MOST = 64


def largest_difference(export: str | Path, payloads: Sequence[bytes], answers: Mapping[int, bytes]) -> float:
    """Over the first requests that were answered; NaN where none was. Infinite where shapes or names differ."""
    import tensorflow as tf

    op_libraries.load_listed(str(export))
    if b"SimpleML" in (Path(export) / "saved_model.pb").read_bytes():
        op_libraries.load_missing(["SimpleMLLoadModelFromPathWithHandle"])
    model = tf.saved_model.load(str(export))
    largest = float("nan")
    for number in sorted(answers)[:MOST]:
        request = protos.predict_pb2.PredictRequest.FromString(payloads[number])
        signature = model.signatures[request.model_spec.signature_name or "serving_default"]
        inputs = {name: tf.constant(_typed(signature, name, decode(t))) for name, t in request.inputs.items()}
        direct = {name: value.numpy() for name, value in signature(**inputs).items()}
        apart = difference(direct, outputs_of(answers[number]))
        largest = apart if np.isnan(largest) else max(largest, apart)
    return largest


def difference(direct: Mapping[str, Any], served: Mapping[str, Any]) -> float:
    """Of the outputs that were served; the server may have been asked for some of them only."""
    largest = 0.0
    for name, two in served.items():
        one = np.asarray(direct[name]) if name in direct else None
        if one is None or one.shape != two.shape:
            return float("inf")
        if one.dtype.kind not in "biufc":
            largest = max(largest, float((one.astype(object) != two.astype(object)).any()))
            continue
        a, b = np.asarray(one, np.complex128), np.asarray(two, np.complex128)
        with np.errstate(invalid="ignore"):
            apart = np.abs(a - b) / np.maximum(1.0, np.abs(a))
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        largest = max(largest, float(np.where(same, 0.0, np.nan_to_num(apart, nan=np.inf)).max(initial=0.0)))
    return largest


def _typed(signature: Any, name: str, array: Any) -> Any:
    """Text as TensorFlow takes it; other arrays as they are."""
    return array if array.dtype != object else np.array(array.tolist(), dtype=object)
