"""Reader of MATLAB files. It uses SciPy for versions up to 7, and h5py for version 7.3 (HDF5)."""

from __future__ import annotations

from pathlib import Path

from hsifeat.errors import SceneError
from hsifeat.scenes.array_views import TransposedView
from hsifeat.scenes.readers.external_sources import check_hdf5_sources
from hsifeat.scenes.readers.hdf5_files import (
    Hdf5Array,
    as_text,
    check_storage,
    find_datasets,
    find_spectral_vectors,
)
from hsifeat.scenes.readers.hdf5_heaps import check_heaps
from hsifeat.scenes.readers.raster import FileVariable, Raster
from hsifeat.scenes.readers.spectral_vectors import is_spectral_vector
from hsifeat.scenes.readers.variable_choice import choose_variable

_NUMERIC = {"double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}
# Maximum compression ratio of deflate, the compression method of MATLAB.
_MAX_COMPRESSION = 1032


def read_mat(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read a numeric variable of a MATLAB file.

    A variable of a file of version 7.3 is read lazily. A variable of an older file has at most 2 GB and is read as a whole.

    Parameters
    ----------
    path : Path
        The file.
    ndim : int
        Number of dimensions: 2 for a label map, 2 for a cube with all pixels on one axis, 3 for other cubes.
    variable : str or None
        Name of the variable, or ``struct/field`` for a field of a struct in a file of version 7.3. It is required if
        several variables have `ndim` dimensions.

    Raises
    ------
    SceneError
        If the variable does not exist. If the file is damaged. If `variable` is None, and the file does not have
        exactly one variable of `ndim` dimensions.
    """
    import h5py
    from scipy.io import loadmat, whosmat

    if h5py.is_hdf5(path):
        return _read_version_73(path, ndim, variable)
    content = whosmat(path)
    shapes = {name: tuple(shape) for name, shape, kind in content if kind in _NUMERIC}
    others = ", ".join(f"{name} of class {kind}" for name, _, kind in content if kind not in _NUMERIC)
    array_name, notes = choose_variable(path, shapes, ndim, variable, others)
    size = 1
    for side in shapes[array_name]:
        size *= max(side, 0)
    if size > _MAX_COMPRESSION * path.stat().st_size:
        raise SceneError(
            f"{path} says that {array_name} has {size} values, more than a file of {path.stat().st_size} bytes can hold: "
            "it is damaged"
        )
    vectors = [name for name, shape in shapes.items() if is_spectral_vector(name, shape, shapes[array_name])]
    arrays = loadmat(path, variable_names=[array_name, *vectors])
    spectral_vectors = {name: FileVariable((), arrays[name], {}) for name in vectors}
    return Raster(
        array=arrays[array_name], ordered=False, variable=array_name, spectral_vectors=spectral_vectors, notes=notes
    )


def _read_version_73(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read a variable of a file of version 7.3. MATLAB stores the axes of such a variable in reverse order."""
    import h5py

    check_heaps(path)
    check_hdf5_sources(path)
    with path.open("rb") as stream:
        by_matlab = stream.read(6) == b"MATLAB"
    with h5py.File(path, "r") as file:
        datasets = find_datasets(file)
        kinds = {name: as_text(dataset.attrs.get("MATLAB_class", "")) for name, dataset in datasets.items()}
        by_matlab = by_matlab or any(kinds.values())
        # Characters, cells, structs, function handles and empty arrays (stored as their shapes) are no candidates.
        shapes = {
            name: dataset.shape[::-1] if by_matlab else dataset.shape
            for name, dataset in datasets.items()
            if kinds[name] in {"", *_NUMERIC} and not dataset.attrs.get("MATLAB_empty", 0)
        }
        array_name, notes = choose_variable(path, shapes, ndim, variable)
        notes += check_storage(path, file[array_name])
        spectral_vectors = find_spectral_vectors({name: datasets[name] for name in shapes}, array_name)
    array = Hdf5Array(path, array_name)
    if by_matlab:
        reversed_axes = TransposedView(array, range(len(array.shape))[::-1])
        return Raster(reversed_axes, ordered=False, variable=array_name, spectral_vectors=spectral_vectors, notes=notes)
    notes += (f"{path.name}: an HDF5 file that MATLAB did not write; the axes of {array_name} are kept as stored",)
    return Raster(array, ordered=False, variable=array_name, spectral_vectors=spectral_vectors, notes=notes)
