"""Maps in every format, read back by other programs; refused or failed writes leave no traces."""

from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hsifeat.errors import SceneError
from hsifeat.scenes.maps import check_map_fits, check_map_path, write_map, write_probabilities
from tests.helpers.class_maps import LEGEND, UTM, class_map, file_names, iter_windows


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 9))
def test_maps_of_any_shape_round_trip(tmp_path_factory, rows, cols, seed):
    folder = tmp_path_factory.mktemp("maps")
    classes = class_map(rows, cols, seed=seed)
    for suffix in ("tif", "npy", "mat", "png"):
        write_map(folder / f"m.{suffix}", classes, LEGEND, UTM)
    with rasterio.open(folder / "m.tif") as file:
        np.testing.assert_array_equal(file.read(1), classes)
        assert tuple(file.transform)[:6] == UTM.transform
    np.testing.assert_array_equal(np.load(folder / "m.npy"), classes)
    np.testing.assert_array_equal(scipy.io.loadmat(folder / "m.mat")["map"], classes)
    rgb = np.zeros((8, 3), np.uint8)
    rgb[list(LEGEND.numbers)] = LEGEND.rgb
    with Image.open(folder / "m.png") as image:
        side = max(1, 600 // max(rows, cols))
        drawn = np.asarray(image)[: side * rows : side, : side * cols : side]
        np.testing.assert_array_equal(drawn, rgb[classes])


def test_matlab_reads_the_legend(tmp_path):
    write_map(tmp_path / "m.mat", class_map(), LEGEND)
    content = scipy.io.loadmat(tmp_path / "m.mat", squeeze_me=True)
    assert content["class_numbers"].tolist() == [1, 2, 5, 7]
    assert content["class_names"].tolist() == ["corn", "blé & <maïs>", "line break", "水"]
    np.testing.assert_allclose(content["class_colours"][1], [0, 1, 16 / 255])


@pytest.mark.parametrize("suffix", ["tif", "npy", "mat"])
def test_a_failed_write_keeps_the_old_file(tmp_path, suffix):
    path = tmp_path / f"p.{suffix}"
    path.write_bytes(b"old")

    def blocks():
        yield from list(iter_windows(np.ones((75, 53, 4), np.float32)))[:2]
        raise SceneError("the store is gone")

    with pytest.raises(SceneError, match="the store is gone"):
        write_probabilities(path, blocks(), (75, 53), LEGEND)
    assert file_names(tmp_path) == [path.name] and path.read_bytes() == b"old"


def test_impossible_writes_are_refused_before_work(tmp_path, monkeypatch):
    with pytest.raises(SceneError, match=r"written as .tif, .png, .npy or .mat; found 'm.gif'"):
        check_map_path(tmp_path / "m.gif")
    with pytest.raises(SceneError, match=r"no such folder: .*nowhere"):
        check_map_path(tmp_path / "nowhere" / "m.tif")
    (tmp_path / "d.tif").mkdir()
    with pytest.raises(SceneError, match=r"d.tif is a folder: give a file"):
        check_map_path(tmp_path / "d.tif")
    with pytest.raises(SceneError, match=r"no probabilities: write .tif, .npy or .mat; found 'm.png'"):
        check_map_path(tmp_path / "m.png", probabilities=True)
    with pytest.raises(SceneError, match=r"50000 x 50000 pixels of 1 bytes are 2.3 GiB.*smaller than 2 GiB"):
        check_map_fits(tmp_path / "m.mat", (50_000, 50_000), LEGEND)
    with pytest.raises(SceneError, match=r"4 classes take 14.9 GiB .*: free some space, or write classes"):
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**30))
        check_map_fits(tmp_path / "m.tif", (20_000, 50_000), LEGEND, probabilities=True)
    with pytest.raises(SceneError, match=r"classes that its legend lacks: 3, 9"):
        write_map(tmp_path / "m.npy", np.array([[0, 1, 3, 9]]), LEGEND)
    assert file_names(tmp_path) == ["d.tif"]
