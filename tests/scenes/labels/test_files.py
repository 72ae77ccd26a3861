"""Label maps as other programs leave them: signs, nodata, grids that are all but aligned, names that meet."""

from __future__ import annotations

import json

import netCDF4
import numpy as np
import pytest
import rasterio
from rasterio import Affine

from hsifeat.errors import SceneError
from hsifeat.scenes import Scene, open_labels, open_scene
from tests.helpers.placed import placed

NORTH_UP = Affine(10, 0, 500_000, 0, -10, 4_000_000)


def tif(path, values, transform=NORTH_UP, **options):
    rows, cols = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=rows, width=cols, count=1, dtype=values.dtype, crs="EPSG:32617",
        transform=transform, **options,
    ) as file:  # fmt: skip
        file.write(values, 1)
    return path


@pytest.mark.parametrize("kind", ["NC", "NC2", "NC4", "NC4C"])
def test_bytes_that_gdal_stores_with_a_sign_have_none(gdal, tmp_path, kind):
    """GDAL writes uint8 into classic NetCDF as signed bytes with the attribute _Unsigned."""
    values = np.uint8([[212, 185, 3], [255, 0, 200]])
    tif(tmp_path / "gt.tif", values, nodata=255)
    gdal("gdal_translate", "-q", "-of", "netCDF", "-co", f"FORMAT={kind}", tmp_path / "gt.tif", tmp_path / "gt.nc")
    labels = open_labels(f"{tmp_path / 'gt.nc'}:Band1")
    wanted = np.where(values == 255, 0, values)
    np.testing.assert_array_equal(np.sort(labels.classes, axis=0), np.sort(wanted, axis=0))
    assert "1 pixels of nodata became 0" in " ".join(labels.notes)


def test_signs_of_netcdf_the_other_way_round(tmp_path):
    with netCDF4.Dataset(tmp_path / "x.nc", "w") as file:
        for name, size in (("y", 2), ("x", 3), ("band", 4)):
            file.createDimension(name, size)
        cube = file.createVariable("cube", "u2", ("y", "x", "band"), fill_value=65535)
        cube._Unsigned = "false"
        cube.set_auto_maskandscale(False)
        cube[:] = np.arange(-4, 20).reshape(2, 3, 4).astype(np.int16).view(np.uint16)
    scene = open_scene(tmp_path / "x.nc")
    np.testing.assert_array_equal(
        np.asarray(scene.cube)[::-1, 1, ::2], np.arange(-4, 20).reshape(2, 3, 4)[::-1, 1, ::2]
    )
    assert scene.cube.dtype == np.int16 and scene.nodata == (-1.0,)


@pytest.mark.parametrize(
    ("size", "east"),
    [pytest.param(3.333333, 0, id="six-decimals"), pytest.param(10 / 3, 0.0004, id="0.4-mm"), pytest.param(3.3334, 0.1, id="10-cm")],
)  # fmt: skip
def test_finer_cells_that_are_all_but_aligned_keep_the_rule_of_mixed_cells(tmp_path, size, east):
    cells = np.kron(np.uint8([[1, 2], [3, 4]]), np.ones((60, 60), np.uint8))
    cells[0, 0] = 2
    tif(tmp_path / "gt.tif", cells, Affine(size, 0, 500_000 + east, 0, -size, 4_000_000))
    labels = open_labels(tmp_path / "gt.tif", placed(40, 40, NORTH_UP))
    wanted = np.kron(np.uint8([[1, 2], [3, 4]]), np.ones((20, 20), np.uint8))
    wanted[0, 0] = 0
    np.testing.assert_array_equal(labels.classes, wanted)
    assert (
        "of a cell off the scene's pixels; they are treated as aligned" in labels.notes[0]
        and "1 with mixed cells became 0" in labels.notes[1]
    )


def test_cells_that_are_farther_off_are_resampled(tmp_path):
    tif(tmp_path / "gt.tif", np.ones((8, 8), np.uint8), Affine(5, 0, 500_000.5, 0, -5, 4_000_000))
    assert "resampled by nearest" in open_labels(tmp_path / "gt.tif", placed(4, 4, NORTH_UP)).notes[0]


