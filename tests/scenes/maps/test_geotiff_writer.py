"""Maps and probabilities as GeoTIFF, read back by GDAL's own programs."""

import json
import os
import signal

import numpy as np
import pyproj
import pytest
import rasterio
import scipy.io
from PIL import Image

from hsifeat.errors import SceneError
from hsifeat.scenes import Georeference
from hsifeat.scenes.maps import Legend, write_map, write_probabilities
from tests.helpers.class_maps import LEGEND, NAMES, ROTATED, SHOWN, UTM, class_map, file_names, iter_windows
from tests.helpers.forked_commands import ForkedFunction


@pytest.mark.parametrize("where", [UTM, ROTATED], ids=["north-up", "rotated"])
def test_gdal_reads_georeference_names_and_colours_of_a_map(gdal, tmp_path, where):
    folder = tmp_path / "a map & ü!"
    folder.mkdir()
    classes, path = class_map(), folder / "my map.tif"
    assert write_map(path, classes, LEGEND, where) == ()
    assert file_names(folder) == ["my map.tif", "my map.tif.aux.xml"]
    info = json.loads(gdal("gdalinfo", "-json", "-checksum", path))
    a, b, c, d, e, f = where.transform
    assert info["geoTransform"] == [c, a, b, f, d, e]
    assert info["stac"]["proj:epsg"] == 32617
    assert info["metadata"]["IMAGE_STRUCTURE"] == {"COMPRESSION": "DEFLATE", "INTERLEAVE": "BAND", "LAYOUT": "COG"}
    (band,) = info["bands"]
    assert (band["type"], band["block"], band["noDataValue"]) == ("Byte", [256, 256], 0)
    assert band["colorInterpretation"] == "Palette"
    assert band["categories"] == ["no data", "corn", "blé & <maïs>", "", "", "line break", "", "水"]
    palette = {i: tuple(rgba) for i, rgba in enumerate(band["colorTable"]["entries"])}
    assert palette[0][3] == 0
    assert {n: palette[n] for n in NAMES} == {
        1: (255, 0, 0, 255), 2: (0, 255, 16, 255), 5: (255, 255, 255, 255), 7: (1, 2, 3, 255)
    }  # fmt: skip
    table = info["rat"]
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


def test_a_map_has_the_georeference_of_a_real_scene(gdal, data_folder, tmp_path):
    scene = data_folder / "nc_landsat7" / "landsat_multiband.tif"
    with rasterio.open(scene) as file:
        where, shape = Georeference(file.crs.to_wkt(), tuple(file.transform)[:6]), file.shape
    write_map(tmp_path / "m.tif", class_map(*shape), LEGEND, where)
    there, info = (json.loads(gdal("gdalinfo", "-json", path)) for path in (scene, tmp_path / "m.tif"))
    for fact in ("size", "geoTransform", "coordinateSystem", "cornerCoordinates"):
        assert info[fact] == there[fact]


