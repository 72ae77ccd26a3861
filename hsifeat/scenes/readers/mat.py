"""MATLAB files up to version 7, by SciPy."""

from __future__ import annotations

from pathlib import Path

from hsifeat.errors import SceneError
from hsifeat.scenes.readers import Raster

_NUMERIC = {"double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}


def read(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read one numeric variable of `ndim` dimensions; `SceneError` lists the candidates when there are several."""
    from scipy.io import loadmat, whosmat

    try:
        held = whosmat(path)
    except NotImplementedError as error:
        raise SceneError(
            f"{path} is a MATLAB v7.3 file, which is not read yet: save it with -v7, or as .npy"
        ) from error
    shapes = {name: tuple(shape) for name, shape, kind in held if kind in _NUMERIC}
    # A vector is two-dimensional to MATLAB, but no label map.
    candidates = {n: s for n, s in shapes.items() if len(s) == ndim and sorted(s)[-2] > 1}
    listing = ", ".join(f"{n} {' x '.join(map(str, s))}" for n, s in shapes.items()) or "no numeric array"
    if variable is not None and variable not in shapes:
        raise SceneError(f"{path} has no variable {variable!r}; it holds {listing}")
    if variable is None and len(candidates) != 1:
        count = "no array" if not candidates else f"{len(candidates)} arrays"
        raise SceneError(f"{path} has {count} of {ndim} dimensions; it holds {listing}: name one with --variable NAME")
    chosen = variable or next(iter(candidates))
    notes = () if variable or len(shapes) == 1 else (f"{path.name}: took the variable {chosen}, of {listing}",)
    return Raster(array=loadmat(path, variable_names=[chosen])[chosen], ordered=False, variable=chosen, notes=notes)
