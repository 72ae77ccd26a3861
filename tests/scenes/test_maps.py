"""Maps in files, read back by other programs: GDAL's own, Pillow, SciPy, NumPy and rasterio."""

import json
from types import SimpleNamespace

import numpy as np
import pyproj
import pytest
import rasterio
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hsifeat.errors import SceneError
from hsifeat.scenes import Georeference
from hsifeat.scenes.maps import Legend, check_map_fits, check_map_path, write_map, write_probabilities
from hsifeat.types import windows

NAMES = {1: "corn", 2: "blé & <maïs>", 5: "line\nbreak \x01", 7: "水"}
COLOURS = {1: "#ff0000", 2: "#00ff10", 5: "#ffffff", 7: "#010203"}
LEGEND = Legend.from_mappings(NAMES, NAMES, COLOURS)
SHOWN = dict(zip(LEGEND.numbers, LEGEND.names, strict=True))
UTM = Georeference(rasterio.crs.CRS.from_epsg(32617).to_wkt(), (28.5, 0.0, 630000.25, 0.0, -28.5, 228500.75))
ROTATED = Georeference(UTM.crs, (20.5, 3.25, 5e5, 3.5, -19.75, 4e6))


def drawn(rows=75, cols=53, numbers=(0, 1, 2, 5, 7), seed=0):
    """Classes in fields of 5 x 5 pixels, as uint16."""
    fields = np.random.default_rng(seed).choice(numbers, (-(-rows // 5), -(-cols // 5)))
    return np.kron(fields, np.ones((5, 5), int))[:rows, :cols].astype(np.uint16)


def in_blocks(values, side=32):
    rows, cols, _ = values.shape
    return ((window, values[window.slices]) for window in windows(rows, cols, side))


def left(folder):
    return sorted(p.name for p in folder.iterdir() if p.name != "cache")


@pytest.mark.parametrize("where", [UTM, ROTATED], ids=["north-up", "rotated"])
def test_gdal_reads_place_names_and_colours_of_a_map(gdal, tmp_path, where):
    folder = tmp_path / "a map & ü!"
    folder.mkdir()
    classes, path = drawn(), folder / "my map.tif"
    assert write_map(path, classes, LEGEND, where) == ()
    assert left(folder) == ["my map.tif", "my map.tif.aux.xml"]
    told = json.loads(gdal("gdalinfo", "-json", "-checksum", path))
    a, b, c, d, e, f = where.transform
    assert told["geoTransform"] == [c, a, b, f, d, e]
    assert told["stac"]["proj:epsg"] == 32617
    assert told["metadata"]["IMAGE_STRUCTURE"] == {"COMPRESSION": "DEFLATE", "INTERLEAVE": "BAND", "LAYOUT": "COG"}
    (band,) = told["bands"]
    assert (band["type"], band["block"], band["noDataValue"]) == ("Byte", [256, 256], 0)
    assert band["colorInterpretation"] == "Palette"
    assert band["categories"] == ["no data", "corn", "blé & <maïs>", "", "", "line break", "", "水"]
    palette = {i: tuple(rgba) for i, rgba in enumerate(band["colorTable"]["entries"])}
    assert palette[0][3] == 0
    assert {n: palette[n] for n in NAMES} == {
        1: (255, 0, 0, 255), 2: (0, 255, 16, 255), 5: (255, 255, 255, 255), 7: (1, 2, 3, 255)
    }  # fmt: skip
    table = told["rat"]
    assert table["tableType"] == "thematic"
    # GDAL's usages: 5 value, 1 pixel count, 2 name, 6 to 8 red, green and blue.
    assert [column["usage"] for column in table["fieldDefn"]] == [5, 1, 2, 6, 7, 8]
    rows = [row["f"] for row in table["row"]]
    assert rows == [[n, int((classes == n).sum()), SHOWN[n], *palette[n][:3]] for n in NAMES]
    # Values and colours, as GDAL itself carries them over into other formats.
    gdal("gdal_translate", "-q", path, tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as image:
        np.testing.assert_array_equal(np.asarray(image), classes)
    gdal("gdal_translate", "-q", "-expand", "rgb", path, tmp_path / "rgb.png")
    with Image.open(tmp_path / "rgb.png") as image:
        expected = np.array([palette[n][:3] if n in NAMES else (0, 0, 0) for n in range(8)], np.uint8)[classes]
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), expected)


def test_a_map_lies_over_a_real_scene(gdal, data_folder, tmp_path):
    scene = data_folder / "nc_landsat7" / "landsat_multiband.tif"
    with rasterio.open(scene) as file:
        where, shape = Georeference(file.crs.to_wkt(), tuple(file.transform)[:6]), file.shape
    write_map(tmp_path / "m.tif", drawn(*shape), LEGEND, where)
    there, told = (json.loads(gdal("gdalinfo", "-json", path)) for path in (scene, tmp_path / "m.tif"))
    for fact in ("size", "geoTransform", "coordinateSystem", "cornerCoordinates"):
        assert told[fact] == there[fact]


def test_a_large_map_is_cloud_optimised(gdal, tmp_path):
    classes = drawn(1201, 1100)
    write_map(tmp_path / "m.tif", classes, LEGEND, UTM)
    told = json.loads(gdal("gdalinfo", "-json", tmp_path / "m.tif"))
    assert told["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG"
    assert [o["size"] for o in told["bands"][0]["overviews"]] == [[550, 600], [275, 300], [137, 150]]
    with rasterio.open(tmp_path / "m.tif") as file:
        np.testing.assert_array_equal(file.read(1), classes)
    with rasterio.open(tmp_path / "m.tif", overview_level=0) as file:
        assert set(np.unique(file.read(1))) <= {0, *NAMES}, "an overview invents no class"


def test_classes_beyond_255(gdal, tmp_path):
    numbers = [1, 300, 65535]
    classes = drawn(20, 30, [0, *numbers])
    write_map(tmp_path / "m.tif", classes, Legend.from_mappings(numbers, {300: "moss"}, {300: "#0000fe"}), UTM)
    told = json.loads(gdal("gdalinfo", "-json", tmp_path / "m.tif"))
    (band,) = told["bands"]
    assert band["type"] == "UInt16"
    assert band["categories"][300] == "moss" and band["categories"][65535] == "class 65535"
    with rasterio.open(tmp_path / "m.tif") as file:
        np.testing.assert_array_equal(file.read(1), classes)
        assert file.colormap(1)[300] == (0, 0, 254, 255)
    write_map(tmp_path / "m.png", classes, Legend.from_mappings(numbers, {}, {300: "#0000fe"}))
    with Image.open(tmp_path / "m.png") as image:
        assert (np.asarray(image)[:20, :30][classes == 300] == (0, 0, 254)).all()
    for suffix in ("tif", "png"):
        with pytest.raises(SceneError, match="classes up to 65535; found 65536: write .npy or .mat"):
            write_map(tmp_path / f"n.{suffix}", classes, Legend.from_mappings([*numbers, 65536], {}, {}))


def test_what_the_scene_does_not_say_is_noted(gdal, tmp_path):
    (note,) = write_map(tmp_path / "m.tif", drawn(), LEGEND)
    assert note == "the scene has no georeference, so m.tif has neither CRS nor transform"
    told = json.loads(gdal("gdalinfo", "-json", tmp_path / "m.tif"))
    assert "geoTransform" not in told and "coordinateSystem" not in told
    (note,) = write_map(tmp_path / "m.tif", drawn(), LEGEND, Georeference(None, UTM.transform))
    assert note == "the scene, and therefore m.tif, has a transform but no CRS"
    told = json.loads(gdal("gdalinfo", "-json", tmp_path / "m.tif"))
    assert told["geoTransform"][0] == 630000.25 and not told.get("coordinateSystem", {}).get("wkt")


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 9))
def test_any_shape_comes_back(tmp_path_factory, rows, cols, seed):
    folder = tmp_path_factory.mktemp("maps")
    classes = drawn(rows, cols, seed=seed)
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
        np.testing.assert_array_equal(np.asarray(image)[:rows, :cols], rgb[classes])


def test_a_picture_has_a_swatch_of_every_class_beside_the_map(tmp_path):
    classes = np.ones((40, 60), np.uint8)
    write_map(tmp_path / "m.png", classes, Legend.from_mappings(range(1, 41), {}, {}))
    with Image.open(tmp_path / "m.png") as image:
        picture = np.asarray(image)
    legend = Legend.from_mappings(range(1, 41), {}, {})
    assert picture.shape[1] > 60 and (picture[:40, :60] == legend.rgb[0]).all()
    beside = picture[:, 60:].reshape(-1, 3)
    for rgb in legend.rgb:
        assert (beside == rgb).all(axis=1).sum() >= 100
    assert (picture[-1] == 255).all(), "paper below a map that is lower than its legend"


def test_a_large_picture_is_thinned_and_says_so(tmp_path):
    classes = drawn(50, 4500)
    (note,) = write_map(tmp_path / "m.png", classes, LEGEND)
    assert note == "m.png shows one of 3 x 3 pixels, because the map has 50 x 4500; a .tif holds all of them"
    rgb = np.zeros((8, 3), np.uint8)
    rgb[list(LEGEND.numbers)] = LEGEND.rgb
    with Image.open(tmp_path / "m.png") as image:
        np.testing.assert_array_equal(np.asarray(image)[:17, :1500], rgb[classes[1::3, 1::3]])


def test_matlab_reads_the_legend(tmp_path):
    write_map(tmp_path / "m.mat", drawn(), LEGEND)
    held = scipy.io.loadmat(tmp_path / "m.mat", squeeze_me=True)
    assert held["class_numbers"].tolist() == [1, 2, 5, 7]
    assert held["class_names"].tolist() == ["corn", "blé & <maïs>", "line break", "水"]
    np.testing.assert_allclose(held["class_colours"][1], [0, 1, 16 / 255])


def test_probabilities_have_a_band_a_class(gdal, tmp_path):
    values = np.random.default_rng(0).dirichlet(np.ones(4), (75, 53)).astype(np.float32)
    values[:9, :20] = np.nan
    for suffix in ("tif", "npy", "mat"):
        path = tmp_path / f"p.{suffix}"
        assert write_probabilities(path, in_blocks(values), (75, 53), LEGEND, UTM) == ()
    assert left(tmp_path) == ["p.mat", "p.npy", "p.tif"]
    told = json.loads(gdal("gdalinfo", "-json", tmp_path / "p.tif"))
    assert told["geoTransform"] == [630000.25, 28.5, 0, 228500.75, 0, -28.5]
    assert [band["description"] for band in told["bands"]] == list(LEGEND.names)
    assert {band["type"] for band in told["bands"]} == {"Float32"}
    assert all(np.isnan(float(band["noDataValue"])) for band in told["bands"])
    assert told["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG"
    gdal("gdal_translate", "-q", "-of", "ENVI", "-co", "INTERLEAVE=BIP", tmp_path / "p.tif", tmp_path / "p.img")
    np.testing.assert_array_equal(np.fromfile(tmp_path / "p.img", np.float32).reshape(values.shape), values)
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), values)
    held = scipy.io.loadmat(tmp_path / "p.mat", squeeze_me=True)
    np.testing.assert_array_equal(held["probabilities"], values)
    assert held["class_names"].tolist() == list(LEGEND.names)


