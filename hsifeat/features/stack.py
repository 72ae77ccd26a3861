"""Combine several stores of one scene, for example to use planes of different backbones or projections together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import StoreError
from hsifeat.features.features import Features
from hsifeat.features.neighbourhoods import PixelCoordinates
from hsifeat.features.open_features import open_features
from hsifeat.formatting import format_count
from hsifeat.scenes import Labels, Scene
from hsifeat.store.plane_layout import PlaneSpec
from hsifeat.store.store import Store
from hsifeat.types import PlaneId, Window

if TYPE_CHECKING:
    import dask.array
    import xarray

StoreLike = str | Path | Features | Store


def open_stack(stores: StoreLike | Sequence[StoreLike] | None = None) -> Features:
    """Open the features of a store, or the combined features of several stores of one scene.

    Parameters
    ----------
    stores : str, Path, Features or a sequence of these, optional
        `Features`, or paths and names that `open_features` accepts. [default: the store that was completed last]

    Raises
    ------
    StoreError
        If `stores` is empty, a store does not exist, or the stores hold different scenes.
    """
    opened = [store if isinstance(store, Features) else open_features(store) for store in list_stores(stores)]
    return opened[0] if len(opened) == 1 else StackedFeatures(opened)


def list_stores(stores: StoreLike | Iterable[StoreLike] | None) -> list[StoreLike | None]:
    """Return stores as a list. None alone stands for the store that was completed last.

    Raises
    ------
    StoreError
        If there are no stores, such as in a list of the files that match no pattern.
    """
    if stores is None or isinstance(stores, StoreLike) or not isinstance(stores, Iterable):
        return [stores]
    sources: list[StoreLike | None] = list(stores)
    if not sources:
        raise StoreError("no stores: name one or more; None stands for the store that was completed last")
    return sources


@dataclass(frozen=True)
class StackSource:
    """Locations and keys of the stores of one scene, and a selection of bands, from which a worker opens features.

    Attributes
    ----------
    stores : tuple of str
        Locations of the stores whose features are combined.
    keys : tuple of str
        Keys of the stores.
    bands : tuple of int or None
        Indices of the bands to use, see `Features.with_bands`; None for all.
    """

    stores: tuple[str, ...]
    keys: tuple[str, ...]
    bands: tuple[int, ...] | None = None

    @classmethod
    def of_features(cls, features: Features) -> StackSource:
        """Return the locations and keys of the stores of `features`, and the selected bands.

        Raises
        ------
        StoreError
            If the features have no store, because they are the spectra of a scene. If the location of a store can't be opened
            by its address alone.
        """
        single = features.stores if isinstance(features, StackedFeatures) else (features,)
        for store in single:
            store.store.location.check_address()
        locations = tuple(store.store.location.identity for store in single)
        return cls(locations, tuple(store.key for store in single), features.bands)

    def open(self) -> Features:
        """Open the features of the stores. See `open_stack`.

        Raises
        ------
        StoreError
            If another store has replaced one of the stores.
        """
        opened = [open_features(location) for location in self.stores]
        for features, key in zip(opened, self.keys, strict=True):
            if features.key != key:
                raise StoreError(
                    f"{features.store.location}: another store has replaced the store that was opened: open it again"
                )
        features = open_stack(opened)
        return features if self.bands is None else features.with_bands(self.bands)


class StackedFeatures(Features):
    """Combined features of several stores of one scene.

    There are two kinds of stores: context stores (made with ``--backbone context``) and all other stores. In a stack,
    context stores come last. If a stack has several stores of one kind, these stores are numbered from 1. In the stack, the
    name of each plane of these stores contains the number of the store, as in ``t50/2:up_blocks.1``. If a stack has only
    one store of a kind, its planes keep their names. If the stacks of two scenes have stores with the same extraction
    options, in the same order, a head that was fitted on one stack can be applied to the other stack. The scene is read from
    the first store of the stack, and label maps from all stores.

    Parameters
    ----------
    stores : sequence of Features
        Features of the stores.

    Raises
    ------
    StoreError
        If the stores hold different scenes, or copies of the scene with other wavelengths or another georeference. If a
        context store and another store have a plane of the same name.
    """

    def __init__(self, stores: Sequence[Features]) -> None:
        stores = sorted(stores, key=lambda store: store.is_context)
        super().__init__(stores[0].store, stores[0].bands)
        self.stores = tuple(stores)
        for other in stores[1:]:
            if other.recipe["scene"] != stores[0].recipe["scene"]:
                raise StoreError(
                    f"{other.name} is of another scene ({other.scene.name}) than {stores[0].name} "
                    f"({stores[0].scene.name}): only stores of one scene can be stacked"
                )
        for first, other in combinations(stores, 2):
            _check_same_place(first, other)
        self._owners = self._find_owners()

    def with_bands(self, bands: Sequence[int]) -> StackedFeatures:
        """Return this stack with a selection of bands. See `Features.with_bands`."""
        return StackedFeatures([store.with_bands(bands) for store in self.stores])

    @property
    def name(self) -> str:
        """Names of the stores, joined by plus signs."""
        return " + ".join(store.name for store in self.stores)

    @property
    def recipe(self) -> dict[str, Any]:
        """Recipes of all stores as JSON values.

        The field ``scene`` has the digest of the common scene. The field ``stores`` is a dict whose keys are the positions
        of the stores in the stack, counted from 1. Its values are the recipes of the stores, without the fields that
        describe the scene.
        """
        parts = {str(number): store.options for number, store in enumerate(self.stores, 1)}
        return {"scene": self.stores[0].recipe["scene"], "stores": parts}

    @cached_property
    def scene(self) -> Scene:
        """Scene in the stores, with each of wavelengths, band names, band numbers and scale from the first store that has them."""
        scenes = [store.scene for store in self.stores]
        first = scenes[0]
        nm = next((one.wavelengths_nm for one in scenes if one.wavelengths_nm is not None), None)
        names = next((one.band_names for one in scenes if one.band_names), ())
        numbers = next((one.band_numbers for one in scenes if one.band_numbers), ())
        scale = next((one.scale for one in scenes if one.scale != 1), first.scale)
        if nm is first.wavelengths_nm and (names, numbers, scale) == (
            first.band_names,
            first.band_numbers,
            first.scale,
        ):
            return first
        return replace(first, wavelengths_nm=nm, band_names=names, band_numbers=numbers, scale=scale)

    @cached_property
    def planes(self) -> tuple[PlaneSpec, ...]:
        """Complete planes (one layer at one timestep each) of all stores."""
        return tuple(self._renamed(at, plane) for at, store in enumerate(self.stores) for plane in store.planes)

    @cached_property
    def unfinished(self) -> tuple[PlaneSpec, ...]:
        """Unfinished planes (one layer at one timestep each) of all stores."""
        return tuple(self._renamed(at, plane) for at, store in enumerate(self.stores) for plane in store.unfinished)

    @cached_property
    def label_maps(self) -> StackedLabelMaps:
        """Label maps of all stores. The keys are their names."""
        return StackedLabelMaps(self.stores)

    def owner(self, plane: PlaneSpec) -> tuple[Features, PlaneSpec]:
        """Return the features of the store that holds a plane, and the plane under the name that it has in this store.

        The name of a plane in a stack can differ from its name in the store; see `StackedFeatures`.
        """
        return self._owners[plane.id]

    def _find_owners(self) -> dict[PlaneId, tuple[Features, PlaneSpec]]:
        owners: dict[PlaneId, tuple[Features, PlaneSpec]] = {}
        for at, store in enumerate(self.stores):
            for plane in (*store.planes, *store.unfinished):
                name = self._renamed(at, plane).id
                if name in owners:
                    raise StoreError(
                        f"{owners[name][0].name} and {store.name} both have a plane {name}: stack one of them at a time"
                    )
                owners[name] = store, plane
        return owners

    def _renamed(self, at: int, plane: PlaneSpec) -> PlaneSpec:
        """Return a plane of the store ``stores[at]`` with its name in the stack; see `StackedFeatures`."""
        kinds = [store.is_context for store in self.stores]
        if kinds.count(kinds[at]) == 1:
            return plane
        return replace(plane, id=PlaneId(plane.id.t, f"{kinds[: at + 1].count(kinds[at])}:{plane.id.layer}"))

    def to_xarray(self) -> xarray.Dataset:
        """Raise `StoreError`, since a dataset can show only one store."""
        raise StoreError(
            f"{self.name} combines several stores, but a dataset can show only one: call to_xarray on the features of a "
            "single store"
        )

    def size_bytes(self, plane: PlaneSpec) -> int:
        """Return the uncompressed size of a plane (one layer at one timestep) in bytes."""
        owner, stored_plane = self.owner(plane)
        return owner.size_bytes(stored_plane)

    @cached_property
    def _reader(self) -> StackedPlaneReader:
        return StackedPlaneReader(self)


class StackedLabelMaps(Mapping[str, Labels]):
    """The label maps of several stores of one scene. The keys are the names of the maps.

    Access to a map by its name raises a `StoreError` if stores have maps of this name with other classes.
    """

    def __init__(self, stores: Sequence[Features]) -> None:
        self._stores = stores

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for store in self._stores for name in store.label_maps))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return any(name in store.label_maps for store in self._stores)

    def __getitem__(self, name: str) -> Labels:
        stores = [store for store in self._stores if name in store.label_maps]
        if not stores:
            raise KeyError(name)
        for store in stores[1:]:
            _check_same_classes(name, stores[0], store)
        return stores[0].label_maps[name]


class StackedPlaneReader:
    """Reader of the planes of several stores. Each plane is read from the store that holds the plane."""

    def __init__(self, stack: StackedFeatures) -> None:
        self._stack = stack
        # Windows and patches are read from these stores only; context stores count if there are no other stores.
        self._main = [store for store in stack.stores if store.is_context == stack.stores[0].is_context]

    @property
    def covers_scene(self) -> bool:
        """Whether all stores have features of the whole scene.

        If the stack has context stores and other stores, the context stores are ignored.
        """
        return all(store.covers_scene for store in self._main)

    def window_px(self, wanted_px: int) -> int:
        """Choose the side in pixels of the windows over which planes are averaged.

        A store of listed pixels has means over windows of one side. If all stores are such stores, and have the same side,
        this side is returned. Otherwise, `wanted_px` is returned. If a store can't give means over windows of the returned
        side, `sample` raises a `StoreError`.

        If the stack has context stores and other stores, the context stores are ignored in this choice.
        """
        sides = {store.window_px(wanted_px) for store in self._main}
        return sides.pop() if len(sides) == 1 else wanted_px

    @property
    def readable(self) -> NDArray[np.bool_]:
        """(rows, cols) bool array of the pixels at which all stores have features."""
        return np.asarray(np.logical_and.reduce([store.readable for store in self._stack.stores]))

    def sample(self, plane: PlaneSpec, pixels: PixelCoordinates, window_px: int | None) -> NDArray[np.float32]:
        """Read a plane at pixels, or average the plane over a window around each pixel. See `PlaneReader.sample`."""
        owner, stored_plane = self._stack.owner(plane)
        return owner.sample(pixels.rows, pixels.cols, [stored_plane], pool=window_px)

    def patches(self, plane: PlaneSpec, pixels: PixelCoordinates, side_px: int) -> NDArray[np.float32]:
        """Read a plane in the neighbourhoods of pixels. See `PlaneReader.patches`."""
        owner, stored_plane = self._stack.owner(plane)
        return owner.patches(pixels.rows, pixels.cols, side_px, [stored_plane])

    def read(self, plane: PlaneSpec, window: Window) -> NDArray[np.float32]:
        """Read a plane in a window of the scene. See `PlaneReader.read`."""
        owner, stored_plane = self._stack.owner(plane)
        return owner.read(window, [stored_plane])

    def to_dask(self, plane: PlaneSpec) -> dask.array.Array:
        """Return a plane as a lazy dask array. See `PlaneReader.to_dask`."""
        owner, stored_plane = self._stack.owner(plane)
        return owner.to_dask(stored_plane)

    def coordinates(self, planes: Iterable[PlaneSpec]) -> dict[str, xarray.Variable]:  # noqa: ARG002
        """Return an empty dict, since `StackedFeatures` can't be converted to a dataset."""
        return {}


