"""Read cached features and spectra of pixels from a store; neither a model nor torch is needed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

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
from hsifeat.features.store_contents import StoreContents
from hsifeat.scenes.band_ranges import check_bands
from hsifeat.store.plane_layout import PixelListLayout, PlaneSpec
from hsifeat.store.read_cache import samples_folder
from hsifeat.types import Window, check_switches, check_window

if TYPE_CHECKING:
    import dask.array
    import xarray

__all__ = ["Features", "PlaneLike"]


class Features(StoreContents):
    """Cached features and the scene of a store.

    Features are stored in planes: a plane holds the features of one layer at one timestep. Use `open_features` to open a
    store by its path or name.

    Parameters
    ----------
    store : Store
        Store to read.
    bands : tuple of int, optional
        Indices of the bands of the scene to use, in this order; see `with_bands`. [default: all]

    Examples
    --------
    >>> import hsifeat
    >>> features = hsifeat.open_features("fields.zarr")
    >>> [str(plane.id) for plane in features.select(["t0/up_blocks.*"])]
    ['t0/up_blocks.0', 't0/up_blocks.1', 't0/up_blocks.2']
    >>> features.read(hsifeat.Window(0, 0, 8, 8), ["t300/mid_block"]).shape
    (8, 8, 16)
    """

    def with_bands(self, bands: Sequence[int]) -> Features:
        """Return the features of the same store with a selection of bands.

        The spectra of the result have the selected bands, in the order of `bands`. Planes are not affected. Use
        `hsifeat.scenes.band_matching.match_bands` to select the bands that correspond to the bands of another scene.

        Parameters
        ----------
        bands : sequence of int
            Indices of the bands, from 0.

        Raises
        ------
        SceneError
            If the features lack a band.

        Examples
        --------
        >>> import hsifeat
        >>> hsifeat.open_features("fields.zarr").with_bands([3, 1]).spectra([0], [0]).shape
        (1, 2)
        """
        bands = check_bands(bands, self.shape[2], self.name)
        return Features(self.store, bands if self.bands is None else tuple(self.bands[band] for band in bands))

    def read_scene(self, window: Window) -> NDArray[np.float32]:
        """Return the stored spectra of all pixels in a window, including invalid ones, as a (rows, cols, bands) float32 array.

        Raises
        ------
        StoreError
            If the window reaches beyond the scene.
        """
        values = self.store.read_scene(window)
        return values if self.bands is None else values[..., list(self.bands)]

    def has_planes(self, *, context: bool) -> bool:
        """Return whether the store has planes of a given kind. Unfinished planes count.

        Parameters
        ----------
        context : bool
            The kind. True: planes of context stores, which are made with ``--backbone context``. False: planes of all other
            stores.
        """
        return any(self.owner(plane)[0].is_context == context for plane in (*self.planes, *self.unfinished))

    def select(self, planes: Sequence[PlaneLike] | None = None, *, context: bool | None = None) -> list[PlaneSpec]:
        """Return the complete planes (one layer at one timestep each) that match `planes`.

        Parameters
        ----------
        planes : sequence of str, PlaneId or PlaneSpec, optional
            Names such as ``t50/up_blocks.2`` or ``*/mid_block``, with ``*`` and ``?`` as wildcards. A single name can be
            passed without a list. None selects all planes.
        context : bool, optional
            True selects only planes of context stores, which are made with ``--backbone context``. False selects only planes
            of other stores. [default: both]

        Returns
        -------
        list of PlaneSpec
            Selected planes without duplicates, in the order of `planes`.

        Raises
        ------
        StoreError
            If a name matches no complete plane, or if `planes` is None and a plane is unfinished.
        """
        check_switches(context=context is None or context)
        complete, unfinished = (
            [plane for plane in some if context is None or self.owner(plane)[0].is_context == context]
            for some in (self.planes, self.unfinished)
        )
        return select_planes(self.name, complete, unfinished, planes)

    def owner(self, plane: PlaneSpec) -> tuple[Features, PlaneSpec]:
        """Return the `Features` of the store that holds a plane, and the plane under the name that it has in this store.

        For a single store, the result is `self` and `plane`. In a stack of stores, a plane can have a different name
        than in its store; see `StackedFeatures`.
        """
        return self, plane

    @property
    def readable(self) -> NDArray[np.bool_]:
        """(rows, cols) bool array of the pixels with features.

        If the store has features of listed pixels only, these are the listed pixels. If planes cover the scene, these are
        the valid pixels.
        """
        return self._reader.readable

    @property
    def covers_scene(self) -> bool:
        """Whether planes cover the scene, so that windows and patches can be read.

        False if the store has features of listed pixels only.
        """
        return self._reader.covers_scene

    def fingerprint(self, planes: Sequence[PlaneLike] | None = None) -> str:
        """Return a sha256 digest of the stored scene, the selected bands and the values of `planes`, as hexadecimal digits.

        If two stores have equal fingerprints, their spectra and the values of these planes are equal. `select` describes the
        parameter `planes`.
        """
        digest = hashlib.sha256(repr((self.recipe["scene"], self.bands)).encode())
        # A store from elsewhere may have another cube than its recipe states.
        for key, checksum in sorted(self.store.checksums.items()):
            if key.startswith(("scene/cube/", "scene/valid/")):
                digest.update(f"{key} {checksum} ".encode())
        for plane in self.select(planes):
            owner, stored_plane = self.owner(plane)
            digest.update(f"{owner.key} {stored_plane.id} {plane.id} ".encode())
            digest.update(owner.store.fingerprint(stored_plane.id))
        return digest.hexdigest()

    @property
    def kept_folder(self) -> Path:
        """Folder in the cache for files that are computed from the store. The folder is deleted together with the store."""
        return samples_folder(self.key)

    def window_px(self, wanted_px: int) -> int:
        """Return the side in pixels of the windows over which planes can be averaged.

        Parameters
        ----------
        wanted_px : int
            Wanted side. If planes cover the scene, this side is returned. If the store has features of listed pixels only,
            it has means over windows of one size, and the side of these windows is returned.
        """
        return self._reader.window_px(wanted_px)

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
            Side in pixels of a window around each pixel. Features are averaged over the valid pixels of the window,
            which is clipped to the scene. None reads the features at the pixel. If the store has features of listed
            pixels only, it has means over windows of one side: `pool` must be this side or None. These means count all
            pixels of the window, including padding beyond the scene.
        keep : bool
            Store the result in the sample cache, so that a repeated call takes milliseconds.

        Returns
        -------
        (n, D) float32 array
            Channels of all planes, in the order of `planes`. Pixels without data are NaN; see `valid`.

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
        values = (
            parts[0]
            if len(parts) == 1
            else np.concatenate([np.empty((len(pixels.rows), 0), np.float32), *parts], axis=1)
        )
        return self._without_data_nan(values, pixels)

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
            Channels of all planes, in the order of `planes`. Pixels without data are NaN; see `valid`.

        Raises
        ------
        StoreError
            If the window reaches beyond the scene. If the store has features of listed pixels only.
        """
        check_window(window, *self.shape[:2])
        selected = self.select(planes)
        if not (selected and window.rows and window.cols):
            return np.empty((window.rows, window.cols, sum(plane.channels for plane in selected)), np.float32)
        values = np.concatenate([self._reader.read(plane, window) for plane in selected], axis=2)
        values[~self.valid[window.slices]] = np.nan
        return values

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
            Spectra. A pixel that is not `valid` is NaN, even if its window has valid pixels.

        Raises
        ------
        StoreError
            If a pixel lies outside the scene, or `pool` is less than 1.
        """
        pixels = self._pixels(rows, cols)
        if pool is None:
            values = read_pixels(pixels, self.read_scene, self.shape[2])
        else:
            values = window_means(pixels, pool, self.read_scene, self.shape[2], self.valid)
        return self._without_data_nan(values, pixels)

    def patches(
        self, rows: ArrayLike, cols: ArrayLike, size: int, planes: Sequence[PlaneLike] | None = None
    ) -> NDArray[np.float32]:
        """Read the features in the square neighbourhood of each pixel.

        The scene is padded by reflection, as by ``numpy.pad(mode="reflect")``. Neighbours without data get the features
        of the centre pixel. If the centre pixel has no data, its whole neighbourhood is NaN.

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
        values = np.concatenate(parts, axis=3) if parts else np.empty((len(pixels.rows), size, size, 0), np.float32)
        return self._without_data_nan(values, pixels)

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
            Spectrum of each pixel of each neighbourhood.

        Raises
        ------
        StoreError
            If `size` is even, or a pixel lies outside the scene.
        """
        pixels = self._pixels(rows, cols)
        values = read_neighbourhoods(pixels, size, self.read_scene, self.shape[2], self.valid)
        return self._without_data_nan(values, pixels)

    def to_dask(self, plane: PlaneLike) -> dask.array.Array:
        """Return a plane (one layer at one timestep) as a lazy dask array in its stored dtype and resolution.

        The array has one dask task per shard. Its shape is (cell rows, cell cols, channels) if planes cover the scene, and
        (n, channels) for n listed pixels.

        Raises
        ------
        StoreError
            If `plane` matches no complete plane, or several planes.
        """
        specs = self.select([plane])
        if len(specs) > 1:
            names = ", ".join(str(spec.id) for spec in specs)
            raise StoreError(f"{self.name}: {str(plane)!r} matches {len(specs)} planes ({names}): name one of them")
        return self._reader.to_dask(specs[0])

    def to_xarray(self) -> xarray.Dataset:
        """Return the scene with the selected bands, its label maps and all complete planes as a lazy dataset.

        Names and axes of the variables are documented in `hsifeat.features.xarray_view.to_xarray`.
        """
        return xarray_view.to_xarray(self.store, self.planes, self._reader.coordinates(self.planes), self.bands)

    @cached_property
    def _reader(self) -> PlaneReader:
        layout, pixels = self.store.layout, self.store.pixels
        if isinstance(layout, PixelListLayout) and pixels is not None:
            return PixelListReader(self.store, *pixels, layout.window_px)
        return ScenePlaneReader(self.store)

    def _pixels(self, rows: ArrayLike, cols: ArrayLike) -> PixelCoordinates:
        return PixelCoordinates.parse(rows, cols, self.shape[:2])

    def _without_data_nan(self, values: NDArray[np.float32], pixels: PixelCoordinates) -> NDArray[np.float32]:
        """Return the values of n pixels, an array of shape (n, …), with NaN for the pixels without data."""
        values[~self.valid[pixels.rows, pixels.cols]] = np.nan
        return values

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
