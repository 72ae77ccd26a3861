"""The reading side of a store: values of planes and spectra at any pixels, without a model and without torch."""

from __future__ import annotations

import weakref
from collections.abc import Collection, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsifeat.cache.catalogue import find_store, touch
from hsifeat.cache.sample_cache import kept
from hsifeat.errors import StoreError, nearest
from hsifeat.features import xarray_view as lazy
from hsifeat.features.interpolation import Covering, Listed, Reader
from hsifeat.features.neighbourhoods import BLOCK_PX, Pixels, gathered, pooled
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.label_map import Labels
from hsifeat.scenes.scene import Scene
from hsifeat.store.layout import PlaneSpec, size_bytes
from hsifeat.store.locks import hold_for_reading
from hsifeat.store.recipe import differences
from hsifeat.store.store import Store
from hsifeat.store.timings import Timing, seconds_of
from hsifeat.types import PlaneId, Window

if TYPE_CHECKING:
    import dask.array
    import xarray

PlaneLike = str | PlaneId | PlaneSpec


def open_features(store: str | Path | None = None) -> Features:
    """Open a store for reading.

    Parameters
    ----------
    store : str or Path, optional
        A path, a catalogue name or a unique key prefix; left out, the store completed last.

    Returns
    -------
    Features

    Raises
    ------
    StoreError
        There is no such store, or it holds something else.
    """
    location = find_store(store)
    try:
        release = hold_for_reading(location)
    except OSError:  # A cache folder that can't be written: nobody could delete the store from here either.
        release = None
    try:
        features = Features(Store.open(location))
    except BaseException:
        if release is not None:
            release()
        raise
    if release is not None:
        # As long as anything reads: lazy arrays outlive the features, and share this with them.
        weakref.finalize(features.store.group.store, release)
    touch(location)
    return features


