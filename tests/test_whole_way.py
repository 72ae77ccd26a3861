"""The whole way on a real georeferenced scene, as a user types it: GeoTIFF and polygons in, a map that overlays out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.small import save_unet

HSIFEAT = Path(sys.executable).with_name("hsifeat")


@pytest.fixture(scope="module")
def way(data_folder, tmp_path_factory):
    """Extract, fit and predict in a folder with a blank in its name; return it with what was said."""
    folder = tmp_path_factory.mktemp("a way")
    save_unet(folder / "backbone")
    data, said = data_folder / "nc_landsat7", []
    for arguments in (
        ["extract", data / "landsat_multiband.tif", "--labels", f"{data / 'landsat96_polygons.shp'}:label", "--backbone",
         "backbone", "--timesteps", "50", "--layers", "up_blocks.2", "--out", "nc.zarr"],
        ["fit", "nc.zarr", "--head", "mlp", "--split", "blocks:12+4:0.3", "--out", "model"],
        ["predict", "model", "nc.zarr", "--out", "map.tif"],
    ):  # fmt: skip
        environment = {**os.environ, "HSIFEAT_CACHE": str(folder / "cache"), "COLUMNS": "300"}
        ended = subprocess.run(
            [HSIFEAT, *map(str, arguments)], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        said.append(ended.stdout + ended.stderr)
    return folder, said


def test_the_map_overlays_the_scene_exactly(way, data_folder, gdal):
    folder, _ = way
    scene = json.loads(gdal("gdalinfo", "-json", data_folder / "nc_landsat7" / "landsat_multiband.tif"))
    found = json.loads(gdal("gdalinfo", "-json", "-hist", folder / "map.tif"))
    assert found["size"] == scene["size"] == [489, 443]
    assert found["geoTransform"] == scene["geoTransform"]
    assert found["cornerCoordinates"] == scene["cornerCoordinates"]
    # Of two WKT the axes' order of presentation may differ; the projected system's name and code may not.
    system = gdal("gdalsrsinfo", "-o", "epsg", folder / "map.tif")
    assert system == gdal("gdalsrsinfo", "-o", "epsg", data_folder / "nc_landsat7" / "landsat_multiband.tif")


def test_the_map_tells_the_polygons_classes(way, gdal):
    folder, said = way
    found = json.loads(gdal("gdalinfo", "-json", folder / "map.tif"))
    (band,) = found["bands"]
    names = {"agriculture", "developed", "herbaceous", "forest", "sediment", "shrubland", "water"}
    assert names <= set(gdal("gdalinfo", folder / "map.tif").replace("<F>", " ").replace("</F>", " ").split())
    assert band["colorInterpretation"] == "Palette" and band["noDataValue"] == 0
    assert "map.tif" in said[2] and "OA" in said[1]


def test_the_scene_is_left_as_it_was(way, data_folder):
    assert not list((data_folder / "nc_landsat7").glob("*.aux.xml"))
