"""Imported features in a store: round trips, formats, quantised values, gaps and refusals."""

from __future__ import annotations

import shutil

import dask.array as da
import netCDF4
import numpy as np
import pytest
import rasterio
import rasterio.warp
import torch
import xarray as xr
import zarr
from rasterio import Affine

import hsifeat
from classifiers import PixelTable, make_head
from hsifeat.errors import HeadError, HsifeatError, RecipeMismatchError, SceneError, StoreError
from hsifeat.extraction.repair import verify
from hsifeat.features.stack import open_stack
from hsifeat.scenes import Scene
from hsifeat.store.location import as_location
from hsifeat.store.recipe import fault_of

WHERE = Affine(10, 0, 500_000, 0, -10, 4_000_000)  # of `placed_scene`


def values_of(store):
    return {str(plane.id): np.asarray(store.plane(plane.id)[:]) for plane in store.planes}


@pytest.mark.parametrize("all_pixels", [True, False], ids=["all pixels", "labelled pixels"])
def test_exported_planes_that_are_imported_give_the_same_predictions(all_pixels, scene, features, tmp_path):
    hsifeat.export_features(features, tmp_path / "table.npy", all_pixels=all_pixels, spectra=True)
    store = hsifeat.import_planes(scene, tmp_path / "table.npy", out=tmp_path / "back.zarr")
    back = hsifeat.open_features(tmp_path / "back.zarr")
    assert [str(plane.id) for plane in sorted(back.planes, key=lambda one: one.id)] == [
        str(plane.id) for plane in sorted(features.planes, key=lambda one: one.id)
    ]
    labelled = scene.labels["fields"].classes > 0
    assert np.array_equal(back.valid, scene.valid if all_pixels else labelled)
    rows, cols = np.nonzero(labelled)
    for plane in features.planes:
        same = next(one for one in back.planes if one.id == plane.id)
        np.testing.assert_array_equal(back.sample(rows, cols, [same]), features.sample(rows, cols, [plane]))
    predictions = []
    for one in (features, back):
        table = PixelTable.from_store(one, planes=["t300/*"])
        train = np.arange(len(table.y)) % 3 == 0
        head = make_head("lda", layout=table.layout).fit(table.X[train], table.y[train])
        predictions.append(head.predict(table.X[~train]))
    np.testing.assert_array_equal(*predictions)
    assert len(set(predictions[0])) > 2
    assert not verify(as_location(store.location.identity)).damages


def write_npy(path, values):
    np.save(path, values)


def write_channels_first(path, values):
    np.save(path, values.transpose(2, 0, 1)[None])


def write_tif(path, values):
    size = {"height": values.shape[0], "width": values.shape[1], "count": values.shape[2], "dtype": values.dtype}
    with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32632", transform=WHERE, tiled=True, **size) as file:
        file.write(values.transpose(2, 0, 1))


def write_netcdf(path, values):
    with netCDF4.Dataset(path, "w") as file:
        for name, size in zip(("channel", "y", "x"), values.transpose(2, 0, 1).shape, strict=True):
            file.createDimension(name, size)
        file.createVariable("embedding", values.dtype, ("channel", "y", "x"))[:] = values.transpose(2, 0, 1)


def write_zarr(path, values):
    group = zarr.open_group(path, mode="w")
    group.create_array("embedding", data=values, dimension_names=("y", "x", "channel"))


FORMATS = {
    "encoder.npy": write_npy, "first.npy": write_channels_first, "encoder.tif": write_tif,
    "encoder.nc": write_netcdf, "encoder.zarr": write_zarr,
}  # fmt: skip


def test_each_format_gives_the_same_store(placed_scene, encoder, tmp_path):
    stores = {}
    for name, write in FORMATS.items():
        write(tmp_path / name, encoder)
        stores[name] = hsifeat.import_planes(
            placed_scene, [f"encoder={tmp_path / name}"], out=tmp_path / f"{name}.store.zarr"
        )
        np.testing.assert_array_equal(values_of(stores[name])["t0/encoder"], encoder)
    arrays = hsifeat.import_planes(placed_scene, {"encoder": encoder}, out=tmp_path / "array.zarr")
    assert len({store.key for store in (*stores.values(), arrays)}) == 1
    facts = stores["encoder.tif"].manifest.provenance["imported"]["t0/encoder"]
    assert facts == {
        "source": str(tmp_path / "encoder.tif"), "cells": [75, 53], "dtype": "float32", "placed": "copied, one cell per pixel",
    }  # fmt: skip


