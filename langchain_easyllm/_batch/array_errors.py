"""Arrays of vectors of which some are missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from ..errors import EasyLLMError


class ArrayWithErrors(np.ndarray[Any, np.dtype[np.float32]]):
    """A float32 array of vectors; a text that failed has a row of NaN.

    Attributes:
        errors: The errors by their rows. What is computed from the array has none.
    """

    errors: Mapping[int, EasyLLMError]

    def __new__(cls, array: np.ndarray[Any, Any], errors: Mapping[int, EasyLLMError]) -> Self:
        """View an array, with the errors of its rows."""
        self = array.view(cls)
        self.errors = errors
        return self

    def __array_finalize__(self, _made_from: object) -> None:
        self.errors = {}
