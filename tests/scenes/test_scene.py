"""Scenes and label maps as values: valid pixels, digest, summary, shapes that do not match."""

from __future__ import annotations

import copy
import errno
import hashlib
import json
import os
import pickle
import tempfile
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import rasterio

from hsifeat import Projection, Window, extract, import_planes, mapped_arrays, open_features
from hsifeat.errors import SceneError
from hsifeat.features.scene_features import SceneFeatures
from hsifeat.scenes import Georeference, Labels, Scene, open_scene
from hsifeat.scenes.colours import default_colours
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
    assert isinstance(scene._validity.mask.base, np.memmap) == (place == "file")
    assert list(tmp_path.iterdir()) == []
    oracle = hashlib.sha256(b"4,5,3,<f4;" + cube.tobytes() + np.packbits(expected).tobytes()).hexdigest()
    assert scene.digest == oracle


def pickled(value):
    return pickle.loads(pickle.dumps(value))  # noqa: S301


@pytest.mark.parametrize("mask", [None, np.ones((4, 5), bool)], ids=["computed", "given"])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_arrays_of_a_scene_can_not_be_changed(mask, dtype):
    """Valid pixels that a notebook changed were invalid in the extraction and in all maps."""
    classes = np.ones((4, 5), np.uint8)
    scene = Scene("x", np.ones((4, 5, 3), dtype), np.array([1.0, 2, 3]), {"gt": Labels("gt", classes)}, mask=mask)
    for array in (
        scene.valid,
        scene.labels["gt"].classes,
        scene.wavelengths_nm,
        *([scene.mask] if mask is not None else []),
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[:1] = 0
    assert classes.flags.writeable
    assert mask is None or mask.flags.writeable


@pytest.mark.parametrize("copy_of", [copy.copy, copy.deepcopy, pickled])
def test_arrays_of_copies_can_not_be_changed(copy_of):
    """NumPy drops the flag; the digest of a changed copy of a projection was that of the original."""
    mask, nm = np.ones((4, 5), bool), np.array([1.0, 2, 3])
    original = Scene("x", np.ones((4, 5, 3)), nm, {"gt": Labels("gt", np.ones((4, 5), int))}, fwhm_nm=nm, mask=mask)
    _ = original.valid
    scene, labels = copy_of(original), copy_of(original.labels["gt"])
    projection = copy_of(Projection("own", np.eye(3, 2), np.zeros(2), clip=False))
    for values, expected in (
        *((getattr(scene, name), getattr(original, name)) for name in ("wavelengths_nm", "fwhm_nm", "mask", "valid")),
        (labels.classes, original.labels["gt"].classes),
        (projection.weights, np.eye(3, 2)),
        (projection.offset, np.zeros(2)),
    ):
        np.testing.assert_array_equal(values, expected)
        assert not values.flags.writeable
    assert scene.cube.flags.writeable


@pytest.mark.parametrize("place", ["memory", "file"])
def test_pixels_without_finite_values_are_invalid_under_a_mask_too(place, monkeypatch):
    if place == "file":
        monkeypatch.setattr(mapped_arrays, "_MAX_MASK_BYTES", 0)
    cube = np.ones((4, 5, 3))
    cube[0, 0], cube[1, 1, 1], cube[2, 2, 2], cube[3, 3, 0], cube[3, 4, 0] = 0, np.nan, -np.inf, 1e39, -3e38
    mask = np.ones((4, 5), bool)
    mask[2] = False
    scene = Scene("x", cube, mask=mask)
    expected = mask.copy()
    expected[[1, 3], [1, 3]] = False
    np.testing.assert_array_equal(scene.valid, expected)
    assert mask.sum() == 15
    assert scene.digest == hashlib.sha256(b"4,5,3,<f8;" + cube.tobytes() + np.packbits(expected).tobytes()).hexdigest()
    assert scene.validity_notes == (
        "x: the mask includes 2 pixels with NaN, infinities or values beyond the range of float32, which always mean no data",
    )
    assert scene.with_bands([2]).valid.sum() == 15
    whole = Scene("x", np.zeros((4, 5, 3)), mask=mask)
    np.testing.assert_array_equal(whole.valid, mask)
    assert whole.validity_notes == ()


@pytest.mark.parametrize("make", ["extract", "import_planes"])
def test_a_store_has_no_data_where_a_pixel_of_the_mask_has_none(make, tmp_path):
    cube = np.random.default_rng(0).normal(100, 20, (20, 18, 4)).astype(np.float32)
    cube[5, 5, 1], cube[8:10, 8] = np.nan, np.inf
    scene, messages = Scene("x", cube, mask=np.ones((20, 18), bool)), []
    if make == "extract":
        options = {"backbone": "context", "layers": ["mean-3"], "projection": "pca:2", "listen": messages.append}
        features = open_features(extract(scene, out=tmp_path / "x.zarr", **options))
        assert any("the mask includes 3 pixels with NaN" in getattr(one, "message", "") for one in messages)
    else:
        features = open_features(import_planes(scene, {"e": np.ones((20, 18, 2))}, out=tmp_path / "x.zarr"))
    np.testing.assert_array_equal(features.valid, np.isfinite(cube).all(axis=2))
    np.testing.assert_array_equal(np.isfinite(features.read(Window(0, 0, 20, 18))).all(axis=2), features.valid)
    around = cube[5:8, 5:8].reshape(9, 4)[1:].astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(features.spectra([6], [6], pool=3)[0], around, rtol=1e-5)
    assert features.scene.digest == features.recipe["scene"]


def test_the_cube_of_a_store_is_not_read_for_the_valid_pixels_of_its_scene(tmp_path, monkeypatch):
    cube = np.ones((4, 5, 3), np.float32)
    cube[1, 1, 1] = np.nan
    store = import_planes(Scene("x", cube), {"e": np.ones((4, 5, 2))}, out=tmp_path / "x.zarr")
    monkeypatch.setattr("hsifeat.features.stored_array.StoredArray.__getitem__", None)
    np.testing.assert_array_equal(open_features(store).scene.with_bands([0]).valid, np.isfinite(cube).all(axis=2))


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


@pytest.mark.parametrize("values", ["-9999", None, (None,), ("x",), ((1,), 2, 3), {1.0}, 1j, [[[1]]], True])
def test_nodata_values_of_other_types_are_refused(values):
    for attribute in ("nodata", "companion_nodata"):
        with pytest.raises(SceneError, match=f"x: {attribute} is a number, .* or one tuple of numbers per band"):
            Scene("x", np.ones((4, 5, 3)), **{attribute: values})


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("name", 5, "name must be a text; found int"),
        (
            "cube",
            np.ones((4, 5, 3)).tolist(),
            "a cube must be an array that NumPy can slice; found list",
        ),
        ("cube", np.ones((4, 5, 3), "m8[s]"), "must hold real numbers; found dtype timedelta64"),
        ("cube", np.ones((4, 5, 3), bool), "must hold real numbers; found dtype bool"),
        ("wavelengths_nm", np.ones(4), "x: wavelengths_nm: 4 values for 3 bands: give one per band"),
        ("wavelengths_nm", np.ones((1, 3)), "x: wavelengths_nm must be one number per band"),
        ("wavelengths_nm", ["a", "b", "c"], "x: wavelengths_nm must be one number per band"),
        ("wavelengths_nm", [500, np.nan, 700], "x: wavelengths_nm must be positive numbers"),
        ("fwhm_nm", [10, 0, 10], "x: fwhm_nm must be positive numbers; found 0 to 10"),
        ("wavelengths_nm", np.ma.masked_equal([500, 600, 700], 600), "x: wavelengths_nm must be one number per band"),
        ("fwhm_nm", 10.0, "x: fwhm_nm must be one number per band"),
        ("band_names", "abc", "x: band_names must be a tuple of texts; found 'abc'"),
        ("band_names", ("a", "b"), "x: 2 band_names for 3 bands: give one per band"),
        ("notes", "a note", "x: notes must be a tuple of texts"),
        ("blank_pixels", "dropped", "x: blank_pixels must be drop or keep; found 'dropped'"),
        ("blank_pixels", ["drop"], "x: blank_pixels must be drop or keep; found list"),
        ("scale", "10000", "x: scale must be a number; found str"),
        ("scale", 0, "x: scale must be a positive number; found 0"),
        ("scale", np.nan, "x: scale must be a positive number; found nan"),
        ("georeference", NORTH_UP, "x: georeference must be a Georeference or None; found Affine"),
        (
            "mask",
            np.ones((4, 5), np.uint8),
            r"mask must be a bool array, .* found uint8: give `np.asarray\(mask\) != 0`",
        ),
        ("mask", np.ones((4, 5)), "mask must be a bool array, .* found float64"),
        ("mask", [[True] * 5] * 4, "mask must be a bool array, .* found list"),
        ("mask", np.ma.ones((4, 5), bool), "mask must be a bool array"),
        ("mask", np.ones((5, 4), bool), r"the mask has the shape \(5, 4\), but the scene has 4 x 5 pixels"),
        ("companion", np.ones((8, 10, 3), complex), "a companion image must hold real numbers; found dtype complex128"),
        ("companion", np.ma.ones((8, 10, 3)), "a companion image can't be a masked array: give companion.data"),
        ("companion", np.ones((8, 9, 3)), "the companion image has the shape 8 x 9 x 3"),
        ("labels", [Labels("gt", np.ones((4, 5), int))], r"labels must be a dict such as .*; found list"),
        ("labels", {"gt": np.ones((4, 5), int)}, r"a label map must be Labels\(name, array\); found ndarray"),
        ("labels", {"gt": Labels("x", np.ones((4, 5), int))}, "the label map 'x' has the key 'gt'"),
    ],
)
def test_attributes_of_other_types_and_lengths_are_refused(attribute, value, message):
    with pytest.raises(SceneError, match=message):
        Scene(**{"name": "x", "cube": np.ones((4, 5, 3)), attribute: value})


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("name", 5, "the name of a label map must be a text; found int"),
        ("classes", [[0, 1]], "labels 'x' must be a NumPy array without a mask; found list"),
        (
            "classes",
            np.ma.masked_equal([[0, 1]], 0),
            "labels 'x' must be a NumPy array without a mask; found MaskedArray",
        ),
        ("classes", np.array([[0.0, 1.0]]), "must be a 2-D array of integers"),
        ("class_names", ["corn"], "class_names must be a dict by class number"),
        ("class_names", {"1": "corn"}, "the key '1' of class_names must be a class number; found str"),
        (
            "class_names",
            {0: "soil"},
            "class numbers are 1 to 2147483647, and 0 is unlabelled; found the key 0 of class_names",
        ),
        ("class_names", {-1: "soil"}, "found the key -1 of class_names"),
        ("class_colours", {2**31: "#ffffff"}, "found the key 2147483648 of class_colours"),
        ("class_names", {1: 2}, "the class name 2 must be a text"),
        ("class_colours", {"1": "#ffffff"}, "the key '1' of class_colours must be a class number"),
        ("georeference", NORTH_UP, "georeference must be a Georeference or None; found Affine"),
        ("notes", "a note", "labels 'x': notes must be a tuple of texts"),
    ],
)
def test_attributes_of_labels_of_other_types_are_refused(attribute, value, message):
    with pytest.raises(SceneError, match=message):
        Labels(**{"name": "x", "classes": np.array([[0, 1]]), attribute: value})


