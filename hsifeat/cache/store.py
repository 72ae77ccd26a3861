"""A store: one Zarr group that holds a scene and the planes that one recipe gives on it.

A unit is a square of the scene that is one shard of every plane. It is written by one writer, data first, then its
progress record; whatever has no record counts as not there and is written anew. See `architecture.md` for the layout.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.cache.manifest import Manifest
from hsifeat.errors import StoreError
from hsifeat.files import disk_errors
from hsifeat.types import Cube, PlaneId, Window, windows

if TYPE_CHECKING:
    import zarr

# Cells of a side of an inner chunk, the least that a reader decodes.
_CHUNK_CELLS = 32
_DIGEST_BYTES = 32


@dataclass(frozen=True)
class PlaneSpec:
    """What a plane is, besides its values: name, stride in scene pixels, channels, stored dtype."""

    id: PlaneId
    stride: int
    channels: int
    dtype: str

    def cells(self, rows: int, cols: int) -> tuple[int, int, int]:
        """Shape of the plane over a scene of `rows` x `cols` pixels."""
        return -(-rows // self.stride), -(-cols // self.stride), self.channels

    def size_bytes(self, rows: int, cols: int) -> int:
        """Size in bytes over such a scene, before compression."""
        return int(np.prod(self.cells(rows, cols))) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Unit:
    """One shard-aligned square of the scene: its place in the grid of units, and its window."""

    index: tuple[int, int]
    window: Window


@dataclass(frozen=True)
class SceneArrays:
    """The arrays of a scene that go into a store, by name below ``scene/``.

    Attributes
    ----------
    cube : array-like of shape (rows, cols, bands)
        Copied a unit at a time.
    valid : (rows, cols) bool array
        Valid pixels.
    projection : dict of str to array
        What was fitted.
    """

    cube: Cube
    valid: NDArray[np.bool_]
    projection: Mapping[str, NDArray[np.float32]]


class Store:
    """An open store. Make one with `Store.create` or `Store.open`.

    Attributes
    ----------
    path : Path
        Its folder.
    manifest : Manifest
        What it says of itself.
    """

    def __init__(self, path: Path, group: zarr.Group) -> None:
        self.path = path
        self._group = group
        self.manifest = Manifest.read(group.attrs.asdict().get("hsifeat"), path)

    @classmethod
    def create(cls, path: Path, manifest: Manifest, scene: SceneArrays) -> Store:
        """Make a store with its scene and no planes; it appears whole or not at all.

        Raises
        ------
        StoreError
            Something is there already, or the disk is full.
        """
        import zarr

        if path.exists():
            raise StoreError(f"{path} is there already")
        part = path.with_name(f".{path.name}.part-{os.getpid()}")
        shutil.rmtree(part, ignore_errors=True)
        try:
            with disk_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                group = zarr.open_group(part, mode="w-", attributes={"hsifeat": manifest.model_dump(mode="json")})
                _write_scene(group, manifest, scene)
                part.rename(path)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return cls.open(path, writable=True)

    @classmethod
    def open(cls, path: Path, *, writable: bool = False) -> Store:
        """Open a store; `StoreError` if there is none."""
        import zarr

        if not path.is_dir():
            found = "no store" if not path.exists() else "a file, not a store,"
            raise StoreError(f"{found} at {path}: hsifeat extract makes one")
        try:
            group = zarr.open_group(path, mode="r+" if writable else "r")
        except (FileNotFoundError, ValueError, KeyError) as error:
            raise StoreError(f"{path} is no Zarr group: hsifeat extract makes stores") from error
        return cls(path, group)

    @property
    def key(self) -> str:
        """The key of its recipe."""
        return self.manifest.key

    @property
    def units(self) -> list[Unit]:
        """All units of the scene in row-major order."""
        px, scene = self.manifest.unit_px, self.manifest.scene
        return [Unit((w.row // px, w.col // px), w) for w in windows(scene.rows, scene.cols, px)]

    # Planes -----------------------------------------------------------------------------------------------------------

    @property
    def planes(self) -> list[PlaneSpec]:
        """The planes that have been begun, finished or not, by timestep and then as they were added."""
        found = []
        for array in self._plane_arrays():
            facts: dict[str, Any] = array.attrs.asdict()
            found.append(
                PlaneSpec(PlaneId(facts["t"], facts["layer"]), facts["stride"], array.shape[2], str(array.dtype))
            )
        return sorted(found, key=lambda plane: (plane.id.t, -plane.stride, plane.id.layer))

    def _plane_arrays(self) -> Iterator[zarr.Array[Any]]:
        import zarr

        planes = self._group.get("planes")
        if isinstance(planes, zarr.Group):
            for _, timestep in planes.groups():
                for _, array in timestep.arrays():
                    yield array

    def add_plane(self, plane: PlaneSpec) -> None:
        """Begin a plane; nothing happens if it has been begun."""
        from zarr.codecs import BloscCodec, Crc32cCodec

        if f"planes/{plane.id.path}" in self._group and f"progress/{plane.id.path}" in self._group:
            return
        scene = self.manifest.scene
        side = self.manifest.unit_px // plane.stride
        chunk = _CHUNK_CELLS if side % _CHUNK_CELLS == 0 else side
        with disk_errors(self.path):
            self._group.create_array(
                f"planes/{plane.id.path}",
                shape=plane.cells(scene.rows, scene.cols),
                shards=(side, side, plane.channels),
                chunks=(chunk, chunk, plane.channels),
                dtype=plane.dtype,
                compressors=[BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle"), Crc32cCodec()],
                fill_value=float("nan"),
                attributes={"t": plane.id.t, "layer": plane.id.layer, "stride": plane.stride},
                dimension_names=(f"y_s{plane.stride}", f"x_s{plane.stride}", f"channel_{plane.id.layer}"),
                overwrite=True,
            )
            units = self.units[-1].index
            self._group.create_array(
                f"progress/{plane.id.path}",
                shape=(units[0] + 1, units[1] + 1, _DIGEST_BYTES),
                chunks=(1, 1, _DIGEST_BYTES),
                dtype="uint8",
                compressors=None,
                fill_value=0,
                overwrite=True,
            )

    def done(self, plane: PlaneId) -> NDArray[np.bool_]:
        """Return which units of a plane are done, on the grid of units; all False for a plane not begun."""
        last = self.units[-1].index
        done = np.zeros((last[0] + 1, last[1] + 1), dtype=bool)
        if f"progress/{plane.path}" in self._group:
            records = self._array(f"progress/{plane.path}")
            for index in np.ndindex(done.shape):
                # A record that can't be read was torn: the unit counts as not there.
                with suppress(ValueError):
                    done[index] = np.asarray(records[index]).any()
        return done

    def write(self, plane: PlaneId, unit: Unit, values: NDArray[np.generic]) -> None:
        """Write one unit of a plane, then record it as done with the sha256 of its values.

        Parameters
        ----------
        plane : PlaneId
            A plane that has been begun.
        unit : Unit
            Which unit.
        values : (cell rows, cell cols, channels) array
            In the plane's stored dtype.

        Raises
        ------
        StoreError
            The disk is full; the unit then counts as not done.
        """
        from zarr.core.sync import sync

        array = self._array(f"planes/{plane.path}")
        facts: dict[str, Any] = array.attrs.asdict()
        digest = hashlib.sha256(np.ascontiguousarray(values).data).digest()
        with disk_errors(self.path):
            # What a killed writer left of the shard goes first: zarr would read it to merge the new values in. And
            # before it its record, so that no record ever stands for a shard that is not there.
            self._array(f"progress/{plane.path}")[unit.index] = 0
            sync((array.store_path / array.metadata.encode_chunk_key((*unit.index, 0))).delete())
            array[unit.window.coarsen(facts["stride"]).slices] = values
            self._array(f"progress/{plane.path}")[unit.index] = np.frombuffer(digest, dtype=np.uint8)

    def read(self, plane: PlaneId, cells: Window) -> NDArray[np.float32]:
        """Read cells of a plane as (rows, cols, channels) float32.

        Raises
        ------
        StoreError
            What is stored does not have its checksum.
        """
        advice = (
            f"delete planes/{plane.path} and progress/{plane.path} there and extract again: only that plane is computed"
        )
        try:
            values = np.asarray(self.plane(plane)[cells.slices], np.float32)
        except (ValueError, RuntimeError) as error:
            raise StoreError(f"{self.path} is damaged in the plane {plane} ({error}): {advice}") from error
        # The fill value is NaN and no plane holds one: where it shows, a shard is gone.
        if np.isnan(values).any():
            raise StoreError(f"{self.path} has lost a part of the plane {plane}: {advice}")
        return values

    def plane(self, plane: PlaneId) -> zarr.Array[Any]:
        """Return a plane's array, of shape (ceil(rows / stride), ceil(cols / stride), channels)."""
        return self._array(f"planes/{plane.path}")

    # Scene ------------------------------------------------------------------------------------------------------------

    def read_scene(self, window: Window) -> NDArray[np.float32]:
        """Read a window of the scene as (rows, cols, bands) float32; `StoreError` if it does not have its checksum."""
        try:
            return np.asarray(self.scene_array("cube")[window.slices], np.float32)
        except (ValueError, RuntimeError) as error:
            raise StoreError(
                f"{self.path} is damaged in its scene ({error}): extract to another place with --out"
            ) from error

    def scene_array(self, name: str) -> zarr.Array[Any]:
        """Return one of the scene's arrays: ``cube``, ``valid``, ``projection/weights``, ``projection/offset``."""
        return self._array(f"scene/{name}")

    @property
    def labels(self) -> list[str]:
        """Names of the label maps, as they were added."""
        import zarr

        labels = self._group.get("scene/labels")
        return sorted(name for name, _ in labels.arrays()) if isinstance(labels, zarr.Group) else []

    def add_labels(self, name: str, classes: NDArray[np.integer], facts: dict[str, Any]) -> None:
        """Add or replace a label map (rows, cols) with its class names and colours; no plane depends on it."""
        with disk_errors(self.path):
            self._group.create_array(
                f"scene/labels/{name}",
                data=np.asarray(classes),
                attributes=facts,
                dimension_names=("y", "x"),
                overwrite=True,
            )

    def label_array(self, name: str) -> zarr.Array[Any]:
        """Return a label map's array with ``class_names`` and ``class_colours`` as attributes."""
        return self._array(f"scene/labels/{name}")

    def _array(self, path: str) -> zarr.Array[Any]:
        import zarr

        array = self._group.get(path)
        if not isinstance(array, zarr.Array):
            raise StoreError(f"{self.path} has no {path}")
        return array


def _write_scene(group: zarr.Group, manifest: Manifest, scene: SceneArrays) -> None:
    from zarr.codecs import BloscCodec, Crc32cCodec

    side, bands = manifest.unit_px, manifest.scene.bands
    chunk = _CHUNK_CELLS if side % _CHUNK_CELLS == 0 else side
    cube = group.create_array(
        "scene/cube",
        shape=(manifest.scene.rows, manifest.scene.cols, bands),
        shards=(side, side, bands),
        chunks=(chunk, chunk, bands),
        dtype=np.dtype(scene.cube.dtype).newbyteorder("="),
        compressors=[BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle"), Crc32cCodec()],
        dimension_names=("y", "x", "band"),
    )
    for window in windows(manifest.scene.rows, manifest.scene.cols, side):
        cube[window.slices] = np.asarray(scene.cube[window.slices])
    group.create_array("scene/valid", data=scene.valid, dimension_names=("y", "x"))
    for name, values in scene.projection.items():
        group.create_array(f"scene/projection/{name}", data=values)
