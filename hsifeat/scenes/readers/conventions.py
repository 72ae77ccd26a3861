"""What names and attributes of variables mean: dimensions, wavelengths, no data, classes and the CF conventions' grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.readers import Raster, spectrum
from hsifeat.types import Cube

_BANDS = {
    *("band", "bands", "nbands", "n_bands", "wavelength", "wavelengths", "wl", "wave", "lambda", "channel", "channels"),
    *("spectral", "spectral_band", "spectral_bands", "spectral_channel", "spectral_channels", "number_of_bands"),
}
_ROWS = {
    *(
        "y",
        "row",
        "rows",
        "line",
        "lines",
        "lat",
        "latitude",
        "northing",
        "downtrack",
        "along_track",
        "number_of_lines",
    ),
    *("height", "ny"),
}
_COLS = {
    *("x", "col", "cols", "column", "columns", "sample", "samples", "lon", "longitude", "easting", "crosstrack"),
    *("cross_track", "across_track", "pixels_per_line", "width", "nx"),
}
_WAVELENGTHS = {
    *("wavelength", "wavelengths", "wl", "lambda", "center_wavelength", "center_wavelengths", "central_wavelength"),
    *("wvl", "wavelength_nm", "wavelengths_nm"),
    *("central_wavelengths", "centre_wavelength", "centre_wavelengths", "band_center", "band_centers"),
}
_WIDTHS = {"fwhm", "fwhms", "full_width_half_max", "full_width_half_maximum"}
_SCALES, _ABOUT = {"scale_factor", "scale"}, {"description", "long_name", "standard_name", "name"}
_NODATA = {"_fillvalue", "missing_value", "data_ignore_value", "nodata", "no_data"}
_GOOD = {"bbl", "good_wavelengths", "good_bands"}


@dataclass(frozen=True)
class Named:
    """A variable of a file.

    Attributes
    ----------
    dims : tuple of str
        Names of its dimensions; empty where the file has none.
    array : array-like
        Its values, in memory or on disk.
    attrs : dict
        Its attributes.
    """

    dims: tuple[str, ...]
    array: Cube
    attrs: dict[str, Any]


def kept_axes(one: Named, ndim: int) -> tuple[int, ...]:
    """Return the axes of a variable without those of a single entry that are too many, such as a time."""
    axes = list(range(len(one.array.shape)))
    # Those whose name says nothing of rows, columns and bands go first.
    single = sorted((axis for axis in axes if one.array.shape[axis] == 1), key=lambda a: bool(_role(one, a, {})))
    for axis in single[: max(len(axes) - ndim, 0)]:
        axes.remove(axis)
    return tuple(axes)


def is_coordinate(name: str, one: Named) -> bool:
    """Tell whether a variable says where pixels lie, which makes it no candidate for a map."""
    last = name.rpartition("/")[2].lower()
    words = {last, str(one.attrs.get("standard_name", ""))}
    return bool(words & {"lat", "latitude", "lon", "longitude", "latitudes", "longitudes"})


def order_of(
    one: Named, axes: tuple[int, ...], named: Mapping[str, Named], name: str
) -> tuple[tuple[int, ...], bool, tuple[str, ...]]:
    """Return a variable's axes as rows, columns and bands, whether their names tell so, and notes on what was guessed."""
    if not one.dims:
        return axes, False, ()
    roles = {axis: _role(one, axis, named) for axis in axes}
    known = {role: axis for axis, role in roles.items() if role}
    if len(known) != sum(map(bool, roles.values())) or not known:
        return axes, False, ()
    wanted = ["rows", "cols", "bands"][: len(axes)] if len(axes) == 3 else ["rows", "cols"]
    if not set(known) <= set(wanted) or len(wanted) != len(axes):
        return axes, False, ()
    # What is left is told by elimination if it is one dimension; two are taken in the file's order.
    left = [axis for axis in axes if not roles[axis]]
    unsaid = [role for role in wanted if role not in known]
    if len(left) == 2 and "bands" in unsaid:
        return axes, False, ()
    guessed = tuple(
        f"{name}: took its dimension {one.dims[axis]} as {role}" for role, axis in zip(unsaid, left, strict=True)
    )
    known |= dict(zip(unsaid, left, strict=True))
    return tuple(known[role] for role in wanted), True, guessed


