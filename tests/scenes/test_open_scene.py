"""Opening scenes by name and from files that other programs wrote; wrong input gives one clear line."""

from __future__ import annotations

import io

import numpy as np
import pytest
import rasterio
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from rasterio import Affine

from hsifeat.errors import SceneError
from hsifeat.scenes import Labels, open_labels, open_scene
from tests.helpers.label_files import NORTH_UP, write_label_tif


def test_indian_pines_is_the_real_scene():
    scene = open_scene("indian-pines")
    assert scene.cube.shape == (145, 145, 200)
    assert scene.cube.dtype == np.uint16
    assert (int(scene.cube.min()), int(scene.cube.max())) == (955, 9604)
    truth = scene.labels["ground-truth"]
    assert sum(truth.counts.values()) == 10_249
    assert truth.counts[11] == 2455 and truth.class_names[11] == "Soybean-mintill"
    assert truth.counts[9] == 20 and truth.class_names[9] == "Oats"
    assert scene.wavelengths_nm.min() == 400.02
    assert not (np.diff(scene.wavelengths_nm) > 0).all(), "detectors overlap: wavelengths are not monotonic"
    assert "CC BY" in scene.licence and "10.4231/R7RX991C" in scene.citation


def test_indian_pines_agrees_with_another_copy_of_its_labels(data_folder):
    other = open_labels(data_folder / "indian_pines_official_split" / "Indian_pines_gt.mat")
    np.testing.assert_array_equal(open_scene("indian-pines").labels["ground-truth"].classes, other.classes)


def test_a_scene_of_one_pixel(tmp_path):
    np.savez(tmp_path / "pixel.npz", cube=np.arange(6.0).reshape(1, 1, 6) + 1)
    np.savez(tmp_path / "both.npz", cube=np.ones((2, 3, 6)), wl=np.arange(6.0).reshape(1, 1, 6))
    assert open_scene(tmp_path / "pixel.npz").cube.shape == (1, 1, 6)
    assert open_scene(tmp_path / "both.npz").cube.shape == (2, 3, 6)


def test_real_mat_file_with_several_arrays(data_folder):
    path = data_folder / "houston2018_subset" / "houston_dataset.mat"
    with pytest.raises(SceneError, match=r"2 arrays of 3 dimensions.*hyprImg 128 x 128 x 48.*`variable=NAME`"):
        open_scene(path)
    assert open_scene(path, variable="hyprImg").cube.shape == (128, 128, 48)
    with pytest.raises(SceneError, match=r"no variable 'x'.*hyprImg"):
        open_scene(path, variable="x")
    assert open_scene(path, variable="hyprImg", labels=path).labels["houston_dataset"].classes.shape == (128, 128)


def test_mat_and_npy_give_the_same_scene(tmp_path):
    cube = np.random.default_rng(0).integers(0, 999, (6, 5, 4)).astype(np.int16)
    truth = np.arange(30).reshape(6, 5) % 3
    scipy.io.savemat(tmp_path / "a b.mat", {"img": cube})
    np.save(tmp_path / "ü.npy", np.asfortranarray(cube))
    scipy.io.savemat(tmp_path / "gt.mat", {"gt": truth.astype(float)})
    one = open_scene(tmp_path / "a b.mat", labels=tmp_path / "gt.mat")
    two = open_scene(tmp_path / "ü.npy")
    np.testing.assert_array_equal(one.cube, cube)
    assert one.digest == two.digest, "the digest is of content, not of file, order in memory or labels"
    np.testing.assert_array_equal(one.labels["gt"].classes, truth)
    assert two.wavelengths_nm is None