def test_the_background_class_has_a_colour_of_its_own():
    taken = default_colours([9])[9]
    labels = Labels("roads", np.array([[0, 1]]), {1: "road"}, {1: taken}).with_background(9)
    assert labels.class_colours[1] == taken != labels.class_colours[9]


@pytest.mark.parametrize("number", ["3", None, 2.0, True, 1, 0])
def test_a_background_class_is_a_new_class_number(number):
    with pytest.raises(SceneError, match=f"must be a number from 1 to 2147483647 other than 1, .*; found {number!r}$"):
        Labels("x", np.array([[0, 1]])).with_background(number)


@pytest.mark.parametrize(
    ("crs", "transform", "message"),
    [
        (rasterio.CRS.from_epsg(32617), tuple(NORTH_UP)[:6], r"must be WKT; found CRS: give crs.to_wkt\(\)"),
        (None, NORTH_UP, r"must be a tuple of 6 finite numbers; .*: give tuple\(affine\)\[:6\]"),
        (None, tuple("123456"), "must be a tuple of 6 finite numbers"),
        (None, (1, 0, 0, 0, (2,), 0), "must be a tuple of 6 finite numbers"),
        (None, (1, 0, float("nan"), 0, -1, 0), "must be a tuple of 6 finite numbers"),
        (None, (float("inf"), 0, 0, 0, -1, 0), "must be a tuple of 6 finite numbers"),
    ],
)
def test_georeferences_of_other_types_are_refused(crs, transform, message):
    with pytest.raises(SceneError, match=message):
        Georeference(crs, transform)


