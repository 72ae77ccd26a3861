"""Stores of one scene side by side, read as one: planes of several backbones, projections or tilings in one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import StoreError
from hsifeat.features.features import Features, PlaneLike, open_features
from hsifeat.features.neighbourhoods import Pixels
from hsifeat.store.layout import PlaneSpec
from hsifeat.types import PlaneId, Window

if TYPE_CHECKING:
    import dask.array
    import xarray

StoreLike = str | Path | Features


def open_together(stores: StoreLike | Sequence[StoreLike] | None = None) -> Features:
    """Open one store, or several of one scene side by side.

    Parameters
    ----------
    stores : str, Path, Features or a sequence of them, optional
        Each as `open_features` takes it.

    Raises
    ------
    StoreError
        No such store, or stores of different scenes.
    """
    given = [stores] if stores is None or isinstance(stores, StoreLike) else list(stores)
    opened = [store if isinstance(store, Features) else open_features(store) for store in given or [None]]
    return opened[0] if len(opened) == 1 else Stack(opened)


class Stack(Features):
    """Several stores of one scene. Their planes bear the store's number, from 1 on: ``t50/2:up_blocks.1``.

    So planes of the same name are told apart, and a model finds them in the stores of another scene, given in the same
    order. The scene and its label maps are the first store's. Lazy views are those of each of its `stores`.

    Attributes
    ----------
    stores : tuple of Features
        In the order of their numbers.
    """

    def __init__(self, stores: Sequence[Features]) -> None:
        super().__init__(stores[0].store)
        self.stores = tuple(stores)
        for other in stores[1:]:
            if other.recipe["scene"] != stores[0].recipe["scene"]:
                raise StoreError(
                    f"{other.name} is of another scene ({other.scene.name}) than {stores[0].name} "
                    f"({stores[0].scene.name}): only stores of one scene stand side by side"
                )

    @property
    def name(self) -> str:
        """The names of the stores."""
        return " + ".join(store.name for store in self.stores)

    @property
    def recipe(self) -> dict[str, Any]:
        """The scene, and what else each store's recipe says, by the store's number."""
        apart = {
            str(number): {name: value for name, value in store.recipe.items() if name not in {"scene", "pixels"}}
            for number, store in enumerate(self.stores, 1)
        }
        return {"scene": self.stores[0].recipe["scene"], "stores": apart}

    @property
    def window_px(self) -> int | None:
        """As that of the stores, if all have the same; else None."""
        (found, *others) = {store.window_px for store in self.stores}
        return None if others else found

    @cached_property
    def planes(self) -> tuple[PlaneSpec, ...]:
        """The complete planes of all stores."""
        return tuple(_numbered(n, plane) for n, store in enumerate(self.stores, 1) for plane in store.planes)

    @cached_property
    def unfinished(self) -> tuple[PlaneSpec, ...]:
        """The planes of all stores that an extraction began and has not finished."""
        return tuple(_numbered(n, plane) for n, store in enumerate(self.stores, 1) for plane in store.unfinished)

    def owner(self, plane: PlaneSpec) -> tuple[Features, PlaneSpec]:
        """Return the store that a plane lies in, and the plane as it is named there."""
        number, _, layer = plane.id.layer.partition(":")
        return self.stores[int(number) - 1], replace(plane, id=PlaneId(plane.id.t, layer))

    def to_dask(self, plane: PlaneLike) -> dask.array.Array:
        """Return a plane as a lazy dask array, see `Features.to_dask`."""
        (spec,) = self.select([plane])
        owner, own = self.owner(spec)
        return owner.to_dask(own)

    def to_xarray(self) -> xarray.Dataset:
        """Refuse: a dataset shows one store."""
        self._refuse("shown as one dataset")

    def size_bytes(self, plane: PlaneSpec) -> int:
        """Return the size of a plane in bytes, before compression."""
        owner, own = self.owner(plane)
        return owner.size_bytes(own)

    @cached_property
    def _reader(self) -> _Stacked:
        return _Stacked(self)

    def _refuse(self, what: str) -> NoReturn:
        raise StoreError(f"{self.name} can't be {what}: take one of the stores")


class _Stacked:
    """Reads planes from the stores that they lie in."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    @property
    def readable(self) -> NDArray[np.bool_]:
        """The pixels that can be read in all stores."""
        return np.asarray(np.logical_and.reduce([store.readable for store in self._stack.stores]))

    def sample(self, plane: PlaneSpec, at: Pixels, pool: int | None) -> NDArray[np.float32]:
        owner, own = self._stack.owner(plane)
        return owner.sample(at.rows, at.cols, [own], pool=pool)

    def patches(self, plane: PlaneSpec, at: Pixels, side_px: int) -> NDArray[np.float32]:
        owner, own = self._stack.owner(plane)
        return owner.patches(at.rows, at.cols, side_px, [own])

    def read(self, plane: PlaneSpec, window: Window) -> NDArray[np.float32]:
        owner, own = self._stack.owner(plane)
        return owner.read(window, [own])


def _numbered(number: int, plane: PlaneSpec) -> PlaneSpec:
    return replace(plane, id=PlaneId(plane.id.t, f"{number}:{plane.id.layer}"))
