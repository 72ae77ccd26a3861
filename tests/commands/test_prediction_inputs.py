"""Scenes that `hsifeat predict` opens by file."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import scipy.io
import xarray
from PIL import Image

import hsifeat
from classifiers import predict_map
from classifiers.fit import fit_model
from hsifeat.commands.prediction_inputs import open_inputs
from hsifeat.runtime.events import Note, silent
from tests.helpers.small import small_labels


@pytest.mark.parametrize("inputs", ["spectra", "context"])
def test_notes_on_a_scene_are_sent_once(inputs, tmp_path, monkeypatch):
    monkeypatch.setenv("HSIFEAT_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    cube = rng.random((24, 24, 6)).astype(np.float32)
    truth = hsifeat.Labels("gt", np.where(cube[..., 0] > 0.5, 1, 2).astype(np.uint8))
    store = hsifeat.extract(
        hsifeat.Scene("train", cube).with_labels(truth), backbone="context", out=tmp_path / "train.zarr"
    )
    model = fit_model([store.location.path], "lda", inputs=inputs)
    cube[:2, :4] = -9  # no data, which nothing declares
    np.save(tmp_path / "other.npy", cube)
    events = []
    open_inputs(model, [str(tmp_path / "other.npy")], events.append)
    texts = [event.message for event in events if isinstance(event, Note)]
    assert len(set(texts)) == len(texts)
    assert sum("open or extract the scene with `nodata=-9`" in text for text in texts) == 1


def corrected(folder, monkeypatch):
    """Fit a model on a scene whose file gets other wavelengths afterwards, in another order. Return the model and the features of a second scene."""
    monkeypatch.setenv("HSIFEAT_CACHE", str(folder / "cache"))
    rng, nm = np.random.default_rng(0), np.linspace(450, 2400, 8).round(1)
    truth = np.kron(rng.integers(1, 4, (4, 4)), np.ones((6, 6), int)).astype(np.uint8)
    cube = (truth[..., None] * np.arange(8) ** 2 + rng.normal(0, 0.1, (24, 24, 8))).astype(np.float32)
    first = hsifeat.Scene("a", cube, nm, {"gt": hsifeat.Labels("gt", truth)})
    store = hsifeat.extract(first, backbone="context", layers=["mean-3"])
    models = {
        inputs: fit_model([store.location.path], "lda", inputs=inputs) for inputs in ("spectra+context", "context")
    }
    second = xarray.DataArray(cube + rng.normal(0, 0.01, cube.shape).astype(np.float32), dims=("y", "x", "wavelength"))
    second["wavelength"] = ("wavelength", nm, {"units": "nm"})
    second.to_dataset(name="r").to_netcdf(folder / "b.nc")
    return store, replace(first, wavelengths_nm=nm[::-1]), models


@pytest.mark.parametrize("inputs", ["spectra+context", "context"])
@pytest.mark.parametrize("place", ["the same store", "another store", "one of two stores"])
def test_planes_are_extracted_from_the_bands_of_the_training(inputs, place, tmp_path, monkeypatch):
    store, other, models = corrected(tmp_path, monkeypatch)
    (before,) = open_inputs(models[inputs], [str(tmp_path / "b.nc")], silent).values()
    expected, classes = before.sample([5, 9], [3, 20]), predict_map(before, models[inputs])
    shutil.rmtree(before.store.location.path)
    if place == "one of two stores":
        hsifeat.extract(
            replace(other, wavelengths_nm=other.wavelengths_nm[::-1]),
            backbone="context",
            layers=["mean-3"],
            out=tmp_path / "two.zarr",
        )
    hsifeat.extract(
        other,
        backbone="context",
        layers=["mean-3"],
        out=tmp_path / "other.zarr" if place == "another store" else store.location.path,
    )
    events = []
    (after,) = open_inputs(models[inputs], [str(tmp_path / "b.nc")], events.append).values()
    np.testing.assert_array_equal(after.sample([5, 9], [3, 20]), expected)
    np.testing.assert_array_equal(predict_map(after, models[inputs], listen=events.append), classes)
    said = [
        event.message
        for event in events
        if isinstance(event, Note) and "wavelengths of" in event.message and "have changed" in event.message
    ]
    assert len(said) == (place == "the same store"), said


def test_a_prediction_says_that_planes_were_extracted_in_another_order(tmp_path, monkeypatch):
    store, other, models = corrected(tmp_path, monkeypatch)
    hsifeat.extract(other, backbone="context", layers=["mean-3"], out=store.location.path)
    scene = hsifeat.open_scene(tmp_path / "b.nc")
    b = hsifeat.open_features(hsifeat.extract(scene, like=store.location.path, out=tmp_path / "b.zarr"))
    for inputs, count in (("spectra+context", 1), ("context", 0)):
        events = []
        predict_map(b, models[inputs], listen=events.append)
        said = [
            event.message
            for event in events
            if isinstance(event, Note) and "than those from which its planes" in event.message
        ]
        assert len(said) == count


WRITERS = {
    ".tif": lambda path: rasterio_file(path),
    ".png": lambda path: Image.new("L", (24, 24)).save(path),
    ".npy": lambda path: np.save(path, np.ones((24, 24), np.uint8)),
    ".mat": lambda path: scipy.io.savemat(path, {"map": np.ones((24, 24))}),
}


def rasterio_file(path):
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=24,
        width=24,
        count=1,
        dtype="uint8",
        nodata=0,
        transform=rasterio.Affine(1, 0, 9, 0, -1, 9),
    ) as file:
        file.write(np.ones((1, 24, 24), np.uint8))


@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize("suffix", WRITERS)
def test_a_map_replaces_only_an_earlier_map(suffix, probabilities, tmp_path, monkeypatch, cli):
    if probabilities and suffix == ".png":
        pytest.skip("a picture holds no probabilities")
    store, _, models = corrected(tmp_path, monkeypatch)
    models["context"].save(tmp_path / "model")
    mine = tmp_path / f"a{suffix}"
    WRITERS[suffix](mine)
    before = mine.read_bytes()
    options = ["--probabilities"] if probabilities else []
    for out in (mine, tmp_path / f"{{scene}}{suffix}"):
        message = cli("predict", tmp_path / "model", store.location.path, "--out", out, *options, status=1)
        assert f"a{suffix} exists, and is no map that hsifeat wrote" in message
    assert mine.read_bytes() == before
    mine.unlink()
    for _ in range(2):
        cli("predict", tmp_path / "model", store.location.path, "--out", mine, *options)
    mine.write_bytes(b"x")
    assert "is no map" in cli("predict", tmp_path / "model", store.location.path, "--out", mine, *options, status=1)


def test_scenes_of_one_name(tmp_path, monkeypatch, cli):
    """The maps were named field.tif and field-2.tif, in the order of the arguments."""
    monkeypatch.chdir(tmp_path)
    rng, y = np.random.default_rng(0), small_labels(24, 20)
    for year in ("2023", "2024"):
        (tmp_path / year).mkdir()
        np.save(f"{year}/field.npy", rng.normal(size=(24, 20, 4)).astype(np.float32) + y[..., None])
        np.save(f"{year}/y.npy", y)
        context = ("--backbone", "context", "--layers", "mean-3", "--out", f"y{year}.zarr")
        cli("extract", f"{year}/field.npy", "--labels", f"{year}/y.npy", *context)
    cli("fit", "y2023.zarr", "--inputs", "spectra", "--smooth", "none", "--out", "m")
    message = cli("predict", "m", "2023/field.npy", "2024/field.npy", "--out", "maps/{scene}.npy", status=1)
    assert "several scenes have one name for their maps (field, field): classify them in separate calls" in message
    cli("predict", "m", "y2023.zarr", "y2024.zarr", "--out", "maps/{scene}.npy")
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == ["y2023.npy", "y2024.npy"]
    np.save("other.npy", np.load("2023/field.npy"))
    cli("predict", "m", "y2023.zarr", "other.npy", "y2024.zarr", "--out", "mixed/{scene}.npy")
    assert sorted(path.name for path in (tmp_path / "mixed").iterdir()) == ["other.npy", "y2023.npy", "y2024.npy"]
    cli("predict", "m", "y2023.zarr", "2024/field.npy", "--out", "both/{scene}.npy")
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == ["field.npy", "y2023.npy"]
    for year in ("2023", "2024"):
        cli("predict", "m", f"{year}/field.npy", "--out", f"{year}.npy")
        np.testing.assert_array_equal(np.load(f"{year}.npy"), np.load(f"maps/y{year}.npy"))