def test_lists_are_converted():
    scene = Scene(
        "x", np.ones((4, 5, 3)), wavelengths_nm=[450, 550, 650], fwhm_nm=(9, 9, 9), band_names=["b", "g", "r"]
    )
    for values, expected in ((scene.wavelengths_nm, [450, 550, 650]), (scene.fwhm_nm, [9, 9, 9])):
        assert values.dtype == np.float64
        np.testing.assert_array_equal(values, expected)
    assert scene.band_names == ("b", "g", "r")
    assert scene.without_bands([1]).wavelengths_nm.tolist() == [450, 650]


def test_scenes_label_maps_and_rasters_are_compared_and_hashed_as_objects():
    values = np.ones((4, 5, 3), np.float32)
    for make in (partial(Scene, "x"), lambda cube: Labels("x", cube[..., 0].astype(int)), Raster):
        one, other = make(values), make(values)
        assert one == one and one != other and len({one, other}) == 2  # noqa: PLR0124  # arrays have no single truth value


def test_labels_must_lie_on_the_grid():
    with pytest.raises(SceneError, match=r"labels 'gt' have 2 x 2 pixels, but the scene x has 3 x 3"):
        Scene("x", np.ones((3, 3, 2))).with_labels(Labels("gt", np.ones((2, 2), int)))


