"""A feature store: one Zarr group with a scene and the planes of one recipe on it.

A unit, a square of the scene or a run of a pixel list, is one shard of every plane. It has one writer; data are written
first, then its progress record, and a unit without a record is written again. The parts of a store are in modules of
their own: `hsifeat.store.planes`, `hsifeat.store.progress` and `hsifeat.store.label_maps`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import StoreError
from hsifeat.store import timings
from hsifeat.store.create import SceneArrays, create_store
from hsifeat.store.label_maps import LabelMaps
from hsifeat.store.layout import PlaneLayout, PlaneSpec, Unit
from hsifeat.store.location import Location, as_location
from hsifeat.store.manifest import Manifest
from hsifeat.store.planes import Planes
from hsifeat.store.progress import ProgressRecords
from hsifeat.store.store_files import StoreFiles, holds_store
from hsifeat.store.timings import Timing
from hsifeat.types import PlaneId, Window

if TYPE_CHECKING:
    import zarr


class Store:
    """An open store; `Store.open`, `Store.find` and `Store.create` return one.

    A writable store reflects what was written through it, without being opened again.

    Parameters
    ----------
    files : StoreFiles
        The opened Zarr group with its checksums.

    Attributes
    ----------
    location : Location
        Where the store lies.
    manifest : Manifest
        Its metadata.
    progress : ProgressRecords
        Its progress records.

    Examples
    --------
    >>> import hsifeat
    >>> store = hsifeat.Store.open("fields.zarr")
    >>> store.labels
    ['fields']
    >>> store.done(hsifeat.PlaneId(300, "mid_block")).shape
    (1, 1)
    """

    def __init__(self, files: StoreFiles) -> None:
        self.files = files
        self.location = files.location
        self.manifest = Manifest.parse(files.group.attrs.asdict().get("hsifeat"), files.location)
        self.progress = ProgressRecords(files, self.layout)
        self._planes = Planes(files, self.layout, self.progress)
        self._labels = LabelMaps(files)

    @classmethod
    def open(cls, path: str | Path | Location, *, writable: bool = False) -> Store:
        """Open a store; `StoreError` if there is none."""
        return cls(StoreFiles(as_location(path), writable=writable))

    @classmethod
    def find(cls, path: str | Path | Location, *, writable: bool = False) -> Store | None:
        """Open a store if there is one; None where the location is empty or holds an interrupted creation.

        Raises
        ------
        StoreError
            The location holds something else.
        """
        location = as_location(path)
        return cls.open(location, writable=writable) if holds_store(location) else None

    @classmethod
    def create(cls, path: str | Path | Location, manifest: Manifest, scene: SceneArrays) -> Store:
        """Create a store with its scene and no planes, and open it for writing.

        Parameters
        ----------
        path : str, Path or Location
            An empty location.
        manifest : Manifest
            Metadata of the store.
        scene : SceneArrays
            Its scene.

        Raises
        ------
        StoreError
            The location is not empty, or the disk is full.
        """
        location = as_location(path)
        if holds_store(location):
            raise StoreError(f"{location} exists already")
        create_store(location, manifest, scene)
        return cls.open(location, writable=True)

    @property
    def key(self) -> str:
        """The key of the store's recipe."""
        return self.manifest.key

    @property
    def checksums(self) -> dict[str, str]:
        """The sha256, by key, of every file except shards and progress records."""
        return self.files.checksums

    @property
    def layout(self) -> PlaneLayout:
        """Shapes and units of the planes."""
        return self.manifest.layout

    @property
    def units(self) -> list[Unit]:
        """All units in row-major order."""
        return self.layout.units

    # Planes -----------------------------------------------------------------------------------------------------------

    @property
    def planes(self) -> list[PlaneSpec]:
        """All planes, finished or not, by timestep, then from coarse to fine."""
        return self._planes.specs()

    def plane(self, plane: PlaneId) -> zarr.Array[Any]:
        """Return a plane's array, of the shape that `layout` gives it and the dtype of the plane."""
        return self._planes.array(plane)

    def done(self, plane: PlaneId) -> NDArray[np.bool_]:
        """Return which units of a plane are done: bool, of the shape of the grid of units; all False for an absent plane."""
        return self.progress.done(plane)

    def is_complete(self, plane: PlaneId) -> bool:
        """Tell whether all units of a plane are done."""
        return bool(self.done(plane).all())

    def fingerprint(self, plane: PlaneId) -> bytes:
        """Return the digests of all units of a plane: planes with equal ones hold equal values."""
        return self.progress.fingerprint(plane)

    def read(self, plane: PlaneId, cells: Window) -> NDArray[np.float32]:
        """Read cells of a plane as a (rows, cols, channels) float32 array; `StoreError` if they are damaged."""
        return self._planes.read(plane, cells)

    def add_plane(self, plane: PlaneSpec) -> None:
        """Create a plane without values; nothing happens if it exists."""
        self._planes.add(plane)

    def write(self, plane: PlaneId, unit: Unit, values: NDArray[np.generic]) -> None:
        """Write one unit of a plane and record it as done; see `Planes.write`."""
        self._planes.write(plane, unit, values)

    def drop_plane(self, plane: PlaneId) -> None:
        """Delete a plane."""
        self._planes.drop(plane)

    def restore_plane(self, plane: PlaneSpec) -> bool:
        """Write a plane's lost metadata again; False, and nothing is written, if they were different."""
        return self._planes.restore_metadata(plane)

    def write_record_checksums(self) -> None:
        """Add the checksum of the progress records of every complete plane: the last step of an extraction."""
        self.progress.write_checksums([plane.id for plane in self.planes])

    @property
    def timings(self) -> tuple[Timing, ...]:
        """Time spent on extraction, by timestep and device; empty where it is unknown."""
        with self.location.error_context():
            return timings.read(self.location)

    def add_timings(self, spent: Sequence[Timing]) -> None:
        """Add to the time spent on extraction."""
        with self.location.error_context():
            timings.add(self.location, spent)

    # Scene ------------------------------------------------------------------------------------------------------------

    def scene_array(self, name: str) -> zarr.Array[Any]:
        """Return an array of the scene by name.

        The names are ``cube`` (rows, cols, bands) and ``valid`` (rows, cols), and, where the model's channels are fewer than the
        bands, ``projection/weights`` and ``projection/offset``; each has the dtype that it was written with.
        """
        return self.files.array(f"scene/{name}")

    def read_scene(self, window: Window) -> NDArray[np.float32]:
        """Read a window of the scene as a (rows, cols, bands) float32 array; `StoreError` if it is damaged."""
        try:
            with self.location.error_context():
                return np.asarray(self.scene_array("cube")[window.slices], np.float32)
        except StoreError:
            raise
        except (ValueError, RuntimeError) as error:
            raise StoreError(
                f"{self.location} is damaged in its scene ({error}): extract to another place with --out"
            ) from error

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """Mask of the valid pixels of the scene: (rows, cols) bool."""
        return np.asarray(self.scene_array("valid")[:], bool)

    @cached_property
    def pixels(self) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
        """Rows and columns of the pixels that planes list, row-major: two (n,) intp arrays; None where planes cover the scene."""
        if self.layout.window_px is None:
            return None
        with self.location.error_context():
            rows, cols = (np.asarray(self.files.array(f"pixels/{name}")[:], np.intp) for name in ("rows", "cols"))
        return rows, cols

    @property
    def labels(self) -> list[str]:
        """Names of the label maps in alphabetical order."""
        return self._labels.names

    def label_array(self, name: str) -> zarr.Array[Any]:
        """Return a label map, (rows, cols) integers; ``class_names`` and ``class_colours`` are its attributes."""
        return self._labels.array(name)

    def add_labels(self, name: str, classes: NDArray[np.integer], attributes: dict[str, Any]) -> None:
        """Add or replace a label map; no plane depends on it.

        Parameters
        ----------
        name : str
            Name of the map.
        classes : (rows, cols) integer array
            Class number of each pixel; 0 is unlabelled.
        attributes : dict of str to JSON value
            Class names and colours.
        """
        self._labels.add(name, classes, attributes)
