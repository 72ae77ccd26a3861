"""Pixels of brush marks and polygons, against loops and shapely."""

import numpy as np
import pytest
import shapely

from classifiers.labelling.label_shapes import brush_pixels, polygon_pixels
from hsifeat.errors import SceneError

SHAPE = (12, 17)


@pytest.mark.parametrize("side", [1, 3, 7])
def test_a_brush_marks_squares_within_the_scene(side):
    rows, cols = [0, 5, 5, 11], [0, 8, 9, 16]
    reach = side // 2
    expected = {
        row * 17 + col
        for row, col in np.ndindex(SHAPE)
        if any(abs(row - r) <= reach and abs(col - c) <= reach for r, c in zip(rows, cols, strict=True))
    }
    assert brush_pixels(rows, cols, SHAPE, side).tolist() == sorted(expected)


def test_a_polygon_contains_the_centres_that_shapely_finds():
    rng = np.random.default_rng(0)
    for _ in range(20):
        vertices = shapely.MultiPoint(rng.uniform(-3, 20, (7, 2))).convex_hull.exterior.coords[:-1]
        polygon = shapely.Polygon(vertices)
        centres = [shapely.Point(row + 0.5, col + 0.5) for row, col in np.ndindex(SHAPE)]
        assert polygon_pixels(vertices, SHAPE).tolist() == np.flatnonzero(shapely.contains(polygon, centres)).tolist()


def test_a_crossing_polygon_and_one_beyond_the_scene_are_no_fault():
    assert len(polygon_pixels([(0, 0), (10, 10), (0, 10), (10, 0)], SHAPE)) > 20
    assert len(polygon_pixels([(-1e6, -1e6), (-1e6, 1e6), (1e6, 1e6), (1e6, -1e6)], SHAPE)) == 12 * 17


@pytest.mark.parametrize(
    ("vertices", "message"),
    [
        ([(0, 0), (1, 1)], "3 to 10000 finite vertices; found 2"),
        ([(0, 0), (1, float("nan")), (2, 2)], "finite vertices"),
        ([(0.6, 0.6), (0.6, 0.9), (0.9, 0.9)], "contains no centre of a pixel"),
        ([(1, 1), (1, 1), (1, 1)], "contains no centre of a pixel"),
        ([(50, 50), (50, 60), (60, 60)], "contains no centre of a pixel"),
    ],
)
def test_impossible_polygons_are_refused(vertices, message):
    with pytest.raises(SceneError, match=message):
        polygon_pixels(vertices, SHAPE)


@pytest.mark.parametrize(("rows", "cols", "side"), [([12], [0], 3), ([0], [-1], 3), ([0], [0], 2), ([0], [0], 101)])
def test_impossible_strokes_are_refused(rows, cols, side):
    with pytest.raises(SceneError, match="outside of the scene|odd number of pixels"):
        brush_pixels(rows, cols, SHAPE, side)
