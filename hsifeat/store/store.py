"""Feature store: one Zarr group with one scene and the planes of one recipe.

A plane has the features of one timestep and one layer. A unit is a square block of the scene. If a store has only the
features of a list of pixels, a unit has consecutive pixels of the list. Every plane stores each unit as one shard. The
values of a unit are written before its progress record. A unit without a progress record is not finished, and the next
extraction computes it.

The modules `hsifeat.store.planes`, `hsifeat.store.progress` and `hsifeat.store.label_maps` implement the parts of a store.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import StoreError
from hsifeat.mapped_arrays import empty_mask
from hsifeat.scene_facts import SceneFacts
from hsifeat.store import timings
from hsifeat.store.bit_rounding import keep_bits
from hsifeat.store.create import SceneArrays, create_store, root_metadata
from hsifeat.store.label_maps import LabelMaps
from hsifeat.store.location import Location, as_location
from hsifeat.store.manifest import Manifest
from hsifeat.store.plane_layout import PixelListLayout, PlaneLayout, PlaneSpec, Unit
from hsifeat.store.planes import Planes
from hsifeat.store.progress import ProgressRecords
from hsifeat.store.store_files import StoreFiles, damage_errors, holds_store
from hsifeat.store.timings import Timing
from hsifeat.types import PlaneId, Window, as_float32, check_window

if TYPE_CHECKING:
    import zarr


class Store:
    """An open feature store, returned by `Store.open`, `Store.find` and `Store.create`.

    If the store is open for writing, its attributes and methods reflect all changes that were made through this object.

    Parameters
    ----------
    files : StoreFiles
        The open Zarr group with its checksums.

    Attributes
    ----------
    location : Location
        Location of the store.
    manifest : Manifest
        Metadata of the store.
    progress : ProgressRecords
        Progress records of the store.

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
        self._labels = LabelMaps(files, (self.manifest.scene.rows, self.manifest.scene.cols))

    def __repr__(self) -> str:
        return f"<Store {self.location}>"

    @classmethod
    def open(cls, path: str | Path | Location, *, writable: bool = False) -> Store:
        """Open an existing store.

        Raises
        ------
        StoreError
            If the location has no store. If the store is damaged.
        """
        return cls(StoreFiles(as_location(path), writable=writable))

    @classmethod
    def find(cls, path: str | Path | Location, *, writable: bool = False) -> Store | None:
        """Open a store. Return None if the location is empty, or if the creation of its store was interrupted.

        Raises
        ------
        StoreError
            If the location contains files that do not belong to a store.
        """
        location = as_location(path)
        return cls.open(location, writable=writable) if holds_store(location) else None

    @classmethod
    def create(cls, path: str | Path | Location, manifest: Manifest, scene: SceneArrays) -> Store:
        """Create a store with a scene and without planes, and open it for writing.

        Parameters
        ----------
        path : str, Path or Location
            Empty location for the store.
        manifest : Manifest
            Metadata of the store.
        scene : SceneArrays
            Arrays of the scene.

        Raises
        ------
        StoreError
            If the location is not empty. If the disk is full.
        """
        location = as_location(path)
        if holds_store(location):
            raise StoreError(f"{location} exists already")
        create_store(location, manifest, scene)
        return cls.open(location, writable=True)

    @property
    def key(self) -> str:
        """Key of the store: the sha256 of its recipe as 64 hexadecimal digits."""
        return self.manifest.key

    @property
    def checksums(self) -> dict[str, str]:
        """The sha256 of each file, by the path of the file in the store. Shards and progress records are left out."""
        return self.files.checksums

    @property
    def layout(self) -> PlaneLayout:
        """Shapes of the planes and their division into units."""
        return self.manifest.layout

    @property
    def units(self) -> list[Unit]:
        """All units in row-major order."""
        return self.layout.units

    # Planes -----------------------------------------------------------------------------------------------------------

    @property
    def planes(self) -> list[PlaneSpec]:
        """All planes, complete or not. Extracted planes are sorted by timestep, and then from coarse to fine resolution.

        Imported planes have the order of the exported table from which they were imported, or are sorted by their names.
        """
        planes, order = self._planes.specs(), self.manifest.provenance.get("plane_order")
        if not isinstance(order, list):
            return planes
        places = {str(name): place for place, name in enumerate(order)}
        return sorted(planes, key=lambda plane: places.get(str(plane.id), len(places)))

    def plane(self, plane: PlaneId) -> zarr.Array[Any]:
        """Return the Zarr array of a plane, with its stored shape and dtype."""
        return self._planes.array(plane)

    def done(self, plane: PlaneId) -> NDArray[np.bool_]:
        """Return which units of a plane are finished, as a bool array with the shape of the grid of units.

        If the store does not have the plane, all values are False.
        """
        return self.progress.done(plane)

    def is_complete(self, plane: PlaneId) -> bool:
        """Return whether all units of a plane are finished. See `ProgressRecords.is_complete`."""
        return self.progress.is_complete(plane)

    def fingerprint(self, plane: PlaneId) -> bytes:
        """Return the recorded sha256 digests of all units of a plane, one after the other, as bytes.

        Two complete planes with equal fingerprints have equal values. The digest of an unfinished unit is 0.
        """
        return self.progress.fingerprint(plane)

    def read(self, plane: PlaneId, cells: Window) -> NDArray[np.float32]:
        """Read a window of a plane as a (rows, cols, channels) float32 array.

        The window `cells` is in cells of the plane.

        Raises
        ------
        StoreError
            If the window reaches beyond the plane. If it contains damaged or missing values.
        """
        rows, cols, _ = self.plane(plane).shape
        check_window(cells, rows, cols, f"plane {plane}")
        return self._planes.read(plane, cells)

    def add_planes(self, planes: Sequence[PlaneSpec]) -> None:
        """Create planes without values. Planes that exist do not change."""
        self._planes.add(planes)

    def prepare_planes(self, planes: Sequence[PlaneSpec]) -> None:
        """Prepare planes for writing by several processes. Planes that do not exist are created.

        For each unfinished plane, the checksum of its progress records is removed from ``checksums.json``. After that,
        processes write units without changing this file.
        """
        self.add_planes(planes)
        self.progress.drop_checksums([plane.id for plane in planes if not self.done(plane.id).all()])

    def write(self, plane: PlaneId, unit: Unit, values: NDArray[np.generic]) -> None:
        """Round the values of a unit as the recipe says, and write them with a progress record. See `Planes.write`."""
        self._planes.write(plane, unit, keep_bits(values, self.manifest.recipe["precision"].get("mantissa_bits")))

    def recreate_plane(self, plane: PlaneSpec) -> None:
        """Delete the values of a plane, and write its metadata again. The next extraction computes the plane."""
        self._planes.recreate(plane)

    def restore_plane(self, plane: PlaneSpec) -> bool:
        """Write the metadata of the array of a plane again, after the metadata was damaged.

        If the new metadata does not match the checksums of the store, write nothing and return False. Otherwise, return
        True.
        """
        return self._planes.restore_metadata(plane)

    def write_record_checksums(self) -> None:
        """Add one checksum to ``checksums.json`` for each complete plane, as the last step of an extraction.

        The checksum is computed from all progress records of the plane.
        """
        self.progress.write_checksums([plane.id for plane in self.planes])

    @property
    def has_record_checksums(self) -> bool:
        """Whether ``checksums.json`` has a checksum of the progress records of each complete plane."""
        return not self.progress.without_checksums([plane.id for plane in self.planes])

    @property
    def timings(self) -> tuple[Timing, ...]:
        """Time that extractions spent on each timestep and device; empty if unknown."""
        with self.location.error_context():
            return timings.read(self.location)

    def add_timings(self, new_timings: Sequence[Timing]) -> None:
        """Add timings of an extraction to the timings of the store."""
        with self.location.error_context():
            timings.add(self.location, new_timings)

    # Scene ------------------------------------------------------------------------------------------------------------

    def scene_array(self, name: str) -> zarr.Array[Any]:
        """Return the Zarr array `name` of the scene.

        Parameters
        ----------
        name : str
            Path of the array below ``scene``. ``cube`` is (rows, cols, bands) in the dtype of the scene, and ``valid`` is
            (rows, cols) bool. ``projection/weights`` is (bands, channels) float32, and ``projection/offset`` is (channels,)
            float32.

        Raises
        ------
        StoreError
            If the array does not exist. If its shape or dtype is wrong.
        """
        array, facts = self.files.array(f"scene/{name}"), self.manifest.scene
        shapes = {"cube": (facts.rows, facts.cols, facts.bands), "valid": (facts.rows, facts.cols)}
        if array.shape != shapes.get(name, array.shape) or array.dtype.kind not in "biufc":
            raise StoreError(
                f"{self.location}: scene/{name} has the shape {array.shape} and the type {array.dtype}, which differ from the "
                "manifest: extract to another place"
            )
        return array

    def read_scene(self, window: Window) -> NDArray[np.float32]:
        """Read a window of the scene as a (rows, cols, bands) float32 array.

        Raises
        ------
        StoreError
            If the window reaches beyond the scene. If it contains damaged values.
        """
        check_window(window, self.manifest.scene.rows, self.manifest.scene.cols)
        with damage_errors(self.location, "scene/cube"):
            return as_float32(self.scene_array("cube")[window.slices])

    def replace_facts(self, facts: SceneFacts) -> None:
        """Replace the metadata of the scene in the manifest. Planes and the key of the store do not change.

        Raises
        ------
        StoreError
            If a process on another machine has changed the store since it was opened.
        """
        manifest = self.manifest.model_copy(update={"scene": facts})
        attributes = self.files.group.attrs.asdict() | {"hsifeat": manifest.model_dump(mode="json")}
        self.files.replace_root(root_metadata(attributes))
        self.manifest = manifest

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """Mask of the valid pixels of the scene, as a (rows, cols) bool array that can't be changed."""
        facts = self.manifest.scene
        shape = facts.rows, facts.cols
        mask = self.files.read("scene/valid", shape, empty_mask(*shape))
        mask.flags.writeable = False
        return mask

    @cached_property
    def pixels(self) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
        """Rows and columns of the pixels that have features, as two (n,) intp arrays that can't be changed.

        The pixels are in row-major order. If planes cover the whole scene, this is None.

        Raises
        ------
        StoreError
            If one of the pixels lies outside of the scene.
        """
        if not isinstance(self.layout, PixelListLayout):
            return None
        rows, cols = (
            np.asarray(self.files.read(f"pixels/{name}", (self.layout.extent.rows,)), np.intp)
            for name in ("rows", "cols")
        )
        for name, indices, count in (
            ("rows", rows, self.manifest.scene.rows),
            ("cols", cols, self.manifest.scene.cols),
        ):
            if len(indices) and not (indices.min() >= 0 and indices.max() < count):
                raise StoreError(
                    f"{self.location}: pixels/{name} lists pixels outside of the scene: extract to another place"
                )
            indices.flags.writeable = False
        return rows, cols

    @property
    def labels(self) -> list[str]:
        """Names of the label maps in alphabetical order."""
        return self._labels.names

    def label_array(self, name: str) -> zarr.Array[Any]:
        """Return a label map as a Zarr array of shape (rows, cols) and an integer dtype.

        The attributes ``class_names`` and ``class_colours`` of the array give the name and the colour of each class number.
        """
        return self._labels.array(name)

    def label_classes(self, name: str) -> NDArray[np.integer]:
        """Read a label map as a (rows, cols) integer array. If the map is missing or damaged, raise `StoreError`."""
        return self._labels.classes(name)

    def add_labels(self, name: str, classes: NDArray[np.integer], attributes: dict[str, Any]) -> None:
        """Add a label map, or replace the label map with this name. Planes do not change.

        Parameters
        ----------
        name : str
            Name of the map.
        classes : (rows, cols) integer array
            Class number of each pixel; 0 means unlabelled.
        attributes : dict of str to JSON value
            Attributes of the array: ``class_names`` and ``class_colours`` give the name and the colour of each class
            number.

        Raises
        ------
        StoreError
            If `hsifeat.Labels` would refuse the classes, the names or the colours.
        """
        self._labels.add(name, classes, attributes)