def test_scenes_do_not_share_a_dict_of_labels():
    given = {"gt": Labels("gt", np.ones((3, 3), int))}
    scene = Scene("x", np.ones((3, 3, 2)), labels=given)
    scene.with_bands([0]).labels.clear()
    given.clear()
    assert list(scene.labels) == ["gt"]


def test_a_second_label_map_of_one_name_is_refused():
    scene, labels = Scene("x", np.ones((3, 3, 2))), Labels("gt", np.ones((3, 3), int))
    with pytest.raises(SceneError, match="^x already has a label map named 'gt': rename the second, with dataclasses"):
        scene.with_labels(labels).with_labels(Labels("gt", np.zeros((3, 3), int)))
    assert list(scene.with_labels(labels).with_labels(replace(labels, name="test")).labels) == ["gt", "test"]


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


@pytest.mark.parametrize("wrong", [[-1], [0, 4], [1.0], [True, False, True, True]], ids=repr)
def test_bands_that_the_scene_lacks_are_refused(wrong):
    """Bands are those that NumPy takes and deletes; negative indices and truth values are refused, not counted or ignored."""
    cube = np.arange(24.0).reshape(2, 3, 4)
    scene = Scene("x", cube)
    np.testing.assert_array_equal(scene.without_bands(np.array([3, 1])).cube[...], np.delete(cube, [3, 1], axis=2))
    np.testing.assert_array_equal(scene.with_bands(np.array([3, 1])).cube[...], np.take(cube, [3, 1], axis=2))
    for select in (scene.without_bands, scene.with_bands, SceneFeatures(scene).with_bands):
        with pytest.raises(SceneError, match="^x has the bands 0 to 3; found "):
            select(wrong)
        for no_list in (1, None, slice(0, 2)):
            with pytest.raises(
                SceneError, match=r"^x: bands are a list of numbers from 0 to 3, such as \[0, 3\]; found "
            ):
                select(no_list)
