"""Access to HDF5 files with h5py, shared by the readers of plain HDF5, NetCDF 4 and MATLAB 7.3."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.array_views import ArrayView, AxisIndex, as_slices
from hsifeat.scenes.readers.raster import FileVariable
from hsifeat.scenes.readers.reading_errors import reading_errors
from hsifeat.scenes.readers.spectral_vectors import select_spectral_vectors


class Hdf5Array(ArrayView):
    """Lazy array of a dataset of an HDF5 file.

    Unpickling opens the file again.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        Path of the dataset in the file.
    """

    def __init__(self, path: Path, name: str) -> None:
        import h5py

        self._path, self._name = path, name
        self._dataset = h5py.File(path, "r")[name]
        filtered = self._dataset.id.get_create_plist().get_nfilters() > 0
        super().__init__(self._dataset.shape, self._dataset.dtype, self._dataset.chunks if filtered else None)

    def __reduce__(self) -> tuple[type[Self], tuple[Path, str]]:
        return type(self), (self._path, self._name)

    def _read(self, parts: tuple[AxisIndex, ...]) -> NDArray[Any]:
        with reading_errors(self._path):
            return np.asarray(self._dataset[as_slices(parts)])


def find_datasets(file: Any) -> dict[str, Any]:
    """Return a dict that maps paths to the numeric datasets of an open file. Scalars and empty datasets are left out.

    Datasets behind external links are included. Groups that MATLAB creates for the contents of cells and objects are
    skipped.
    """
    import h5py

    datasets = {}

    def visit(name: str, item: Any) -> None:
        if (
            isinstance(item, h5py.Dataset)
            and item.shape
            and item.dtype.kind in "biufc"
            and not name.startswith(("#refs#", "#subsystem#"))
        ):
            datasets[name] = item

    file.visititems(visit)
    links: dict[str, Any] = {}
    file.visititems_links(links.__setitem__)  # the library visits no external links
    for name, link in links.items():
        if isinstance(link, h5py.ExternalLink):
            target = file[name]
            visit(name, target)
            if isinstance(target, h5py.Group):
                target.visititems(lambda inner, item, name=name: visit(f"{name}/{inner}", item))
    return datasets


def attributes(dataset: Any) -> dict[str, Any]:
    """Return the attributes of a dataset, with the dataset's fill value appended to the attribute ``_FillValue``.

    HDF5 returns the fill value for values that were never written. If the writer of the file set no fill value, or set it to
    0, nothing is appended.
    """
    import h5py

    attrs = dict(dataset.attrs)
    user_defined = dataset.id.get_create_plist().fill_value_defined() == h5py.h5d.FILL_VALUE_USER_DEFINED
    if user_defined and dataset.fillvalue != 0:
        attrs["_FillValue"] = np.append(np.ravel(attrs.get("_FillValue", [])), dataset.fillvalue)
    return attrs


def find_spectral_vectors(datasets: dict[str, Any], array_name: str) -> dict[str, FileVariable]:
    """Read the vectors that may describe the bands of an array; see `select_spectral_vectors`."""
    variables = {name: FileVariable((), dataset, dict(dataset.attrs)) for name, dataset in datasets.items()}
    return {
        name: replace(vector, array=np.asarray(vector.array))
        for name, vector in select_spectral_vectors(variables, array_name).items()
    }


def has_dimension_scales(file: Any) -> bool:
    """Return whether an open file has dimension scales: data sets that name dimensions, as in NetCDF files."""
    import h5py

    if "_NCProperties" in file.attrs:
        return True

    def visit(_: str, item: Any) -> bool | None:
        is_scale = isinstance(item, h5py.Dataset) and as_text(item.attrs.get("CLASS", "")) == "DIMENSION_SCALE"
        return True if is_scale else None

    return file.visititems(visit) is True


def find_partly_named(file: Any) -> str | None:
    """Return the path of a dataset with dimension scales on some axes only; None if there is none.

    Plain HDF5 files may have such datasets. NetCDF files name all dimensions.
    """
    import h5py

    def visit(name: str, item: Any) -> str | None:
        if not isinstance(item, h5py.Dataset) or "DIMENSION_LIST" not in item.attrs:
            return None
        return name if 0 in {len(scales) for scales in item.dims} else None

    found: str | None = file.visititems(visit)
    return found


def check_storage(path: Path, dataset: Any) -> tuple[str, ...]:
    """Check that an HDF5 file contains the values of a dataset.

    Parameters
    ----------
    path : Path
        The file.
    dataset : h5py.Dataset
        A dataset of the file.

    Returns
    -------
    tuple of str
        A note if some chunks are missing. Missing chunks are read as the fill value.

    Raises
    ------
    SceneError
        If the dataset has chunks, but none of them is stored. If the dataset is contiguous, but stored incompletely.
    """
    import h5py

    layout = dataset.id.get_create_plist().get_layout()
    if layout == h5py.h5d.CONTIGUOUS and dataset.external is None:
        stored = dataset.id.get_storage_size()
        if stored != prod(dataset.shape) * dataset.dtype.itemsize:
            raise SceneError(
                f"{path} holds {stored} bytes of {dataset.name}, which has {' x '.join(map(str, dataset.shape))} values of "
                f"{dataset.dtype}: it was never written, or the file is damaged"
            )
    if layout == h5py.h5d.CHUNKED:
        expected = prod(-(-size // chunk) for size, chunk in zip(dataset.shape, dataset.chunks, strict=True))
        return check_chunk_count(path, dataset.name.strip("/"), dataset.id.get_num_chunks(), expected)
    return ()


def check_chunk_count(path: Path, name: str, stored: int, expected: int) -> tuple[str, ...]:
    """Check whether a file stores all chunks of an array.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        Name of the array.
    stored, expected : int
        Number of stored chunks, and number of chunks of the complete array.

    Returns
    -------
    tuple of str
        A note if some chunks are missing.

    Raises
    ------
    SceneError
        If none of the chunks is stored.
    """
    if stored >= expected:
        return ()
    if stored == 0:
        raise SceneError(f"{path} holds none of the {expected} chunks of {name}: it was never written, or is damaged")
    return (f"{path.name}: holds {stored} of the {expected} chunks of {name}; the others are read as its fill value",)


def as_text(value: Any) -> str:
    """Convert a text attribute of any HDF5 string type to str."""
    if isinstance(value, np.ndarray):
        value = value.tobytes() if value.dtype.kind in "SV" else str(value)
    return value.decode("latin-1").rstrip("\0") if isinstance(value, bytes) else str(value)
