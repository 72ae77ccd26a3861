"""Several scenes on the command line: eighteen tiles with roles, a model on other bands, context of each scene, reports."""

import csv
import json
import shutil

import numpy as np
import pytest
import rasterio
import zarr

import hsifeat
from classifiers import load_model
from hsifeat.scenes import Labels, Scene
from tests.helpers.small import small_cube, small_labels

SIDE, BANDS = 12, 6
NM = np.linspace(450, 850, BANDS)
CONTEXT = ("--backbone", "context", "--layers", "mean-3")


def write_tif(path, values, place, wavelengths=()):
    rows, cols = values.shape[-2:]
    path.parent.mkdir(exist_ok=True)
    options = {"height": rows, "width": cols, "count": len(values), "dtype": values.dtype, "crs": "EPSG:32632"}
    with rasterio.open(path, "w", driver="GTiff", transform=place, **options) as file:
        file.write(values)
        for band, nm in enumerate(wavelengths, 1):
            file.update_tags(band, wavelength=str(nm), wavelength_units="nm")


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """Eighteen georeferenced tiles of a landscape with label tiles, and a list of their roles."""
    folder = tmp_path_factory.mktemp("landscape")
    rows, cols = 3 * SIDE, 6 * SIDE
    labels = small_labels(rows, cols, 3, 4)
    signs = np.random.default_rng(1).normal(scale=500, size=(4, BANDS))
    cube = (small_cube(rows, cols, BANDS) + signs[labels]).clip(1).astype(np.uint16)
    with (folder / "roles.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("store", "role"))
        for index in range(18):
            row, col = index // 6 * SIDE, index % 6 * SIDE
            part, place = (
                np.s_[row : row + SIDE, col : col + SIDE],
                rasterio.Affine(10, 0, 5e5 + 10 * col, 0, -10, 46e5 - 10 * row),
            )
            name = f"tile{index + 1:02d}"
            write_tif(folder / "tiles" / f"{name}.tif", np.moveaxis(cube[part], 2, 0), place, NM)
            write_tif(folder / "labels" / f"{name}.tif", labels[part][None], place)
            table.writerow((name, "train" if index < 12 else "validate" if index < 15 else "test"))
    return folder


def read(path):
    with rasterio.open(path) as file:
        return file.read(1), file.crs, file.transform


@pytest.mark.usefixtures("remembered_plots")
def test_eighteen_tiles_are_trained_validated_scored_and_mapped_by_three_commands(tiles, tmp_path, cli):
    stores, model = tmp_path / "stores", tmp_path / "model"
    scenes, roles = sorted(tiles.glob("tiles/*.tif")), tiles / "roles.csv"
    cli(
        "extract",
        *scenes,
        "--labels",
        tiles / "labels" / "{scene}.tif",
        *CONTEXT,
        "--shared-projection",
        "--out",
        stores,
    )
    cli("fit", *sorted(stores.glob("*.zarr")), "--split", f"scenes:@{roles}", "--smooth", "none", "--out", model)
    tested = sorted(stores.glob("tile1[678].zarr"))
    cli("predict", model, *tested, scenes[0], "--out", tmp_path / "maps" / "{scene}.tif")

    (score,) = load_model(model).card.scores
    truth, maps = [], []
    for name in ("tile16", "tile17", "tile18"):
        classes, *position = read(tmp_path / "maps" / f"{name}.tif")
        labels, *expected = read(tiles / "labels" / f"{name}.tif")
        assert position == expected
        truth.append(labels)
        maps.append(classes)
        inside = labels > 0
        (own,) = [one for one in score.scenes if one.scene == name]
        assert own.test_pixels == inside.sum()
        assert own.scores["oa"] == pytest.approx(np.mean(classes[inside] == labels[inside]))
    inside = np.stack(truth) > 0
    assert score.oa == pytest.approx(np.mean(np.stack(maps)[inside] == np.stack(truth)[inside]))
    assert score.oa > 0.6 and score.validation_oa is not None and score.test_pixels == inside.sum()
    # The first scene was given by its file: its planes were extracted as those of the training store.
    cli("predict", model, stores / "tile01.zarr", "--out", tmp_path / "again.tif")
    np.testing.assert_array_equal(read(tmp_path / "maps" / "tile01.tif")[0], read(tmp_path / "again.tif")[0])


def test_a_report_of_scenes_scores_and_maps_each_of_them(tiles, tmp_path, cli):
    stores, out = tmp_path / "stores", tmp_path / "report"
    scenes = [tiles / "tiles" / f"tile0{n}.tif" for n in (1, 2, 3)]
    cli(
        "extract",
        *scenes,
        "--labels",
        tiles / "labels" / "{scene}.tif",
        *CONTEXT,
        "--shared-projection",
        "--out",
        stores,
    )
    text = cli(
        "bench", *sorted(stores.glob("*.zarr")), "--heads", "lda", "--inputs", "spectra+context", "--no-sweep",
        "--splits", "scenes:tile01+tile02/tile03,random:0.3", "--seeds", "1", "--jobs", "1", "--out", out,
    )  # fmt: skip
    assert "OA of lda on spectra+context by test scene: tile03 " in text
    results = json.loads((out / "results.json").read_text())
    assert [scene["name"] for scene in results["scenes"]] == ["tile01", "tile02", "tile03"]
    with (out / "results.csv").open() as file:
        rows = {row["split"]: row for row in csv.DictReader(file)}
    for summary in results["summary"]:
        row = rows[summary["split"]]
        scored = {one["scene"]: one for one in summary["scenes"]}
        correct = sum(one["scores"]["oa"]["mean"] * one["test_pixels"] for one in scored.values())
        assert correct / summary["test_pixels"] == pytest.approx(summary["scores"]["oa"]["mean"])
        for name, one in scored.items():
            assert float(row[f"oa_in_{name}"]) == pytest.approx(one["scores"]["oa"]["mean"])
    classes, *position = read(out / "maps" / "lda-spectra+context-scenes_tile01+tile02_tile03-tile03.tif")
    labels, *expected = read(tiles / "labels" / "tile03.tif")
    assert position == expected
    assert np.mean(classes[labels > 0] == labels[labels > 0]) == pytest.approx(
        float(rows["scenes:tile01+tile02/tile03"]["oa_in_tile03"])
    )
    page = (out / "report.html").read_text()
    assert "Scene by scene" in page and "OA by scene, scenes:tile01+tile02/tile03" in (out / "results.md").read_text()


def scene_at(name, wavelengths, seed=0):
    """A scene whose spectra are a smooth function of the wavelength, sampled at some bands."""
    labels = small_labels(24, 20, 2, 4)
    base = small_cube(24, 20, 1, seed)
    slope = np.where(labels == 1, 900.0, -500.0)[..., None]
    cube = (2000 + 0.2 * base + slope * np.sin(np.asarray(wavelengths) / 150)).astype(np.float32)
    return Scene(name, cube, np.asarray(wavelengths, float), {"gt": Labels("gt", labels, {1: "corn", 2: "wheat"})})


def test_bands_are_matched_by_wavelength_in_fit_and_predict(tmp_path):
    recipe = {"backbone": "context", "layers": ["mean-3"]}
    first = hsifeat.extract(scene_at("first", NM), **recipe, out=tmp_path / "first.zarr")
    finer = np.sort([*(NM + 2), *(NM + 30)])
    other = scene_at("other", finer[::-1], seed=3)
    like = hsifeat.extract(other, like=first, out=tmp_path / "other.zarr")
    # The bands of the second store are those nearest to the first scene's, in its order.
    np.testing.assert_array_equal(hsifeat.open_features(like).scene.wavelengths_nm, NM + 2)
    model = hsifeat.fit_model([first, like], "lda", inputs="spectra+window+context", smooth="none")
    model.save(tmp_path / "model")
    plain = hsifeat.extract(other, **recipe, out=tmp_path / "plain.zarr")
    spectral = hsifeat.fit_model(first, "lda", inputs="spectra", smooth="none")
    nearest = [int(np.abs(finer[::-1] - nm).argmin()) for nm in NM]
    expected = spectral.head.predict(other.cube[..., nearest].reshape(-1, BANDS)).reshape(24, 20)
    np.testing.assert_array_equal(hsifeat.predict_map(hsifeat.open_features(plain), spectral), expected)
    far = hsifeat.extract(scene_at("far", NM + 40), **recipe, out=tmp_path / "far.zarr")
    with pytest.raises(hsifeat.SceneError, match=r"far .* has no band within 5 nm of 6 of .* is 40.00 nm from"):
        hsifeat.predict_map(hsifeat.open_features(far), spectral)
    with pytest.raises(hsifeat.SceneError, match="no band within 5 nm"):
        hsifeat.fit_model([first, far], "lda", inputs="spectra")
    with pytest.raises(
        hsifeat.StoreError, match="another recipe .* `shared_projection=True`, or each with `like=.*first.zarr'`"
    ):
        hsifeat.fit_model([first, plain], "lda", inputs="context")


def test_fit_extracts_the_context_that_a_scene_lacks_with_the_same_components(tmp_path, cli, backbone_folder):
    for name, seed in (("a", 0), ("b", 3)):
        options = {"timesteps": [0], "layers": ["mid_block"], "tile": 32, "halo": 8}
        start = {"backbone": backbone_folder, **options} if name == "a" else {"like": tmp_path / "a.zarr"}
        hsifeat.extract(scene_at(name, NM, seed), **start, out=tmp_path / f"{name}.zarr")
    inputs, stores = "spectra+window+context+planes", [tmp_path / "a.zarr", tmp_path / "b.zarr"]
    text = cli(
        "fit", *stores, "--inputs", inputs, "--split", "scenes:a/b", "--smooth", "none", "--out", tmp_path / "model"
    )
    assert "trained on" in text and cli.messages.count("extracting the context of") == 2
    model = load_model(tmp_path / "model")
    assert len(model.card.keys) == 4 and model.card.scores[0].scenes[0].scene == "b"
    lonely = hsifeat.extract(scene_at("c", NM, 5), backbone="context", layers=["mean-3"], out=tmp_path / "c.zarr")
    message = cli("fit", *stores, lonely.location, "--inputs", inputs, status=1)
    assert "c has 0 stores of diffusion models, and a has 1: give the same stores of each scene" in message
    bare = Scene("bare", scene_at("bare", NM, 7).cube, NM)
    hsifeat.extract(bare, like=tmp_path / "a.zarr", out=tmp_path / "bare.zarr")
    message = cli("fit", *stores, tmp_path / "bare.zarr", "--inputs", "spectra", status=1)
    assert (
        "bare has 0 label maps" in message
        and "leave the stores of bare out, and map it with hsifeat predict" in message
    )


def test_any_store_with_the_key_of_the_training_store_serves_a_new_scene(tmp_path, cli):
    """Of three stores with one key, the last lacks planes and the one before is damaged."""
    for name in ("cube", "other"):
        np.save(tmp_path / f"{name}.npy", small_cube(24, 20)[:, :: 1 if name == "cube" else -1])
    np.save(tmp_path / "fields.npy", small_labels(24, 20))
    extract = ["extract", tmp_path / "cube.npy", "--labels", tmp_path / "fields.npy", "--backbone", "context"]
    stores = [tmp_path / f"{name}.zarr" for name in ("whole", "damaged", "part")]
    for store, layers in zip(stores, ("mean-3,mean-5", "mean-3,mean-5", "mean-3"), strict=True):
        cli(*extract, "--layers", layers, "--out", store)
    assert len({hsifeat.open_features(store).key for store in stores}) == 1
    (stores[1] / "planes/t0000/mean-5/zarr.json").unlink()
    cli("fit", stores[0], "--head", "lda", "--inputs", "context", "--smooth", "none", "--out", tmp_path / "model")
    cli("predict", tmp_path / "model", tmp_path / "other.npy", "--out", tmp_path / "other_map.npy")
    cli("predict", tmp_path / "model", stores[0], "--out", tmp_path / "map.npy")
    # The other scene is the mirror image, and so is its map.
    np.testing.assert_array_equal(np.load(tmp_path / "other_map.npy"), np.load(tmp_path / "map.npy")[:, ::-1])
    shutil.rmtree(stores[0])
    message = cli("predict", tmp_path / "model", tmp_path / "other.npy", "--out", tmp_path / "none.npy", status=1)
    assert "the training stores of the model can't be read on this machine" in message


def test_a_scene_in_a_store_and_one_in_zarr_are_predicted_like_the_file(tmp_path, cli):
    """A Zarr folder other than a store is a scene; the map of the file is the oracle."""
    np.save(tmp_path / "cube.npy", small_cube(24, 20))
    np.save(tmp_path / "fields.npy", small_labels(24, 20))
    array = zarr.create_array(tmp_path / "cube.zarr", name="reflectance", data=small_cube(24, 20))
    assert array.metadata.zarr_format == 3
    store, model = tmp_path / "s.zarr", tmp_path / "model"
    given = [tmp_path / "cube.npy", "--labels", tmp_path / "fields.npy"]
    cli("extract", *given, "--backbone", "context", "--layers", "mean-3", "--out", store)
    cli("fit", store, "--head", "lda", "--inputs", "spectra", "--smooth", "none", "--out", model)
    maps = []
    for number, source in enumerate((given[0], store / "scene", tmp_path / "cube.zarr")):
        cli("predict", model, source, "--out", tmp_path / f"{number}.npy")
        maps.append(np.load(tmp_path / f"{number}.npy"))
    assert len(np.unique(maps[0])) > 1
    np.testing.assert_array_equal(maps[1], maps[0])
    np.testing.assert_array_equal(maps[2], maps[0])