def test_zeros_beside_another_nodata_are_told(tmp_path):
    tif(tmp_path / "gt.tif", np.uint8([[0, 1, 2], [0, 255, 0]]), nodata=255)
    labels = open_labels(tmp_path / "gt.tif")
    assert labels.counts == {1: 1, 2: 1}
    assert (
        "3 pixels are 0, which means unlabelled, although the file declares 255 as no data: if 0 is a class, add 1"
        in labels.notes[1]
    )
    tif(tmp_path / "gt.tif", np.uint8([[3, 1, 2], [255, 255, 0]]), nodata=0)
    assert not [note for note in open_labels(tmp_path / "gt.tif").notes if "unlabelled" in note]


def test_a_class_that_is_0_by_name_is_told(gdal, tmp_path):
    """Names of classes in ENVI's header, which GDAL writes from those of a VRT."""
    tif(tmp_path / "gt.tif", np.uint8([[0, 1], [1, 1]]))
    gdal("gdal_translate", "-q", "-of", "VRT", tmp_path / "gt.tif", tmp_path / "gt.vrt")
    text = (tmp_path / "gt.vrt").read_text()
    for name, notes in (("corn", 1), ("Background", 0), ("no data", 0)):
        names = f"<CategoryNames><Category>{name}</Category><Category>wheat</Category></CategoryNames>"
        (tmp_path / "gt.vrt").write_text(text.replace("</VRTRasterBand>", f"{names}</VRTRasterBand>"))
        gdal("gdal_translate", "-q", "-of", "ENVI", tmp_path / "gt.vrt", tmp_path / "gt.img")
        for path in (tmp_path / "gt.vrt", tmp_path / "gt.hdr"):
            labels = open_labels(path)
            assert labels.class_names == {1: "wheat"}
            assert [f"names 0 {name!r}, but 0 means unlabelled" in note for note in labels.notes] == [True] * notes


@pytest.mark.parametrize(("kind", "most"), [("uint8", 255), ("uint16", 65535), ("int16", 32767)])
def test_the_highest_number_undeclared_is_told(tmp_path, kind, most):
    path = tif(tmp_path / "gt.tif", np.array([[1, 2], [most, 2]], kind))
    (note,) = open_labels(path).notes
    assert f"{most} is read as a class" in note and f"gdal_edit.py -a_nodata {most}" in note
    path = tif(tmp_path / "gt.tif", np.array([[1, 2], [most, 2]], kind), nodata=most)
    assert open_labels(path).counts == {1: 1, 2: 2}


def test_what_to_do_with_masked_labels_is_told(tmp_path):
    path = tif(tmp_path / "gt.tif", np.uint8([[1, 2], [9, 2]]))
    with rasterio.open(path, "r+") as file:
        file.write_mask(np.array([[True, True], [False, True]]))
    assert "gdal_edit.py -a_nodata (labels)" in " ".join(open_labels(path).notes)


def test_two_maps_of_one_name_are_refused(tmp_path):
    paths = []
    for folder in ("train", "test"):
        (tmp_path / folder).mkdir()
        paths.append(tif(tmp_path / folder / "gt.tif", np.uint8([[1, 2], [0, 2]])))
    with rasterio.open(
        tmp_path / "x.tif", "w", driver="GTiff", height=2, width=2, count=3, dtype="int16", crs="EPSG:32617",
        transform=NORTH_UP,
    ) as file:  # fmt: skip
        file.write(np.ones((3, 2, 2), np.int16))
    assert list(open_scene(tmp_path / "x.tif", labels=paths[0]).labels) == ["gt"]
    with pytest.raises(SceneError, match=r"two label maps are named 'gt', the second from .*test/gt.tif: rename one"):
        open_scene(tmp_path / "x.tif", labels=paths)


def test_a_map_named_as_the_scenes_own_is_refused(tmp_path):
    scene = open_scene("indian-pines")
    name = next(iter(scene.labels))
    np.save(tmp_path / f"{name}.npy", np.ones((145, 145), np.uint8))
    with pytest.raises(SceneError, match=f"two label maps are named '{name}'"):
        open_scene("indian-pines", labels=tmp_path / f"{name}.npy")


