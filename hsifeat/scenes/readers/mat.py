"""MATLAB files: up to version 7 by SciPy, version 7.3 by h5py."""

from __future__ import annotations

from pathlib import Path

from hsifeat.errors import SceneError
from hsifeat.scenes.readers import Raster
from hsifeat.scenes.readers.conventions import Named, is_spectral
from hsifeat.scenes.readers.variable_choice import choose

NUMERIC = {"double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}
# Deflate, by which MATLAB compresses, makes nothing more than 1032 times smaller.
_MOST_COMPRESSED = 1032


def read(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read one numeric variable of `ndim` dimensions; `SceneError` lists the candidates when there are several.

    Files of version 7.3 are read when they are sliced; older ones hold at most 2 GB a variable, and are read at once.
    """
    import h5py
    from scipy.io import loadmat, whosmat

    if h5py.is_hdf5(path):
        from hsifeat.scenes.readers import hdf5

        return hdf5.read_matlab(path, ndim, variable)
    held = whosmat(path)
    shapes = {name: tuple(shape) for name, shape, kind in held if kind in NUMERIC}
    others = ", ".join(f"{name} of class {kind}" for name, _, kind in held if kind not in NUMERIC)
    chosen, notes = choose(path, shapes, ndim, variable, others)
    values = 1
    for size in shapes[chosen]:
        values *= max(size, 0)
    if values > _MOST_COMPRESSED * path.stat().st_size:
        raise SceneError(
            f"{path} says that {chosen} has {values} values, more than a file of {path.stat().st_size} bytes can hold: "
            "it is damaged"
        )
    vectors = [name for name, shape in shapes.items() if is_spectral(name, shape, shapes[chosen])]
    arrays = loadmat(path, variable_names=[chosen, *vectors])
    beside = {name: Named((), arrays[name], {}) for name in vectors}
    return Raster(array=arrays[chosen], ordered=False, variable=chosen, beside=beside, notes=notes)