def test_the_choice_of_a_variable_is_noted(tmp_path):
    scipy.io.savemat(tmp_path / "x.mat", {"img": np.ones((4, 4, 3)), "wl": np.ones((1, 3))})
    assert "read the variable img" in open_scene(tmp_path / "x.mat").notes[0]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        pytest.param(None, "x.mat", "no such file", id="missing"),
        pytest.param(None, "nothing", "no scene or file named", id="unknown-name"),
        pytest.param(
            b"hello", "x.txt", r"has the suffix \.txt, .*; files ending in .*\.hdr, .*\.mat, .*\.npy", id="suffix"
        ),
        pytest.param(b"hello", "x.mat", "can't be read, it may be truncated", id="not-mat"),
        pytest.param(b"", "x.npy", "can't be read, it may be truncated", id="empty-npy"),
        pytest.param({"gt": np.ones((3, 4))}, "x.mat", "no array of 3 dimensions; it holds gt 3 x 4", id="no-cube"),
        pytest.param(np.ones((3, 4)), "x.npy", r"shape \(3, 4\); expected a scene", id="flat-npy"),
        pytest.param(np.array([object()]), "x.npy", "can't be read", id="pickled-npy"),
        pytest.param(np.ones((3, 3, 2), complex), "x.npy", "real numbers; found dtype complex128", id="complex"),
    ],
)
def test_wrong_input_gives_one_clear_line(tmp_path, content, name, message):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        scipy.io.savemat(path, content)
    elif content is not None:
        np.save(path, content, allow_pickle=True)
    with pytest.raises(SceneError, match=message) as caught:
        open_scene(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["mat", "npy"])
@given(cut=st.floats(0, 0.98), seed=st.integers(0, 99))
def test_a_truncated_file_is_refused(tmp_path_factory, suffix, cut, seed):
    cube = np.random.default_rng(seed).integers(0, 2**16, (9, 8, 7)).astype(np.uint16)
    whole = io.BytesIO()
    scipy.io.savemat(whole, {"img": cube}, do_compression=True) if suffix == "mat" else np.save(whole, cube)
    path = tmp_path_factory.mktemp("cut") / f"x.{suffix}"
    path.write_bytes(whole.getvalue()[: int(cut * len(whole.getvalue()))])
    with pytest.raises(SceneError):
        open_scene(path)


def write(path, values, transform, epsg=32633):
    bands, rows, cols = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=rows, width=cols, count=bands, dtype=values.dtype, crs=f"EPSG:{epsg}",
        transform=transform,
    ) as file:  # fmt: skip
        file.write(values)


@pytest.fixture
def scene_file(tmp_path):
    path = tmp_path / "scene.tif"
    write(path, np.ones((5, 20, 30), np.uint16), Affine(4, 0, 500000, 0, -4, 4000000))
    return path


def test_a_finer_companion_image(scene_file, tmp_path):
    image = np.arange(3 * 80 * 120, dtype=np.uint8).reshape(3, 80, 120)
    write(tmp_path / "rgb.tif", image, Affine(1, 0, 500000.2, 0, -1, 4000000))
    scene = open_scene(scene_file, companion=tmp_path / "rgb.tif")
    assert scene.companion_factor == 4
    np.testing.assert_array_equal(scene.companion[:, :, :], image.transpose(1, 2, 0))
    (note,) = [note for note in scene.notes if note.startswith("rgb.tif")]
    assert note == "rgb.tif: its corners lie up to 0.2 of its pixels from those of the scene; this offset is ignored"
    write(tmp_path / "exact.tif", image, Affine(1, 0, 500000, 0, -1, 4000000))
    with rasterio.open(tmp_path / "rgb.tif", "r+") as file:
        file.scales = (0.5, 0.25, 0.125)
    expected = "rgb.tif: its scale and offset are not applied, because they differ between its bands"
    assert expected in str(open_scene(scene_file, companion=tmp_path / "rgb.tif").notes)
    assert not any("exact.tif" in note for note in open_scene(scene_file, companion=tmp_path / "exact.tif").notes)


