"""Public scenes loaded from files with the layout of their descriptions, which SciPy wrote."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from PIL import Image

from hsifeat import open_scene
from hsifeat.errors import SceneError
from hsifeat.scenes.readers import read_raster
from hsifeat.scenes.registry import REGISTRY
from hsifeat.scenes.registry.local_files import scene_folder
from tests.helpers.registry_files import DOWNLOADED, write_scene_files

WANTED = [
    "indian-pines", "pavia-university", "pavia-centre", "salinas", "salinas-a", "ksc", "botswana", "houston-2013",
    "houston-2018", "augsburg", "berlin", "trento", "muufl", "whu-hi-longkou", "whu-hi-hanchuan", "whu-hi-honghu",
]  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HSIFEAT_SCENES", str(tmp_path / "my scenes"))
    return tmp_path / "my scenes"


@pytest.mark.parametrize("name", DOWNLOADED)
def test_files_with_the_described_layout_become_the_scene(name, monkeypatch):
    cube, maps = write_scene_files(monkeypatch, name)
    description, scene = REGISTRY[name], open_scene(name)
    np.testing.assert_array_equal(np.asarray(scene.cube[:, :, :]), cube)
    assert set(scene.labels) == set(description.labels)
    for which, labels in scene.labels.items():
        np.testing.assert_array_equal(labels.classes, maps[which])
        assert labels.class_names.items() <= description.classes.items()
        assert labels.class_colours.items() <= description.class_colours.items()
        assert labels.class_colours.keys() == labels.class_names.keys()
    known = description.labels["ground-truth"].labelled_pixels
    assert any(f"labelled pixels; the map that papers use has {known}" in note for note in scene.notes), (
        "a stand-in is not the known map"
    )
    assert (scene.wavelengths_nm is not None) is (bool(description.wavelengths_nm) or name == "muufl")
    assert (scene.companion is None) is (description.companion is None)
    if description.companion:
        assert scene.companion.shape == (12, 9, description.companion.channels) and scene.companion_factor == 1
    assert (scene.licence, scene.citation) == (description.licence, description.citation)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        pytest.param("KSC.mat", {"KSC": np.ones((9, 12, 5))}, r"KSC is 9 x 12 x 5, but ksc requires 12 x 9 x 5", id="turned"),
        pytest.param("KSC_gt.mat", {"KSC_gt": np.ones((12, 8))}, r"is 12 x 8, but ksc requires 12 x 9", id="labels"),
        pytest.param("KSC_gt.mat", {"KSC_gt": np.full((12, 9), 14)}, r"classes \[14\], which ksc does not have", id="class"),
        pytest.param("KSC.mat", {"other": np.ones((12, 9, 5))}, "no variable 'KSC'", id="variable"),
        pytest.param("KSC.mat", b"MATLAB 5.0", "truncated", id="truncated"),
    ],
)  # fmt: skip
def test_files_with_other_content_are_refused(monkeypatch, file, content, message):
    write_scene_files(monkeypatch, "ksc")
    path = scene_folder(REGISTRY["ksc"]) / file
    path.write_bytes(content) if isinstance(content, bytes) else scipy.io.savemat(path, content)
    with pytest.raises(SceneError, match=message):
        open_scene("ksc")


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        pytest.param([[0, 0]], "lists 1 pixel, 1 of them without a class", id="unlabelled"),
        pytest.param([[0, 1], [12, 0]], "lists 2 pixels, 1 of them without a class", id="outside"),
        pytest.param([[0, 1, 2]], r"is 1 x 3, but augsburg requires n x 2", id="three-columns"),
    ],
)
def test_a_split_of_another_map_is_refused(monkeypatch, pixels, message):
    write_scene_files(monkeypatch, "augsburg")
    path = scene_folder(REGISTRY["augsburg"]) / "augsburg_index.mat"
    scipy.io.savemat(path, {"augsburg_train": np.array(pixels), "augsburg_test": np.array([[0, 1]])})
    with pytest.raises(SceneError, match=message):
        open_scene("augsburg")


def test_a_struct_without_the_cube_is_refused(monkeypatch):
    write_scene_files(monkeypatch, "muufl")
    path = scene_folder(REGISTRY["muufl"]) / "muufl_gulfport_campus_1_hsi_220_label.mat"
    scipy.io.savemat(path, {"hsi": {"info": 1}})
    with pytest.raises(SceneError, match=r"has no hsi\.Data"):
        open_scene("muufl")


def test_a_registry_scene_takes_no_file_options():
    with pytest.raises(SceneError, match="leave out the options that say how to read a file"):
        open_scene("indian-pines", variable="x")


def test_indian_pines_is_the_array_that_tensorly_returns():
    from tensorly.datasets import load_indian_pines

    expected = load_indian_pines()
    scene = open_scene("indian-pines")
    assert (scene.cube[:] == expected.tensor).all() and scene.cube.dtype == "uint16"
    assert (scene.labels["ground-truth"].classes == expected.ticks[0]).all()


def test_indian_pines_has_the_wavelengths_of_the_calibration_of_its_sensor_without_the_removed_bands():
    import spectral

    file = Path(spectral.__file__).parent / "tests" / "data" / "92AV3C.spc"
    if not file.exists():
        pytest.skip("this release of spectral comes without the calibration of AVIRIS of 1992")
    removed = [*range(104, 109), *range(150, 164), 220]
    published = np.delete(np.loadtxt(file, skiprows=2)[:, 0], np.array(removed) - 1)
    assert np.abs(open_scene("indian-pines").wavelengths_nm - published).max() <= 0.0051


# Centres of the two bands of carbon dioxide, 4977.8 and 4853.6 per cm.
@pytest.mark.parametrize(("first", "last", "centre"), [(1983, 2043, 2008.9), (2038, 2098, 2060.3)])
def test_indian_pines_shows_the_absorption_of_carbon_dioxide_where_it_is(first, last, centre):
    scene = open_scene("indian-pines")
    nm = scene.wavelengths_nm
    part = (nm > first) & (nm < last)
    nm, radiance = nm[part], scene.cube[:][..., part].mean((0, 1)) - 1000
    depth = np.interp(nm, nm[[0, -1]], radiance[[0, -1]]) - radiance
    assert (nm * depth).sum() / depth.sum() == pytest.approx(centre, abs=5)


def test_the_official_split_of_indian_pines_in_the_usual_order(data_folder, folder):
    """The mapping of classes that makes the split's maps agree with the usual one is the only one."""
    source = data_folder / "indian_pines_official_split"
    (folder / "indian-pines").mkdir(parents=True)
    for file in REGISTRY["indian-pines"].files:
        (folder / "indian-pines" / file.name).symlink_to(source / file.name)
    scene = open_scene("indian-pines")
    assert scene.notes == ()
    usual = np.asarray(read_raster(source / "Indian_pines_gt.mat", 2).array)
    for which, file in (("train", "Hong_IndianTR123_temp123.tif"), ("test", "Hong_IndianTE123_temp123.tif")):
        with Image.open(source / file) as image:
            own = np.asarray(image)
        np.testing.assert_array_equal(own > 0, scene.labels[which].classes > 0)
        pairs = np.zeros((17, 17), int)
        np.add.at(pairs, (own.ravel(), usual.ravel()), 1)
        # Whatever is labelled in both maps is of one class only: the mapping can be read off.
        likeliest = {number: int(pairs[number, 1:].argmax()) + 1 for number in range(1, 17)}
        assert (np.count_nonzero(pairs[1:, 1:], axis=1) == 1).all()
        assert likeliest == REGISTRY["indian-pines"].labels[which].class_numbers
        both = (own > 0) & (usual > 0)
        np.testing.assert_array_equal(scene.labels[which].classes[both], usual[both])
    assert not ((scene.labels["train"].classes > 0) & (scene.labels["test"].classes > 0)).any()
    counts = scene.labels["train"].counts
    assert {number for number, count in counts.items() if count == 15} == {1, 7, 9} and sum(counts.values()) == 695
