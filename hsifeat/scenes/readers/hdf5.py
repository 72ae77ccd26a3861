"""Lazy reader of plain HDF5 files (``.h5``, ``.hdf5``, ``.he5``)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hsifeat.scenes.readers.backend_arrays import apply_sign
from hsifeat.scenes.readers.cf import read_netcdf
from hsifeat.scenes.readers.external_sources import check_hdf5_sources
from hsifeat.scenes.readers.hdf5_files import (
    Hdf5Array,
    attributes,
    check_storage,
    find_datasets,
    find_partly_named,
    find_spectral_vectors,
    has_dimension_scales,
)
from hsifeat.scenes.readers.hdf5_heaps import check_heaps
from hsifeat.scenes.readers.raster import Raster
from hsifeat.scenes.readers.variable_attributes import unordered_raster
from hsifeat.scenes.readers.variable_choice import choose_variable


def read_hdf5(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read a dataset of an HDF5 file.

    A NetCDF file with an HDF5 suffix is read as NetCDF. If dimension scales name only some axes of a dataset, it is no NetCDF file,
    and the names are not used.

    Parameters
    ----------
    path : Path
        The file.
    ndim : int
        Number of dimensions: 2 for a label map, 2 for a cube with all pixels on one axis, 3 for other cubes.
    variable : str or None
        Path of the dataset, such as ``group/name``. Required if several datasets have `ndim` dimensions.

    Raises
    ------
    SceneError
        If the dataset does not exist. If the values of the dataset were not written to the file; see `check_storage`.
        If `variable` is None, and the file does not have exactly one dataset of `ndim` dimensions.
    """
    import h5py

    check_heaps(path)
    check_hdf5_sources(path)
    with h5py.File(path, "r") as file:
        partly_named = find_partly_named(file)
        if partly_named is None and has_dimension_scales(file):
            return read_netcdf(path, ndim, variable)
        datasets = find_datasets(file)
        shapes = {name: dataset.shape for name, dataset in datasets.items()}
        array_name, notes = choose_variable(path, shapes, ndim, variable)
        notes += check_storage(path, file[array_name])
        if partly_named is not None:
            notes += (f"{path.name}: dimension scales name only some axes of {partly_named}; they are ignored",)
        file_variable = apply_sign((), Hdf5Array(path, array_name), attributes(file[array_name]))
        vectors = find_spectral_vectors(datasets, array_name)
        raster = unordered_raster(file_variable, array_name, vectors, path.name, divisors=True)
        return replace(raster, notes=(*notes, *raster.notes))
