"""Reflectance scale of a file: the stored value that corresponds to a reflectance of 1."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from hsifeat.scenes.readers.raster import NO_UNIT, Packing
from hsifeat.scenes.readers.spectrum import parse_numbers

_DIMENSIONLESS = NO_UNIT | {"1", "unitless", "dimensionless", "reflectance", "fraction", "ratio"}
_PERCENT = {"%", "percent", "percentage", "pct"}
_OTHER_QUANTITIES = (
    "radiance", "temperature", "kelvin", "digital number", "digital_number", "counts", "emissivity", "thickness", "depth",
)  # fmt: skip
# Words for quantities to which no reflectance scale applies, and units of these quantities, such as mW/m^2/sr/nm.
_NO_REFLECTANCE = re.compile("radiance|temperature|kelvin|emissivity")
_NO_REFLECTANCE_UNITS = re.compile(r"(?<![a-z])[mun\u00b5\u03bc]?w(?![abd-ln-z])|watt|flick|^k$")


def excludes_reflectance(description: str, unit: str) -> bool:
    """Return whether a description or a unit states radiance, temperature or emissivity.

    An unknown unit does not exclude reflectance. No unit does if the description contains ``reflectance``.

    >>> excludes_reflectance("", "uW/(cm^2 sr nm)"), excludes_reflectance("", "BRF"), states_other_quantity("", "BRF")
    (True, False, True)
    """
    text, unit = f"{description} {unit}".lower(), unit.strip().lower()
    return "reflectance" not in text and bool(_NO_REFLECTANCE.search(text) or _NO_REFLECTANCE_UNITS.search(unit))


def states_other_quantity(description: str, unit: str) -> bool:
    """Return whether a description or a unit states another quantity than reflectance, such as radiance.

    A description that contains ``reflectance`` states no other quantity, whatever the unit.

    >>> states_other_quantity("", "W/m^2/sr/um"), states_other_quantity("Surface reflectance", "DN")
    (True, False)
    """
    text = description.lower()
    return "reflectance" not in text and (
        unit.strip().lower() not in _DIMENSIONLESS | _PERCENT or any(word in text for word in _OTHER_QUANTITIES)
    )


def declared_packing(factors: Sequence[Any], offsets: Sequence[Any], scale: float = 1.0) -> Packing:
    """Return the declared factors and offsets as numbers.

    Parameters
    ----------
    factors, offsets : sequence of float or str
        Factors and offsets, one per band or one for all bands. Empty if none are declared.
    scale : float
        Reflectance scale from `find_reflectance_scale`. A factor that equals it divides the stored values.

    Examples
    --------
    >>> declared_packing(["0.5"], [])
    Packing(factors=(0.5,), offsets=(0.0,))
    """
    scales, shifts = (tuple(parse_numbers(values).tolist()) for values in (factors, offsets))
    divides = scale > 1 and set(scales) == {scale}
    return Packing((1 / scale,) if divides else scales or (1.0,), shifts or (0.0,))


def find_reflectance_scale(
    factors: Sequence[Any],
    offsets: Sequence[Any],
    name: str,
    *,
    description: str = "",
    unit: str = "",
    divisors: bool = False,
) -> tuple[float, tuple[str, ...]]:
    """Return the stored value that corresponds to a reflectance of 1, given the factors and offsets of the bands.

    The scale is derived from the factor if all these conditions hold, and is 1 if any of them fails:

    - All bands have the same positive factor, and all offsets are 0.
    - `description` contains ``reflectance``, or neither `description` nor `unit` states another quantity.
    - The factor is at most 1, or `divisors` is True and `description` contains ``reflectance``.

    The stored values themselves are never changed.

    Parameters
    ----------
    factors, offsets : sequence of float or str
        Factors and offsets, one per band or one for all bands. A stored value means the quantity ``factor * stored +
        offset``.
    name : str
        Name of the file, for notes.
    description : str
        Names and descriptions of the variable.
    unit : str
        Unit of the quantity. If the unit is percent, a reflectance of 1 is the quantity 100.
    divisors : bool
        Whether a factor above 1 is the divisor that converts stored values to reflectance, as in many plain HDF5 files.

    Returns
    -------
    scale : float
        Stored value that corresponds to a reflectance of 1; 1 if unknown.
    notes : tuple of str
        A note that states the scale, or the reason why the factor is not used. Empty if the file has no factor and no
        offset.

    Examples
    --------
    >>> find_reflectance_scale([0.0001], [0], "x.tif")
    (10000.0, ('x.tif: a stored 10000 is read as reflectance 1, because of its scale factor 0.0001',))
    """
    scales, shifts = (set(parse_numbers(values).tolist()) for values in (factors or [1], offsets or [0]))
    text, unit = description.lower(), unit.strip().lower()
    whole = 100.0 if unit in _PERCENT else 1.0
    if scales == {1.0} and shifts == {0.0}:
        return (
            (whole, (f"{name}: a stored 100 is read as reflectance 1, because of its unit {unit}",))
            if whole > 1
            else (1.0, ())
        )
    (factor, *others) = scales
    reason = ""
    if others or len(shifts) > 1:
        reason = "they differ between its bands"
    elif shifts != {0.0}:
        reason = "there is an offset"
    elif not np.isfinite(factor) or factor <= 0:
        reason = "the scale is not a positive number"
    elif states_other_quantity(text, unit):
        reason = "the values are another quantity than reflectance"
    elif factor > 1 and not (divisors and "reflectance" in text):
        reason = "the scale exceeds 1"
    if reason:
        return 1.0, (f"{name}: its scale and offset are not applied, because {reason}: values are as stored",)
    scale = factor if factor > 1 else float(np.round(whole / factor, 9))
    return scale, (f"{name}: a stored {scale:g} is read as reflectance 1, because of its scale factor {factor:g}",)
