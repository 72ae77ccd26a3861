"""Imported features that are stored as integers: factors, scales, offsets and quantised values."""

from __future__ import annotations

import gzip

import h5py
import numpy as np
import pytest
import rasterio
import rasterio.warp
import xarray as xr
from rasterio import Affine

import hsifeat
from hsifeat.errors import SceneError
from tests.helpers.feature_files import WHERE, values_of, write_tif
from tests.helpers.georeferenced import georeference


def test_tessera_tiles_are_multiplied_by_their_scales(placed_scene, tmp_path):
    rng = np.random.default_rng(2)
    stored = rng.integers(-127, 128, (25, 18, 4)).astype(np.int8)
    scales = rng.random((25, 18)).astype(np.float32)
    scales[3, 4] = np.nan
    np.save(tmp_path / "tile.npy", stored)
    np.save(tmp_path / "tile_scales.npy", scales)
    mask = np.ones((25, 18, 1), np.uint8)
    size = {"height": 25, "width": 18, "count": 1, "dtype": "uint8"}
    with rasterio.open(
        tmp_path / "mask.tif", "w", driver="GTiff", crs="EPSG:32632", transform=WHERE @ Affine.scale(3), **size
    ) as file:
        file.write(mask.transpose(2, 0, 1))
    notes = []
    store = hsifeat.import_planes(
        placed_scene, tmp_path / "tile.npy", grid=tmp_path / "mask.tif", out=tmp_path / "t.zarr", listen=notes.append
    )
    expected = stored * scales[..., None]
    found = values_of(store)["t0/tile"]
    assert found.dtype == np.float16
    assert store.planes[0].stride == 3
    present = np.isfinite(expected[..., 0])
    np.testing.assert_allclose(found[present], expected[present].astype(np.float16))
    valid = np.repeat(np.repeat(present, 3, 0), 3, 1)[:, :53]
    np.testing.assert_array_equal(store.valid, valid)
    assert any("multiplied by the factors of tile_scales.npy" in str(note) for note in notes)
    assert any("9 of 3975 valid pixels have no features" in str(note) for note in notes)
    (tmp_path / "tile_scales.npy").unlink()
    np.save(tmp_path / "s.npy", scales[:-1])
    with pytest.raises(SceneError, match=r"24 x 18 factors do not fit the 25 x 18 x 4 values"):
        hsifeat.import_planes(
            placed_scene, tmp_path / "tile.npy", dequantise=tmp_path / "s.npy", out=tmp_path / "u.zarr"
        )


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(lambda tile: tile, id="whole"),
        pytest.param(np.asarray, id="base class"),
        pytest.param(lambda tile: np.ma.masked_equal(tile, -128, copy=False), id="masked"),
        pytest.param(lambda tile: xr.DataArray(tile, dims=("y", "x", "channel")), id="xarray"),
    ],
)
def test_the_factors_beside_a_mapped_file_are_used(part, scene, tmp_path):
    """NumPy multiplies the stored values by the factors. Rows and columns are reordered if the file has channels first."""
    stored = np.random.default_rng(2).integers(-127, 128, (25, 18, 4)).astype(np.int8)
    factors = np.random.default_rng(3).random((25, 18)).astype(np.float32)
    np.save(tmp_path / "tile_scales.npy", factors)
    np.save(tmp_path / "first_scales.npy", factors)
    np.save(tmp_path / "tile.npy", stored)
    np.save(tmp_path / "first.npy", stored.transpose(2, 0, 1)[None])
    tile = np.load(tmp_path / "tile.npy", mmap_mode="r")
    first = np.load(tmp_path / "first.npy", mmap_mode="r")[0].transpose(1, 2, 0)
    for name, array in (("tile", tile), ("first", first)):
        notes = []
        store = hsifeat.import_planes(
            scene, {"e": part(array)}, stride=3, dtype="float32", out=tmp_path / f"{name}.zarr", listen=notes.append
        )
        np.testing.assert_allclose(values_of(store)["t0/e"], stored * factors[..., None], rtol=1e-6)
        assert f"{name}.npy: multiplied by the factors of {name}_scales.npy" in str(notes)


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(lambda tile: tile[:25, :18], id="part"),
        pytest.param(lambda tile: tile[1:26, 1:19], id="other part"),
        pytest.param(lambda tile: np.asarray(tile)[:25, :18][::-1], id="from south to north"),
        pytest.param(lambda tile: tile.transpose(1, 0, 2)[:25, :18], id="columns first"),
        pytest.param(lambda tile: tile[:, :, :2][:25, :18], id="two channels"),
        pytest.param(lambda tile: tile.view(np.uint8)[:25, :18], id="other dtype"),
        pytest.param(lambda tile: xr.DataArray(tile, dims=("y", "x", "c"))[:25, :18], id="xarray"),
    ],
)
def test_parts_of_a_mapped_file_need_factors_of_their_own(part, scene, tmp_path):
    stored = np.random.default_rng(2).integers(0, 128, (30, 30, 4)).astype(np.int8)
    np.save(tmp_path / "tile.npy", stored)
    tile = np.load(tmp_path / "tile.npy", mmap_mode="r")
    options = {"stride": 3, "out": tmp_path / "t.zarr", "dtype": "float32"}
    np.save(tmp_path / "tile_scales.npy", np.full((30, 30), 0.5))
    with pytest.raises(
        SceneError, match=r"e: is a part of tile.npy, or .* in tile_scales.npy do not fit .* `dequantise`"
    ):
        hsifeat.import_planes(scene, {"e": part(tile)}, **options)
    np.save(tmp_path / "own.npy", np.full((25, 18), 2.0))
    store = hsifeat.import_planes(scene, {"e": part(tile)}, dequantise=tmp_path / "own.npy", **options)
    np.testing.assert_array_equal(values_of(store)["t0/e"], 2.0 * np.asarray(part(stored)))


