"""The reading side of a store: values of planes and spectra at any pixels, without a model and without torch."""

from __future__ import annotations

import weakref
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsifeat.cache.catalogue import find_store, mark_used
from hsifeat.cache.sample_cache import cached_samples
from hsifeat.errors import StoreError
from hsifeat.features import xarray_view
from hsifeat.features.interpolation import ScenePlaneReader
from hsifeat.features.neighbourhoods import PixelCoordinates, read_neighbourhoods, read_pixels, window_means
from hsifeat.features.pixel_list_reader import PixelListReader
from hsifeat.features.plane_reader import PlaneReader
from hsifeat.features.selection import PlaneLike, select_planes
from hsifeat.features.stored_scene import georeference_of, scene_of
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.label_map import Labels
from hsifeat.scenes.scene import Scene
from hsifeat.store.layout import PlaneSpec, size_bytes
from hsifeat.store.location import Location
from hsifeat.store.locks import mark_reader
from hsifeat.store.recipe import differences
from hsifeat.store.store import Store
from hsifeat.store.timings import Timing, total_seconds
from hsifeat.types import Window

if TYPE_CHECKING:
    import dask.array
    import xarray

__all__ = ["Features", "PlaneLike", "open_features"]


def open_features(store: Store | Location | str | Path | None = None) -> Features:
    """Open a store for reading.

    Parameters
    ----------
    store : Store, Location, str or Path, optional
        The store that `extract` returned, a path, an address, a catalogue name or a unique key prefix; by default the store
        completed last.

    Returns
    -------
    Features

    Raises
    ------
    StoreError
        There is no such store, or the location holds something else.

    Examples
    --------
    >>> import hsifeat
    >>> features = hsifeat.open_features("fields.zarr")
    >>> features.shape
    (75, 53, 12)
    >>> features.sample([0, 3], [5, 5], ["t300/*"]).shape
    (2, 56)
    """
    location = store.location if isinstance(store, Store) else find_store(store)
    try:
        remove_mark = mark_reader(location)
    except OSError:  # A read-only cache folder: nothing can delete the store from this machine either.
        remove_mark = None
    try:
        features = Features(Store.open(location))
    except BaseException:
        if remove_mark is not None:
            remove_mark()
        raise
    if remove_mark is not None:
        # Lazy arrays outlive the features and share the group's store with them: the mark lasts as long.
        weakref.finalize(features.store.files.group.store, remove_mark)
    mark_used(location)
    return features