@pytest.mark.parametrize(
    ("scene", "image", "owner"), [("tif", "npy", "companion image"), ("npy", "tif", "scene"), ("npy", "npy", "")]
)
def test_a_companion_that_is_aligned_by_its_shape_is_noted(scene_file, tmp_path, scene, image, owner):
    write(tmp_path / "rgb.tif", np.ones((3, 80, 120), np.uint8), Affine(1, 0, 500000, 0, -1, 4000000))
    np.save(tmp_path / "rgb.npy", np.ones((80, 120, 3), np.uint8))
    np.save(tmp_path / "scene.npy", np.ones((20, 30, 5)))
    notes = open_scene(tmp_path / f"scene.{scene}", companion=tmp_path / f"rgb.{image}").notes
    expected = f"rgb.{image}: aligned with the scene by its shape, because the {owner} has no georeference"
    assert [note for note in notes if "by its shape" in note] == ([expected] if owner else [])


@pytest.mark.parametrize(
    ("rows", "transform", "epsg"),
    [
        pytest.param(80, Affine(1, 0, 500040, 0, -1, 4000000), 32633, id="beside"),
        pytest.param(80, Affine(1, 0, 500000, 0, 1, 4000000 - 80), 32633, id="upside-down"),
        pytest.param(80, Affine(1, 0, 500000, 0, -1, 4000000), 32634, id="another-zone"),
        pytest.param(80, Affine(2, 0, 500000, 0, -2, 4000000), 32633, id="larger"),
    ],
)
def test_a_companion_with_another_georeference_is_refused(scene_file, tmp_path, rows, transform, epsg):
    write(tmp_path / "rgb.tif", np.ones((3, rows, 120), np.uint8), transform, epsg)
    with pytest.raises(SceneError, match="does not lie on the scene"):
        open_scene(scene_file, companion=tmp_path / "rgb.tif")


def test_a_companion_of_another_shape_is_refused(scene_file, tmp_path):
    write(tmp_path / "rgb.tif", np.ones((3, 81, 120), np.uint8), Affine(1, 0, 500000, 0, -1, 4000000))
    with pytest.raises(SceneError, match="companion image has the shape 81 x 120 x 3; its height and width must be k"):
        open_scene(scene_file, companion=tmp_path / "rgb.tif")


def test_two_label_maps_of_one_name_are_refused(tmp_path):
    paths = []
    for folder in ("train", "test"):
        (tmp_path / folder).mkdir()
        paths.append(write_label_tif(tmp_path / folder / "gt.tif", np.uint8([[1, 2], [0, 2]])))
    with rasterio.open(
        tmp_path / "x.tif", "w", driver="GTiff", height=2, width=2, count=3, dtype="int16", crs="EPSG:32617",
        transform=NORTH_UP,
    ) as file:  # fmt: skip
        file.write(np.ones((3, 2, 2), np.int16))
    assert list(open_scene(tmp_path / "x.tif", labels=paths[0]).labels) == ["gt"]
    with pytest.raises(SceneError, match=r"two label maps are named 'gt', the second from .*test/gt.tif: rename one"):
        open_scene(tmp_path / "x.tif", labels=paths)


def test_a_label_map_named_like_one_of_the_scene_is_refused(tmp_path):
    scene = open_scene("indian-pines")
    name = next(iter(scene.labels))
    np.save(tmp_path / f"{name}.npy", np.ones((145, 145), np.uint8))
    with pytest.raises(SceneError, match=f"two label maps are named '{name}'"):
        open_scene("indian-pines", labels=tmp_path / f"{name}.npy")


@pytest.mark.parametrize("source", ["", [], 5, None, ["a.tif", 3], " "])
def test_what_names_no_scene_is_refused(source):
    with pytest.raises(SceneError, match="a scene is the name of a public scene, a path, or a list of paths; found"):
        open_scene(source)


