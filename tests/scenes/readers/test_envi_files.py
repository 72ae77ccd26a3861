"""ENVI scenes of several files: two headers of one name, and GDAL's auxiliary files, against GDAL's own reader."""

import numpy as np
import pytest
import rasterio
from rasterio import Affine

from hsifeat import open_scene
from hsifeat.scenes import open_labels


@pytest.mark.parametrize("name", ["x.dat", "x.dat.hdr", "x.img", "x.hdr"])
def test_each_of_two_data_files_of_one_name_is_read_by_its_header(gdal, tmp_path, name):
    values = np.arange(2 * 3 * 4, dtype=np.int16).reshape(3, 4, 2)
    for data, cube in (("x.img", values), ("x.dat", values[::-1] + 100)):
        with rasterio.open(tmp_path / "t.tif", "w", driver="GTiff", height=3, width=4, count=2, dtype="int16",
                           transform=Affine.scale(2)) as file:  # fmt: skip
            file.write(np.moveaxis(cube, 2, 0))
        options = ("-co", "INTERLEAVE=BIP", "-co", "SUFFIX=ADD") if data == "x.dat" else ()
        gdal("gdal_translate", "-q", "-of", "ENVI", *options, tmp_path / "t.tif", tmp_path / data)
    assert {"x.hdr", "x.dat.hdr"} < {path.name for path in tmp_path.iterdir()}
    data = tmp_path / ("x.dat" if "dat" in name else "x.img")
    with rasterio.open(data) as file:
        expected = np.moveaxis(file.read(), 0, 2)
    np.testing.assert_array_equal(open_scene(tmp_path / name).cube[:], expected)


@pytest.mark.parametrize("in_header", [True, False])
def test_no_data_values_beside_the_data_file_are_those_of_gdal(gdal, tmp_path, in_header):
    """`gdal_edit.py -ro` writes them into an auxiliary file, as programs do that must not change the header."""
    values = np.array([[[1, 2], [205, 3]], [[7, 7], [9, 205]]], np.int16)
    profile = {"driver": "GTiff", "height": 2, "width": 2, "count": 2, "dtype": "int16", "transform": Affine.scale(2)}
    with rasterio.open(tmp_path / "t.tif", "w", **profile, nodata=7 if in_header else None) as file:
        file.write(np.moveaxis(values, 2, 0))
    path = tmp_path / "x.dat"
    gdal("gdal_translate", "-q", "-of", "ENVI", tmp_path / "t.tif", path)
    (tmp_path / "x.dat.aux.xml").unlink(missing_ok=True)
    gdal("gdal_edit.py", "-ro", "-a_nodata", "205", path)
    scene = open_scene(path)
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(scene.valid, file.read_masks().all(axis=0))
    assert any("x.dat.aux.xml: no-data values are 205" in note for note in scene.notes)
    band = tmp_path / "l.dat"
    gdal("gdal_translate", "-q", "-of", "ENVI", "-b", "1", tmp_path / "t.tif", band)
    gdal("gdal_edit.py", "-ro", "-a_nodata", "205", band)
    assert 205 not in open_labels(band).counts
