"""Arrays of vectors of which some are missing."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Literal, Self, SupportsIndex

import numpy as np

from ..errors import EasyLLMError


class ArrayWithErrors(np.ndarray[Any, np.dtype[np.float32]]):
    """A float32 array of vectors; a text that failed has a row of NaN.

    Attributes:
        errors: The errors by their rows. Copies and pickles keep them; slices, and what else is
            computed from the array, have none.
    """

    errors: Mapping[int, EasyLLMError]

    def __new__(cls, array: np.ndarray[Any, Any], errors: Mapping[int, EasyLLMError]) -> Self:
        """View an array, with the errors of its rows."""
        self = array.view(cls)
        self.errors = errors
        return self

    def __array_finalize__(self, _made_from: object) -> None:
        self.errors = {}

    def copy(self, order: Literal["K", "A", "C", "F"] | None = "C") -> Self:
        """Return a copy, with the errors."""
        return type(self)(super().copy(order), dict(self.errors))

    def __copy__(self) -> Self:
        return self.copy("K")

    def __deepcopy__(self, memo: dict[int, Any] | None, /) -> Self:
        return type(self)(super().copy("K"), deepcopy(self.errors, memo))

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> tuple[Any, ...]:
        return type(self), (self.view(np.ndarray), self.errors)