def test_the_key_depends_on_values_and_scene_only(scene, encoder, tmp_path):
    def key(values, name="e", of=scene, **options):
        return hsifeat.import_planes(
            of, {name: values}, out=tmp_path / f"{len(list(tmp_path.iterdir()))}.zarr", **options
        ).key

    first = key(encoder)
    changed = encoder.copy()
    changed[70, 50, 5] += 1e-6
    other = Scene("other", np.asarray(scene.cube) + 1)
    assert key(encoder.astype(np.float64)) == first
    assert (
        len(
            {
                first,
                key(changed),
                key(encoder, "f"),
                key(encoder, of=other),
                key(encoder, window=3),
                key(encoder, dtype="float16"),
            }
        )
        == 6
    )


def test_a_second_import_keeps_what_is_there_and_other_values_are_refused(scene, encoder, tmp_path):
    hsifeat.import_planes(scene, {"encoder": encoder}, out=tmp_path / "e.zarr")
    shard = next((tmp_path / "e.zarr" / "planes").rglob("c/0/0/0"))
    before = shard.stat().st_mtime_ns
    hsifeat.import_planes(scene, {"encoder": encoder}, out=tmp_path / "e.zarr")
    assert shard.stat().st_mtime_ns == before
    with pytest.raises(RecipeMismatchError, match=r"imported.digest.*\n.*`out`"):
        hsifeat.import_planes(scene, {"encoder": encoder + 1}, out=tmp_path / "e.zarr")
    with pytest.raises(StoreError, match="features that another tool computed, and no options of an extraction"):
        hsifeat.extract(scene, like=tmp_path / "e.zarr", out=tmp_path / "f.zarr")


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


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_masked_cells_of_an_array_have_no_features(dtype, placed_scene, tmp_path):
    """The oracle is the file that rasterio wrote and reads as a masked array."""
    values = np.arange(75 * 53 * 2).reshape(75, 53, 2).astype(dtype)
    values[:5] = values[9, 9, 1] = -9999
    size = {"height": 75, "width": 53, "count": 2, "dtype": dtype, "nodata": -9999}
    with rasterio.open(tmp_path / "e.tif", "w", driver="GTiff", crs="EPSG:32632", transform=WHERE, **size) as file:
        file.write(values.transpose(2, 0, 1))
    with rasterio.open(tmp_path / "e.tif") as file:
        masked = file.read(masked=True).transpose(1, 2, 0)
    of_file = hsifeat.import_planes(placed_scene, {"e": tmp_path / "e.tif"}, out=tmp_path / "file.zarr")
    for kind, array in (("numpy", masked), ("dask", da.from_array(masked, chunks=40, asarray=False))):
        of_array = hsifeat.import_planes(placed_scene, {"e": array}, out=tmp_path / f"{kind}.zarr")
        assert of_array.key == of_file.key
        np.testing.assert_array_equal(hsifeat.open_features(of_array.location).valid, ~masked.mask.any(axis=2))


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


def test_planes_of_any_stride_are_predicted_and_reported(scene, encoder, tmp_path, cli):
    np.save(tmp_path / "fine.npy", encoder)
    np.save(tmp_path / "coarse.npy", encoder[:19, :14])
    np.save(tmp_path / "cube.npy", np.asarray(scene.cube))
    np.save(tmp_path / "gt.npy", scene.labels["fields"].classes)
    store = tmp_path / "both.zarr"
    files = ["--features", tmp_path / "fine.npy", "--features", f"dino={tmp_path / 'coarse.npy'}"]
    command = ["import", tmp_path / "cube.npy", "--labels", tmp_path / "gt.npy", *files, "--window", 9, "--out", store]
    assert "copied, one cell per 4 x 4 pixels" in cli(*command, "--dry-run")
    assert not store.exists()
    assert f"store: {store}" in cli(*command)
    features = hsifeat.open_features(store)
    assert [(str(plane.id), plane.stride) for plane in features.planes] == [("t0/dino", 4), ("t0/fine", 1)]
    report = hsifeat.compare(
        store,
        heads=["lda"],
        inputs=["spectra", "spectra+planes"],
        splits=["random:0.2"],
        seeds=1,
        sweep=False,
        out=tmp_path / "r",
    )
    split = next(one for one in report.splits if one.split == "random:0.2")
    assert split.footprints == {"spectra": "its own pixel", "spectra+planes of both": "17x17 px window"}
    assert {run.entry.inputs for run in report.runs} == {"spectra", "spectra+planes"}
    cli("fit", store, "--head", "lda", "--out", tmp_path / "model")
    cli("predict", tmp_path / "model", store, "--out", tmp_path / "map.npy")
    assert np.load(tmp_path / "map.npy").shape == (75, 53)