def test_a_map_leaves_nothing_of_the_one_before(gdal, tmp_path):
    path = tmp_path / "m.tif"
    write_map(path, drawn(), LEGEND)
    write_map(path, drawn(), Legend.from_mappings([1, 2, 5, 7], {1: "rye"}, {}))
    assert json.loads(gdal("gdalinfo", "-json", path))["bands"][0]["categories"][1] == "rye"
    write_probabilities(path, in_blocks(np.ones((9, 9, 4), np.float32)), (9, 9), LEGEND)
    assert left(tmp_path) == ["m.tif"]


@pytest.mark.parametrize("suffix", ["tif", "npy", "mat"])
def test_what_fails_midway_leaves_the_old_file(tmp_path, suffix):
    path = tmp_path / f"p.{suffix}"
    path.write_bytes(b"old")

    def blocks():
        yield from list(in_blocks(np.ones((75, 53, 4), np.float32)))[:2]
        raise SceneError("the store is gone")

    with pytest.raises(SceneError, match="the store is gone"):
        write_probabilities(path, blocks(), (75, 53), LEGEND)
    assert left(tmp_path) == [path.name] and path.read_bytes() == b"old"


def test_what_cannot_be_written_is_refused_first(tmp_path, monkeypatch):
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
    assert left(tmp_path) == ["d.tif"]


