"""Base classes of objects with arrays: read-only arrays, and equality by value."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


def read_only(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """Return a view of an array of any shape and dtype. The values can't be changed through the view.

    >>> import numpy as np
    >>> read_only(np.ones(2)).flags.writeable
    False
    """
    view = array.view()
    view.flags.writeable = False
    return view


class ReadOnlyArrays:
    """Base class of objects with read-only arrays. Values that are computed from the arrays are cached, so the arrays must not change.

    `copy.deepcopy` and `pickle` drop NumPy's flag of read-only arrays, so it is set again.
    """

    _read_only: ClassVar[tuple[str, ...]] = ()

    def _set_read_only(self) -> None:
        for name in self._read_only:
            if (array := vars(self).get(name)) is not None:
                vars(self)[name] = read_only(array)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the attributes of a copied or unpickled object, and make its arrays read-only."""
        vars(self).update(state)
        for name in self._read_only:
            if (array := state.get(name)) is not None and array.base is None:
                array.flags.writeable = False  # no other object has it, and `own_copy` need not copy it
        self._set_read_only()


class EqualByValue:
    """Base class of dataclasses that are equal if their fields have equal values, also in arrays. NaN equals NaN."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and _have_equal_values(self, other)

    __hash__ = None  # type: ignore[assignment]  # as of lists and dicts


def _have_equal_values(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.shape(one) == np.shape(other) and all(
            map(_have_equal_values, np.ravel(one).tolist(), np.ravel(other).tolist())
        )
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_have_equal_values(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_have_equal_values, one, other))
    if is_dataclass(one) and type(one) is type(other):
        return all(
            _have_equal_values(getattr(one, each.name), getattr(other, each.name))
            for each in fields(one)
            if each.compare
        )
    return bool(one == other) or (
        isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other)
    )