def test_a_model_of_imported_features_maps_another_scene_of_the_same_encoder(scene, encoder, store_path, tmp_path):
    first = hsifeat.import_planes(scene, {"encoder": encoder}, out=tmp_path / "a.zarr")
    other = Scene("other", np.asarray(scene.cube)[:40] + 1, scene.wavelengths_nm)
    hsifeat.import_planes(other, {"encoder": encoder[:40]}, out=tmp_path / "b.zarr")
    model = hsifeat.fit_model(
        hsifeat.open_features(first.location.identity), "lda", inputs="planes", split="random:0.5"
    )
    model.match_store(hsifeat.open_features(tmp_path / "b.zarr"))
    with pytest.raises(HeadError, match="trained on imported features; small has planes of a diffusion model"):
        model.match_store(hsifeat.open_features(store_path))


def test_imports_of_one_scene_are_refused_in_another_order(scene, encoder, tmp_path):
    """The planes of both imports have one name and one recipe, so only the keys tell the imports apart."""
    a, b = (
        hsifeat.open_features(
            hsifeat.import_planes(scene, {"encoder": values}, out=tmp_path / f"{name}.zarr").location.identity
        )
        for name, values in (("a", encoder), ("b", encoder[::-1].copy()))
    )
    model = hsifeat.fit_model(open_stack([a, b]), "lda", inputs="planes", split="random:0.5")
    model.match_store(open_stack([a, b]))
    for order in ([b, a], [a, a]):
        with pytest.raises(
            HeadError, match=r"is store \d of 2 here, and was store \d in training: name the stores in the"
        ):
            model.match_store(open_stack(order))


