"""Plain HDF5 files (``.h5``, ``.hdf5``, ``.he5``), read lazily."""

from __future__ import annotations

from pathlib import Path

from hsifeat.scenes.readers.cf import read_netcdf
from hsifeat.scenes.readers.hdf5_files import (
    Hdf5Array,
    check_storage,
    find_datasets,
    find_spectral_vectors,
    has_dimension_scales,
)
from hsifeat.scenes.readers.hdf5_heaps import check_heaps
from hsifeat.scenes.readers.raster import FileVariable, Raster
from hsifeat.scenes.readers.variable_attributes import nodata_values, read_plain_scale
from hsifeat.scenes.readers.variable_choice import choose_variable


def read_hdf5(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read a dataset of an HDF5 file; a NetCDF file with an HDF5 suffix is read as NetCDF.

    Parameters
    ----------
    path : Path
        The file.
    ndim : int
        3 for a cube; 2 for a label map, or a cube whose pixels share one axis.
    variable : str or None
        The dataset, as ``group/name``; required if several have `ndim` dimensions.

    Raises
    ------
    SceneError
        No such dataset, or not exactly one candidate, or its values are not in the file.
    """
    import h5py

    check_heaps(path)
    with h5py.File(path, "r") as file:
        if has_dimension_scales(file):
            return read_netcdf(path, ndim, variable)
        datasets = find_datasets(file)
        shapes = {name: dataset.shape for name, dataset in datasets.items()}
        array_name, notes = choose_variable(path, shapes, ndim, variable)
        notes += check_storage(path, file[array_name])
        array = Hdf5Array(path, array_name)
        file_variable = FileVariable((), array, dict(file[array_name].attrs))
        scale, scale_notes = read_plain_scale(file_variable, array_name, path.name)
        return Raster(
            array,
            ordered=False,
            variable=array_name,
            nodata=nodata_values(file_variable),
            scale=scale,
            spectral_vectors=find_spectral_vectors(datasets, array_name),
            notes=(*notes, *scale_notes),
        )
