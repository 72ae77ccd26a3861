"""The whole way on a real georeferenced scene: GeoTIFF and polygons in, a map that overlays the scene out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.small import save_unet

HSIFEAT = Path(sys.executable).with_name("hsifeat")


@pytest.fixture(scope="module")
def results(data_folder, tmp_path_factory):
    """Extract, fit and predict in a folder with a space in its name; return the folder and the outputs."""
    folder = tmp_path_factory.mktemp("whole way")
    save_unet(folder / "backbone")
    data, outputs = data_folder / "nc_landsat7", []
    for arguments in (
        ["extract", data / "landsat_multiband.tif", "--labels", f"{data / 'landsat96_polygons.shp'}:label", "--backbone",
         "backbone", "--timesteps", "50", "--layers", "up_blocks.2", "--out", "nc.zarr"],
        ["fit", "nc.zarr", "--head", "mlp", "--split", "blocks:12+4:0.3", "--out", "model"],
        ["predict", "model", "nc.zarr", "--out", "map.tif"],
    ):  # fmt: skip
        environment = {**os.environ, "HSIFEAT_CACHE": str(folder / "cache"), "COLUMNS": "300"}
        process = subprocess.run(
            [HSIFEAT, *map(str, arguments)], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert process.returncode == 0, process.stderr
        outputs.append(process.stdout + process.stderr)
    return folder, outputs


def test_the_map_overlays_the_scene_exactly(results, data_folder, gdal):
    folder, _ = results
    scene = json.loads(gdal("gdalinfo", "-json", data_folder / "nc_landsat7" / "landsat_multiband.tif"))
    written = json.loads(gdal("gdalinfo", "-json", "-hist", folder / "map.tif"))
    assert written["size"] == scene["size"] == [489, 443]
    assert written["geoTransform"] == scene["geoTransform"]
    assert written["cornerCoordinates"] == scene["cornerCoordinates"]
    # The WKT may list axes in another order; the EPSG code of the projected system must agree.
    system = gdal("gdalsrsinfo", "-o", "epsg", folder / "map.tif")
    assert system == gdal("gdalsrsinfo", "-o", "epsg", data_folder / "nc_landsat7" / "landsat_multiband.tif")


def test_the_map_has_the_classes_of_the_polygons(results, gdal):
    folder, outputs = results
    written = json.loads(gdal("gdalinfo", "-json", folder / "map.tif"))
    (band,) = written["bands"]
    names = {"agriculture", "developed", "herbaceous", "forest", "sediment", "shrubland", "water"}
    assert names <= set(gdal("gdalinfo", folder / "map.tif").replace("<F>", " ").replace("</F>", " ").split())
    assert band["colorInterpretation"] == "Palette" and band["noDataValue"] == 0
    assert "map.tif" in outputs[2] and "OA" in outputs[1]


def test_the_scene_is_left_as_it_was(results, data_folder):
    assert not list((data_folder / "nc_landsat7").glob("*.aux.xml"))
