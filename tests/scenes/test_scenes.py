"""Scenes from the registry and from files that other programs wrote; everything wrong has one clear message."""

import hashlib
import io

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from hsifeat import open_scene
from hsifeat.errors import SceneError
from hsifeat.scenes import Labels, Scene, open_labels
from hsifeat.scenes.colours import default_colours, false_colour, rgb_bands


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


def test_real_mat_file_with_several_arrays(data_folder):
    path = data_folder / "houston2018_subset" / "houston_dataset.mat"
    with pytest.raises(SceneError, match=r"2 arrays of 3 dimensions.*hyprImg 128 x 128 x 48.*--variable"):
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


def test_a_guess_is_told(tmp_path):
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
def test_wrong_input_has_one_clear_line(tmp_path, content, name, message):
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


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param(np.full((3, 3), 0.5), "fractions or NaN", id="fractions"),
        pytest.param(np.full((3, 3), np.nan), "fractions or NaN", id="nan"),
        pytest.param(np.full((3, 3), -1), "integers from 0 up, where 0 is unlabelled", id="negative"),
    ],
)
def test_labels_are_whole_numbers(tmp_path, values, message):
    np.save(tmp_path / "gt.npy", values)
    with pytest.raises(SceneError, match=message):
        open_labels(tmp_path / "gt.npy")


def test_valid_mask_and_digest():
    cube = np.ones((4, 5, 3), np.float32)
    cube[0, 0] = 0
    cube[1, 1, 1] = np.nan
    cube[2, 2, 2] = np.inf
    scene = Scene("x", cube)
    wanted = np.ones((4, 5), bool)
    wanted[[0, 1, 2], [0, 1, 2]] = False
    np.testing.assert_array_equal(scene.valid, wanted)
    oracle = hashlib.sha256(b"4,5,3,<f4;" + cube.tobytes() + np.packbits(wanted).tobytes()).hexdigest()
    assert scene.digest == oracle


def test_labels_must_lie_on_the_grid():
    with pytest.raises(SceneError, match=r"labels 'gt' are 2 x 2 pixels, but the scene x is 3 x 3"):
        Scene("x", np.ones((3, 3, 2))).with_labels(Labels("gt", np.ones((2, 2), int)))


def test_bands_and_colours():
    nm = np.array([696.5, 686.9, 640.1, 551.0, 700.0, 459.0])
    assert rgb_bands(6, nm) == (2, 3, 5)
    picture = false_colour(np.random.default_rng(0).random((9, 8, 6)), nm, np.eye(9, 8, dtype=bool))
    assert picture.shape == (9, 8, 3) and not picture[0, 1].any()
    colours = default_colours(range(1, 101))
    assert len(set(colours.values())) == 100