def _role(one: Named, axis: int, named: Mapping[str, Named]) -> str:
    if not one.dims:
        return ""
    dim = one.dims[axis]
    coordinate = named.get(dim)
    says = str(coordinate.attrs.get("axis", "")).upper() if coordinate is not None else ""
    for role, names, letter in (("bands", _BANDS, "-"), ("rows", _ROWS, "Y"), ("cols", _COLS, "X")):
        if dim.lower() in names or says == letter:
            return role
    return ""


def described(one: Named, dims: Sequence[str], named: Mapping[str, Named], name: str) -> Raster:
    """Return what a file says of a variable with the dimensions (rows, cols, bands) or (rows, cols)."""
    georeference, where_notes = _georeference(one, dims, named, name)
    scale, scale_notes = _scale(one, name)
    raster = Raster(
        one.array, nodata=nodata_of(one), scale=scale, georeference=georeference, notes=(*where_notes, *scale_notes)
    )
    if len(dims) == 2:
        class_names, class_colours = _classes(one)
        return replace(raster, class_names=class_names, class_colours=class_colours)
    along = {
        key.rpartition("/")[2].lower(): other
        for key, other in named.items()
        if other.dims == (dims[2],) and other.array.dtype.kind in "biuf"
    }
    bands = one.array.shape[one.dims.index(dims[2])]
    wavelengths, fwhm, good = (_first(along, names) for names in (_WAVELENGTHS, _WIDTHS, _GOOD))
    own = along.get(dims[2].lower())
    if wavelengths is None and own is not None and _unit(own).lower() in spectrum.UNITS_NM:
        wavelengths = own
    unit = _unit(wavelengths) or _unit(fwhm)
    wavelengths_nm, fwhm_nm, notes = spectrum.in_nm(_values(wavelengths), _values(fwhm), unit, bands, name)
    bad, bad_notes = spectrum.bad_bands(_values(good), bands, name)
    return replace(
        raster,
        wavelengths_nm=wavelengths_nm,
        fwhm_nm=fwhm_nm,
        bad_bands=bad,
        notes=(*notes, *bad_notes, *raster.notes),
    )


def nodata_of(one: Named) -> tuple[float, ...]:
    """Return the values for no data."""
    return spectrum.nodata_of(
        [v for key, value in one.attrs.items() if key.lower() in _NODATA for v in np.ravel(value)]
    )


def is_spectral(name: str, shape: Sequence[int], cube: Sequence[int]) -> bool:
    """Tell whether a variable beside a cube is a vector called wavelengths or widths, as long as one of the cube's axes."""
    last = name.rpartition("/")[2].lower()
    return last in _WAVELENGTHS | _WIDTHS and sorted(shape)[:-1] in ([], [1]) and max(shape) in cube


def with_spectrum(raster: Raster, name: str) -> Raster:
    """Give a cube (rows, cols, bands) the wavelengths and widths that lie beside it, where they are as many as its bands."""
    bands = int(raster.array.shape[2])
    fitting = {key: one for key, one in raster.beside.items() if max(one.array.shape) == bands}
    found: list[Named | None] = []
    notes: list[str] = []
    for what, names in (("wavelengths", _WAVELENGTHS), ("widths", _WIDTHS)):
        called = [key for key in fitting if key.rpartition("/")[2].lower() in names]
        found.append(fitting[called[0]] if len(called) == 1 else None)
        if called:
            took = f"took {called[0]}" if len(called) == 1 else f"found {', '.join(called)} and took none"
            notes.append(f"{name}: {took} as the {what} of its bands")
    wavelengths, fwhm = found
    unit = _unit(wavelengths) or _unit(fwhm)
    wavelengths_nm, fwhm_nm, more = spectrum.in_nm(_values(wavelengths), _values(fwhm), unit, bands, name)
    return replace(raster, wavelengths_nm=wavelengths_nm, fwhm_nm=fwhm_nm, notes=(*raster.notes, *notes, *more))