def test_a_large_map_is_cloud_optimised(gdal, tmp_path):
    classes = class_map(1201, 1100)
    write_map(tmp_path / "m.tif", classes, LEGEND, UTM)
    info = json.loads(gdal("gdalinfo", "-json", tmp_path / "m.tif"))
    assert info["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG"
    assert [o["size"] for o in info["bands"][0]["overviews"]] == [[550, 600], [275, 300], [137, 150]]
    with rasterio.open(tmp_path / "m.tif") as file:
        np.testing.assert_array_equal(file.read(1), classes)
    with rasterio.open(tmp_path / "m.tif", overview_level=0) as file:
        assert set(np.unique(file.read(1))) <= {0, *NAMES}, "an overview invents no class"


def test_classes_beyond_255(gdal, tmp_path):
    numbers = [1, 300, 65535]
    classes = class_map(20, 30, [0, *numbers])
    write_map(tmp_path / "m.tif", classes, Legend.from_mappings(numbers, {300: "moss"}, {300: "#0000fe"}), UTM)
    info = json.loads(gdal("gdalinfo", "-json", tmp_path / "m.tif"))
    (band,) = info["bands"]
    assert band["type"] == "UInt16"
    assert band["categories"][300] == "moss" and band["categories"][65535] == "class 65535"
    with rasterio.open(tmp_path / "m.tif") as file:
        np.testing.assert_array_equal(file.read(1), classes)
        assert file.colormap(1)[300] == (0, 0, 254, 255)
    write_map(tmp_path / "m.png", classes, Legend.from_mappings(numbers, {}, {300: "#0000fe"}))
    with Image.open(tmp_path / "m.png") as image:
        drawn = np.asarray(image)[: 20 * 20 : 20, : 20 * 30 : 20]
        assert (drawn[classes == 300] == (0, 0, 254)).all()
    for suffix in ("tif", "png"):
        with pytest.raises(SceneError, match="classes up to 65535; found 65536: write .npy or .mat"):
            write_map(tmp_path / f"n.{suffix}", classes, Legend.from_mappings([*numbers, 65536], {}, {}))


def test_a_missing_georeference_is_noted(gdal, tmp_path):
    (note,) = write_map(tmp_path / "m.tif", class_map(), LEGEND)
    assert note == "the scene has no georeference, so m.tif has neither CRS nor transform"
    info = json.loads(gdal("gdalinfo", "-json", tmp_path / "m.tif"))
    assert "geoTransform" not in info and "coordinateSystem" not in info
    (note,) = write_map(tmp_path / "m.tif", class_map(), LEGEND, Georeference(None, UTM.transform))
    assert note == "the scene, and therefore m.tif, has a transform but no CRS"
    info = json.loads(gdal("gdalinfo", "-json", tmp_path / "m.tif"))
    assert info["geoTransform"][0] == 630000.25 and not info.get("coordinateSystem", {}).get("wkt")


def test_probabilities_have_one_band_per_class(gdal, tmp_path):
    values = np.random.default_rng(0).dirichlet(np.ones(4), (75, 53)).astype(np.float32)
    values[:9, :20] = np.nan
    for suffix in ("tif", "npy", "mat"):
        path = tmp_path / f"p.{suffix}"
        assert write_probabilities(path, iter_windows(values), (75, 53), LEGEND, UTM) == ()
    assert file_names(tmp_path) == ["p.mat", "p.npy", "p.tif"]
    info = json.loads(gdal("gdalinfo", "-json", tmp_path / "p.tif"))
    assert info["geoTransform"] == [630000.25, 28.5, 0, 228500.75, 0, -28.5]
    assert [band["description"] for band in info["bands"]] == list(LEGEND.names)
    assert {band["type"] for band in info["bands"]} == {"Float32"}
    assert all(np.isnan(float(band["noDataValue"])) for band in info["bands"])
    assert info["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG"
    gdal("gdal_translate", "-q", "-of", "ENVI", "-co", "INTERLEAVE=BIP", tmp_path / "p.tif", tmp_path / "p.img")
    np.testing.assert_array_equal(np.fromfile(tmp_path / "p.img", np.float32).reshape(values.shape), values)
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), values)
    content = scipy.io.loadmat(tmp_path / "p.mat", squeeze_me=True)
    np.testing.assert_array_equal(content["probabilities"], values)
    assert content["class_names"].tolist() == list(LEGEND.names)


def test_a_map_replaces_all_files_of_an_earlier_one(gdal, tmp_path):
    path = tmp_path / "m.tif"
    write_map(path, class_map(), LEGEND)
    write_map(path, class_map(), Legend.from_mappings([1, 2, 5, 7], {1: "rye"}, {}))
    assert json.loads(gdal("gdalinfo", "-json", path))["bands"][0]["categories"][1] == "rye"
    write_probabilities(path, iter_windows(np.ones((9, 9, 4), np.float32)), (9, 9), LEGEND)
    assert file_names(tmp_path) == ["m.tif"]