@pytest.mark.parametrize(
    ("factors", "offsets", "note"),
    [
        pytest.param(
            (0.001, 0.001), (0, 0), "a stored 1000 is a feature of 1, because of its scale factor 0.001", id="scale"
        ),
        pytest.param(
            (2, 2), (5, 5), "a stored 1000 is a feature of 2005, because of its scale factor 2 and offset 5", id="both"
        ),
        pytest.param((1, 0.5), (0, 7), "a stored 1000 is a feature of 1000 in channel 0", id="channels"),
        pytest.param((0, 0), (3, 3), "its scale and offset are not applied, because a scale is 0", id="zero"),
    ],
)
def test_scales_and_offsets_of_a_geotiff_are_applied_unless_values_are_dequantised(
    factors, offsets, note, placed_scene, tmp_path
):
    """A stored value v means factor * v + offset, in GDAL's data model. Another oracle for AlphaEarth is its own formula."""
    stored = np.random.default_rng(2).integers(-127, 128, (75, 53, 2)).astype(np.int16)
    write_tif(tmp_path / "e.tif", stored)
    with rasterio.open(tmp_path / "e.tif", "r+") as file:
        file.scales, file.offsets = factors, offsets
    heard = []
    store = hsifeat.import_planes(placed_scene, tmp_path / "e.tif", out=tmp_path / "e.zarr", listen=heard.append)
    expected = stored * np.array(factors) + offsets if all(factors) else stored
    np.testing.assert_allclose(values_of(store)["t0/e"], expected, rtol=1e-6)
    assert f"e.tif: {note}" in str(heard) and "reflectance" not in str(heard)
    heard.clear()
    options = {"dequantise": "alphaearth", "dtype": "float32", "listen": heard.append}
    store = hsifeat.import_planes(placed_scene, tmp_path / "e.tif", out=tmp_path / "a.zarr", **options)
    expected = np.sign(stored) * (np.abs(stored.astype(float)) / 127.5) ** 2
    np.testing.assert_allclose(values_of(store)["t0/e"], expected, rtol=1e-6)
    assert "its scale and offset are not applied, because its values are dequantised" in str(heard)