def plain_scale(one: Named, variable: str, name: str) -> tuple[float, tuple[str, ...]]:
    """Read a scale factor outside the CF conventions: NEON's 10000 is what values are divided by, others multiply."""
    factor = next((float(spectrum.numbers(np.ravel(v))[0]) for k, v in one.attrs.items() if k.lower() in _SCALES), 1.0)
    if factor == 1 or not np.isfinite(factor) or factor <= 0:
        return 1.0, ()
    words = " ".join([variable, *(str(value) for key, value in one.attrs.items() if key.lower() in _ABOUT)])
    if "reflectance" not in words.lower():
        return 1.0, (f"{name}: its scale factor {factor:g} is not applied: values are as stored",)
    scale = factor if factor > 1 else float(np.round(1 / factor, 9))
    return scale, (f"{name}: took {scale:g} as reflectance 1, by its scale factor {factor:g}",)


def _first(along: Mapping[str, Named], names: set[str]) -> Named | None:
    return next((other for name, other in along.items() if name in names), None)


def _unit(one: Named | None) -> str:
    said = {} if one is None else {key.lower(): value for key, value in one.attrs.items()}
    unit = said.get("units", said.get("unit", ""))
    return unit.decode("utf-8", "replace") if isinstance(unit, bytes) else str(unit)


def _values(one: Named | None) -> Sequence[float] | None:
    return None if one is None else np.ravel(np.asarray(one.array)).astype(np.float64).tolist()


def _scale(one: Named, name: str) -> tuple[float, tuple[str, ...]]:
    """Take a scale factor as reflectance's where the variable says that it is reflectance; otherwise only tell of it."""
    factor, offset = (
        float(spectrum.numbers(np.ravel(one.attrs.get(key, default)))[0])
        for key, default in (("scale_factor", 1.0), ("add_offset", 0.0))
    )
    if (factor, offset) == (1.0, 0.0):
        return 1.0, ()
    words = " ".join(str(one.attrs.get(key, "")) for key in ("standard_name", "long_name")).lower()
    if "reflectance" in words and offset == 0 and np.isfinite(factor) and factor > 0:
        return float(np.round(1 / factor, 9)), ()
    return 1.0, (f"{name}: its scale_factor and add_offset are not applied: values are as stored",)


def _classes(one: Named) -> tuple[dict[int, str], dict[int, str]]:
    """Return CF's flag_values with their flag_meanings, and the flag_colors that go with them."""
    values = [
        int(value) for value in spectrum.numbers(np.ravel(one.attrs.get("flag_values", []))) if value.is_integer()
    ]
    names = str(one.attrs.get("flag_meanings", "")).split()
    colours = str(one.attrs.get("flag_colors", "")).lower().split()
    good = [c for c in colours if len(c) == 7 and c[0] == "#" and set(c[1:]) <= set("0123456789abcdef")]
    return (
        {v: n for v, n in zip(values, names, strict=True) if v >= 0} if len(names) == len(values) else {},
        {v: c for v, c in zip(values, good, strict=True) if v > 0} if len(good) == len(values) else {},
    )


