"""Test pixels on training pixels of another scene are counted, if scenes overlap on the map."""

from dataclasses import replace

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS, Transformer

from classifiers.multi_scene import merge_label_maps, scene_row_offsets
from classifiers.splits import parse_split
from classifiers.splits.overlap import overlap_notes
from hsifeat.scenes import Labels
from hsifeat.scenes.georeference import Georeference

UTM32, UTM33, DEGREES = (CRS.from_epsg(code).to_wkt() for code in (32632, 32633, 4326))
ROWS, COLS = 40, 50
HERE = Affine(10, 0, 500000, 0, -10, 5400000)
TURNED = HERE @ Affine.translation(12, -3) @ Affine.rotation(30) @ Affine.scale(2)


def join(*transforms_and_crs):
    """Merge label maps of random classes, one per scene."""
    maps = []
    for number, (transform, crs) in enumerate(transforms_and_crs):
        classes = np.random.default_rng(number).integers(0, 3, (ROWS, COLS))
        georeference = None if transform is None else Georeference(crs, transform[:6])
        maps.append(Labels("gt", classes, {1: "a", 2: "b"}, georeference=georeference))
    return merge_label_maps(maps, scene_row_offsets(maps), {"a": 1, "b": 2}, [(name,) for name in "ABC"[: len(maps)]])


def count_by_points(labels, draw):
    """Count the test pixels of each scene that lie on a training pixel of another scene, one by one."""
    count = 0
    for scene in labels.parts:
        rows, cols = np.nonzero(draw.test[scene.window.slices])
        trained = np.zeros(len(rows), bool)
        for other in labels.parts:
            if other is scene or None in (scene.georeference, other.georeference):
                continue
            x, y = Affine(*scene.georeference.transform) @ (cols + 0.5, rows + 0.5)
            x, y = Transformer.from_crs(scene.georeference.crs, other.georeference.crs, always_xy=True).transform(x, y)
            col, row = (np.floor(at).astype(int) for at in ~Affine(*other.georeference.transform) @ (x, y))
            mask = draw.train[other.window.slices]
            inside = (row >= 0) & (row < ROWS) & (col >= 0) & (col < COLS)
            trained[inside] |= mask[row[inside], col[inside]]
        count += np.count_nonzero(trained)
    return count


@pytest.mark.parametrize(
    "second",
    [
        pytest.param((HERE @ Affine.translation(20, 7), UTM32), id="same grid"),
        pytest.param((HERE @ Affine.translation(0, ROWS - 2.3) @ Affine.scale(0.7), UTM32), id="edge"),
        pytest.param((TURNED, UTM32), id="turned"),
        pytest.param((Affine(1.4e-4, 0, 9.0, 0, -0.9e-4, 48.75), DEGREES), id="degrees"),
        pytest.param((Affine(1.4e-4, 0, 369.0, 0, -0.9e-4, 48.75), DEGREES), id="another turn"),
        pytest.param((Affine(10, 0, 59200, 0, -10, 5417300), UTM33), id="next zone"),
        pytest.param((HERE, UTM32), id="another date"),
    ],
)
@pytest.mark.parametrize("split", ["scenes:A/B", "random:0.3"])
def test_test_pixels_on_training_pixels_are_counted(second, split):
    labels = join((HERE, UTM32), second)
    draw = parse_split(split).draw(labels, 0)
    in_one_turn = labels
    if second[0].c == 369:
        moved = replace(labels.parts[1].georeference, transform=(second[0] @ Affine.translation(-360 / 1.4e-4, 0))[:6])
        in_one_turn = replace(labels, parts=(labels.parts[0], replace(labels.parts[1], georeference=moved)))
    expected = count_by_points(in_one_turn, draw)
    (note,) = overlap_notes(labels, draw)
    total = np.count_nonzero(draw.test)
    assert 20 < expected < total
    assert note.startswith(
        f"{expected} of {total} test pixels ({expected / total:.1%}) lie on training pixels of another scene"
    )


@pytest.mark.parametrize(
    "second",
    [
        (HERE @ Affine.translation(COLS, 0), UTM32),
        (HERE, UTM33),
        (HERE, None),
        (None, None),
        (HERE, CRS.from_proj4("+proj=longlat +R=1737400").to_wkt()),
    ],
    ids=["beside", "far", "no CRS", "no georeference", "the moon"],
)
def test_scenes_apart_have_no_note(second):
    labels = join((HERE, UTM32), second)
    assert overlap_notes(labels, parse_split("random:0.3").draw(labels, 0)) == ()


def test_scenes_without_a_crs_are_not_compared():
    """Their coordinates may be numbers of pixels."""
    labels = join((HERE, None), (HERE, None))
    assert overlap_notes(labels, parse_split("random:0.3").draw(labels, 0)) == ()


def test_one_scene_and_three():
    three = join((HERE, UTM32), (HERE @ Affine.translation(30, 0), UTM32), (HERE @ Affine.translation(15, 3), UTM32))
    draw = parse_split("random:0.3").draw(three, 0)
    expected = count_by_points(three, draw)
    assert overlap_notes(three, draw)[0].startswith(f"{expected} of ")
    one = Labels("gt", three.classes[:ROWS, :COLS], georeference=three.parts[0].georeference)
    assert overlap_notes(one, parse_split("random:0.3").draw(one, 0)) == ()