def _check_same_classes(name: str, first: Features, other: Features) -> None:
    labels, others = first.label_maps[name], other.label_maps[name]
    differences = int(np.count_nonzero(others.classes != labels.classes))
    if differences or others.class_names != labels.class_names:
        difference = f"differ at {format_count(differences, 'pixel')}" if differences else "name classes differently"
        raise StoreError(
            f"the label maps {name!r} of {first.name} and {other.name} {difference}: extract the scene into the store with the outdated map "
            "again, with the right labels; existing planes are kept"
        )


def _check_same_place(first: Features, other: Features) -> None:
    """Raise a `StoreError` if two stores of a scene have other wavelengths or another georeference. Either may lack them."""
    one, another = first.georeference, other.georeference
    words = []
    if one is not None and another is not None and not one.same_grid(another, *first.valid.shape):
        words.append("another georeference")
    nm, other_nm = (store.store.manifest.scene.wavelengths_nm for store in (first, other))
    if nm and other_nm and not np.allclose(nm, other_nm, rtol=1e-9, atol=0):
        words.append("other wavelengths")
    if words:
        raise StoreError(
            f"{other.name} has {' and '.join(words)} than {first.name}, although both have the same scene: extract the scene into the store "
            "with the outdated metadata again; existing planes are kept"
        )
