"""Spectra of a scene that has no store, for models that learn from spectra alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import StoreError
from hsifeat.features.features import Features
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.scene import Scene
from hsifeat.store.plane_layout import PlaneSpec
from hsifeat.store.store import Store
from hsifeat.types import Window, as_float32, check_window


class SceneFeatures(Features):
    """The spectra of a scene without a store. Whatever needs a store raises a `StoreError`.

    Parameters
    ----------
    scene : Scene
        The scene.

    Examples
    --------
    >>> scene = Scene("demo", np.ones((4, 5, 3), np.float32))
    >>> SceneFeatures(scene).spectra([0], [1]).tolist()
    [[1.0, 1.0, 1.0]]
    """

    def __init__(self, scene: Scene) -> None:
        self._scene, self.bands = scene, None

    def with_bands(self, bands: Sequence[int]) -> SceneFeatures:
        """Return the spectra of some bands of the scene; see `Features.with_bands`."""
        return SceneFeatures(self._scene.with_bands(bands))

    @property
    def store(self) -> Store:
        """Raise `StoreError`, since there is no store."""
        raise StoreError(f"{self.name} is a scene without a store: extract it, and name its store")

    @property
    def name(self) -> str:
        """Name of the scene."""
        return self._scene.name

    @property
    def recipe(self) -> dict[str, Any]:
        """Recipe with the digest of the scene as its only field, since no features were extracted."""
        return {"scene": self._scene.digest}

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of rows, columns and bands."""
        return self._scene.rows, self._scene.cols, self._scene.bands

    @property
    def georeference(self) -> Georeference | None:
        """Georeference of the scene, or None."""
        return self._scene.georeference

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(rows, cols) bool array of the valid pixels."""
        return self._scene.valid

    @property
    def readable(self) -> NDArray[np.bool_]:
        """(rows, cols) bool array of the pixels with spectra."""
        return self._scene.valid

    @property
    def covers_scene(self) -> bool:
        """True, since all pixels can be read."""
        return True

    @cached_property
    def scene(self) -> Scene:
        """The scene."""
        return self._scene

    @cached_property
    def planes(self) -> tuple[PlaneSpec, ...]:
        """Empty, since there are no planes."""
        return ()

    @cached_property
    def unfinished(self) -> tuple[PlaneSpec, ...]:
        """Empty, since there are no planes."""
        return ()

    def read_scene(self, window: Window) -> NDArray[np.float32]:
        """Return the spectra of all pixels in a window as a (rows, cols, bands) float32 array; see `Features.read_scene`."""
        check_window(window, *self.shape[:2])
        return as_float32(self._scene.cube[window.slices])