@pytest.mark.parametrize(
    ("fields", "factor", "note"),
    [
        ("reflectance scale factor = 10000", 1e-4, "e.hdr: a stored 1000 is a feature of 0.1"),
        (
            "reflectance scale factor = 10000\ndata units = radiance",
            1e-4,
            "e.hdr: a stored 1000 is a feature of 0.1",
        ),
        ("reflectance scale factor = 0", 1, "e.hdr: its reflectance scale factor '0' is not a positive number"),
        ("reflectance scale factor = -5", 1, "e.hdr: its reflectance scale factor '-5' is not a positive number"),
        ("reflectance scale factor = abc", 1, "e.hdr: its reflectance scale factor 'abc' is not a positive number"),
        (
            "reflectance scale factor = abc\ndata gain values = {0.5, 0.25}",
            (0.5, 0.25),
            "e.hdr: its reflectance scale factor 'abc' is not a positive number",
        ),
        ("data gain values = {0.5, 0.25, 2}", 1, "they are not one number for each of its 2 channels"),
    ],
)
def test_scales_of_envi_features_are_applied_or_noted(fields, factor, note, scene, tmp_path):
    """A reflectance scale factor divides the stored values, and a gain multiplies them, in the definition of ENVI headers."""
    stored = np.random.default_rng(2).integers(-127, 128, (75, 53, 2)).astype(np.int16)
    stored.tofile(tmp_path / "e.img")
    size = "samples = 53\nlines = 75\nbands = 2\ndata type = 2\ninterleave = bip\nbyte order = 0"
    (tmp_path / "e.hdr").write_text(f"ENVI\n{size}\n{fields}\n")
    heard = []
    store = hsifeat.import_planes(scene, tmp_path / "e.hdr", out=tmp_path / "e.zarr", listen=heard.append)
    np.testing.assert_allclose(values_of(store)["t0/e"], stored * np.array(factor), rtol=1e-6)
    assert note in str(heard) and "read as reflectance" not in str(heard)


@pytest.mark.parametrize("scales", [(0.5, 0.25), (0.5, 0.5)])
def test_each_band_of_a_folder_has_its_own_scale(scales, scene, tmp_path):
    """GDAL defines the scale of a band. As in one file, bands with different scales have no reflectance scale."""
    stored, folder, heard = np.random.default_rng(2).integers(1, 128, (75, 53, 2)).astype(np.int16), tmp_path / "b", []
    folder.mkdir()
    for band, scale in enumerate(scales):
        write_tif(folder / f"B{band}.tif", stored[..., band : band + 1])
        with rasterio.open(folder / f"B{band}.tif", "r+") as file:
            file.scales = (scale,)
    store = hsifeat.import_planes(scene, {"e": folder}, out=tmp_path / "e.zarr", listen=heard.append)
    np.testing.assert_array_equal(values_of(store)["t0/e"], stored * np.array(scales))
    assert "b: a stored 1000 is a feature of 500" in str(heard) and "reflectance" not in str(heard)
    opened = hsifeat.open_scene(folder)
    if scales[0] == scales[1]:
        notes = [
            f"B{band}.tif: a stored 2 is read as reflectance 1, because of its scale factor 0.5" for band in (0, 1)
        ]
    else:
        notes = ["b: the reflectance scales of its bands are not applied, because they differ: values are as stored"]
    assert opened.scale == (2 if scales[0] == scales[1] else 1) and list(opened.notes[: len(notes)]) == notes


def test_an_envi_factor_in_a_geotiff_divides_the_values(scene, tmp_path):
    stored = np.random.default_rng(2).integers(1, 128, (75, 53, 2)).astype(np.int16)
    write_tif(tmp_path / "e.tif", stored)
    with rasterio.open(tmp_path / "e.tif", "r+") as file:
        file.update_tags(ns="ENVI", reflectance_scale_factor="8")
    store = hsifeat.import_planes(scene, tmp_path / "e.tif", out=tmp_path / "e.zarr")
    np.testing.assert_array_equal(values_of(store)["t0/e"], stored / 8)


