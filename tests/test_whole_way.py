"""The whole way on a real georeferenced scene: GeoTIFF and polygons in, a map that overlays the scene out."""

import json

import pytest

from tests.helpers.forked_commands import run_forked
from tests.helpers.small import save_unet


@pytest.fixture(scope="module")
def scene_folder(data_folder, gdal, tmp_path_factory):
    """A part of the real scene, with polygons of all classes in it and beyond."""
    folder = tmp_path_factory.mktemp("scene")
    window = ("-q", "-srcwin", 60, 160, 330, 260)
    gdal("gdal_translate", *window, data_folder / "nc_landsat7" / "landsat_multiband.tif", folder / "landsat.tif")
    return folder


@pytest.fixture(scope="module")
def results(scene_folder, data_folder, tmp_path_factory):
    """Extract, fit and predict in a folder with a space in its name; return the folder and the outputs."""
    folder = tmp_path_factory.mktemp("whole way")
    save_unet(folder / "backbone")
    polygons, outputs = data_folder / "nc_landsat7" / "landsat96_polygons.shp", []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HSIFEAT_CACHE", str(folder / "cache"))
        for arguments in (
            ["extract", scene_folder / "landsat.tif", "--labels", f"{polygons}:label", "--backbone", "backbone",
             "--timesteps", "50", "--layers", "up_blocks.2", "--tile", 64, "--halo", 8, "--out", "nc.zarr"],
            ["fit", "nc.zarr", "--head", "mlp", "--set", "epochs=5", "--split", "blocks:12+4:0.3", "--out", "model"],
            ["predict", "model", "nc.zarr", "--out", "map.tif"],
        ):  # fmt: skip
            ended = run_forked(*arguments)
            outputs.append(ended.stdout + ended.stderr)
    return folder, outputs


def test_the_map_overlays_the_scene_exactly(results, scene_folder, gdal):
    folder, _ = results
    scene = json.loads(gdal("gdalinfo", "-json", scene_folder / "landsat.tif"))
    written = json.loads(gdal("gdalinfo", "-json", "-hist", folder / "map.tif"))
    assert written["size"] == scene["size"] == [330, 260]
    assert written["geoTransform"] == scene["geoTransform"]
    assert written["cornerCoordinates"] == scene["cornerCoordinates"]
    # The WKT may list axes in another order; the EPSG code of the projected system must agree.
    system = gdal("gdalsrsinfo", "-o", "epsg", folder / "map.tif")
    assert system == gdal("gdalsrsinfo", "-o", "epsg", scene_folder / "landsat.tif")


def test_the_map_has_the_classes_of_the_polygons(results, gdal):
    folder, outputs = results
    written = json.loads(gdal("gdalinfo", "-json", folder / "map.tif"))
    (band,) = written["bands"]
    names = {"agriculture", "developed", "herbaceous", "forest", "sediment", "shrubland", "water"}
    assert names <= set(gdal("gdalinfo", folder / "map.tif").replace("<F>", " ").replace("</F>", " ").split())
    assert band["colorInterpretation"] == "Palette" and band["noDataValue"] == 0
    assert "map.tif" in outputs[2] and "OA" in outputs[1]


def test_the_scene_is_left_as_it_was(results, scene_folder, data_folder):
    assert [path.name for path in scene_folder.iterdir()] == ["landsat.tif"]
    assert not list((data_folder / "nc_landsat7").glob("*.aux.xml"))
