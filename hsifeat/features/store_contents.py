"""Contents of a store: the scene with its label maps, the planes, and the options and run times of the extraction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import StoreError
from hsifeat.features.stored_scene import georeference_of, scene_of
from hsifeat.formatting import format_count, format_value
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.label_map import Labels
from hsifeat.scenes.scene import Scene
from hsifeat.store.plane_layout import PlaneSpec, size_bytes
from hsifeat.store.recipe import differences, options_of
from hsifeat.store.store import Store
from hsifeat.store.timings import Timing, total_seconds


class StoreContents:
    """Base class of `Features`: the scene, the planes and the extraction of a store, without the values of planes.

    Parameters
    ----------
    store : Store
        Store to read.
    bands : tuple of int, optional
        Indices of the bands of the scene to use, in this order. [default: all]
    """

    def __init__(self, store: Store, bands: tuple[int, ...] | None = None) -> None:
        self._store, self.bands = store, bands

    def __repr__(self) -> str:
        rows, cols, bands = self.shape
        planes = format_count(len(self.planes), "plane")
        return f"<{type(self).__name__} {self.name}: {rows} x {cols} pixels, {format_count(bands, 'band')}, {planes}>"

    @property
    def store(self) -> Store:
        """Store that is read."""
        return self._store

    @property
    def name(self) -> str:
        """Name of the store: the name of its folder without ``.zarr``."""
        return self.store.location.name

    @property
    def key(self) -> str:
        """Key of the store. It identifies the scene and the options of the extraction."""
        return self.store.key

    @property
    def recipe(self) -> dict[str, Any]:
        """Scene, backbone and options of the extraction (the recipe of the store), as a new dict of JSON values."""
        return deepcopy(self.store.manifest.recipe)

    @property
    def options(self) -> dict[str, Any]:
        """Recipe without the parts that belong to a scene. It is equal for scenes that were extracted in the same way."""
        return options_of(self.recipe)

    def differences(self, recipe: dict[str, Any]) -> list[tuple[str, Any, Any]]:
        """Compare the recipe of this store with the recipe of another store.

        Four parts are ignored: the scene, the list of extracted pixels, the imported features, and the values of the companion image.
        Stores of two scenes therefore have no differences if they were extracted with the same options.

        Parameters
        ----------
        recipe : dict
            Recipe of the other store.

        Returns
        -------
        list of tuple
            One tuple per field that differs: its dotted name, its value in this recipe, and its value in the other recipe.
        """
        return differences(self.options, options_of(recipe))

    @property
    def is_context(self) -> bool:
        """Whether context filters, such as window means, computed the planes."""
        return bool(self.recipe.get("backbone", {}).get("kind") == "context")

    @property
    def is_imported(self) -> bool:
        """Whether another tool computed the planes, see `hsifeat.import_planes`."""
        return self.recipe.get("imported") is not None

    def seconds(self, timesteps: Collection[int | None]) -> float | None:
        """Return the time in seconds that the extraction of `timesteps` took, or None if the time is unknown.

        Times are recorded per timestep, since one forward pass computes all layers.

        Parameters
        ----------
        timesteps : collection of (int or None)
            Timesteps. If the collection contains None, the result includes the time of the work that is done once for all
            timesteps: reading the scene and encoding tiles.
        """
        return total_seconds(self._timings, timesteps)

    @property
    def devices(self) -> tuple[str, ...]:
        """Devices that computed the planes, such as ``cpu (threads: 2)``, or ``cuda`` with the name of the GPU. Empty if unknown."""
        return tuple(dict.fromkeys(timing.device for timing in self._timings))

    @cached_property
    def _timings(self) -> tuple[Timing, ...]:
        return self.store.timings

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of rows, columns and used bands of the scene. No array of the store is read."""
        facts = self.store.manifest.scene
        return facts.rows, facts.cols, facts.bands if self.bands is None else len(self.bands)

    @property
    def georeference(self) -> Georeference | None:
        """Georeference of the scene, or None. No array of the store is read."""
        return georeference_of(self.store)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(rows, cols) bool array of the valid pixels of the scene. It can't be changed: change a copy."""
        return self.store.valid

    @cached_property
    def scene(self) -> Scene:
        """Scene in the store, with its label maps. The cube has only the used bands, and is read lazily."""
        scene = scene_of(self.store)
        return scene if self.bands is None else scene.with_bands(self.bands)

    @property
    def label_maps(self) -> Mapping[str, Labels]:
        """Label maps of the scene. The keys are their names.

        A map that was read stays as it is if another extraction replaces it. Open the store again to use the new map.
        """
        return dict(self.scene.labels)

    def labels(self, name: str | None = None) -> Labels:
        """Return a label map of the scene. Its array can't be changed: change a copy.

        Parameters
        ----------
        name : str, optional
            Name of the label map. Can be omitted if the scene has only one label map.

        Raises
        ------
        StoreError
            If the scene has no label map of this name. If `name` is None and the scene does not have exactly one label map.
        """
        maps = self.label_maps
        if not isinstance(name, str | None):
            raise StoreError(f"a label map in a store is named by a text; found {format_value(name)}")
        if name is None and len(maps) == 1:
            return next(iter(maps.values()))
        if name is None or name not in maps:
            subject = f"no labels {name!r}" if name else f"{len(maps)} label maps"
            raise StoreError(
                f"{self.name} has {subject}; it holds: {', '.join(maps) or 'none'} (hsifeat extract SCENE --labels FILE adds "
                "label maps)"
            )
        return maps[name]

    def valid_labels(self, labels: Labels) -> Labels:
        """Return `labels` with 0 (unlabelled) at the invalid pixels of the scene.

        Raises
        ------
        SceneError
            If the label map has another shape than the scene.
        """
        self.scene.check_labels(labels)
        if self.valid[labels.classes != 0].all():
            return labels
        return replace(labels, classes=np.where(self.valid, labels.classes, 0).astype(labels.classes.dtype))

    @cached_property
    def planes(self) -> tuple[PlaneSpec, ...]:
        """Planes (one layer at one timestep each) whose extraction is complete."""
        return tuple(plane for plane in self.store.planes if self.store.is_complete(plane.id))

    @cached_property
    def unfinished(self) -> tuple[PlaneSpec, ...]:
        """Planes (one layer at one timestep each) that are not complete, such as after an interrupted extraction."""
        return tuple(plane for plane in self.store.planes if plane not in self.planes)

    def size_bytes(self, plane: PlaneSpec) -> int:
        """Return the uncompressed size of a plane (one layer at one timestep) in bytes."""
        return size_bytes(self.store.layout, plane, self.store.layout.extent)
