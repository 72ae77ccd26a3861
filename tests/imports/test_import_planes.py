"""Imported features in a store: round trips, formats, quantised values, gaps and refusals."""

from __future__ import annotations

import shutil

import dask.array as da
import numpy as np
import pytest
import rasterio
import rasterio.warp
import torch

import hsifeat
from classifiers import PixelTable, make_head
from hsifeat.errors import HeadError, HsifeatError, RecipeMismatchError, SceneError, StoreError
from hsifeat.extraction.repair import verify
from hsifeat.features.stack import open_stack
from hsifeat.scenes import Scene
from hsifeat.store.location import as_location
from hsifeat.store.recipe import fault_of
from tests.helpers.feature_files import FORMATS, WHERE, values_of, write_tif


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
        "source": str(tmp_path / "encoder.tif"), "cells": [75, 53], "dtype": "float32", "values": "as stored", "placed": "copied, one cell per pixel",
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
            "e: features must be a file, or an array .*; found list: give `np.asarray",
        ),
        (
            {"e": torch.ones(75, 53, 2)},
            {},
            "e: features must be a file, or an array .*; found Tensor: give `np.asarray",
        ),
        ({"e": None}, {}, "e: features must be a file, or an array .*; found NoneType"),
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
