"""A store: one Zarr group that holds a scene and the planes that one recipe gives on it.

A unit, a square of the scene or a run of a list of its pixels, is one shard of every plane. It is written by one writer,
data first, then its progress record; whatever has no record counts as not there and is written anew. See `architecture.md` for the layout.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import StoreError
from hsifeat.store import checksums as seals
from hsifeat.store import timings
from hsifeat.store.checksums import ChecksumReader, ChecksumWriter
from hsifeat.store.create import SceneArrays, make, was_begun
from hsifeat.store.keys import LABELS, PLANE, is_own, record_key, shard_key
from hsifeat.store.layout import PixelListLayout, PlaneLayout, PlaneSpec, Unit, codec
from hsifeat.store.location import LocalLocation, Location, as_location
from hsifeat.store.manifest import Manifest
from hsifeat.store.timings import Timing
from hsifeat.types import PlaneId, Window

if TYPE_CHECKING:
    import zarr

_DIGEST_BYTES = 32


class Store:
    """An open store. Make one with `Store.create` or `Store.open`.

    Attributes
    ----------
    place : Place
        Where it lies.
    manifest : Manifest
        What it says of itself.
    seals : dict of str to str
        The sha256 of every file besides shards and progress records.
    """

    def __init__(
        self, location: Location, group: zarr.Group, seals: dict[str, str], sealed: bytes | None = None
    ) -> None:
        self.location = location
        self.seals = seals
        self._sealed = sealed
        self.manifest = Manifest.parse(group.attrs.asdict().get("hsifeat"), location)
        self.group = group
        self._arrays: dict[str, zarr.Array[Any]] = {}

    @classmethod
    def create(cls, path: str | Path | Location, manifest: Manifest, scene: SceneArrays) -> Store:
        """Make a store with its scene and no planes.

        Raises
        ------
        StoreError
            Something is there already, or the disk is full.
        """
        location = as_location(path)
        if cls.find(location) is not None:
            raise StoreError(f"{location} is there already")
        make(location, manifest, scene)
        return cls.open(location, writable=True)

    @classmethod
    def find(cls, path: str | Path | Location) -> Store | None:
        """Open a store for reading if there is one; None where nothing is, or what a killed process began to make.

        Raises
        ------
        StoreError
            Something else is there.
        """
        location = as_location(path)
        root = location.get(seals.ROOT)
        if root is not None and not was_begun(root):
            return cls.open(location)
        if isinstance(location, LocalLocation) and location.path.is_file():
            raise StoreError(f"{location} is a file: name another place")
        begun = root is not None
        foreign = [key for key in location.some_files(None if begun else 100) if not (begun and is_own(key))]
        foreign = [key for key in foreign if not key.startswith(f".{seals.ROOT}.")]  # its first write, cut off
        if foreign:
            lost = seals.COPY_OF[seals.ROOT] in foreign
            raise StoreError(
                f"{location} has lost its {seals.ROOT}: hsifeat cache verify {location} --repair brings it back"
                if lost
                else f"{location} is no store, and not empty (it holds {foreign[0]}): name another place"
            )
        return None

    @classmethod
    def open(cls, path: str | Path | Location, *, writable: bool = False) -> Store:
        """Open a store; `StoreError` if there is none."""
        import zarr

        location = as_location(path)
        root = location.get(seals.ROOT) or location.get(seals.COPY_OF[seals.ROOT])
        if root is None or was_begun(root):
            found = (
                "a file, not a store,"
                if isinstance(location, LocalLocation) and location.path.is_file()
                else "no store"
            )
            raise StoreError(f"{found} at {location}: hsifeat extract makes one")
        known = seals.read(location, root, writable=writable)
        plain = location.zarr(writable=writable)
        kind, mode = (ChecksumWriter, "r+") if writable else (ChecksumReader, "r")
        try:
            with location.guarded():
                group = zarr.open_group(kind(plain, location, known), mode=mode, zarr_format=3)  # type: ignore[arg-type]
        except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{location} is no Zarr group: hsifeat extract makes stores") from error
        return cls(location, group, known, location.get(seals.FILE) if writable else None)

    @property
    def key(self) -> str:
        """The key of its recipe."""
        return self.manifest.key

    @cached_property
    def layout(self) -> PlaneLayout:
        """Shape and units of the planes."""
        return self.manifest.layout

    @property
    def units(self) -> list[Unit]:
        """All units in row-major order."""
        return self.layout.units

    # Planes -----------------------------------------------------------------------------------------------------------

    @property
    def planes(self) -> list[PlaneSpec]:
        """The planes that have been begun, finished or not, by timestep and then as they were added."""
        found = []
        for key in self.seals:
            if (match := PLANE.fullmatch(key)) and f"progress/{match[1]}/zarr.json" in self.seals:
                array = self._array(f"planes/{match[1]}")
                facts: dict[str, Any] = array.attrs.asdict()
                found.append(
                    PlaneSpec(PlaneId(facts["t"], facts["layer"]), facts["stride"], array.shape[2], str(array.dtype))
                )
        return sorted(found, key=lambda plane: (plane.id.t, -plane.stride, plane.id.layer))

    def add_plane(self, plane: PlaneSpec) -> None:
        """Begin a plane; nothing happens if it has been begun."""
        names = f"planes/{plane.id.path}", f"progress/{plane.id.path}"
        if all(f"{name}/zarr.json" in self.seals for name in names):
            return
        with self.location.guarded():
            self._make_plane(self.group, plane)
            self._save_seals()
        for name in names:
            self._arrays.pop(name, None)

    def _make_plane(self, group: zarr.Group, plane: PlaneSpec) -> None:
        group.create_array(
            f"planes/{plane.id.path}",
            shape=self.layout.cells(plane, self.layout.extent),
            shards=self.layout.shard(plane),
            chunks=self.layout.chunk(plane),
            dtype=plane.dtype,
            compressors=codec(),
            fill_value=float("nan"),
            attributes={"t": plane.id.t, "layer": plane.id.layer, "stride": plane.stride},
            dimension_names=self.layout.dimension_names(plane),
            overwrite=True,
        )
        group.create_array(
            f"progress/{plane.id.path}",
            shape=(*self.layout.unit_grid, _DIGEST_BYTES),
            chunks=(1, 1, _DIGEST_BYTES),
            dtype="uint8",
            compressors=None,
            fill_value=0,
            overwrite=True,
        )

    def drop_plane(self, plane: PlaneId) -> None:
        """Forget a plane and delete what is stored of it."""
        names = f"planes/{plane.path}", f"progress/{plane.path}"
        with self.location.guarded():
            for name in names:
                self.seals.pop(f"{name}/zarr.json", None)
                self.seals.pop(f"{name}{seals.RECORDS}", None)
                self._arrays.pop(name, None)
            self._save_seals()
            for key in self.location.files():
                if key.startswith(tuple(f"{name}/" for name in names)):
                    self.location.delete(key)

    def restore_plane(self, plane: PlaneSpec) -> bool:
        """Write a plane's metadata anew, from what the plane is; False, and nothing is done, if they had been others."""
        import zarr

        made: dict[str, Any] = {}
        self._make_plane(zarr.create_group(zarr.storage.MemoryStore(made)), plane)
        content = {key: made[key].to_bytes() for key in made if key.endswith(f"/{plane.id.path}/zarr.json")}
        if any(seals.seal(value) != self.seals.get(key) for key, value in content.items()):
            return False
        with self.location.guarded():
            for key, value in content.items():
                self.location.put(key, value)
        return True

    def complete(self) -> None:
        """Seal the records of every plane that is complete, so that a record which gets lost is missed."""
        planes = [plane.id for plane in self.planes if self.done(plane.id).all()]
        found = {f"progress/{p.path}{seals.RECORDS}": seals.seal(self.fingerprint(p)) for p in planes}
        if found.items() - self.seals.items():
            self.seals |= found
            self._save_seals()

    def forget(self, plane: PlaneId, unit: Unit) -> None:
        """Take back that a unit of a plane is done, so that the next extraction computes it."""
        with self.location.guarded():
            if self.seals.pop(f"progress/{plane.path}{seals.RECORDS}", None):
                self._save_seals()
            self.location.delete(record_key(plane, unit))

    def record(self, plane: PlaneId, unit: Unit) -> bytes | None:
        """Return the sha256 recorded for a unit's values; None where there is none, or no whole one."""
        content = self.location.get(record_key(plane, unit))
        return content if content is not None and len(content) == _DIGEST_BYTES and any(content) else None

    def done(self, plane: PlaneId) -> NDArray[np.bool_]:
        """Return which units of a plane are done, on the grid of units; all False for a plane not begun."""
        done = np.zeros(self.layout.unit_grid, dtype=bool)
        if f"progress/{plane.path}/zarr.json" not in self.seals:
            return done
        records = self._array(f"progress/{plane.path}")
        try:
            with self.location.guarded():
                done[:] = np.asarray(records[:]).any(axis=2)
        except StoreError:
            raise
        except (ValueError, RuntimeError):
            # A record that can't be read was torn: the unit counts as not there.
            for index in np.ndindex(done.shape):
                with suppress(ValueError, RuntimeError):
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
            In the plane's stored dtype; (pixels, 2, channels) where the store lists pixels.

        Raises
        ------
        StoreError
            The disk is full; the unit then counts as not done.
        """
        array = self._array(f"planes/{plane.path}")
        facts: dict[str, Any] = array.attrs.asdict()
        with self.location.guarded():
            # What a killed writer left of the shard goes first: zarr would read it to merge the new values in. And
            # before it its record, so that no record ever stands for a shard that is not there.
            self.forget(plane, unit)
            self.location.delete(shard_key(plane, unit))
            array[self.layout.slices(unit, facts["stride"])] = values
            self.location.put(record_key(plane, unit), digest_of(values))

    def read(self, plane: PlaneId, cells: Window) -> NDArray[np.float32]:
        """Read cells of a plane as (rows, cols, channels) float32.

        Raises
        ------
        StoreError
            What is stored does not have its checksum.
        """
        advice = f"hsifeat cache verify {self.location} --repair computes what is damaged anew"
        try:
            with self.location.guarded():
                values = np.asarray(self.plane(plane)[cells.slices], np.float32)
        except StoreError:
            raise
        except (ValueError, RuntimeError) as error:
            raise StoreError(f"{self.location} is damaged in the plane {plane} ({error}): {advice}") from error
        # The fill value is NaN and no plane holds one: where it shows, a shard is gone.
        if np.isnan(values).any():
            raise StoreError(f"{self.location} has lost a part of the plane {plane}: {advice}")
        return values

    def plane(self, plane: PlaneId) -> zarr.Array[Any]:
        """Return a plane's array, of the shape that `grid` says."""
        return self._array(f"planes/{plane.path}")

    @property
    def timings(self) -> tuple[Timing, ...]:
        """What its extraction took, by timestep and device; nothing where that was not kept."""
        with self.location.guarded():
            return timings.read(self.location)

    def add_timings(self, spent: Sequence[Timing]) -> None:
        """Add to what its extraction took."""
        with self.location.guarded():
            timings.add(self.location, spent)

    # Scene ------------------------------------------------------------------------------------------------------------

    def read_scene(self, window: Window) -> NDArray[np.float32]:
        """Read a window of the scene as (rows, cols, bands) float32; `StoreError` if it does not have its checksum."""
        try:
            with self.location.guarded():
                return np.asarray(self.scene_array("cube")[window.slices], np.float32)
        except StoreError:
            raise
        except (ValueError, RuntimeError) as error:
            raise StoreError(
                f"{self.location} is damaged in its scene ({error}): extract to another place with --out"
            ) from error

    def scene_array(self, name: str) -> zarr.Array[Any]:
        """Return one of the scene's arrays: ``cube``, ``valid``, ``projection/weights``, ``projection/offset``."""
        return self._array(f"scene/{name}")

    @cached_property
    def pixels(self) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
        """Rows and columns (n,) of the pixels that planes list, in row-major order; None where planes cover the scene."""
        if not isinstance(self.layout, PixelListLayout):
            return None
        with self.location.guarded():
            rows, cols = (np.asarray(self._array(f"pixels/{name}")[:], np.intp) for name in ("rows", "cols"))
        return rows, cols

    @property
    def labels(self) -> list[str]:
        """Names of the label maps in alphabetical order."""
        return sorted(match[1] for key in self.seals if (match := LABELS.fullmatch(key)))

    def add_labels(self, name: str, classes: NDArray[np.integer], facts: dict[str, Any]) -> None:
        """Add or replace a label map (rows, cols) with its class names and colours; no plane depends on it."""
        with self.location.guarded():
            # Not listed while it is replaced: a killed process must leave no half of it that looks whole.
            if self.seals.pop(f"scene/labels/{name}/zarr.json", None):
                self._save_seals()
            self.group.create_array(
                f"scene/labels/{name}",
                data=np.asarray(classes),
                attributes=facts,
                dimension_names=("y", "x"),
                overwrite=True,
            )
            self._save_seals()
        self._arrays.pop(f"scene/labels/{name}", None)

    def label_array(self, name: str) -> zarr.Array[Any]:
        """Return a label map's array with ``class_names`` and ``class_colours`` as attributes."""
        return self._array(f"scene/labels/{name}")

    def fingerprint(self, plane: PlaneId) -> bytes:
        """Return what tells one content of a plane from another: the digests of all its units, read anew each time."""
        records = self._array(f"progress/{plane.path}")
        with self.location.guarded():
            return np.asarray(records[:]).tobytes()

    def _save_seals(self) -> None:
        # Locks are of one machine: a second one that writes is noticed here, before it loses the planes of the first.
        if self.location.get(seals.FILE) != self._sealed:
            raise StoreError(f"{self.location} was written to from elsewhere meanwhile: run the command again")
        if self._sealed is None:  # a store from before there were seals
            self.location.put(seals.COPY_OF[seals.ROOT], self.location.get(seals.ROOT) or b"")
        self._sealed = seals.save(self.location, self.seals)

    def _array(self, path: str) -> zarr.Array[Any]:
        import zarr

        if path not in self._arrays:
            with self.location.guarded():
                array = self.group.get(path)
            if not isinstance(array, zarr.Array):
                raise StoreError(f"{self.location} has no {path}")
            # No plane holds its fill value, so looking for chunks of nothing else would only cost time in writing.
            self._arrays[path] = array.with_config({"write_empty_chunks": True})
        return self._arrays[path]


def digest_of(values: NDArray[np.generic]) -> bytes:
    """Return the sha256 of a unit's values, as it is recorded."""
    return hashlib.sha256(np.ascontiguousarray(values).data).digest()
