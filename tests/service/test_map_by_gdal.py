"""GDAL reads maps and planes by signed addresses, as it reads the files."""

import re

import numpy as np
import rasterio


def test_gdal_reads_a_map_by_a_signed_address(service, reader, gdal, monkeypatch):
    file = service.config.results_folder / ("3" * 16) / "map.tif"
    file.parent.mkdir(parents=True)
    classes = np.random.default_rng(0).integers(0, 9, (600, 500), np.uint8)
    options = {"height": 600, "width": 500, "count": 1, "dtype": "uint8", "crs": "EPSG:32616", "tiled": True}
    transform = rasterio.Affine(20, 0, 500000, 0, -20, 4500000)
    with rasterio.open(file, "w", driver="GTiff", transform=transform, **options) as out:
        out.write(classes, 1)
    url = reader.post("/addresses", json={"path": f"/jobs/{'3' * 16}/files"}).json()["url"]
    monkeypatch.setenv("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR")
    there, here = (gdal("gdalinfo", "-checksum", name) for name in (f"/vsicurl/{url}/map.tif", file))
    checksum = re.search(r"Checksum=\d+", here)[0]
    assert checksum in there and "Origin = (500000" in there


def test_gdal_reads_a_plane_by_a_signed_address_since_it_reads_shards(service, reader, gdal):
    plane = "planes/t0300/up_blocks.2"
    read = ("gdalmdiminfo", "-detailed")
    if tuple(map(int, re.findall(r"\d+", gdal("gdalinfo", "--version"))[:2])) < (3, 13):
        assert '"values"' not in gdal(*read, f'ZARR:"{service.path}/{plane}"')
        return
    url = reader.post("/addresses", json={"path": f"/stores/{service.key}.zarr"}).json()["url"]
    there, here = (gdal(*read, f'ZARR:"{place}/{plane}"') for place in (f"/vsicurl/{url}", service.path))
    assert there == here and '"values"' in here
