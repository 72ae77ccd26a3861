"""Label maps from files that other programs wrote: signs, no data, nearly aligned grids, names, attribute tables."""

from __future__ import annotations

from dataclasses import replace

import netCDF4
import numpy as np
import pytest
import rasterio
import rasterio.warp
import xarray
from rasterio import Affine

from hsifeat.errors import SceneError
from hsifeat.scenes import Labels, Scene, open_labels, open_scene
from hsifeat.scenes.labels import open_labels as open_labels_module
from tests.helpers.georeferenced import blank_scene, read_first_band
from tests.helpers.label_files import NORTH_UP, write_label_tif


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param(np.full((3, 3), 0.5), "fractions or NaN", id="fractions"),
        pytest.param(np.full((3, 3), np.nan), "fractions or NaN", id="nan"),
        pytest.param(np.full((3, 3), -1), "whole numbers, with 0 for unlabelled", id="negative"),
    ],
)
def test_labels_that_are_no_class_numbers_are_refused(tmp_path, values, message):
    np.save(tmp_path / "gt.npy", values)
    with pytest.raises(SceneError, match=message):
        open_labels(tmp_path / "gt.npy")


def test_class_names_and_colours_of_the_file_are_kept(monkeypatch, tmp_path):
    from hsifeat.scenes.readers import Raster

    raster = Raster(
        np.uint8([[1, 2]]), class_names={1: "corn", 3: "oats"}, class_colours={2: "#123456", 3: "#abcdef"}, notes=("n",)
    )
    monkeypatch.setattr(open_labels_module, "read_raster", lambda *_: raster)
    result = open_labels(tmp_path / "gt.tif:/group/fields")
    assert isinstance(result, Labels) and result.name == "fields"
    assert result.notes == ("n", "gt.tif: names 2 classes, but not 2")
    assert result.class_names == {1: "corn", 2: "class 2"} and result.class_colours[2] == "#123456"
    assert list(result.class_colours) == [1, 2]
    assert open_labels(tmp_path / "gt.mat.gz").name == "gt"


@pytest.mark.parametrize("kind", ["NC", "NC2", "NC4", "NC4C"])
def test_unsigned_bytes_in_netcdf_written_by_gdal(gdal, tmp_path, kind):
    """GDAL writes uint8 into classic NetCDF as signed bytes with the attribute _Unsigned."""
    values = np.uint8([[212, 185, 3], [255, 0, 200]])
    write_label_tif(tmp_path / "gt.tif", values, nodata=255)
    gdal("gdal_translate", "-q", "-of", "netCDF", "-co", f"FORMAT={kind}", tmp_path / "gt.tif", tmp_path / "gt.nc")
    labels = open_labels(f"{tmp_path / 'gt.nc'}:Band1")
    expected = np.where(values == 255, 0, values)
    np.testing.assert_array_equal(np.sort(labels.classes, axis=0), np.sort(expected, axis=0))
    assert "1 pixel of nodata became 0" in " ".join(labels.notes)


def test_signed_values_stored_as_unsigned_netcdf(tmp_path):
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
def test_nearly_aligned_finer_cells_are_aggregated(tmp_path, size, east):
    cells = np.kron(np.uint8([[1, 2], [3, 4]]), np.ones((60, 60), np.uint8))
    cells[0, 0] = 2
    write_label_tif(tmp_path / "gt.tif", cells, Affine(size, 0, 500_000 + east, 0, -size, 4_000_000))
    labels = open_labels(tmp_path / "gt.tif", blank_scene(40, 40, NORTH_UP))
    expected = np.kron(np.uint8([[1, 2], [3, 4]]), np.ones((20, 20), np.uint8))
    expected[0, 0] = 0
    np.testing.assert_array_equal(labels.classes, expected)
    assert (
        "of a cell off the scene's pixels; they are treated as aligned" in labels.notes[0]
        and "1 with mixed cells became 0" in labels.notes[1]
    )


@pytest.mark.parametrize("offset", [0, 1], ids=["aggregated", "resampled"])
def test_a_class_of_a_raster_without_a_pixel_is_named(tmp_path, offset):
    cells = np.ones((8, 8), np.uint8)
    cells[2, 2], cells[:, 4:] = 7, 3
    write_label_tif(tmp_path / "gt.tif", cells, Affine(5, 0, 500_000 - offset, 0, -5, 4_000_000 + offset))
    labels = open_labels(tmp_path / "gt.tif", blank_scene(4, 4, NORTH_UP))
    kept = cells[1::2, 1::2] if offset else np.where(cells[::2, ::2] == 7, 0, cells[::2, ::2])
    np.testing.assert_array_equal(labels.classes, kept)
    assert labels.notes[-1] == "gt.tif: 1 of 3 classes labels no pixel of the scene: 7"


def test_a_scale_of_labels_is_not_applied_with_a_note(tmp_path):
    with rasterio.open(write_label_tif(tmp_path / "gt.tif", np.uint8([[1, 2], [2, 0]])), "r+") as file:
        file.scales, file.offsets = (2,), (1,)
    labels = open_labels(tmp_path / "gt.tif")
    assert labels.classes.tolist() == [[1, 2], [2, 0]]
    assert "gt.tif: its scale and offset are not applied, because there is an offset" in " ".join(labels.notes)