@pytest.mark.parametrize(
    ("features", "options", "message"),
    [
        ({}, {}, "no features: name one file or more"),
        ({"a/b": np.ones((75, 53, 2))}, {}, "can't be the name of a plane"),
        ({"x" * 201: np.ones((75, 53, 2))}, {}, "can't be the name of a plane: use at most 200 letters"),
        ({"e": np.ones((75, 53))}, {}, "features are real numbers .*; found 75 x 53 values"),
        ({"e": np.ones((75, 53, 2), complex)}, {}, "features are real numbers"),
        ({"e": np.full((75, 53, 2), np.nan)}, {}, "no valid pixel of small has features"),
        (
            {"e": np.full((75, 53, 2), 9e9)},
            {"dtype": "float16"},
            r"not finite in float16: store float32 with `dtype='float32'`",
        ),
        (["flat.npy"], {}, r"holds an array of shape \(3975, 4\)"),
        (["missing.npy"], {}, "no such file: missing.npy"),
        ("https://example.org/e.tif", {}, "is a URL"),
        ({"e": np.ones((75, 53, 2))}, {"window": 0}, "window: expected at least 1"),
        (None, {}, r"features are files, or a mapping such as {'encoder': array}; found None"),
        (b"e.npy", {}, "features are files, or a mapping .*; found b'e.npy'"),
        ([5], {}, r"features are files, or a mapping .*; found \[5\]"),
        (np.ones((75, 53, 2)), {}, "features are files, or a mapping .*; found array"),
        (
            {"e": np.ones((75, 53, 2)).tolist()},
            {},
            "e: features are a file, or an array .*; found list: give `np.asarray",
        ),
        ({"e": torch.ones(75, 53, 2)}, {}, "e: features are a file, or an array .*; found Tensor: give `np.asarray"),
        ({"e": None}, {}, "e: features are a file, or an array .*; found NoneType"),
        ({5: np.ones((75, 53, 2))}, {}, "5 can't be the name of a plane"),
        ({"zarr.json": np.ones((75, 53, 2))}, {}, "'zarr.json' can't be the name of a plane: .*, and not zarr.json"),
        ({"t5/..": np.ones((75, 53, 2))}, {}, "'t5/..' can't be the name of a plane"),
        ({"e": np.ones((75, 53, 2))}, {"out": 5}, "a store is a path or an address; found 5"),
        (
            {"e": np.ones((75, 53, 2))},
            {"feature_axes": "cols,rows,bands"},
            "e: an array has the axes rows, cols, channels: leave out `feature_axes`",
        ),
    ],
)
def test_what_cannot_be_imported_is_refused(features, options, message, scene, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("flat.npy", np.ones((3975, 4)))
    with pytest.raises(HsifeatError, match=message):
        hsifeat.import_planes(scene, features, **{"out": "x.zarr", **options})


def test_strides_without_a_small_common_multiple_are_refused(scene, tmp_path):
    features = {"a": np.ones((19, 14, 1)), "b": np.ones((9, 6, 1)), "c": np.ones((15, 11, 1)), "d": np.ones((11, 8, 1))}
    with pytest.raises(
        HsifeatError, match="no common multiple of at most 512 px: import the files into separate stores"
    ):
        hsifeat.import_planes(scene, {name: features[name] for name in ("a", "b", "c", "d")}, out=tmp_path / "x.zarr")


def test_ambiguous_axes_and_damaged_tables_are_refused(features, tmp_path):
    scene = Scene("square", np.ones((8, 8, 2), np.float32))
    np.save(tmp_path / "cube.npy", np.ones((8, 8, 8), np.float32))
    with pytest.raises(SceneError, match="the order of the axes of 8 x 8 x 8 values is ambiguous"):
        hsifeat.import_planes(scene, tmp_path / "cube.npy", out=tmp_path / "x.zarr")
    store = hsifeat.import_planes(scene, tmp_path / "cube.npy", feature_axes="bands,rows,cols", out=tmp_path / "x.zarr")
    assert store.planes[0].channels == 8
    hsifeat.export_features(features, tmp_path / "t.npy", planes=["t0/*"])
    with pytest.raises(SceneError, match="lies outside of the scene square"):
        hsifeat.import_planes(scene, tmp_path / "t.npy", out=tmp_path / "y.zarr")
    np.save(tmp_path / "t.npy", np.ones((5, 3), np.float32))
    with pytest.raises(SceneError, match="not of one export"):
        hsifeat.import_planes(features.scene, tmp_path / "t.npy", out=tmp_path / "y.zarr")


def test_a_vrt_that_reads_another_folder_is_not_opened(scene, tmp_path):
    (tmp_path / "inside").mkdir()
    write_tif(tmp_path / "secret.tif", np.ones((75, 53, 1), np.float32))
    vrt = tmp_path / "inside" / "f.vrt"
    vrt.write_text(
        '<VRTDataset rasterXSize="53" rasterYSize="75"><VRTRasterBand dataType="Float32" band="1"><SimpleSource>'
        '<SourceFilename relativeToVRT="1">../secret.tif</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>'
    )
    shutil.copy(vrt, tmp_path / "inside" / "f.tif")
    for name in ("f.vrt", "f.tif"):
        with pytest.raises(SceneError, match=r"secret.tif|can't be read"):
            hsifeat.import_planes(scene, tmp_path / "inside" / name, out=tmp_path / "x.zarr")
    assert not (tmp_path / "x.zarr").exists()


@pytest.mark.parametrize("imported", [None, {"digest": "ab", "window_px": 0}, {"digest": 3}, "x"])
def test_a_recipe_with_a_damaged_import_is_no_store(imported):
    canonical = {"algorithm": 1, "scene": "ab", "backbone": {"kind": "imported"}, "precision": {}, "imported": imported}
    assert fault_of(canonical).startswith("imported" if imported else "projection: Field required")
    assert not fault_of({**canonical, "imported": {"digest": "ab", "window_px": None}})
