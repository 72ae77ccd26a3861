"""Scenes and label maps as values: valid pixels, digest, summary, shapes that do not match."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from functools import partial

import numpy as np
import pytest
import rasterio

from hsifeat import mapped_arrays
from hsifeat.errors import SceneError
from hsifeat.scenes import Labels, Scene, open_scene
from hsifeat.scenes.readers.raster import Raster
from tests.helpers.label_files import NORTH_UP


@pytest.mark.parametrize("number", [2**31, 2**32 + 1, 2**63 - 1, -1])
def test_a_class_number_that_files_of_maps_can_not_store_is_refused(number):
    with pytest.raises(SceneError, match="allowed are numbers up to 2147483647|integers from 0 up"):
        Labels("truth", np.array([[0, number]]))
    assert Labels("truth", np.array([[0, 2**31 - 1]])).counts == {2**31 - 1: 1}


@pytest.mark.parametrize("place", ["memory", "file", "full disk"])
def test_valid_mask_and_digest(place, monkeypatch, tmp_path):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if place != "memory":
        monkeypatch.setattr(mapped_arrays, "_MAX_MASK_BYTES", 0)
    if place == "full disk":
        monkeypatch.setattr(os, "posix_fallocate", fail)
    cube = np.ones((4, 5, 3), np.float32)
    cube[0, 0] = 0
    cube[1, 1, 1] = np.nan
    cube[2, 2, 2] = np.inf
    scene = Scene("x", cube)
    expected = np.ones((4, 5), bool)
    expected[[0, 1, 2], [0, 1, 2]] = False
    np.testing.assert_array_equal(scene.valid, expected)
    assert isinstance(scene.valid.base, np.memmap) == (place == "file")
    assert list(tmp_path.iterdir()) == []
    oracle = hashlib.sha256(b"4,5,3,<f4;" + cube.tobytes() + np.packbits(expected).tobytes()).hexdigest()
    assert scene.digest == oracle


@pytest.mark.parametrize(
    "values",
    [-9999, np.float32(-9999), [-9999], np.array([5, -9999]), [[-9999], [], [7]], ((-9999,), (), np.array([7]))],
)
def test_nodata_values_may_be_numbers_and_lists(values):
    cube = np.ones((4, 5, 3), np.int16)
    cube[0, 0, 0] = -9999
    for attribute in ("nodata", "companion_nodata"):
        scene = Scene("x", cube, companion=cube, **{attribute: values})
        assert (~scene.valid).sum() == (attribute == "nodata") and scene.valid[1, 0]
        given = getattr(scene, attribute)
        assert all(type(value) is float for band in given for value in (band if isinstance(band, tuple) else (band,)))


@pytest.mark.parametrize("values", ["-9999", None, (None,), ("x",), ((1,), 2, 3), {1.0}, 1j, [[[1]]]])
def test_nodata_values_of_other_types_are_refused(values):
    for attribute in ("nodata", "companion_nodata"):
        with pytest.raises(SceneError, match=f"x: {attribute} is a number, .* or one tuple of numbers per band"):
            Scene("x", np.ones((4, 5, 3)), **{attribute: values})


def test_a_masked_array_is_refused_with_what_to_give_instead():
    masked = np.ma.masked_equal(np.arange(1, 25).reshape(3, 4, 2), 9)
    with pytest.raises(SceneError, match=r"mask=~np\.ma\.getmaskarray\(cube\)\.any\(axis=2\)"):
        Scene("x", masked)
    scene = Scene("x", masked.data, mask=~np.ma.getmaskarray(masked).any(axis=2))
    assert (~scene.valid).sum() == 1 and not scene.valid[1, 0]


def test_scenes_label_maps_and_rasters_are_compared_and_hashed_as_objects():
    values = np.ones((4, 5, 3), np.float32)
    for make in (partial(Scene, "x"), lambda cube: Labels("x", cube[..., 0].astype(int)), Raster):
        one, other = make(values), make(values)
        assert one == one and one != other and len({one, other}) == 2  # noqa: PLR0124  # arrays have no single truth value


def test_labels_must_lie_on_the_grid():
    with pytest.raises(SceneError, match=r"labels 'gt' have 2 x 2 pixels, but the scene x has 3 x 3"):
        Scene("x", np.ones((3, 3, 2))).with_labels(Labels("gt", np.ones((2, 2), int)))


def test_summary_is_json_whatever_the_nodata_value(tmp_path):
    with rasterio.open(
        tmp_path / "x.tif", "w", driver="GTiff", height=2, width=2, count=3, dtype="float32", nodata=np.nan,
        crs="EPSG:32617", transform=NORTH_UP,
    ) as file:  # fmt: skip
        file.write(np.ones((3, 2, 2), np.float32))
    scene = open_scene(tmp_path / "x.tif")
    assert np.isnan(scene.nodata).all() and scene.valid.all()
    assert json.loads(json.dumps(scene.summary(), allow_nan=False))["nodata"] == []
    from hsifeat.extraction.new_store import scene_facts

    assert scene_facts(Scene("x", np.ones((2, 2, 3)), nodata=(np.nan, -1.0, np.inf))).nodata == [-1.0]
