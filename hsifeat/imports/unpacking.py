"""Apply the scale factors and offsets that a file or an array declares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsifeat.scenes.readers.raster import Packing
from hsifeat.types import as_float32


@dataclass(frozen=True, eq=False)
class Unpacking:
    """Multiplies stored values by factors and adds offsets.

    Attributes
    ----------
    factors, offsets : (channels,) or (1,) float64 array
        One number for each channel, or one for all channels.

    Examples
    --------
    >>> Unpacking(np.array([0.001]), np.array([5.0]))(np.array([[[1000, -500]]], np.int16)).tolist()
    [[[6.0, 4.5]]]
    """

    factors: NDArray[np.float64]
    offsets: NDArray[np.float64]

    def __call__(self, stored: NDArray[np.generic]) -> NDArray[np.float32]:
        """Apply the factors and offsets to stored values, an array whose last axis has the channels."""
        return as_float32(np.asarray(stored, np.float64) * self.factors + self.offsets)


def unpacking(packing: Packing, dtype: np.dtype[np.generic], channels: int, name: str) -> tuple[Unpacking | None, str]:
    """Return a function that applies the declared scale factors and offsets of a file, and a note on it.

    Parameters
    ----------
    packing : Packing
        Scale factors and offsets as declared.
    dtype : numpy.dtype
        Data type of the stored values.
    channels : int
        Number of channels of the file.
    name : str
        Name of the file or of the features, for the note.

    Returns
    -------
    restore : Unpacking or None
        The function; None if no scale and no offset is declared, or if what is declared can't be applied.
    note : str
        What is applied, with an example, or why nothing is applied. Empty if nothing is declared.

    Examples
    --------
    >>> unpacking(Packing((0.001,)), np.dtype(np.int16), 64, "e.tif")[1]
    'e.tif: a stored 1000 is a feature of 1, because of its scale factor 0.001'
    """
    factors, offsets = np.array(packing.factors), np.array(packing.offsets)
    if (factors == 1).all() and (offsets == 0).all():
        return None, ""
    reason = ""
    if not {len(factors), len(offsets)} <= {1, channels}:
        reason = f"they are not one number for each of its {channels} channels"
    elif not np.isfinite([*factors, *offsets]).all() or (factors == 0).any():
        reason = "a scale is 0, or one of them is not a number"
    if reason:
        return None, f"{name}: its scale and offset are not applied, because {reason}: features are as stored"
    restore, example = Unpacking(factors, offsets), 100 if dtype.itemsize == 1 else 1000
    parts = (("scale factor", factors, 1), ("offset", offsets, 0))
    declared = " and ".join(f"{part} {values[0]:g}" for part, values, without in parts if (values != without).any())
    differ = any(len(set(values)) > 1 for _, values, _ in parts)
    feature = float(restore(np.full(1, example))[0])
    where, rest = (" in channel 0", "; channels differ") if differ else ("", "")
    return restore, f"{name}: a stored {example} is a feature of {feature:g}{where}, because of its {declared}{rest}"
