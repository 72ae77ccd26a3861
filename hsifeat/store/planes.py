"""Planes of a store: creating, writing, reading and deleting their arrays."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import StoreError
from hsifeat.store import checksums as checksum_file
from hsifeat.store.keys import PLANE, plane_of, records_key, shard_key
from hsifeat.store.location import repair_advice
from hsifeat.store.plane_layout import (
    MAX_STRIDE,
    STORED_DTYPES,
    PlaneLayout,
    PlaneSpec,
    Unit,
    plane_options,
    progress_options,
)
from hsifeat.store.progress import ProgressRecords, digest_of
from hsifeat.store.shard_tags import shard_tags
from hsifeat.store.store_files import StoreFiles, damage_errors
from hsifeat.types import PlaneId, Window, as_int

if TYPE_CHECKING:
    import zarr


class Planes:
    """The planes of a store. A plane has the features of one timestep and one layer.

    Parameters
    ----------
    files : StoreFiles
        Files of the store.
    layout : PlaneLayout
        Shapes of the planes and their division into units.
    progress : ProgressRecords
        Progress records of the store.
    """

    def __init__(self, files: StoreFiles, layout: PlaneLayout, progress: ProgressRecords) -> None:
        self._files, self._layout, self._progress = files, layout, progress
        self._copies: dict[PlaneId, tuple[dict[str, Any], zarr.Array[Any]]] = {}

    def specs(self) -> list[PlaneSpec]:
        """List all complete and unfinished planes. They are sorted by timestep, and then from coarse to fine resolution.

        Raises
        ------
        StoreError
            If the attributes of a plane contradict the path of the plane or the layout of the store.
        """
        specs = []
        for key in self._files.checksums:
            plane = plane_of(key)
            if plane is not None and PLANE.fullmatch(key) and self._files.has_array(f"progress/{plane.path}"):
                specs.append(self._spec(plane))
        return sorted(specs, key=lambda plane: (plane.id.t, -plane.stride, plane.id.layer))

    def _spec(self, plane: PlaneId) -> PlaneSpec:
        array = self._files.array(f"planes/{plane.path}")
        attributes: dict[str, Any] = array.attrs.asdict()
        stride = as_int(attributes.get("stride"))
        named = attributes.get("t") == plane.t and attributes.get("layer") == plane.layer
        if named and stride and 0 < stride <= MAX_STRIDE and array.ndim == 3:
            spec = PlaneSpec(plane, stride, array.shape[2], str(array.dtype))
            whole = array.shape == self._layout.cells(spec, self._layout.extent)
            if whole and array.shards == self._layout.shard(spec) and spec.dtype in STORED_DTYPES:
                return spec
        raise StoreError(
            f"{self._files.location}: the metadata of planes/{plane.path} are wrong: found {attributes}, shape {array.shape} and "
            f"dtype {array.dtype}: extract the scene to another place"
        )

    def array(self, plane: PlaneId) -> zarr.Array[Any]:
        """Return the Zarr array of a plane, with its stored shape and dtype."""
        return self._files.array(f"planes/{plane.path}")

    def add(self, planes: Sequence[PlaneSpec]) -> None:
        """Create planes without values. Planes that exist do not change.

        Raises
        ------
        StoreError
            If a timestep or the name of a layer can't be part of the path of a plane.
        """
        for plane in planes:
            if plane_of(f"planes/{plane.id.path}/zarr.json") != plane.id:
                raise StoreError(
                    f"a store can't hold the plane {str(plane.id)!r}: timesteps are below 10^9, and names of layers consist of letters, "
                    "digits, '_', '.' and '-'"
                )
        new = [plane for plane in planes if not all(map(self._files.has_array, _paths(plane.id)))]
        if new:
            self._write_metadata(new)

    def recreate(self, plane: PlaneSpec) -> None:
        """Delete the values of a plane, and write the metadata of its array again.

        If the process is killed during the call, `verify` reports that the metadata of the plane has changed.
        """
        self._files.checksums.pop(records_key(plane.id), None)
        self._write_metadata([plane])

    def _write_metadata(self, planes: Sequence[PlaneSpec]) -> None:
        """Write the metadata of the arrays of `planes` and then the checksums of all. Delete the values of the planes."""
        with self._files.location.error_context():
            for plane in planes:
                self._create_arrays(self._files.group, plane)
            self._files.save_checksums()
        for plane in planes:
            self._copies.pop(plane.id, None)
            for path in _paths(plane.id):
                self._files.forget_array(path)

    def restore_metadata(self, plane: PlaneSpec) -> bool:
        """Write the metadata of the array of a plane again, after the metadata was damaged.

        If the new metadata does not match the checksums of the store, write nothing and return False. Otherwise, return
        True.
        """
        import zarr

        memory: dict[str, Any] = {}
        self._create_arrays(zarr.create_group(zarr.storage.MemoryStore(memory)), plane)
        content = {key: memory[key].to_bytes() for key in memory if key.endswith(f"/{plane.id.path}/zarr.json")}
        if any(checksum_file.checksum(value) != self._files.checksums.get(key) for key, value in content.items()):
            return False
        with self._files.location.error_context():
            for key, value in content.items():
                self._files.location.put(key, value)
        return True

    def write(self, plane: PlaneId, unit: Unit, values: NDArray[np.generic]) -> None:
        """Write one unit of a plane, then the progress record of the unit.

        Parameters
        ----------
        plane : PlaneId
            Plane to write to. It must exist.
        unit : Unit
            Unit to write.
        values : array of shape (cell rows, cell cols, channels) or (pixels, 2, channels)
            Values in the dtype of the plane. The second shape is for a store with a list of pixels; see
            `PixelListLayout`.

        Raises
        ------
        StoreError
            If the values can't be written, for example because the disk is full. In this case, no progress record is
            written.
        """
        array = self.array(plane)
        with self._files.location.error_context():
            # An existing shard may be damaged, so it is replaced as a whole and not merged with the values. If two workers
            # write the same unit, the order does not matter, because both write the same bytes.
            shard, digest = self._encode(plane, array, unit, values), digest_of(values)
            if self._progress.digest(plane, unit) != digest:
                self._progress.revoke(plane, unit)
            self._files.location.put(shard_key(plane, unit), shard)
            self._progress.record(plane, unit, digest, _tags(shard, array))

    def read(self, plane: PlaneId, cells: Window) -> NDArray[np.float32]:
        """Read a window of a plane as a (rows, cols, channels) float32 array.

        The window `cells` is in cells of the plane.

        Raises
        ------
        StoreError
            If stored bytes do not match their checksum. If a shard is missing.
        """
        location = self._files.location
        with damage_errors(location, f"planes/{plane.path}"):
            values = np.asarray(self.array(plane)[cells.slices], np.float32)
        # Planes contain no NaN, but the fill value is NaN. A NaN therefore means that a shard is missing.
        if np.isnan(values).any():
            raise StoreError(f"{location}: a part of the plane {plane} is missing: {repair_advice(location)}")
        return values

    def _encode(self, plane: PlaneId, array: zarr.Array[Any], unit: Unit, values: NDArray[np.generic]) -> bytes:
        """Return the content of the shard of `unit`. Zarr encodes `values` in an in-memory array with the metadata of `array`."""
        import zarr
        from zarr.core.buffer import default_buffer_prototype

        if plane not in self._copies:
            memory: dict[str, Any] = dict(array.metadata.to_buffer_dict(default_buffer_prototype()))
            empty = zarr.open_array(zarr.storage.MemoryStore(memory), mode="r+")
            self._copies[plane] = memory, empty.with_config({"write_empty_chunks": True})
        memory, copy = self._copies[plane]
        attributes: dict[str, Any] = array.attrs.asdict()
        copy[self._layout.slices(unit, attributes["stride"])] = values
        return bytes(memory.pop(shard_key(plane, unit).removeprefix(f"planes/{plane.path}/")).to_bytes())

    def _create_arrays(self, group: zarr.Group, plane: PlaneSpec) -> None:
        group.create_array(
            f"planes/{plane.id.path}",
            **plane_options(self._layout, plane),
            dtype=plane.dtype,
            fill_value=float("nan"),
            attributes={"t": plane.id.t, "layer": plane.id.layer, "stride": plane.stride},
            overwrite=True,
        )
        group.create_array(
            f"progress/{plane.id.path}",
            **progress_options(self._layout, plane),
            dtype="uint8",
            fill_value=0,
            dimension_names=("unit_row", "unit_col", f"record_{plane.id.layer}"),
            overwrite=True,
        )


def _paths(plane: PlaneId) -> tuple[str, str]:
    return f"planes/{plane.path}", f"progress/{plane.path}"


def _tags(shard: bytes, array: zarr.Array[Any]) -> bytes:
    chunks = prod(side // chunk for side, chunk in zip(array.shards or array.chunks, array.chunks, strict=True))
    return b"".join(shard_tags(shard, chunks) or ())