@pytest.mark.parametrize(("name", "factor"), [("Reflectance_Data", 1 / 8), ("embedding", 8)])
def test_the_scale_of_a_reflectance_divides_as_in_files_of_neon(name, factor, scene, tmp_path):
    """NEON divides its reflectance by `Scale_Factor`. In other files, a scale multiplies."""
    stored = np.random.default_rng(2).integers(1, 128, (75, 53, 2)).astype(np.int16)
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file.create_dataset(name, data=stored).attrs["Scale_Factor"] = 8.0
    store = hsifeat.import_planes(scene, {"e": tmp_path / "e.h5"}, out=tmp_path / "e.zarr")
    np.testing.assert_array_equal(values_of(store)["t0/e"], stored * factor)


def test_a_mapped_file_in_another_dtype_needs_factors_of_its_own(scene, tmp_path):
    """The factors are those of int8 values: -1 would become 255."""
    np.save(tmp_path / "tile.npy", np.full((25, 18, 4), -1, np.int8))
    np.save(tmp_path / "tile_scales.npy", np.full((25, 18), 0.5))
    tile = np.load(tmp_path / "tile.npy", mmap_mode="r").view(np.uint8)
    with pytest.raises(SceneError, match="e: is a part of tile.npy, or"):
        hsifeat.import_planes(scene, {"e": tile}, stride=3, out=tmp_path / "t.zarr")


def test_alphaearth_values_are_squared_and_their_masked_pixels_are_invalid(scene, tmp_path):
    stored = np.random.default_rng(3).integers(-127, 128, (75, 53, 4)).astype(np.int8)
    stored[7, 9] = -128
    np.save(tmp_path / "aef.npy", stored)
    store = hsifeat.import_planes(
        scene, tmp_path / "aef.npy", dequantise="alphaearth", dtype="float32", out=tmp_path / "a.zarr"
    )
    expected = np.sign(stored) * (np.abs(stored.astype(float)) / 127.5) ** 2
    expected[7, 9] = 0
    np.testing.assert_allclose(values_of(store)["t0/aef"], expected, rtol=1e-6)
    assert np.argwhere(~store.valid).tolist() == [[7, 9]]


def test_factors_beside_a_compressed_tile_are_used(scene, tmp_path):
    stored = np.random.default_rng(4).integers(-127, 128, (75, 53, 3)).astype(np.int8)
    np.save(tmp_path / "tile.npy", stored)
    (tmp_path / "tile.npy.gz").write_bytes(gzip.compress((tmp_path / "tile.npy").read_bytes()))
    np.save(tmp_path / "tile_scales.npy", np.full((75, 53), 0.5, np.float32))
    store = hsifeat.import_planes(scene, {"e": tmp_path / "tile.npy.gz"}, out=tmp_path / "e.zarr")
    np.testing.assert_array_equal(values_of(store)["t0/e"], 0.5 * stored)


def test_factors_beside_a_file_take_precedence_over_the_formula_of_alphaearth(scene, tmp_path):
    """One option restored all files of an import, also a tile with factors of its own, and nothing said so."""
    rng, notes = np.random.default_rng(4), []
    stored, factors = rng.integers(-127, 128, (2, 75, 53, 3)).astype(np.int8), rng.random((75, 53)).astype(np.float32)
    for name, values in (("aef", stored[0]), ("tile", stored[1]), ("tile_scales", factors)):
        np.save(tmp_path / f"{name}.npy", values)
    stored[1, 0, 0] = -128  # missing in AlphaEarth's files only
    np.save(tmp_path / "tile.npy", stored[1])
    files = {name: tmp_path / f"{name}.npy" for name in ("aef", "tile")}
    options = {"dequantise": "alphaearth", "dtype": "float32", "listen": notes.append}
    store = hsifeat.import_planes(scene, files, out=tmp_path / "e.zarr", **options)
    planes = values_of(store)
    np.testing.assert_allclose(planes["t0/tile"], stored[1] * factors[..., None], rtol=1e-6)
    np.testing.assert_allclose(
        planes["t0/aef"], np.sign(stored[0]) * (np.abs(stored[0].astype(float)) / 127.5) ** 2, rtol=1e-5
    )
    for note in (
        "tile.npy: multiplied by the factors of tile_scales.npy",
        "aef.npy: restored by the formula of AlphaEarth",
    ):
        assert note in str(notes)


