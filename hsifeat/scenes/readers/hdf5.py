"""Arrays in HDF5 files by h5py, read when they are sliced: MATLAB's of version 7.3 and plain ones."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.array_views import Part, Turned, View, as_slices
from hsifeat.scenes.readers import Raster
from hsifeat.scenes.readers.conventions import Named, is_spectral, nodata_of, plain_scale
from hsifeat.scenes.readers.hdf5_heaps import check_heaps
from hsifeat.scenes.readers.reading_errors import told
from hsifeat.scenes.readers.variable_choice import choose


class Hdf5Array(View):
    """A dataset of a file, opened again where it is unpickled.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        The dataset, with the groups it lies in.
    """

    def __init__(self, path: Path, name: str) -> None:
        import h5py

        self._path, self._name = path, name
        self._dataset = h5py.File(path, "r")[name]
        packed = self._dataset.id.get_create_plist().get_nfilters() > 0
        super().__init__(self._dataset.shape, self._dataset.dtype, self._dataset.chunks if packed else None)

    def __reduce__(self) -> tuple[type[Self], tuple[Path, str]]:
        return type(self), (self._path, self._name)

    def _read(self, parts: tuple[Part, ...]) -> NDArray[Any]:
        with told(self._path):
            return np.asarray(self._dataset[as_slices(parts)])


def read(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read an array of a plain HDF5 file, or of a NetCDF file under another name.

    Parameters
    ----------
    path : Path
        The file.
    ndim : int
        3 for a cube; 2 for a label map, or a cube with its pixels in one axis.
    variable : str or None
        The dataset, as ``group/name``; needed where there are several candidates.

    Raises
    ------
    SceneError
        No dataset, or several, or one whose values are not in the file.
    """
    import h5py

    check_heaps(path)
    with h5py.File(path, "r") as file:
        if _has_scales(file):
            from hsifeat.scenes.readers import cf as labelled

            return labelled.read_netcdf(path, ndim, variable)
        found = _datasets(file)
        chosen, notes = choose(path, {name: dataset.shape for name, dataset in found.items()}, ndim, variable)
        notes += storage_notes(path, file[chosen])
        array = Hdf5Array(path, chosen)
        one = Named((), array, dict(file[chosen].attrs))
        scale, scale_notes = plain_scale(one, chosen, path.name)
        return Raster(
            array,
            ordered=False,
            variable=chosen,
            nodata=nodata_of(one),
            scale=scale,
            beside=_beside(found, chosen),
            notes=(*notes, *scale_notes),
        )


def read_matlab(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read a variable of a MATLAB file of version 7.3, its axes in MATLAB's order: they lie the other way round on disk.

    Characters, cells, structs and function handles are no candidates; fields of structs are, as ``struct/field``.
    """
    import h5py

    from hsifeat.scenes.readers.mat import NUMERIC

    check_heaps(path)
    with path.open("rb") as start:
        by_matlab = start.read(6) == b"MATLAB"
    with h5py.File(path, "r") as file:
        found = _datasets(file)
        kinds = {name: _text(dataset.attrs.get("MATLAB_class", "")) for name, dataset in found.items()}
        by_matlab = by_matlab or any(kinds.values())
        # An empty array is stored as its shape.
        shapes = {
            name: dataset.shape[::-1] if by_matlab else dataset.shape
            for name, dataset in found.items()
            if kinds[name] in {"", *NUMERIC} and not dataset.attrs.get("MATLAB_empty", 0)
        }
        chosen, notes = choose(path, shapes, ndim, variable)
        notes += storage_notes(path, file[chosen])
        beside = _beside({name: found[name] for name in shapes}, chosen)
    array = Hdf5Array(path, chosen)
    if by_matlab:
        turned = Turned(array, range(len(array.shape))[::-1])
        return Raster(turned, ordered=False, variable=chosen, beside=beside, notes=notes)
    notes += (
        f"{path.name}: is HDF5, but not MATLAB's; took the axes of {chosen} as they are stored, not turned round",
    )
    return Raster(array, ordered=False, variable=chosen, beside=beside, notes=notes)


def _beside(found: dict[str, Any], chosen: str) -> dict[str, Named]:
    """Read the vectors that are called wavelengths or widths."""
    return {
        name: Named((), np.asarray(one), dict(one.attrs))
        for name, one in found.items()
        if is_spectral(name, one.shape, found[chosen].shape)
    }


def storage_notes(path: Path, dataset: Any) -> tuple[str, ...]:
    """Check that a dataset's values are in its file; say so where some are not, and are read as its fill value."""
    import h5py

    layout = dataset.id.get_create_plist().get_layout()
    if layout == h5py.h5d.CONTIGUOUS and dataset.external is None:
        stored = dataset.id.get_storage_size()
        if stored != prod(dataset.shape) * dataset.dtype.itemsize:
            raise SceneError(
                f"{path} holds {stored} bytes of {dataset.name}, which is {' x '.join(map(str, dataset.shape))} values of "
                f"{dataset.dtype}: it was never written, or the file is damaged"
            )
    if layout == h5py.h5d.CHUNKED:
        wanted = prod(-(-size // chunk) for size, chunk in zip(dataset.shape, dataset.chunks, strict=True))
        return missing_note(path, dataset.name.strip("/"), dataset.id.get_num_chunks(), wanted)
    return ()


def missing_note(path: Path, name: str, held: int, wanted: int) -> tuple[str, ...]:
    """Say that some of an array's chunks are not there; none at all is no scene."""
    if held >= wanted:
        return ()
    if held == 0:
        raise SceneError(f"{path} holds none of the {wanted} chunks of {name}: it was never written, or is damaged")
    return (f"{path.name}: holds {held} of the {wanted} chunks of {name}; the others read as its fill value",)


def _datasets(file: Any) -> dict[str, Any]:
    """Find the numeric datasets of a file, but for those where MATLAB keeps what its cells refer to."""
    import h5py

    found = {}

    def see(name: str, item: Any) -> None:
        if (
            isinstance(item, h5py.Dataset)
            and item.shape
            and item.dtype.kind in "biufc"
            and not name.startswith(("#refs#", "#subsystem#"))
        ):
            found[name] = item

    file.visititems(see)
    return found


def _has_scales(file: Any) -> bool:
    """Tell whether the file's dimensions have names, as NetCDF's have."""
    import h5py

    if "_NCProperties" in file.attrs:
        return True
    found = []

    def see(_: str, item: Any) -> bool | None:
        found.append(isinstance(item, h5py.Dataset) and _text(item.attrs.get("CLASS", "")) == "DIMENSION_SCALE")
        return True if found[-1] else None

    file.visititems(see)
    return any(found)


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        value = value.tobytes() if value.dtype.kind in "SV" else str(value)
    return value.decode("latin-1").rstrip("\0") if isinstance(value, bytes) else str(value)
