"""Read cached features and spectra of pixels from a store; neither a model nor torch is needed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
from hsifeat.store.recipe import differences
from hsifeat.store.store import Store
from hsifeat.store.timings import Timing, total_seconds
from hsifeat.types import Window

if TYPE_CHECKING:
    import dask.array
    import xarray

__all__ = ["Features", "PlaneLike"]


class Features:
    """Cached features and the scene of a store.

    Features are stored in planes: a plane holds the features of one layer at one timestep. Use `open_features` to open a
    store by its path or name.

    Parameters
    ----------
    store : Store
        Store to read.

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
        """Name of the store: the name of its folder without ``.zarr``."""
        return self.store.location.name

    @property
    def key(self) -> str:
        """Key of the store. It identifies the scene and the options of the extraction."""
        return self.store.key

    @property
    def recipe(self) -> dict[str, Any]:
        """Scene, backbone and options of the extraction (the recipe of the store), as JSON values."""
        return self.store.manifest.recipe

    def differences(self, recipe: dict[str, Any]) -> list[tuple[str, Any, Any]]:
        """Compare the recipe of this store with the recipe of another store.

        The scene and its listed pixels are ignored. Stores of two scenes therefore have no differences if they were
        extracted with the same options.

        Parameters
        ----------
        recipe : dict
            Recipe of the other store.

        Returns
        -------
        list of tuple
            One tuple per field that differs: its dotted name, its value in this recipe, and its value in the other recipe.
        """
        own_options, other_options = (
            {name: value for name, value in canonical.items() if name not in {"scene", "pixels"}}
            for canonical in (self.recipe, recipe)
        )
        return differences(own_options, other_options)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(rows, cols) bool array of the valid pixels of the scene."""
        return self.store.valid

    @cached_property
    def _reader(self) -> PlaneReader:
        pixels = self.store.pixels
        return ScenePlaneReader(self.store) if pixels is None else PixelListReader(self.store, *pixels)

    @property
    def readable(self) -> NDArray[np.bool_]:
        """(rows, cols) bool array of the pixels with features.

        If the store lists pixels, these are the listed pixels. If planes cover the scene, these are the valid pixels.
        """
        return self._reader.readable

    @property
    def window_px(self) -> int | None:
        """Side in pixels of the window around each listed pixel; None if planes cover the scene."""
        return self.store.layout.window_px

    @property
    def is_context(self) -> bool:
        """Whether the planes come from context filters, such as window means, instead of a diffusion model."""
        return bool(self.recipe.get("backbone", {}).get("kind") == "context")

    def size_bytes(self, plane: PlaneSpec) -> int:
        """Return the uncompressed size of a plane (one layer at one timestep) in bytes."""
        return size_bytes(self.store.layout, plane, self.store.layout.extent)

    def seconds(self, timesteps: Collection[int | None]) -> float | None:
        """Return the time in seconds that the extraction of `timesteps` took, or None if the time is unknown.

        Times are recorded per timestep, since one forward pass computes all layers.

        Parameters
        ----------
        timesteps : collection of int or None
            Timesteps. The item None adds the time of the work that all timesteps share: reading the scene and encoding tiles.
        """
        return total_seconds(self._timings, timesteps)

    @property
    def devices(self) -> tuple[str, ...]:
        """Known devices of the extraction, such as ``cpu (threads: 2)``, or ``cuda`` with the name of the GPU."""
        return tuple(dict.fromkeys(timing.device for timing in self._timings))

    @cached_property
    def _timings(self) -> tuple[Timing, ...]:
        return self.store.timings

    @cached_property
    def planes(self) -> tuple[PlaneSpec, ...]:
        """Planes (one layer at one timestep each) whose extraction is complete."""
        return tuple(plane for plane in self.store.planes if self.store.is_complete(plane.id))

    @cached_property
    def unfinished(self) -> tuple[PlaneSpec, ...]:
        """Planes (one layer at one timestep each) whose extraction was interrupted."""
        return tuple(plane for plane in self.store.planes if plane not in self.planes)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of rows, columns and bands of the scene; reads no array of the store."""
        facts = self.store.manifest.scene
        return facts.rows, facts.cols, facts.bands

    @property
    def georeference(self) -> Georeference | None:
        """Georeference of the scene, or None; reads no array of the store."""
        return georeference_of(self.store)

    @cached_property
    def scene(self) -> Scene:
        """Scene in the store, with its label maps and a cube that is read lazily."""
        return scene_of(self.store)

    def labels(self, name: str | None = None) -> Labels:
        """Return a label map of the scene.

        Parameters
        ----------
        name : str, optional
            Name of the label map. Can be omitted if the scene has only one label map.

        Raises
        ------
        StoreError
            If the scene has no label map of this name. If `name` is None, and the scene has no label map or several.
        """
        maps = self.scene.labels
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
        """Return a label map in which invalid pixels of the scene are unlabelled.

        Raises
        ------
        SceneError
            If the label map has another shape than the scene.
        """
        self.scene.with_labels(labels)
        if self.valid[labels.classes != 0].all():
            return labels
        return replace(labels, classes=np.where(self.valid, labels.classes, 0).astype(labels.classes.dtype))

    def has_planes(self, *, context: bool) -> bool:
        """Return whether there are planes of context stores, or planes of other stores if `context` is False.

        Context stores are made with ``--backbone context``. Unfinished planes count too.
        """
        return any(self.owner(plane)[0].is_context == context for plane in (*self.planes, *self.unfinished))

    def select(self, planes: Sequence[PlaneLike] | None = None, *, context: bool | None = None) -> list[PlaneSpec]:
        """Return complete planes (one layer at one timestep each), selected by name.

        Parameters
        ----------
        planes : sequence of str, PlaneId or PlaneSpec, optional
            Names such as ``t50/up_blocks.2`` or ``*/mid_block``, with ``*`` and ``?`` as wildcards. None selects all planes.
        context : bool, optional
            True selects only planes of context stores (made with ``--backbone context``). False selects only planes of
            other stores. [default: both]

        Returns
        -------
        list of PlaneSpec
            Selected planes without duplicates, in the order of `planes`.

        Raises
        ------
        StoreError
            If a name matches no complete plane, or if `planes` is None and a plane is unfinished.
        """
        complete, unfinished = (
            [plane for plane in some if context is None or self.owner(plane)[0].is_context == context]
            for some in (self.planes, self.unfinished)
        )
        return select_planes(self.name, complete, unfinished, planes)

    def owner(self, plane: PlaneSpec) -> tuple[Features, PlaneSpec]:
        """Return the features of the store that holds a plane, and the plane under its name in this store.

        `Features` of one store return themselves and `plane`. `StackedFeatures`, which combine several stores, return
        the store that holds `plane`.
        """
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
        """Read the features of pixels.

        Parameters
        ----------
        rows, cols : (n,) integer arrays
            Row and column of each pixel.
        planes : sequence, optional
            Planes to read; see `select`.
        pool : int, optional
            Side in pixels of a window around each pixel. Features are averaged over the valid pixels of the window, which is
            clipped to the scene. If the store lists pixels, `pool` must be the side of the stored windows, and features are
            averaged over the whole window, padding included. None reads the features at the pixel.
        keep : bool
            Store the result in the sample cache, so that a repeated call takes milliseconds.

        Returns
        -------
        (n, D) float32 array
            Channels of all planes, in the order of `planes`.

        Raises
        ------
        StoreError
            If a pixel lies outside the scene, or has no features in the store. If a stored block is damaged.
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
        """Read the features of all pixels in a window of the scene.

        Parameters
        ----------
        window : Window
            Window within the scene.
        planes : sequence, optional
            Planes to read; see `select`.

        Returns
        -------
        (rows, cols, D) float32 array
            Channels of all planes, in the order of `planes`.

        Raises
        ------
        StoreError
            If the window reaches beyond the scene. If the store has features of listed pixels only.
        """
        if window != window.clip(self.shape[0], self.shape[1]):
            raise StoreError(f"{window} reaches beyond the scene of {self.shape[0]} x {self.shape[1]} pixels")
        parts = [self._reader.read(plane, window) for plane in self.select(planes)]
        return np.concatenate(parts, axis=2) if parts else np.empty((window.rows, window.cols, 0), np.float32)

    def spectra(self, rows: ArrayLike, cols: ArrayLike, *, pool: int | None = None) -> NDArray[np.float32]:
        """Read the spectra of pixels from the scene.

        Parameters
        ----------
        rows, cols : (n,) integer arrays
            Row and column of each pixel.
        pool : int, optional
            Side in pixels of a window around each pixel. Spectra are averaged over the valid pixels of the window, which is
            clipped to the scene. None reads the spectrum of the pixel.

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
        """Read the features in the square neighbourhood of each pixel.

        The scene is padded by reflection, as by ``numpy.pad(mode="reflect")``. Neighbours that are not valid get the features
        of the centre pixel.

        Parameters
        ----------
        rows, cols : (n,) integer arrays
            Row and column of each centre pixel.
        size : int
            Side of a neighbourhood in pixels, an odd number.
        planes : sequence, optional
            Planes to read; see `select`.

        Returns
        -------
        (n, size, size, D) float32 array
            Channels of all planes, in the order of `planes`.

        Raises
        ------
        StoreError
            If `size` is even. If a pixel lies outside the scene. If the store has features of listed pixels only.
        """
        pixels = self._pixels(rows, cols)
        parts = [self._reader.patches(plane, pixels, size) for plane in self.select(planes)]
        return np.concatenate(parts, axis=3) if parts else np.empty((len(pixels.rows), size, size, 0), np.float32)

    def spectral_patches(self, rows: ArrayLike, cols: ArrayLike, size: int) -> NDArray[np.float32]:
        """Read the spectra in the square neighbourhood of each pixel. The scene is padded as in `patches`.

        Parameters
        ----------
        rows, cols : (n,) integer arrays
            Row and column of each centre pixel.
        size : int
            Side of a neighbourhood in pixels, an odd number.

        Returns
        -------
        (n, size, size, bands) float32 array

        Raises
        ------
        StoreError
            If `size` is even, or a pixel lies outside the scene.
        """
        return read_neighbourhoods(self._pixels(rows, cols), size, self.store.read_scene, self.shape[2], self.valid)

    def to_dask(self, plane: PlaneLike) -> dask.array.Array:
        """Return a plane (one layer at one timestep) as a lazy dask array in its stored dtype and resolution.

        The array has one dask task per shard. Its shape is (cell rows, cell cols, channels) if planes cover the scene, and
        (n, channels) for n listed pixels.
        """
        (spec,) = self.select([plane])
        return self._reader.to_dask(spec)

    def to_xarray(self) -> xarray.Dataset:
        """Return the scene, its label maps and all complete planes as a lazy dataset.

        Names and axes of the variables are documented in `hsifeat.features.xarray_view.to_xarray`.
        """
        return xarray_view.to_xarray(self.store, self.planes, self._reader.coordinates(self.planes))

    def _pixels(self, rows: ArrayLike, cols: ArrayLike) -> PixelCoordinates:
        return PixelCoordinates.parse(rows, cols, self.shape[:2])

    def _cached_sample(self, plane: PlaneSpec, pixels: PixelCoordinates, pool: int | None) -> NDArray[np.float32]:
        owner, stored_plane = self.owner(plane)
        facts = (
            str(stored_plane.id),
            owner.store.fingerprint(stored_plane.id),
            pixels.rows.tobytes(),
            pixels.cols.tobytes(),
            str(pool),
        )
        shape = len(pixels.rows), plane.channels
        return cached_samples(owner.key, facts, shape, lambda: self._reader.sample(plane, pixels, pool))
