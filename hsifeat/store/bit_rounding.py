"""Rounding of float16 values to fewer bits of the mantissa, so that planes need less space after compression."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsifeat.types import MANTISSA_BITS


def keep_bits(values: NDArray[np.generic], bits: int | None) -> NDArray[np.generic]:
    """Round float16 values to `bits` bits of the mantissa, to nearest with ties to even. If `bits` is None, do not round.

    If rounding would give infinity, the value is rounded towards zero.

    >>> keep_bits(np.array([1.06, -3.3, 65504], np.float16), 4).tolist()
    [1.0625, -3.25, 63488.0]
    """
    if bits is None or bits == MANTISSA_BITS:
        return values
    raw = np.ascontiguousarray(values).view(np.uint16)
    dropped = MANTISSA_BITS - bits
    kept = np.uint16(0xFFFF << dropped & 0xFFFF)
    last = (raw >> np.uint16(dropped)) & np.uint16(1)
    rounded = ((raw + last + np.uint16((1 << (dropped - 1)) - 1)) & kept).view(np.float16)
    return np.where(np.isfinite(rounded), rounded, (raw & kept).view(np.float16))
