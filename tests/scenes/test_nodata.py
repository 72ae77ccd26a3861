"""Missing data are found per band and at the precision of the data, as GDAL's masks say; xarray is the oracle for Zarr."""

from __future__ import annotations

import warnings

import h5py
import netCDF4
import numpy as np
import pytest
import rasterio
import xarray as xr
import zarr

from hsifeat import Scene, open_scene
from hsifeat.errors import SceneError
from hsifeat.projection import ProjectedScene, fit_projection
from hsifeat.scenes import Labels, open_labels
from hsifeat.scenes.nodata import combine_bands, distinct_values, is_nodata, parse_nodata

F32 = np.float32
MAX32 = float(np.finfo(F32).max)
# Declared value by band, dtype, and values of a row of pixels, repeated in each band.
TABLE = [
    pytest.param([None, None], "int16", [-9999, 1, 2], id="none"),
    pytest.param(["-9999", "-9999"], "int16", [-9999, 1, -9998], id="shared"),
    pytest.param(["65535", "500"], "uint16", [500, 65535, 3], id="per-band"),
    pytest.param(["0", "500"], "uint16", [500, 7, 3], id="per-band-zero"),
    pytest.param([None, "255"], "uint8", [255, 254, 3], id="one-band"),
    pytest.param(["nan", "nan"], "float32", [np.nan, 1, 2], id="nan"),
    pytest.param(["inf", "-inf"], "float32", [np.inf, 1, -np.inf], id="infinite"),
    pytest.param(["-1", "256"], "uint8", [255, 1, 2], id="out-of-range"),
    pytest.param(["-9999", "65536"], "uint16", [55537, 65535, 2], id="out-of-range-16"),
    pytest.param(["1e300", "-1e300"], "float32", [MAX32, 1, -MAX32], id="beyond-float32"),
    pytest.param(["-9999.9", "-9999.9"], "float32", [-9999.9, -9999.8, 1], id="rounded"),
    pytest.param(["-9999.9", "-0.9999"], "float64", [float(F32(-9999.9)), float(F32(-0.9999)), 1], id="rounded-64"),
    pytest.param(["-3.4e38", "-3.40282e38"], "float32", [-3.4e38, -MAX32, 1], id="largest"),
    pytest.param(["-3.4e38", "-3.4e38"], "float64", [float(F32(-3.4e38)), -3.4e38, -3.3e38], id="largest-64"),
    pytest.param(
        ["9007199254740993", "9007199254740993"], "int64", [9007199254740993, 9007199254740992, 1], id="int64"
    ),
    pytest.param(["18446744073709551615"] * 2, "uint64", [18446744073709551615, 18446744073709551614, 1], id="uint64"),
    pytest.param(["-2147483648", "4294967295"], "int32", [-2147483648, 2147483647, -1], id="int32"),
    pytest.param(["1.5", "2"], "int16", [1, 2, 3], id="fraction"),
    pytest.param(["-9999.5", "-0.5"], "int16", [-9999, 0, -10000], id="negative-fraction"),
    pytest.param(["-0.5", "255.5"], "uint8", [0, 255, 1], id="fraction-out-of-range"),
]


def vrt(path, declared, dtype, values):
    """Write a VRT with one row of pixels, whose bands declare their no-data values as text."""
    row = np.asarray(values, dtype)[None]
    with rasterio.open(
        path.with_name("part.tif"), "w", driver="GTiff", width=row.shape[1], height=1, count=len(declared), dtype=dtype
    ) as file:
        file.write(np.stack([row] * len(declared)))
    kind = {"uint8": "Byte"}.get(dtype, dtype.capitalize().replace("Ui", "UI"))
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{band}">'
        + (f"<NoDataValue>{text}</NoDataValue>" if text else "")
        + f'<SimpleSource><SourceFilename relativeToVRT="1">part.tif</SourceFilename><SourceBand>{band}</SourceBand>'
        "</SimpleSource></VRTRasterBand>"
        for band, text in enumerate(declared, start=1)
    )
    path.write_text(f'<VRTDataset rasterXSize="{row.shape[1]}" rasterYSize="1">{bands}</VRTDataset>')
    return path