class Features:
    """The planes and the scene of a store.

    Attributes
    ----------
    store : Store
        What is read.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    @property
    def name(self) -> str:
        """The store's name: its folder without ``.zarr``."""
        return self.store.location.name

    @property
    def key(self) -> str:
        """The store's key."""
        return self.store.key

    @property
    def recipe(self) -> dict[str, Any]:
        """The canonical recipe that the planes come from, as plain JSON values."""
        return self.store.manifest.recipe

    def differences(self, recipe: dict[str, Any]) -> list[tuple[str, Any, Any]]:
        """List the fields in which this store's recipe differs from another one, as (dotted name, here, there).

        The scene and its pixels are left out: features of two scenes compare when all else is the same.
        """
        here, there = ({k: v for k, v in r.items() if k not in {"scene", "pixels"}} for r in (self.recipe, recipe))
        return differences(here, there)

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """Mask (rows, cols) of the pixels that hold something."""
        return np.asarray(self.store.scene_array("valid")[:], bool)

    @cached_property
    def _reader(self) -> Reader:
        listed = self.store.pixels
        return Covering(self.store, lambda: self.valid) if listed is None else Listed(self.store, *listed)

    @property
    def readable(self) -> NDArray[np.bool_]:
        """Mask (rows, cols) of the pixels that planes can be read at: the valid ones, or those that the store lists."""
        return self._reader.readable

    @property
    def window_px(self) -> int | None:
        """Side of the window in which each pixel was seen, where the store lists pixels; None where planes cover the scene."""
        return self.store.layout.window_px

    def size_bytes(self, plane: PlaneSpec) -> int:
        """Return the size of a plane in bytes, before compression."""
        return size_bytes(self.store.layout, plane, self.store.layout.extent)

    def seconds(self, timesteps: Collection[int | None]) -> float | None:
        """Return the seconds that some timesteps took to extract; None where the store does not say.

        A forward gives all its layers at once, so the seconds of a plane are those of its timestep.

        Parameters
        ----------
        timesteps : collection of int or None
            None stands for what all of them share: reading the scene, and encoding its tiles.
        """
        return seconds_of(self._timings, timesteps)

    @property
    def devices(self) -> tuple[str, ...]:
        """Where planes were extracted, as far as the store says it: ``cpu (threads: 2)``, or ``cuda`` with the GPU's name."""
        return tuple(dict.fromkeys(timing.device for timing in self._timings))

    @cached_property
    def _timings(self) -> tuple[Timing, ...]:
        return self.store.timings

    @cached_property
    def planes(self) -> tuple[PlaneSpec, ...]:
        """The planes that are complete: timestep, layer, stride, channels, dtype."""
        return tuple(plane for plane in self.store.planes if self.store.done(plane.id).all())

    @cached_property
    def unfinished(self) -> tuple[PlaneSpec, ...]:
        """The planes that an extraction began and has not finished."""
        return tuple(plane for plane in self.store.planes if plane not in self.planes)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and bands of the scene; unlike `scene`, this reads nothing."""
        facts = self.store.manifest.scene
        return facts.rows, facts.cols, facts.bands

    @property
    def georeference(self) -> Georeference | None:
        """Where the scene lies; unlike `scene`, this reads nothing."""
        facts = self.store.manifest.scene
        return None if facts.transform is None else Georeference(facts.crs, facts.transform)

    @cached_property
    def scene(self) -> Scene:
        """The scene as the store holds it: its cube is read lazily, its label maps are there."""
        facts = self.store.manifest.scene
        nm, fwhm = (None if v is None else np.asarray(v) for v in (facts.wavelengths_nm, facts.fwhm_nm))
        return Scene(
            name=facts.name,
            cube=self.store.scene_array("cube"),  # type: ignore[arg-type]  # zarr arrays slice as a Cube does
            wavelengths_nm=nm,
            fwhm_nm=fwhm,
            band_names=tuple(facts.band_names),
            nodata=tuple(facts.nodata),
            scale=facts.scale,
            georeference=self.georeference,
            mask=self.valid,
            labels={name: self._labels(name) for name in self.store.labels},
            licence=facts.licence,
            citation=facts.citation,
        )

    def labels(self, name: str | None = None) -> Labels:
        """Return a label map by name; None takes the only one. `StoreError` lists the names otherwise."""
        there = self.scene.labels
        if name is None and len(there) == 1:
            return next(iter(there.values()))
        if name is None or name not in there:
            found = f"no labels {name!r}" if name else f"{len(there)} label maps"
            raise StoreError(
                f"{self.name} has {found}; it holds: {', '.join(there) or 'none'} (hsifeat extract SCENE --labels FILE adds some)"
            )
        return there[name]

    def usable(self, labels: Labels) -> Labels:
        """Return a label map without the pixels that hold nothing; `SceneError` if it is not on the scene's grid."""
        self.scene.with_labels(labels)
        if self.valid[labels.classes != 0].all():
            return labels
        return replace(labels, classes=np.where(self.valid, labels.classes, 0).astype(labels.classes.dtype))

    def _labels(self, name: str) -> Labels:
        array = self.store.label_array(name)
        facts: dict[str, Any] = array.attrs.asdict()
        return Labels(
            name,
            np.asarray(array[:]),
            {int(c): n for c, n in facts.get("class_names", {}).items()},
            {int(c): n for c, n in facts.get("class_colours", {}).items()},
            georeference=self.georeference,
        )

    def select(self, planes: Sequence[PlaneLike] | None = None) -> list[PlaneSpec]:
        """Pick complete planes.

        Parameters
        ----------
        planes : sequence of str, PlaneId or PlaneSpec, optional
            Names such as ``t50/up_blocks.2``, with ``*`` and ``?`` as wildcards (``*/mid_block``); None takes all.

        Raises
        ------
        StoreError
            A name that fits no complete plane, or all are asked for and some are unfinished.
        """
        if planes is None:
            if self.unfinished:
                names = ", ".join(str(plane.id) for plane in self.unfinished[:3])
                raise StoreError(
                    f"{self.name} has {len(self.unfinished)} planes that an extraction began and did not finish ({names}, "
                    "…): give the extract command again, or name the planes to use with --planes"
                )
            return list(self.planes)
        picked: dict[PlaneSpec, None] = {}
        for wanted in planes:
            text = str(wanted.id if isinstance(wanted, PlaneSpec) else wanted)
            found = [plane for plane in self.planes if fnmatchcase(str(plane.id), text)]
            if not found:
                begun = " (begun, but not finished)" if any(str(p.id) == text for p in self.unfinished) else ""
                raise StoreError(
                    f"{self.name} has no plane {text!r}{begun}; {nearest(text, [str(p.id) for p in self.planes])}"
                )
            picked |= dict.fromkeys(found)
        return list(picked)

    def owner(self, plane: PlaneSpec) -> tuple[Features, PlaneSpec]:
        """Return the store that a plane lies in, and the plane as it is named there: this one, as it is named here."""
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
            As `select` takes them.
        pool : int, optional
            Give the mean over a window of this side around each pixel, cut at the scene's edge, instead of its value. Where
            the store lists pixels, their windows' side: the mean is then that of the whole window, with what lay beyond
            the edge.
        keep : bool
            Keep what was read in a file in the cache folder, so that the same pixels are read in milliseconds the next
            time: for labelled pixels, which are read again and again.

        Returns
        -------
        (n, D) float32 array
            The planes' channels side by side, in the order of `planes`.

        Raises
        ------
        StoreError
            A pixel outside of the scene, or none of those that the store lists; or its part of a plane is damaged.
        """
        at = self._pixels(rows, cols)
        parts = [
            self._kept(plane, at, pool) if keep else self._reader.sample(plane, at, pool)
            for plane in self.select(planes)
        ]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts, axis=1) if parts else np.empty((len(at.rows), 0), np.float32)

    def read(self, window: Window, planes: Sequence[PlaneLike] | None = None) -> NDArray[np.float32]:
        """Read a block of planes at full resolution.

        Parameters
        ----------
        window : Window
            Within the scene.
        planes : sequence, optional
            As `select` takes them.

        Returns
        -------
        (rows, cols, D) float32 array

        Raises
        ------
        StoreError
            A window beyond the scene, or a store that lists pixels.
        """
        if window != window.clip(self.shape[0], self.shape[1]):
            raise StoreError(f"{window} reaches beyond the scene of {self.shape[0]} x {self.shape[1]} pixels")
        parts = [self._reader.read(plane, window) for plane in self.select(planes)]
        return np.concatenate(parts, axis=2) if parts else np.empty((window.rows, window.cols, 0), np.float32)

    def spectra(self, rows: ArrayLike, cols: ArrayLike, *, pool: int | None = None) -> NDArray[np.float32]:
        """Read spectra (n, bands) float32 at pixels, or their means over windows as `sample` takes them."""
        at = self._pixels(rows, cols)
        if pool is not None:
            return pooled(at, pool, self.store.read_scene, self.shape[2], self.valid)
        values = np.empty((len(at.rows), self.shape[2]), np.float32)
        for chosen, block in at.by_block(BLOCK_PX):
            values[chosen] = self.store.read_scene(block)[at.rows[chosen] - block.row, at.cols[chosen] - block.col]
        return values

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
            neighbour that holds nothing is given the pixel's own values.
        planes : sequence, optional
            As `select` takes them.

        Returns
        -------
        (n, size, size, D) float32 array
            The planes' channels side by side, in the order of `planes`.

        Raises
        ------
        StoreError
            An even size, a pixel outside of the scene, or a store that lists pixels.
        """
        at = self._pixels(rows, cols)
        parts = [self._reader.patches(plane, at, size) for plane in self.select(planes)]
        return np.concatenate(parts, axis=3) if parts else np.empty((len(at.rows), size, size, 0), np.float32)

    def spectral_patches(self, rows: ArrayLike, cols: ArrayLike, size: int) -> NDArray[np.float32]:
        """Read the neighbourhoods of pixels in the scene, as `patches` does: (n, size, size, bands) float32."""
        return gathered(self._pixels(rows, cols), size, self.store.read_scene, self.shape[2], self.valid)

    def to_dask(self, plane: PlaneLike) -> dask.array.Array:
        """Return a plane at its own resolution as a lazy dask array, one task a shard; (n, channels) of listed pixels."""
        (spec,) = self.select([plane])
        values = lazy.to_dask(self.store.plane(spec.id))
        return values if self.window_px is None else values[:, 0]

    def to_xarray(self) -> xarray.Dataset:
        """Return the scene, its label maps and all complete planes as one lazy dataset; see `hsifeat.features.xarray_view.to_xarray`."""
        return lazy.to_xarray(self.store, self.planes)

    def _pixels(self, rows: ArrayLike, cols: ArrayLike) -> Pixels:
        at = Pixels(np.asarray(rows, np.intp).ravel(), np.asarray(cols, np.intp).ravel())
        if len(at.rows) != len(at.cols):
            raise StoreError(f"{len(at.rows)} rows but {len(at.cols)} columns given")
        inside = (at.rows >= 0) & (at.rows < self.shape[0]) & (at.cols >= 0) & (at.cols < self.shape[1])
        if not inside.all():
            first = int(np.argmin(inside))
            raise StoreError(
                f"pixel ({at.rows[first]}, {at.cols[first]}) lies outside the scene of {self.shape[0]} x {self.shape[1]}"
            )
        return at

    def _kept(self, plane: PlaneSpec, at: Pixels, pool: int | None) -> NDArray[np.float32]:
        owner, own = self.owner(plane)
        facts = str(own.id), owner.store.fingerprint(own.id), at.rows.tobytes(), at.cols.tobytes(), str(pool)
        shape = len(at.rows), plane.channels
        return kept(owner.key, facts, shape, lambda: self._reader.sample(plane, at, pool))