def test_nan_that_stands_for_no_data_is_unlabelled(gdal, tmp_path):
    values = np.float32([[np.nan, 1], [2, 2]])
    tif(tmp_path / "gt.tif", values, nodata=np.nan)
    gdal("gdal_translate", "-q", "-of", "netCDF", tmp_path / "gt.tif", tmp_path / "gt.nc")
    for source in (tmp_path / "gt.tif", f"{tmp_path / 'gt.nc'}:Band1"):
        labels = open_labels(source)
        assert labels.counts == {1: 1, 2: 2} and labels.notes[-1].endswith("1 pixels of nodata became 0")
    tif(tmp_path / "gt.tif", values)
    with pytest.raises(SceneError, match="found fractions or NaN"):
        open_labels(tmp_path / "gt.tif")


def test_facts_of_a_scene_are_json_whatever_stands_for_no_data(tmp_path):
    with rasterio.open(
        tmp_path / "x.tif", "w", driver="GTiff", height=2, width=2, count=3, dtype="float32", nodata=np.nan,
        crs="EPSG:32617", transform=NORTH_UP,
    ) as file:  # fmt: skip
        file.write(np.ones((3, 2, 2), np.float32))
    scene = open_scene(tmp_path / "x.tif")
    assert np.isnan(scene.nodata).all() and scene.valid.all()
    assert json.loads(json.dumps(scene.summary(), allow_nan=False))["nodata"] == []
    from hsifeat.extraction.new_store import scene_facts

    assert scene_facts(Scene("x", np.ones((2, 2, 3)), nodata=(np.nan, -1.0, np.inf))).nodata == [-1.0]


@pytest.mark.parametrize("driver", ["GTiff", "HFA", "VRT"])
@pytest.mark.parametrize(
    ("columns", "binning", "names"),
    [
        pytest.param((("OID", 0, 0), ("VALUE", 0, 0)), "", {10: "corn", 20: "wheat"}, id="by-its-name"),
        pytest.param((("OID", 0, 0), ("VALUE", 0, 5)), "", {10: "corn", 20: "wheat"}, id="by-its-usage"),
        pytest.param((("OID", 0, 0), ("Code", 0, 0)), "", None, id="none"),
        pytest.param((("Histogram", 1, 1), ("Opacity", 0, 9)), "", {1: "wheat"}, id="rows"),
        pytest.param((("OID", 0, 0), ("Code", 0, 0)), " Row0Min='10' BinSize='10'", {10: "corn", 20: "wheat"}, id="binned"),
    ],
)  # fmt: skip
def test_the_column_of_values_in_a_table_that_gdal_wrote(gdal, tmp_path, driver, columns, binning, names):
    tif(tmp_path / "x.tif", np.uint8([[10, 20], [20, 1]]))
    gdal("gdal_translate", "-q", "-of", "VRT", tmp_path / "x.tif", tmp_path / "x.vrt")
    fields = "".join(
        f"<FieldDefn index='{i}'><Name>{n}</Name><Type>{t}</Type><Usage>{u}</Usage></FieldDefn>"
        for i, (n, t, u) in enumerate((*columns, ("Class_Names", 2, 2)))
    )
    rows = "<Row index='0'><F>0</F><F>10</F><F>corn</F></Row><Row index='1'><F>1</F><F>20</F><F>wheat</F></Row>"
    table = f"<GDALRasterAttributeTable tableType='thematic'{binning}>{fields}{rows}</GDALRasterAttributeTable>"
    text = (tmp_path / "x.vrt").read_text().replace("</VRTRasterBand>", f"{table}</VRTRasterBand>")
    (tmp_path / "x.vrt").write_text(text)
    path = tmp_path / {"GTiff": "gt.tif", "HFA": "gt.img", "VRT": "gt.vrt"}[driver]
    gdal("gdal_translate", "-q", "-of", driver, tmp_path / "x.vrt", path)
    if binning and driver == "HFA":  # GDAL does not write there how rows are binned
        names = None
    labels = open_labels(path)
    given = {number: name for number, name in labels.class_names.items() if name != f"class {number}"}
    assert given == (names or {})
    told = f"{path.name}: its table of classes has no column Value; the class names in it are ignored" in labels.notes
    assert told == (names is None)