@pytest.mark.parametrize("values", [(-9999, -32768), [-9999.0, -32768.0], np.array([-9999, -32768])], ids=repr)
def test_several_nodata_values_are_those_of_masked_arrays(values, tmp_path):
    cube = np.arange(1, 61, dtype=np.float32).reshape(4, 5, 3)
    cube[0, 0] = -9999
    cube[2, 3] = -32768
    np.save(tmp_path / "x.npy", cube)
    invalid = np.ma.masked_equal(np.ma.masked_equal(cube, -9999), -32768).mask.any(axis=2)
    np.testing.assert_array_equal(open_scene(tmp_path / "x.npy", nodata=values).valid, ~invalid)


def test_bad_bands_may_be_a_list_of_numbers(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(1, 61).reshape(4, 5, 3))
    for bands in ([0, 2], np.array([2, 0]), "0,2"):
        scene = open_scene(tmp_path / "x.npy", bad_bands=bands)
        np.testing.assert_array_equal(scene.cube[...], np.arange(1, 61).reshape(4, 5, 3)[..., [1]])
    assert open_scene(tmp_path / "x.npy", bad_bands=[]).notes == open_scene(tmp_path / "x.npy").notes


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("nodata", "x", "^nodata is a number, several numbers"),
        ("nodata", True, "^nodata is a number, several numbers"),
        ("nodata", {-9999}, "^nodata is a number, several numbers"),
        ("nodata", 1j, "^nodata is a number, several numbers"),
        ("nodata", [[1], [2], [3]], r"^nodata applies to all bands: .* Scene\(nodata=…\) takes one tuple per band"),
        ("bad_bands", 0, r"^x: bands are a list of numbers from 0 to 2, such as \[0, 2\]; found 0"),
        ("bad_bands", None, "^x: bands are a list of numbers"),
        ("bad_bands", [3], "^x has the bands 0 to 2; found 3"),
        ("axes", ("rows", "cols", "bands"), r"^axes must be .*; found \('rows', 'cols', 'bands'\)"),
        ("axes", 5, "^axes must be rows, cols and bands in any order"),
        ("rows", "4", "^rows must be a whole number from 1; found '4'"),
        ("cols", 0, "^cols must be a whole number from 1; found 0"),
        ("variable", 3, "^variable must be the name of a variable; found int"),
        ("blank_pixels", ["drop"], r"^blank_pixels must be drop or keep; found \['drop'\]"),
        (
            "companion",
            np.ones((8, 10, 3)),
            r"^companion must be a file; Scene\(companion=…\) takes an array; found ndarray",
        ),
        (
            "labels",
            np.ones((4, 5), int),
            r"^labels are files of label maps, .* scene.with_labels\(Labels\(name, array\)\)",
        ),
        ("labels", Labels("gt", np.ones((4, 5), int)), "^labels are files of label maps"),
        ("labels", {"gt": "gt.tif"}, "^labels are files of label maps"),
        ("labels", 5, "^labels are files of label maps"),
    ],
)
def test_options_of_other_types_are_refused(option, value, message, tmp_path):
    np.save(tmp_path / "x.npy", np.arange(1, 61).reshape(4, 5, 3))
    with pytest.raises(SceneError, match=message):
        open_scene(tmp_path / "x.npy", **{option: value})


@pytest.mark.parametrize(
    ("source", "scene", "message"),
    [
        (
            np.ones((4, 5), int),
            None,
            r"^labels are opened from a file; Labels\(name, array\) takes an array; found ndarray",
        ),
        (None, None, "^labels are opened from a file; .*; found NoneType"),
        ("gt.tif", np.ones((4, 5, 3)), "^the scene of labels must be a Scene or Labels; found ndarray"),
        ("gt.tif", (4, 5), "^the scene of labels must be a Scene or Labels; found tuple"),
    ],
)
def test_labels_are_opened_from_files_only(source, scene, message):
    with pytest.raises(SceneError, match=message):
        open_labels(source, scene)


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + ".tif", "x" * 300 + ".npy:cube"])
def test_a_name_that_is_too_long_for_a_file(name):
    with pytest.raises(SceneError, match=r"^x{60}… can't be looked up: File name too long: name an existing file$"):
        open_scene(name)
