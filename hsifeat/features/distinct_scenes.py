"""Find stores that count as stores of two scenes, although they hold the same scene with small differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError, StoreError
from hsifeat.features.features import Features
from hsifeat.scenes.band_matching import SceneBands, match_bands
from hsifeat.types import Window

# Scenes of one shape are compared at the same pixels, so that each of these pixels is read once per scene.
_PIXELS = 64
# If fewer of these pixels are valid in both scenes, other pixels are selected, which are valid in both.
_MIN_PIXELS = 16
_MIN_SPECTRA = 3


def check_distinct(scenes: Sequence[Sequence[Features]]) -> None:
    """Raise `StoreError` if stores of one scene count as stores of two scenes.

    The copies of a scene in two stores can differ in the valid pixels, the dtype, or the order or number of bands. The
    stores then count as two scenes, and a split could train on a pixel in one store and test on the same pixel in the
    other store. The error message says how to make stores that count as one scene.

    Two scenes are taken as one if they have the same number of rows and columns, and their stored spectra are equal at up
    to 64 pixels that are valid in both, see `same_spectra`. These pixels are spread over the scene. Bands are matched by
    `hsifeat.scenes.band_matching.match_bands`. The dtype is ignored. Scenes without a common valid pixel are distinct.

    The check is fast: usually, one pixel of each scene is read. Other pixels are read only if spectra of two scenes are
    equal, or a pixel is invalid in a scene.

    Parameters
    ----------
    scenes : sequence of sequence of Features
        Stores of each scene.
    """

    @cache
    def read(scene: int, pixel: int) -> NDArray[np.float32]:
        features = scenes[scene][0]
        return np.ravel(features.read_scene(Window(*divmod(pixel, features.shape[1]), 1, 1)))

    for first, second in combinations(range(len(scenes)), 2):
        one, other = scenes[first][0], scenes[second][0]
        if one.shape[:2] != other.shape[:2] or (bands := _common_bands(one, other)) is None:
            continue
        pixels = _common_pixels(one.valid.ravel(), other.valid.ravel())
        if same_spectra((read(first, pixel)[bands[0]], read(second, pixel)[bands[1]]) for pixel in pixels):
            raise StoreError(_message(scenes[first], scenes[second]))


def same_spectra(pairs: Iterable[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> bool:
    """Return whether spectra of the same pixels show that two scenes are one.

    All pairs must be equal, and there must be at least three different spectra. One or two different spectra are
    no evidence, because areas without data are often filled with one value.

    Parameters
    ----------
    pairs : iterable of tuple of two (bands,) float32 arrays
        Spectra of each pixel in the two scenes. The iteration stops at the first pair that differs.

    Examples
    --------
    >>> spectra = np.float32([[1, 2], [3, 4], [5, 6]])
    >>> same_spectra(zip(spectra, spectra)), same_spectra(zip(spectra[:2], spectra[:2]))
    (True, False)
    """
    equal = set()
    for one, other in pairs:
        if not np.array_equal(one, other):
            return False
        equal.add(one.tobytes())
    return len(equal) >= _MIN_SPECTRA


def _common_pixels(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> list[int]:
    """Return flat indices of up to `_PIXELS` pixels that are valid in two masks."""
    spread = _spread(len(one))
    common = spread[one[spread] & other[spread]]
    if len(common) < _MIN_PIXELS:
        valid = np.flatnonzero(one & other)
        common = valid[_spread(len(valid))]
    return [int(pixel) for pixel in common]


def _spread(count: int) -> NDArray[np.intp]:
    """Return up to `_PIXELS` indices from 0 to `count` - 1: the first, the last, and others at even distances.

    The result starts with an index in the middle, because the edges of different images are often filled with one value.
    """
    indices = np.unique(np.linspace(0, count - 1, min(count, _PIXELS)).astype(np.intp))
    return np.roll(indices, len(indices) // 2)


def _common_bands(one: Features, other: Features) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
    """Return indices of the bands of two scenes, matched by `match_bands`, or None if the bands can't be matched.

    All bands of the scene with fewer bands are matched.
    """
    if one.shape[2] > other.shape[2]:
        swapped = _common_bands(other, one)
        return None if swapped is None else swapped[::-1]
    bands = one.shape[2], other.shape[2]
    try:
        matched = match_bands(SceneBands.of(one.scene, one.name), SceneBands.of(other.scene, other.name))
    except SceneError:
        return None
    return np.arange(bands[0]), np.arange(bands[1]) if matched is None else matched


def _message(one: Sequence[Features], other: Sequence[Features]) -> str:
    differences = _differences(one[0], other[0])
    # A scene has its bands in another order after an extraction with `like`; an import keeps the bands of its scene.
    best = min((*one, *other), key=lambda store: (np.count_nonzero(store.valid), store.is_imported))
    try:
        source = f"{best.store.location}/scene"
    except StoreError:  # features of a scene without a store
        source = f"the scene of {best.name}"
    return (
        f"{other[0].name} and {one[0].name} hold the same scene, but differ in its {differences}, so that each pixel would count twice; "
        f"stores of one scene need the same {differences}: extract the other stores from {source}, or import "
        "them with this scene"
    )


def _differences(one: Features, other: Features) -> str:
    """Name what differs between two stores of one scene."""
    words = []
    if not np.array_equal(one.valid, other.valid):
        words.append("valid pixels")
    bands = _common_bands(one, other)
    if one.shape[2] != other.shape[2]:
        words.append("bands")
    elif bands is None or not np.array_equal(*bands):
        words.append("order of bands")
    if one.scene.cube.dtype != other.scene.cube.dtype:
        words.append("dtype")
    return " and ".join(words) or "values"