def test_side_files_of_an_earlier_map_do_not_change_what_gdal_reads(gdal, tmp_path):
    """Overviews, masks and world files, as GDAL, QGIS and others write them."""
    old, new = class_map(), class_map()[::-1].copy()
    path, clean = tmp_path / "m.tif", tmp_path / "clean" / "m.tif"
    clean.parent.mkdir()
    write_map(path, old, LEGEND)
    gdal("gdaladdo", "-q", "-ro", "-r", "nearest", path, "2")
    (tmp_path / "m.tfw").write_text("9\n0\n0\n-9\n100\n100\n")
    mask = {
        "driver": "GTiff",
        "transform": rasterio.Affine.scale(2),
        "height": old.shape[0],
        "width": old.shape[1],
        "count": 1,
        "dtype": "uint8",
    }
    with rasterio.open(tmp_path / "m.tif.msk", "w", **mask) as file:
        file.write(np.zeros((1, *old.shape), np.uint8))
        file.update_tags(INTERNAL_MASK_FLAGS_1=2)
    (tmp_path / "m.tif.mine").write_text("notes")
    assert {"m.tif.ovr", "m.tif.msk", "m.tfw"} < set(file_names(tmp_path))
    write_map(path, new, LEGEND)
    assert file_names(tmp_path) == ["clean", "m.tif", "m.tif.aux.xml", "m.tif.mine"]
    write_map(clean, new, LEGEND)
    assert json.loads(gdal("gdalinfo", "-json", path))["bands"] == json.loads(gdal("gdalinfo", "-json", clean))["bands"]
    (tmp_path / "n.tfw").write_text("9\n0\n0\n-9\n100\n100\n")
    _, note = write_map(tmp_path / "n.tif", new, LEGEND)
    assert (
        note.startswith("n.tif: GDAL also reads n.tfw, which hsifeat did not write") and (tmp_path / "n.tfw").exists()
    )


def write_until_killed(path):
    def blocks():
        yield from list(iter_windows(np.ones((75, 53, 4), np.float32)))[:2]
        os.kill(os.getpid(), signal.SIGKILL)

    write_probabilities(path, blocks(), (75, 53), LEGEND)


def test_the_next_map_deletes_what_a_killed_process_left(tmp_path):
    assert ForkedFunction(write_until_killed, tmp_path / "m.tif").wait().returncode == -signal.SIGKILL
    assert len(file_names(tmp_path)) == 1
    write_map(tmp_path / "n.tif", class_map(), LEGEND)
    assert file_names(tmp_path) == ["n.tif", "n.tif.aux.xml"]


ROTATED_POLE = "+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39.25 +lon_0=18 +R=6371229 +type=crs"


def test_a_crs_without_geotiff_keys_is_in_the_auxiliary_file(gdal, tmp_path):
    where = Georeference(pyproj.CRS(ROTATED_POLE).to_wkt(), (0.1, 0, 1, 0, -0.1, 2))
    assert write_map(tmp_path / "m.tif", class_map(), LEGEND, where) == ()
    values = np.full((75, 53, len(NAMES)), 0.25, np.float32)
    assert write_probabilities(tmp_path / "p.tif", iter_windows(values), (75, 53), LEGEND, where) == ()
    for path in (tmp_path / "m.tif", tmp_path / "p.tif"):
        info = json.loads(gdal("gdalinfo", "-json", path))
        assert pyproj.CRS(info["coordinateSystem"]["wkt"]).equals(pyproj.CRS(ROTATED_POLE), ignore_axis_order=True)
        assert info["geoTransform"] == [1, 0.1, 0, 2, 0, -0.1]
    assert json.loads(gdal("gdalinfo", "-json", tmp_path / "m.tif"))["bands"][0]["categories"][1] == "corn"
    assert file_names(tmp_path) == ["m.tif", "m.tif.aux.xml", "p.tif", "p.tif.aux.xml"]
    # A later map without it keeps nothing of it.
    write_map(tmp_path / "m.tif", class_map(), LEGEND)
    assert "coordinateSystem" not in json.loads(gdal("gdalinfo", "-json", tmp_path / "m.tif"))


def test_a_lost_crs_is_noted(tmp_path, monkeypatch):
    monkeypatch.setenv("GDAL_PAM_ENABLED", "NO")
    where = Georeference(pyproj.CRS(ROTATED_POLE).to_wkt(), (0.1, 0, 1, 0, -0.1, 2))
    (note,) = write_map(tmp_path / "m.tif", class_map(), LEGEND, where)
    assert note.startswith("m.tif can't hold the scene's CRS, ")
