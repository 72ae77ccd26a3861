"""Test pixels that lie on training pixels of another scene, because the scenes overlap on the map."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.splits.split_draw import SplitDraw
from hsifeat.errors import SceneError
from hsifeat.scenes import Labels
from hsifeat.scenes.georeference import Georeference, affine_parts
from hsifeat.scenes.label_map import ScenePart
from hsifeat.scenes.longitudes import unwrap, whole_turn
from hsifeat.scenes.map_positions import PositionTransformer

_OUTLINE_POINTS = 33  # on each side of a scene


def overlap_notes(labels: Labels, draw: SplitDraw) -> tuple[str, ...]:
    """Return a note if test pixels lie on training pixels of another scene.

    Leakage and distances are measured within each scene, so they miss these pixels. Only scenes with a CRS are compared.

    Parameters
    ----------
    labels : Labels
        Label map of one or several scenes.
    draw : SplitDraw
        Training and test pixels of the map.
    """
    train, test = draw.train, draw.test
    count = 0
    for scene in labels.parts:
        rows, cols = np.nonzero(test[scene.window.slices])
        trained = np.zeros(len(rows), np.bool_)
        for other in labels.parts:
            if other is not scene and len(rows):
                trained |= _lies_on(rows, cols, scene, other, train[other.window.slices])
        count += int(np.count_nonzero(trained))
    if not count:
        return ()
    total = np.count_nonzero(test)
    note = (
        f"{count} of {total} test pixels ({count / total:.1%}) lie on training pixels of another scene, because the scenes overlap on "
        "the map: leakage and distances are measured within each scene, and do not count them"
    )
    return (note,)


def _lies_on(
    rows: NDArray[np.intp], cols: NDArray[np.intp], scene: ScenePart, other: ScenePart, mask: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return whether the centre of each pixel of `scene` is in a pixel of `other` that is True in `mask`."""
    here, there = scene.georeference, other.georeference
    nowhere = np.zeros(len(rows), np.bool_)
    if here is None or there is None or here.crs is None or there.crs is None or not mask.any():
        return nowhere
    try:
        positions = _Positions(scene, other, here, there)
    except SceneError:  # No transformation between the two CRS is known.
        return nowhere
    sides = [np.linspace(0, length, _OUTLINE_POINTS) for length in (scene.window.rows, scene.window.cols)]
    outline = [
        np.concatenate([edge.ravel() for edge in (grid[[0, -1]], grid[:, [0, -1]])])
        for grid in np.meshgrid(*sides, indexing="ij")
    ]
    at = positions(*outline)
    if not ((at > 0).any(axis=1) & (at < np.array([mask.shape]).T).any(axis=1)).all():
        return nowhere
    row, col = np.floor(positions(rows + 0.5, cols + 0.5))
    inside = (row >= 0) & (row < mask.shape[0]) & (col >= 0) & (col < mask.shape[1])
    nowhere[inside] = mask[row[inside].astype(np.intp), col[inside].astype(np.intp)]
    return nowhere


class _Positions:
    """Transformation from pixel coordinates of one scene to pixel coordinates of another scene.

    Raises `SceneError` if there is no transformation between the two scenes.
    """

    def __init__(self, scene: ScenePart, other: ScenePart, here: Georeference, there: Georeference) -> None:
        names = scene.names[0], other.names[0]
        self._from, self._to = affine_parts(here, names[0]), affine_parts(there, names[1])
        self._turn = whole_turn(str(there.crs))
        self._transform = None if here.same_crs(there) else PositionTransformer(str(here.crs), str(there.crs), names)
        sides, start = self._to
        centre = (start + sides @ (other.window.cols / 2, other.window.rows / 2))[0]
        self._first = centre - (self._turn or 0) / 2

    def __call__(self, rows: NDArray[Any], cols: NDArray[Any]) -> NDArray[Any]:
        """Transform (n,) rows and columns to a (2, n) array of rows and columns. NaN where a position can't be transformed."""
        sides, start = self._from
        points = sides @ np.stack((cols, rows)) + start[:, None]
        if self._transform is not None:
            points = self._transform(points)
        sides, start = self._to
        points = np.stack((unwrap(points[0], self._first, self._turn), points[1]))
        return np.linalg.solve(sides, points - start[:, None])[::-1]