def gdal_mask(name):
    """Return a mask of the pixels that are valid in all bands, and the values of the bands."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = rasterio.open(name)
        return (file.read_masks() > 0).all(axis=0), file.read()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(("declared", "dtype", "values"), TABLE)
def test_scenes_agree_with_the_masks_of_gdal(tmp_path, declared, dtype, values):
    path = vrt(tmp_path / "x.vrt", declared, dtype, values)
    mask, bands = gdal_mask(path)
    scene = open_scene(path, blank_pixels="keep")
    np.testing.assert_array_equal(scene.valid, mask & np.isfinite(bands).all(axis=0))
    differ = len(set(declared)) > 1 and declared[0] != declared[1]
    assert ("different no-data values" in " ".join(scene.notes)) <= differ


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("declared", "dtype", "values"),
    [p for p in TABLE if p.id in {"shared", "rounded", "rounded-64", "largest", "largest-64", "uint64"}],
)
def test_labels_agree_with_the_masks_of_gdal(tmp_path, declared, dtype, values):
    path = vrt(tmp_path / "gt.vrt", declared[:1], dtype, [values[0], 1, 2])
    mask, bands = gdal_mask(path)
    assert not mask[0, 0]
    np.testing.assert_array_equal(open_labels(path).classes, np.where(mask, bands[0], 0))


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (-1, "uint8"),
        (256, "uint8"),
        (-0.5, "uint8"),
        (255.5, "uint8"),
        (-9999, "uint16"),
        (65536, "int16"),
        (-32769, "int16"),
        (2**32, "int32"),
    ],
)
def test_a_number_beyond_the_dtype_equals_no_value(tmp_path, value, dtype):
    """A cast would wrap or cut these values: -1 becomes 255 in uint8, and -0.5 becomes 0."""
    limits = np.iinfo(dtype)
    numbers = [*range(max(limits.min, -40000), min(limits.max, 70000) + 1), limits.min, limits.max]
    np.save(tmp_path / "x.npy", np.array(numbers, dtype)[None, :, None])
    scene = open_scene(tmp_path / "x.npy", nodata=value, blank_pixels="keep")
    assert scene.valid.ravel().tolist() == [number != value for number in numbers]


CUBE = np.array([[[-9999, 1, 2], [3, 4, 5]], [[6, 7, -9999], [8, 9, 10]]])
WHERE = (CUBE == -9999).any(axis=2)


def netcdf(path, cube, fill, *, classic=False, unsigned=False, scale=None):
    with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC" if classic else "NETCDF4") as file:
        for name, size in zip(("y", "x", "band"), cube.shape, strict=True):
            file.createDimension(name, size)
        variable = file.createVariable("img", cube.dtype, ("y", "x", "band"), fill_value=fill)
        variable.set_auto_maskandscale(False)
        if unsigned:
            variable._Unsigned = "true"
        if scale:
            variable.scale_factor = scale
        variable[:] = cube


@pytest.mark.parametrize("dtype", ["i2", "i4", "f4", "f8"])
@pytest.mark.parametrize(
    "kind", ["NETCDF4", "classic", "zarr2", "zarr3", "zarr3-plain", "hdf5", "hdf5-fill", "envi", "tif"]
)
def test_formats_and_dtypes(tmp_path, kind, dtype):
    cube, fill = CUBE.astype(dtype), np.dtype(dtype).type(-9999)
    match kind:
        case "NETCDF4" | "classic":
            path = tmp_path / "x.nc"
            netcdf(path, cube, fill, classic=kind == "classic", scale=0.5)
        case "zarr2" | "zarr3":
            path = tmp_path / "x.zarr"
            data = xr.Dataset({"img": (("y", "x", "band"), cube, {"_FillValue": fill, "scale_factor": 0.5})})
            data.to_zarr(path, zarr_format=int(kind[-1]), consolidated=False)
            oracle = xr.open_dataset(path, engine="zarr", consolidated=False)["img"].isnull().any("band").values
            np.testing.assert_array_equal(oracle, WHERE)
        case "zarr3-plain":
            path = tmp_path / "x.zarr"
            zarr.open_group(path, mode="w").create_array(
                "img", data=cube, dimension_names=("y", "x", "band"), attributes={"_FillValue": -9999.0}
            )
        case "hdf5" | "hdf5-fill":
            path = tmp_path / "x.h5"
            with h5py.File(path, "w") as file:
                img = file.create_dataset("img", data=cube, fillvalue=fill if kind == "hdf5-fill" else None)
                if kind == "hdf5":
                    img.attrs["_FillValue"] = fill
        case _:
            path = tmp_path / ("x.hdr" if kind == "envi" else "x.tif")
            data_file = path.with_suffix(".img") if kind == "envi" else path
            with rasterio.open(
                data_file, "w", driver="ENVI" if kind == "envi" else "GTiff", width=2, height=2, count=3, dtype=cube.dtype,
                nodata=-9999, transform=rasterio.Affine(30, 0, 0, 0, -30, 0),
            ) as file:  # fmt: skip
                file.write(cube.transpose(2, 0, 1))
            np.testing.assert_array_equal(~gdal_mask(data_file)[0], WHERE)
    paths = [path, path / "img"] if path.suffix == ".zarr" else [path]
    for one in paths:
        scene = open_scene(one)
        np.testing.assert_array_equal(~scene.valid, WHERE)
        assert -9999.0 in distinct_values(scene.nodata)


def test_large_integers_of_zarr_are_compared_exactly(tmp_path):
    values = [2**53 + 1, 2**53, 1]
    zarr.open_group(tmp_path / "x.zarr", mode="w").create_array(
        "img",
        data=np.array(values)[None, :, None],
        dimension_names=("y", "x", "band"),
        attributes={"_FillValue": 2**53 + 1},
    )
    assert open_scene(tmp_path / "x.zarr").valid.ravel().tolist() == [value != 2**53 + 1 for value in values]


@pytest.mark.parametrize("classic", [True, False])
def test_unsigned_values_stored_as_signed(tmp_path, classic):
    cube = np.array([[[200, 255], [5, 6]], [[255, 255], [7, 8]]], np.uint8)
    netcdf(tmp_path / "x.nc", cube.view(np.int8), np.int8(-1), classic=classic, unsigned=True)
    expected = xr.open_dataset(tmp_path / "x.nc", engine="netcdf4")["img"].isnull().any("band").values
    scene = open_scene(tmp_path / "x.nc")
    np.testing.assert_array_equal(~scene.valid, expected)
    assert scene.nodata == (255.0,) and scene.cube.dtype == np.uint8


def test_values_that_netcdf_never_wrote_are_missing(tmp_path):
    """GDAL and netCDF4 mask the default fill value; xarray does not."""
    with netCDF4.Dataset(tmp_path / "x.nc", "w") as file:
        for name, size in (("y", 3), ("x", 2), ("band", 2)):
            file.createDimension(name, size)
        file.createVariable("img", "f4", ("y", "x", "band"))[:2] = 5
    with netCDF4.Dataset(tmp_path / "x.nc") as file:
        expected = np.ma.getmaskarray(file["img"][:]).any(axis=2)
    np.testing.assert_array_equal(~open_scene(tmp_path / "x.nc").valid, expected)
    assert expected.sum() == 2


def test_bands_keep_their_values_when_bands_are_dropped(tmp_path):
    cube = np.array([[[1, 5, 9], [5, 6, 9], [2, 6, 5]]], np.int16)
    scene = Scene("x", cube, nodata=((1.0,), (5.0,), (9.0,)))
    assert scene.valid.tolist() == [[False, False, True]]
    assert scene.empty_bands() == ()
    fewer = scene.without_bands([2])
    assert fewer.nodata == ((1.0,), (5.0,)) and fewer.valid.tolist() == [[False, True, True]]
    assert scene.summary()["nodata"] == [1.0, 5.0, 9.0]
    assert Scene("x", cube, nodata=((1.0,), (5.0,), (5.0,))).without_bands([0]).nodata == (5.0,)


def test_the_option_nodata_adds_a_value_to_each_band(tmp_path):
    cube = np.array([[[1, 2], [7, 2], [2, 7]]], np.int16)
    np.save(tmp_path / "x.npy", cube)
    assert open_scene(tmp_path / "x.npy", nodata=7).valid.tolist() == [[True, False, False]]


def test_blank_pixels_are_noted_and_can_be_kept(tmp_path):
    cube = np.array([[[0, 0], [255, 255], [0, 3]]], np.uint8)
    np.save(tmp_path / "x.npy", cube)
    scene = open_scene(tmp_path / "x.npy", nodata=9)
    assert scene.valid.tolist() == [[False, False, True]]
    told = " ".join(scene.validity_notes)
    assert (
        "1 pixel is 0 in all bands and counts as invalid" in told
        and "1 pixel is the highest value" in told
        and "`blank_pixels='keep'`" in told
    )
    kept = open_scene(tmp_path / "x.npy", nodata=9, blank_pixels="keep")
    assert kept.valid.all() and not kept.validity_notes and kept.digest != scene.digest
    zero = open_scene(tmp_path / "x.npy", nodata=0, blank_pixels="keep")
    assert zero.valid.tolist() == [[False, True, True]]
    assert "1 pixel has 0, the declared no-data value, in some bands only, and counts as valid" in " ".join(
        zero.validity_notes
    )


def test_values_beyond_float32_are_invalid():
    scene = Scene("x", np.array([[[1e300, 1.0, 2.0], [1.0, 2.0, 3.5]]]))
    assert scene.valid.tolist() == [[False, True]]
    assert scene.validity_notes == ("x: 1 pixel holds values beyond the range of float32 and counts as invalid",)


def test_values_beyond_float32_do_not_reach_a_projection():
    cube = np.random.default_rng(0).random((4, 5, 6))
    cube[1, 2, 3] = 1e300
    scene = Scene("x", cube)
    projection = fit_projection("pca:2", scene)
    channels = ProjectedScene(scene.cube, projection, scene.valid)[:]
    assert np.isfinite(projection.weights).all() and np.isfinite(channels).all() and not channels[1, 2].any()


def test_extended_precision_is_refused():
    with pytest.raises(SceneError, match="can't be processed: save them as float64"):
        Scene("x", np.ones((2, 2, 3), np.longdouble))


def test_numbers_are_parsed_without_a_loss():
    assert parse_nodata(["9007199254740993", b"-1", "x", np.nan, np.float32(0.5)])[:3] == (-1.0, 0.5, 9007199254740993)
    assert len(combine_bands([parse_nodata(["nan"])] * 3)) == 1


def test_a_value_in_all_bands_of_several_pixels_is_named_unless_it_is_declared(tmp_path):
    """Undeclared pixels of -9999 would be mapped as a class, so a note states how to declare the value."""
    cube = np.random.default_rng(0).normal(1000, 100, (9, 8, 5)).astype(np.int16)
    cube[2:5, 1:7] = -9999
    np.save(tmp_path / "x.npy", cube)
    (note,) = open_scene(tmp_path / "x.npy").validity_notes
    assert "18 pixels are -9999 in all bands" in note and "`nodata=-9999`" in note
    declared = open_scene(tmp_path / "x.npy", nodata=-9999)
    assert declared.validity_notes == () and np.array_equal(declared.valid, (cube != -9999).all(axis=2))


def test_labels_of_invalid_pixels_are_noted():
    cube, classes = np.ones((4, 5, 2), np.float32), np.zeros((4, 5), np.int64)
    cube[0] = np.nan
    classes[0, 1], classes[0, 2], classes[2, 2] = 2**31 - 1, 3, 3
    scene = Scene("x", cube).with_labels(Labels("fields", classes, {3: "rye", 2**31 - 1: "corn"}))
    assert scene.label_notes == (
        "x: 2 of 3 labelled pixels of fields are invalid and are left out; there are no others of corn",
    )
    classes[0] = 0
    assert Scene("x", cube).with_labels(Labels("fields", classes, {3: "rye"})).label_notes == ()


@pytest.mark.parametrize("value", [np.finfo(np.float16).max, np.finfo(np.float16).min, np.float16(0.1)])
def test_a_no_data_value_of_half_precision_is_the_only_one(value):
    """The sum of a value from 16 and 65504 was infinite, and so was the tolerance."""
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    np.testing.assert_array_equal(every[is_nodata(every, (float(value),))], every[every == value])