class Features:
    """The planes and the scene of a store, for reading; `open_features` returns one.

    Parameters
    ----------
    store : Store
        The store.

    Examples
    --------
    >>> import hsifeat
    >>> features = hsifeat.open_features("fields.zarr")
    >>> [str(plane.id) for plane in features.select(["t0/up_blocks.*"])]
    ['t0/up_blocks.0', 't0/up_blocks.1', 't0/up_blocks.2']
    >>> features.read(hsifeat.Window(0, 0, 8, 8), ["t300/mid_block"]).shape
    (8, 8, 16)
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    @property
    def name(self) -> str:
        """Name of the store: its folder without ``.zarr``."""
        return self.store.location.name

    @property
    def key(self) -> str:
        """Key of the store."""
        return self.store.key

    @property
    def recipe(self) -> dict[str, Any]:
        """Canonical recipe of the planes, as plain JSON values."""
        return self.store.manifest.recipe

    def differences(self, recipe: dict[str, Any]) -> list[tuple[str, Any, Any]]:
        """Compare the recipe of this store with another one.

        The scene and its pixels are left out: features of two scenes are comparable if all else is equal.

        Parameters
        ----------
        recipe : dict
            A canonical recipe.

        Returns
        -------
        list of tuple
            (dotted name, value here, value there) of each field that differs.
        """
        here, there = (
            {name: value for name, value in canonical.items() if name not in {"scene", "pixels"}}
            for canonical in (self.recipe, recipe)
        )
        return differences(here, there)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Mask of the valid pixels of the scene: (rows, cols) bool."""
        return self.store.valid

    @cached_property
    def _reader(self) -> PlaneReader:
        pixels = self.store.pixels
        return ScenePlaneReader(self.store) if pixels is None else PixelListReader(self.store, *pixels)

    @property
    def readable(self) -> NDArray[np.bool_]:
        """Mask of the pixels whose planes can be read, the valid ones or those that the store lists: (rows, cols) bool."""
        return self._reader.readable

    @property
    def window_px(self) -> int | None:
        """Side in pixels of the window around each listed pixel; None where planes cover the scene."""
        return self.store.layout.window_px

    def size_bytes(self, plane: PlaneSpec) -> int:
        """Return the size of a plane in bytes, before compression."""
        return size_bytes(self.store.layout, plane, self.store.layout.extent)

    def seconds(self, timesteps: Collection[int | None]) -> float | None:
        """Return the time that the extraction of some timesteps took, in seconds; None if it is unknown.

        One forward pass gives all layers of a timestep, so that the time of a plane is that of its timestep.

        Parameters
        ----------
        timesteps : collection of int or None
            Timesteps; None stands for the work they share: reading the scene and encoding its tiles.
        """
        return total_seconds(self._timings, timesteps)

    @property
    def devices(self) -> tuple[str, ...]:
        """Devices that planes were extracted on, as far as known: ``cpu (threads: 2)``, or ``cuda`` with the GPU's name."""
        return tuple(dict.fromkeys(timing.device for timing in self._timings))

    @cached_property
    def _timings(self) -> tuple[Timing, ...]:
        return self.store.timings

    @cached_property
    def planes(self) -> tuple[PlaneSpec, ...]:
        """The complete planes: timestep, layer, stride, channels, dtype."""
        return tuple(plane for plane in self.store.planes if self.store.is_complete(plane.id))

    @cached_property
    def unfinished(self) -> tuple[PlaneSpec, ...]:
        """The planes whose extraction was interrupted."""
        return tuple(plane for plane in self.store.planes if plane not in self.planes)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and bands of the scene; unlike `scene`, this reads nothing."""
        facts = self.store.manifest.scene
        return facts.rows, facts.cols, facts.bands

    @property
    def georeference(self) -> Georeference | None:
        """Georeference of the scene, if it has one; unlike `scene`, this reads nothing."""
        return georeference_of(self.store)

    @cached_property
    def scene(self) -> Scene:
        """The stored scene with its label maps; its cube is read lazily."""
        return scene_of(self.store)

    def labels(self, name: str | None = None) -> Labels:
        """Return a label map by name, or the only one by default; `StoreError` lists the names otherwise."""
        maps = self.scene.labels
        if name is None and len(maps) == 1:
            return next(iter(maps.values()))
        if name is None or name not in maps:
            subject = f"no labels {name!r}" if name else f"{len(maps)} label maps"
            raise StoreError(
                f"{self.name} has {subject}; it holds: {', '.join(maps) or 'none'} (hsifeat extract SCENE --labels FILE adds "
                "some)"
            )
        return maps[name]

    def valid_labels(self, labels: Labels) -> Labels:
        """Return a label map without labels on pixels that are not valid; `SceneError` if it has another grid."""
        self.scene.with_labels(labels)
        if self.valid[labels.classes != 0].all():
            return labels
        return replace(labels, classes=np.where(self.valid, labels.classes, 0).astype(labels.classes.dtype))

    def select(self, planes: Sequence[PlaneLike] | None = None) -> list[PlaneSpec]:
        """Select complete planes.

        Parameters
        ----------
        planes : sequence of str, PlaneId or PlaneSpec, optional
            Names such as ``t50/up_blocks.2``, with ``*`` and ``?`` as wildcards (``*/mid_block``); None selects all.

        Raises
        ------
        StoreError
            A name matches no complete plane, or all are selected and some are unfinished.
        """
        return select_planes(self.name, self.planes, self.unfinished, planes)

    def owner(self, plane: PlaneSpec) -> tuple[Features, PlaneSpec]:
        """Return the features that read a plane, and the plane as they name it: these, unless stores are stacked."""
        return self, plane

    def sample(
        self,
        rows: ArrayLike,
        cols: ArrayLike,
        planes: Sequence[PlaneLike] | None = None,
        *,
        pool: int | None = None,
        keep: bool = False,
    ) -> NDArray[np.float32]:
        """Read planes at pixels.

        Parameters
        ----------
        rows, cols : (n,) integer arrays
            Pixels of the scene.
        planes : sequence, optional
            As for `select`.
        pool : int, optional
            Average over the valid pixels of a window of this side in pixels, cut at the scene's edge, around each pixel. In
            a store that lists pixels it must be the side of their windows; the mean is then over the whole window,
            padding included. By default the value at the pixel.
        keep : bool
            Keep the result in the sample cache, so that the same pixels are read in milliseconds the next time.

        Returns
        -------
        (n, D) float32 array
            The channels of all planes, in the order of `planes`.

        Raises
        ------
        StoreError
            A pixel lies outside the scene or is not listed in the store, or its part of a plane is damaged.
        """
        pixels = self._pixels(rows, cols)
        parts = [
            self._cached_sample(plane, pixels, pool) if keep else self._reader.sample(plane, pixels, pool)
            for plane in self.select(planes)
        ]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts, axis=1) if parts else np.empty((len(pixels.rows), 0), np.float32)

    def read(self, window: Window, planes: Sequence[PlaneLike] | None = None) -> NDArray[np.float32]:
        """Read a window of planes at the resolution of the scene.

        Parameters
        ----------
        window : Window
            A window within the scene.
        planes : sequence, optional
            As for `select`.

        Returns
        -------
        (rows, cols, D) float32 array

        Raises
        ------
        StoreError
            The window reaches beyond the scene, or the store lists pixels.
        """
        if window != window.clip(self.shape[0], self.shape[1]):
            raise StoreError(f"{window} reaches beyond the scene of {self.shape[0]} x {self.shape[1]} pixels")
        parts = [self._reader.read(plane, window) for plane in self.select(planes)]
        return np.concatenate(parts, axis=2) if parts else np.empty((window.rows, window.cols, 0), np.float32)

    def spectra(self, rows: ArrayLike, cols: ArrayLike, *, pool: int | None = None) -> NDArray[np.float32]:
        """Read spectra at pixels.

        Parameters
        ----------
        rows, cols : (n,) integer arrays
            Pixels of the scene.
        pool : int, optional
            Average over the valid pixels of a window of this side in pixels, cut at the scene's edge.

        Returns
        -------
        (n, bands) float32 array
        """
        pixels = self._pixels(rows, cols)
        if pool is not None:
            return window_means(pixels, pool, self.store.read_scene, self.shape[2], self.valid)
        return read_pixels(pixels, self.store.read_scene, self.shape[2])

    def patches(
        self, rows: ArrayLike, cols: ArrayLike, size: int, planes: Sequence[PlaneLike] | None = None
    ) -> NDArray[np.float32]:
        """Read the neighbourhoods of pixels in planes.

        Parameters
        ----------
        rows, cols : (n,) integer arrays
            Pixels of the scene.
        size : int
            Side of a neighbourhood in pixels; odd. Beyond the scene's edge it is mirrored, without repeating the edge; a
            neighbour that is not valid takes the pixel's own values.
        planes : sequence, optional
            As for `select`.

        Returns
        -------
        (n, size, size, D) float32 array
            The channels of all planes, in the order of `planes`.

        Raises
        ------
        StoreError
            An even size, a pixel outside the scene, or a store that lists pixels.
        """
        pixels = self._pixels(rows, cols)
        parts = [self._reader.patches(plane, pixels, size) for plane in self.select(planes)]
        return np.concatenate(parts, axis=3) if parts else np.empty((len(pixels.rows), size, size, 0), np.float32)

    def spectral_patches(self, rows: ArrayLike, cols: ArrayLike, size: int) -> NDArray[np.float32]:
        """Read the neighbourhoods of pixels in the scene itself; see `patches`.

        Parameters
        ----------
        rows, cols : (n,) array-likes of int
            Positions of the pixels.
        size : int
            Side of a neighbourhood in pixels.

        Returns
        -------
        (n, size, size, bands) float32 array
            The spectra.
        """
        return read_neighbourhoods(self._pixels(rows, cols), size, self.store.read_scene, self.shape[2], self.valid)

    def to_dask(self, plane: PlaneLike) -> dask.array.Array:
        """Return a plane at its own resolution as a lazy dask array in its stored dtype, one task per shard.

        The shape is (cell rows, cell cols, channels) where planes cover the scene, and (n, channels) for listed pixels.
        """
        (spec,) = self.select([plane])
        return self._reader.to_dask(spec)

    def to_xarray(self) -> xarray.Dataset:
        """Return the scene, its label maps and all complete planes as a lazy dataset; see `hsifeat.features.xarray_view`."""
        return xarray_view.to_xarray(self.store, self.planes, self._reader.coordinates(self.planes))

    def _pixels(self, rows: ArrayLike, cols: ArrayLike) -> PixelCoordinates:
        return PixelCoordinates.parse(rows, cols, self.shape[:2])

    def _cached_sample(self, plane: PlaneSpec, pixels: PixelCoordinates, pool: int | None) -> NDArray[np.float32]:
        owner, own = self.owner(plane)
        facts = str(own.id), owner.store.fingerprint(own.id), pixels.rows.tobytes(), pixels.cols.tobytes(), str(pool)
        shape = len(pixels.rows), plane.channels
        return cached_samples(owner.key, facts, shape, lambda: self._reader.sample(plane, pixels, pool))
