"""Inputs with a default of the model's: rows may lack them or have null. All others are refused as they always were."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from serving.engine.checks import check_inputs, missing_values
from serving.errors import InvalidArgument
from serving.rest.bodies import predict_inputs

FLOAT, STRING, INT64 = 1, 7, 9
INPUTS = {"age": INT64, "fare": FLOAT, "town": STRING}
DEFAULTS = {"age": np.array([-(2**63)]), "fare": np.array([math.nan], np.float32)}


def signature(shape: tuple[int, ...] = (-1,), defaults: Any = None) -> Any:
    """What of a Signature is looked at."""
    return SimpleNamespace(
        inputs=INPUTS,
        defaults=DEFAULTS if defaults is None else defaults,
        shapes=dict.fromkeys(INPUTS, shape),
    )


def arrays(document: dict[str, Any]) -> dict[str, Any]:
    found, _ = predict_inputs(document, INPUTS, missing_values(signature()))
    return check_inputs(signature(), found)


def test_rows_may_lack_what_has_a_default_or_have_null() -> None:
    rows = [
        {"town": "Ulm", "age": 3},
        {"town": "Bonn", "fare": None},
        {"town": "Kiel", "age": None, "fare": 2},
    ]
    made = arrays({"instances": rows})
    assert made["age"].tolist() == [3, -(2**63), -(2**63)]
    assert made["fare"].tolist()[2] == 2 and np.isnan(made["fare"][:2]).all()
    assert made["town"].tolist() == [b"Ulm", b"Bonn", b"Kiel"]


def test_columns_may_be_left_out_and_have_nulls() -> None:
    made = arrays({"inputs": {"town": ["Ulm", "Bonn"], "age": [None, 4]}})
    assert made["age"].tolist() == [-(2**63), 4]
    assert made["fare"].shape == (2,) and np.isnan(made["fare"]).all()


@pytest.mark.parametrize(
    "document",
    [
        {"instances": [{"age": 3, "fare": 1.5}]},
        {"instances": [{"age": 3, "fare": 1.5, "town": None}]},
        {"inputs": {"age": [3], "fare": [1.5]}},
        {"inputs": {"age": [3], "fare": [1.5], "town": [None]}},
    ],
)
def test_what_has_no_default_must_be_there(document: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        arrays(document)


def test_a_default_of_a_fixed_shape_is_given_as_it_is() -> None:
    fixed = signature((1,))
    assert missing_values(fixed) == {}
    made = check_inputs(fixed, {"town": np.array([b"a", b"b"], object)})
    assert made["age"].shape == (1,)
