"""Units of map coordinates in the attributes of a file, and their conversion to the unit of a CRS."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from hsifeat.scenes.readers.raster import NO_UNIT

if TYPE_CHECKING:
    from pyproj import CRS

_DEGREE = ("angular", math.pi / 180)
# Names of UDUNITS, which CF files use, and the names of the same units in pyproj.
_SYNONYMS = {
    "gon": "grad",
    "gradian": "grad",
    "arcsec": "arcsecond",
    "arcmin": "arcminute",
    "mile": "statutemile",
    "nmile": "nauticalmile",
    "surveyfoot": "ussurveyfoot",
    "internationalfoot": "foot",
    "urad": "microradian",
    "\u03bcrad": "microradian",  # the Greek letter, to which `str.casefold` converts the micro sign
}
# Punctuation in names of units. Other characters, such as the slash of "1/m", distinguish units.
_PUNCTUATION = re.compile(r"[\s_.'()\[\]-]")
# A number and a unit, such as "1000 metre", which pyproj writes for kilometres.
_MULTIPLE = re.compile(r"(?:([\d.]+(?:[eE][+-]?\d+)?)[\s*]*)?(\D.*)")
# Scales that differ by less, relative to their size, count as equal. Files state units with different numbers of digits.
_TOLERANCE = 1e-8


def parse_unit(text: str) -> tuple[str, float] | None:
    """Return the kind of a unit and its size in metres or radians; None if the unit is unknown.

    The kind is ``linear`` or ``angular``. The unit can be a multiple of another one.

    Examples
    --------
    >>> parse_unit("US_survey_feet"), parse_unit("1000 m"), parse_unit("1")
    (('linear', 0.304800609601219), ('linear', 1000.0), None)
    """
    match = _MULTIPLE.fullmatch(text.strip())
    if match is None:
        return None
    number, name = match[1] or "1", match[2].lower()
    kind, size = _DEGREE if name.startswith(("deg", "°")) else _known_units().get(_normalise(name), ("", math.nan))
    try:
        size *= float(number)
    except ValueError:
        return None
    return (kind, size) if kind and size > 0 else None


def unit_of_crs(crs: CRS) -> tuple[str, float, str]:
    """Return the kind of the unit of a CRS, its size in metres or radians, and its name."""
    axis = crs.axis_info[0] if crs.axis_info else None
    kind, size = _DEGREE if crs.is_geographic else ("linear", 1.0)
    return (kind, size, "") if axis is None else (kind, axis.unit_conversion_factor, axis.unit_name)


def coordinate_scale(unit: str, crs: CRS | None) -> float | None:
    """Return the factor that converts coordinates in a unit to the unit of a CRS.

    Scan angles of a geostationary satellite are converted to positions on its map: these are angles times the height of the
    satellite.

    Parameters
    ----------
    unit : str
        Unit of the coordinates. An empty text and ``unknown`` stand for the unit of the CRS; see `NO_UNIT`.
    crs : pyproj.CRS or None
        The CRS. Without a CRS, lengths are converted to metres and angles to degrees.

    Returns
    -------
    float or None
        None if the unit is unknown, or if it is a length and the CRS has angles, or the reverse.
    """
    if unit.strip().lower() in NO_UNIT:
        return 1.0
    parsed = parse_unit(unit)
    if parsed is None:
        return None
    kind, size = parsed
    target_kind, target = ("linear", 1.0) if kind == "linear" else _DEGREE
    if crs is not None:
        target_kind, target, _ = unit_of_crs(crs)
        if kind == "angular" and target_kind == "linear":
            height = crs.to_cf(errcheck=False).get("perspective_point_height")
            kind, size = ("angular", size) if height is None else ("linear", size * height)
    if kind != target_kind:
        return None
    scale = size / target
    return 1.0 if abs(scale - 1) < _TOLERANCE else scale


@lru_cache(maxsize=1)
def _known_units() -> dict[str, tuple[str, float]]:
    from pyproj.database import get_units_map

    units = {}
    for unit in get_units_map().values():
        if unit.category in {"linear", "angular"}:
            for name in filter(None, (unit.name, unit.proj_short_name)):
                units[_normalise(name)] = (unit.category, unit.conv_factor)
    return units


def _normalise(name: str) -> str:
    """Return the name of a unit in the singular, in British spelling and without punctuation."""
    letters = _PUNCTUATION.sub("", name.casefold()).replace("meter", "metre").replace("feet", "foot")
    singular = letters[:-1] if len(letters) > 4 and letters.endswith("s") else letters
    return _SYNONYMS.get(singular, singular)