def test_quantised_values_are_whole_numbers_of_their_range(scene, tmp_path):
    """NumPy restores the values; floating-point numbers with NaN are what xarray makes of integers with a no-data value."""
    stored = np.random.default_rng(3).integers(-127, 128, (75, 53, 4)).astype(np.int8)
    expected = np.sign(stored) * (np.abs(stored.astype(float)) / 127.5) ** 2
    floats, wide = stored.astype(np.float32), stored.astype(np.int16)
    floats[7, 9], wide[7, 9] = np.nan, -9999
    options = {"dequantise": "alphaearth", "feature_nodata": -9999.0, "dtype": "float32"}
    for name, array in {"floats": floats, "wide": wide}.items():
        store = hsifeat.import_planes(scene, {"e": array}, **options, out=tmp_path / f"{name}.zarr")
        np.testing.assert_allclose(values_of(store)["t0/e"][store.valid], expected[store.valid], rtol=1e-6)
        assert np.argwhere(~store.valid).tolist() == [[7, 9]]
    np.save(tmp_path / "s.npy", np.full((75, 53), 0.5, np.float32))
    for array, factors, wanted in (
        (expected.astype(np.float32), "alphaearth", "whole numbers from -128 to 127; found -?0"),
        (stored.view(np.uint8), "alphaearth", "whole numbers from -128 to 127; found [12]"),
        (expected.astype(np.float32), tmp_path / "s.npy", "whole numbers; found -?0"),
    ):
        with pytest.raises(SceneError, match=f"e: quantised values are {wanted}.*: leave out `dequantise`"):
            hsifeat.import_planes(scene, {"e": array}, dequantise=factors, out=tmp_path / "wrong.zarr")
    assert not (tmp_path / "wrong.zarr").exists()


@pytest.mark.parametrize("change", ["rows", "columns", "shifted", "zone", "netcdf"])
def test_factors_lie_on_the_grid_of_the_features(change, gdal, tmp_path):
    """Factors from south to north were multiplied with the values of the mirrored rows."""
    rng, where = np.random.default_rng(1), Affine(10, 0, 500_000, 0, -10, 4_000_000)
    stored, factors = rng.integers(-9, 9, (24, 20, 2)).astype(np.int8), rng.random((24, 20)).astype(np.float32)
    scene = hsifeat.Scene("s", np.ones((24, 20, 3), np.uint8), georeference=georeference(where, "EPSG:32632"))
    write_grid(tmp_path / "q.tif", stored, where)
    write_grid(tmp_path / "f.tif", factors[..., None], where)
    options = {"dtype": "float32", "out": tmp_path / "e.zarr"}
    store = hsifeat.import_planes(scene, {"e": tmp_path / "q.tif"}, dequantise=tmp_path / "f.tif", **options)
    np.testing.assert_allclose(values_of(store)["t0/e"], stored * factors[..., None], rtol=1e-6)
    other, changed = tmp_path / "other.tif", factors[..., None]
    if change == "rows":
        write_grid(other, changed[::-1], where @ Affine.translation(0, 24) @ Affine.scale(1, -1))
    elif change == "columns":
        write_grid(other, changed[:, ::-1], where @ Affine.translation(20, 0) @ Affine.scale(-1, 1))
    elif change == "netcdf":
        other = tmp_path / "f.nc"
        gdal("gdal_translate", "-q", "-of", "netCDF", tmp_path / "f.tif", other)
    else:
        write_grid(
            other, changed, where @ Affine.translation(change == "shifted", 0), f"EPSG:326{32 + (change == 'zone')}"
        )
    with pytest.raises(
        SceneError, match=r"the factors of .* lie on another grid than .*q.tif: .*; bring them to the grid"
    ):
        hsifeat.import_planes(
            scene, {"e": tmp_path / "q.tif"}, dequantise=other, **{**options, "out": tmp_path / "o.zarr"}
        )


def write_grid(path, values, transform, crs="EPSG:32632"):
    size = {"height": values.shape[0], "width": values.shape[1], "count": values.shape[2], "dtype": values.dtype}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, **size) as file:
        file.write(values.transpose(2, 0, 1))