def _georeference(
    one: Named, dims: Sequence[str], named: Mapping[str, Named], name: str
) -> tuple[Georeference | None, tuple[str, ...]]:
    """Read the grid mapping for the CRS, and the coordinates for the transform, or else GDAL's GeoTransform."""
    mapping = named.get(str(one.attrs.get("grid_mapping", "")).split(":")[0].strip() or "spatial_ref")
    crs, notes = _crs(mapping, name)
    y, x = named.get(dims[0]), named.get(dims[1])
    transform, trouble = _by_coordinates(y, x)
    by_gdal = _by_gdal(mapping)
    if transform is None and by_gdal is not None:
        transform, trouble = by_gdal, ""
    elif transform is not None and by_gdal is not None and _unit(x).lower() not in _KILOMETRES:
        rows, cols = (one.array.shape[one.dims.index(dim)] for dim in dims[:2])
        if not _same_grid(transform, by_gdal, rows, cols):
            told = "its coordinates and its GeoTransform disagree, as where GDAL wrote a rotated grid; took the coordinates"
            notes += (f"{name}: {told}, which may be wrong",)
    if transform is None:
        if crs is None:
            return None, notes
        why = trouble or "has no coordinates of rows and columns"
        return None, (*notes, f"{name}: has a CRS, but {why}; where the scene lies is left out")
    return Georeference(crs, transform), notes


def _crs(mapping: Named | None, name: str) -> tuple[str | None, tuple[str, ...]]:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    if mapping is None:
        return None, ()
    attrs = mapping.attrs
    try:
        text = next((attrs[key] for key in ("crs_wkt", "spatial_ref") if attrs.get(key)), None)
        crs = CRS.from_user_input(text) if text is not None else CRS.from_cf(attrs)
        return crs.to_wkt(), ()
    except (CRSError, KeyError, TypeError, ValueError):
        return None, (f"{name}: its grid mapping can't be read; the CRS is left out",)


_KILOMETRES = {"km", "kilometer", "kilometre", "kilometers", "kilometres"}
_Transform = tuple[float, float, float, float, float, float]


def _by_gdal(mapping: Named | None) -> _Transform | None:
    """Return the transform that GDAL leaves in a grid mapping."""
    text = "" if mapping is None else mapping.attrs.get("GeoTransform", "")
    parts = spectrum.numbers(text.split() if isinstance(text, str) else np.ravel(text))
    if len(parts) != 6 or not np.isfinite(parts).all():
        return None
    c, a, b, f, d, e = map(float, parts)
    return a, b, c, d, e, f


def _same_grid(one: _Transform, other: _Transform, rows: int, cols: int) -> bool:
    """Tell whether two transforms lay a grid on one place, to a tenth of a pixel; GDAL's goes from north to south, always."""
    corners = np.array([(x, y, 1) for x in (0, cols) for y in (0, rows)], float)
    turned = corners * (1, -1, 1) + (0, rows, 0)
    places = [points @ np.reshape(t, (2, 3)).T for t, points in ((one, corners), (other, corners), (other, turned))]
    near = 0.1 * min(np.hypot(one[0], one[3]), np.hypot(one[1], one[4]))
    return bool(any(np.abs(places[0] - place).max() <= near for place in places[1:]))


def _by_coordinates(y: Named | None, x: Named | None) -> tuple[_Transform | None, str]:
    """Return the transform of coordinates of pixel centres, or None and why there is none."""
    if y is None or x is None:
        return None, ""
    steps = []
    for axis in (x, y):
        values = np.asarray(axis.array).astype(np.float64) if len(axis.array.shape) == 1 else np.empty(0)
        if len(values) < 2 or not np.isfinite(values).all():
            return None, "no coordinates to tell a pixel's size from"
        if _unit(axis).lower() in _KILOMETRES:
            values = values * 1000
        elif _unit(axis).lower().startswith(("rad", "1")):
            return None, f"its coordinates are in {_unit(axis)}"
        step = (values[-1] - values[0]) / (len(values) - 1)
        if step == 0 or not np.allclose(np.diff(values), step, rtol=1e-3, atol=0):
            return None, "its coordinates are not evenly spaced"
        steps.append((float(step), float(values[0] - step / 2)))
    (a, c), (e, f) = steps
    return (a, 0.0, c, 0.0, e, f), ""