def test_misaligned_cells_are_resampled(tmp_path):
    write_label_tif(tmp_path / "gt.tif", np.ones((8, 8), np.uint8), Affine(5, 0, 500_000.5, 0, -5, 4_000_000))
    assert "resampled by nearest" in open_labels(tmp_path / "gt.tif", blank_scene(4, 4, NORTH_UP)).notes[0]


def test_zeros_beside_another_nodata_value_are_noted(tmp_path):
    write_label_tif(tmp_path / "gt.tif", np.uint8([[0, 1, 2], [0, 255, 0]]), nodata=255)
    labels = open_labels(tmp_path / "gt.tif")
    assert labels.counts == {1: 1, 2: 1}
    assert (
        "3 pixels are 0, which means unlabelled, although the file declares 255 as no data: if 0 is a class, add 1"
        in labels.notes[1]
    )
    write_label_tif(tmp_path / "gt.tif", np.uint8([[3, 1, 2], [255, 255, 0]]), nodata=0)
    assert not [note for note in open_labels(tmp_path / "gt.tif").notes if "unlabelled" in note]


def test_a_class_name_for_zero_is_noted(gdal, tmp_path):
    """Names of classes in ENVI's header, which GDAL writes from those of a VRT."""
    write_label_tif(tmp_path / "gt.tif", np.uint8([[0, 1], [1, 1]]))
    gdal("gdal_translate", "-q", "-of", "VRT", tmp_path / "gt.tif", tmp_path / "gt.vrt")
    text = (tmp_path / "gt.vrt").read_text()
    for name, notes in (("corn", 1), ("Background", 0), ("no data", 0)):
        names = f"<CategoryNames><Category>{name}</Category><Category>wheat</Category></CategoryNames>"
        (tmp_path / "gt.vrt").write_text(text.replace("</VRTRasterBand>", f"{names}</VRTRasterBand>"))
        gdal("gdal_translate", "-q", "-of", "ENVI", tmp_path / "gt.vrt", tmp_path / "gt.img")
        for path in (tmp_path / "gt.vrt", tmp_path / "gt.hdr"):
            labels = open_labels(path)
            assert labels.class_names == {1: "wheat"}
            assert [f"the name of 0 is {name!r}, but 0 means unlabelled" in note for note in labels.notes] == [
                True
            ] * notes


@pytest.mark.parametrize(("kind", "most"), [("uint8", 255), ("uint16", 65535), ("int16", 32767)])
def test_an_undeclared_highest_value_is_noted(tmp_path, kind, most):
    path = write_label_tif(tmp_path / "gt.tif", np.array([[1, 2], [most, 2]], kind))
    (note,) = open_labels(path).notes
    assert f"{most} is read as a class" in note and f"gdal_edit.py -a_nodata {most}" in note
    path = write_label_tif(tmp_path / "gt.tif", np.array([[1, 2], [most, 2]], kind), nodata=most)
    assert open_labels(path).counts == {1: 1, 2: 2}


def test_a_mask_of_labels_is_noted(tmp_path):
    path = write_label_tif(tmp_path / "gt.tif", np.uint8([[1, 2], [9, 2]]))
    with rasterio.open(path, "r+") as file:
        file.write_mask(np.array([[True, True], [False, True]]))
    assert "gdal_edit.py -a_nodata (labels)" in " ".join(open_labels(path).notes)


def test_nan_as_nodata_becomes_unlabelled(gdal, tmp_path):
    values = np.float32([[np.nan, 1], [2, 2]])
    write_label_tif(tmp_path / "gt.tif", values, nodata=np.nan)
    gdal("gdal_translate", "-q", "-of", "netCDF", tmp_path / "gt.tif", tmp_path / "gt.nc")
    for source in (tmp_path / "gt.tif", f"{tmp_path / 'gt.nc'}:Band1"):
        labels = open_labels(source)
        assert labels.counts == {1: 1, 2: 2} and labels.notes[-1].endswith("1 pixel of nodata became 0")
    write_label_tif(tmp_path / "gt.tif", values)
    with pytest.raises(SceneError, match="found fractions or NaN"):
        open_labels(tmp_path / "gt.tif")


@pytest.mark.parametrize(
    ("file", "name"), [("...npy", "labels"), ("zarr.json.npy", "zarr-json"), (".gt.npy", "gt"), ("__a.npy", "a")]
)
def test_label_maps_have_names_that_a_store_can_hold(tmp_path, file, name):
    np.save(tmp_path / file, np.eye(3, dtype=np.uint8))
    assert open_labels(tmp_path / file).name == name
    with pytest.raises(SceneError, match="a label map can't be named"):
        Labels(
            {"labels": "..", "a": "__a"}.get(name, file.removesuffix(".npy")).replace("gt", "g/t"),
            np.eye(3, dtype=np.uint8),
        )


