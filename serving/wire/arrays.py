"""The names that types have here for numpy's arrays: a tensor's dtype and shape are known only when it arrives."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
DType: TypeAlias = np.dtype[Any]