ROTATED_POLE = "+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39.25 +lon_0=18 +R=6371229 +type=crs"


def test_a_crs_that_geotiff_has_no_keys_for_lies_beside_the_map(gdal, tmp_path):
    where = Georeference(pyproj.CRS(ROTATED_POLE).to_wkt(), (0.1, 0, 1, 0, -0.1, 2))
    assert write_map(tmp_path / "m.tif", drawn(), LEGEND, where) == ()
    values = np.full((75, 53, len(NAMES)), 0.25, np.float32)
    assert write_probabilities(tmp_path / "p.tif", in_blocks(values), (75, 53), LEGEND, where) == ()
    for path in (tmp_path / "m.tif", tmp_path / "p.tif"):
        told = json.loads(gdal("gdalinfo", "-json", path))
        assert pyproj.CRS(told["coordinateSystem"]["wkt"]).equals(pyproj.CRS(ROTATED_POLE), ignore_axis_order=True)
        assert told["geoTransform"] == [1, 0.1, 0, 2, 0, -0.1]
    assert json.loads(gdal("gdalinfo", "-json", tmp_path / "m.tif"))["bands"][0]["categories"][1] == "corn"
    assert left(tmp_path) == ["m.tif", "m.tif.aux.xml", "p.tif", "p.tif.aux.xml"]
    # A later map without it keeps nothing of it.
    write_map(tmp_path / "m.tif", drawn(), LEGEND)
    assert "coordinateSystem" not in json.loads(gdal("gdalinfo", "-json", tmp_path / "m.tif"))


def test_a_crs_that_is_lost_all_the_same_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("GDAL_PAM_ENABLED", "NO")
    where = Georeference(pyproj.CRS(ROTATED_POLE).to_wkt(), (0.1, 0, 1, 0, -0.1, 2))
    (note,) = write_map(tmp_path / "m.tif", drawn(), LEGEND, where)
    assert note.startswith("m.tif can't hold the scene's CRS, ")