def test_advice_fits_the_format(tmp_path):
    np.save(tmp_path / "gt.npy", np.array([[-1, 2]], np.int16))
    with pytest.raises(SceneError, match=r"found -1: replace it by 0$"):
        open_labels(tmp_path / "gt.npy")
    np.save(tmp_path / "gt.npy", np.array([[255, 2]], np.uint8))
    assert "replace it by 0" in " ".join(open_labels(tmp_path / "gt.npy").notes)


@pytest.mark.parametrize("number", [2**31 - 1, 2**31, 2**32 - 1, 2**63])
def test_class_numbers_fit_into_the_files_of_maps(tmp_path, number):
    np.save(tmp_path / "gt.npy", np.array([[number, 2]], np.uint64))
    (tmp_path / "gt.csv").write_text(f"row,col,class\n0,0,{number}\n")
    scene = Scene("s", np.ones((1, 2, 3), np.float32))
    for source in (tmp_path / "gt.npy", tmp_path / "gt.csv"):
        if number <= np.iinfo(np.int32).max:
            assert max(open_labels(source, scene).counts) == number
        else:
            with pytest.raises(
                SceneError, match=f"up to 2147483647; found {number}|{number}; allowed are numbers up to 2147483647"
            ):
                open_labels(source, scene)


def test_a_raster_keeps_its_georeference_or_has_that_of_the_scene(gdal, tmp_path):
    """The map is stored from south to north; GDAL's warped copy, north up, is the oracle."""
    classes = (np.arange(12).reshape(4, 3) % 5).astype(np.uint8)
    south = Affine(10, 0, 500_000, 0, 10, 3_999_960)
    write_label_tif(tmp_path / "south.tif", classes, south)
    gdal("gdalwarp", "-q", tmp_path / "south.tif", tmp_path / "north.tif")
    north = read_first_band(tmp_path / "north.tif")
    scene = blank_scene(4, 3, NORTH_UP)
    own, aligned = open_labels(tmp_path / "south.tif"), open_labels(tmp_path / "south.tif", scene)
    assert Affine(*own.georeference.transform) == south and "32617" in own.georeference.crs
    assert aligned.georeference == scene.georeference
    for attach in (scene.with_labels, lambda labels: replace(scene, labels={"south": labels})):
        np.testing.assert_array_equal(attach(aligned).labels["south"].classes, north.array)
        np.testing.assert_array_equal(
            attach(open_labels(tmp_path / "south.tif", aligned)).labels["south"].classes, north.array
        )
        with pytest.raises(SceneError, match=r"another georeference than the scene x.*open_labels\(file, scene\)"):
            attach(own)
    (tmp_path / "p.csv").write_text("0,1,2")
    assert open_labels(tmp_path / "p.csv", scene).georeference == scene.georeference


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        pytest.param({"transform": tuple(NORTH_UP @ Affine.translation(0.04, 0))[:6]}, True, id="4 % of a pixel"),
        pytest.param({"transform": tuple(NORTH_UP @ Affine.translation(0, 0.06))[:6]}, False, id="6 % of a pixel"),
        pytest.param({"transform": tuple(NORTH_UP @ Affine.scale(1.02))[:6]}, False, id="pixels 2 % larger"),
        pytest.param({"crs": "EPSG:32618"}, False, id="another zone"),
        pytest.param({"crs": "urn:ogc:def:crs:EPSG::32617"}, True, id="another text of the CRS"),
        pytest.param({"crs": None}, True, id="unknown CRS"),
    ],
)
def test_labels_elsewhere_are_not_attached(changes, same):
    scene = blank_scene(4, 3, NORTH_UP)
    labels = Labels("gt", np.eye(4, 3, dtype=np.uint8), georeference=replace(scene.georeference, **changes))
    if same:
        assert scene.with_labels(labels).labels == {"gt": labels}
    else:
        with pytest.raises(SceneError, match="labels 'gt' have another georeference than the scene x"):
            scene.with_labels(labels)
    assert replace(scene, georeference=None).with_labels(labels).labels == {"gt": labels}


def test_class_names_of_a_changed_map_are_not_kept(tmp_path):
    """xarray keeps attributes in comparisons and arithmetic: a mask of class 2 was the class "corn"."""
    values = np.array([[0, 1, 2], [2, 3, 1]], np.uint8)
    names = {"class_names": '{"1": "corn", "2": "woods", "3": "grass"}'}
    array = xarray.DataArray(values, dims=("y", "x"), attrs=names)
    mask = (array == 2).assign_attrs(names)  # as xarray 2025.11 does
    for engine, name in (("netcdf", "mask.nc"), ("zarr", "mask.zarr")):
        options = {"consolidated": False} if engine == "zarr" else {}
        getattr(mask.to_dataset(name="m"), f"to_{engine}")(tmp_path / name, **options)
        labels = open_labels(tmp_path / name)
        assert labels.class_names == {1: "class 1"} and labels.counts == {1: 2}
        assert any("a map of True and False; its class names are ignored" in note for note in labels.notes)
    (array + 1).assign_attrs(names).to_netcdf(tmp_path / "more.nc")
    assert any(note == "more.nc: names 3 classes, but not 4" for note in open_labels(tmp_path / "more.nc").notes)
