"""Scenes with odd numbers are shown, extracted and classified, or refused in one line; warnings, which are errors here, never arise."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.helpers.small import small_cube, small_labels

CUBE = small_cube(24, 20).astype(np.float64)


def with_value(value, *, dtype=np.float64, at=(slice(2, 4), 5)):
    """Return the small cube with a value in all bands of some pixels."""
    cube = CUBE.astype(dtype)
    cube[at] = value
    return cube


SCENES = {
    "1e300": with_value(1e300),
    "-1e300": with_value(-1e300),
    "largest float32": with_value(np.finfo(np.float32).max, dtype=np.float32),
    "infinite": with_value(np.inf, dtype=np.float32),
    "NaN": with_value(np.nan),
    "one NaN": with_value(np.nan, at=(3, 5, 1)),
    "subnormal": with_value(1e-310, at=...) + 1e-310 * CUBE,
    "constant band": with_value(7.0, at=(..., 2)),
    "int16": with_value(-(2**15), dtype=np.int16),
    "uint64": with_value(2**64 - 1, dtype=np.uint64),
    "float16": with_value(60000, dtype=np.float16),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENES)
def test_no_warning_of_a_library_reaches_the_user(cli, tmp_path, name):
    np.save(tmp_path / "s.npy", SCENES[name])
    np.save(tmp_path / "gt.npy", small_labels(24, 20))
    given = [tmp_path / "s.npy", "--labels", tmp_path / "gt.npy"]
    cli("scenes", "show", *given, "--out", tmp_path / "s.png")
    # Beside the largest values, others differ by less than rounding, so that there are no two significant components.
    projection = {"largest float32": "pca:1", "subnormal": "all"}.get(name, "pca:2")
    options = ["--backbone", "context", "--layers", "mean-3,profile-3", "--projection", projection]
    cli("extract", *given, *options, "--out", tmp_path / "s.zarr")
    fit = ["--head", "lda", "--inputs", "spectra+window+context", "--split", "random:0.5", "--smooth", "none"]
    if name == "subnormal":
        message = cli("fit", tmp_path / "s.zarr", *fit, "--out", tmp_path / "m", status=1)
        assert "are constant up to the rounding errors of float32" in message
        return
    if name == "largest float32":
        assert "which is too large for a head" in cli(
            "fit", tmp_path / "s.zarr", *fit, "--out", tmp_path / "m", status=1
        )
        return
    cli("fit", tmp_path / "s.zarr", *fit, "--out", tmp_path / "m")
    cli("predict", tmp_path / "m", tmp_path / "s.zarr", "--out", tmp_path / "map.png")
    if np.isfinite(SCENES[name]).all():
        cli("extract", *given, "--nodata", "1e300", *options, "--out", tmp_path / "n.zarr")


@pytest.mark.usefixtures("remembered_plots")
def test_the_largest_class_number_goes_through_every_command(cli, tmp_path, monkeypatch):
    largest = 2**31 - 1
    labels = small_labels(24, 20).astype(np.uint32)
    labels[labels == labels.max()] = largest
    np.save(tmp_path / "s.npy", CUBE)
    np.save(tmp_path / "gt.npy", labels)
    monkeypatch.chdir(tmp_path)
    cli(*["extract", "s.npy", "--labels", "gt.npy", "--backbone", "context", "--layers", "mean-3", "--out", "s.zarr"])
    usual = "--inputs spectra --seeds 1 --splits random:0.3,random:0.5 --distances 4 --jobs 1 --smooth none"
    cli(*f"bench s.zarr --heads lda {usual} --out report".split())
    assert "no map is written as GeoTIFF" in cli.messages
    runs = pd.read_csv(tmp_path / "report" / "results.csv")
    record = tmp_path / "report" / "record"
    for run in json.loads((tmp_path / "report" / "results.json").read_bytes())["runs"]:
        truth = np.load(record / "draws" / f"{run['draw']}.npz")["truth"]
        assert set(np.unique(truth)) <= {0, 1, 2, 3, largest}
    assert (runs.train_pixels + runs.test_pixels <= np.count_nonzero(labels)).all() and (runs.test_pixels > 0).all()
    classes = [name for name in runs if name.startswith("pixels_")]
    assert classes[-1] == f"pixels_{largest}" and (runs[classes].sum(axis=1) == runs.test_pixels).all()
    recalls = runs[[name.replace("pixels", "recall") for name in classes]].to_numpy()
    hits = np.nansum(recalls * runs[classes].to_numpy(), axis=1)  # a class without test pixels has no recall
    np.testing.assert_allclose(hits / runs.test_pixels, runs.oa)
    cli(*["fit", "s.zarr", "--head", "lda", "--inputs", "spectra", "--smooth", "none", "--out", "m"])
    cli(*["predict", "m", "s.zarr", "--out", "map.npy"])
    predicted = np.load(tmp_path / "map.npy")
    assert predicted.dtype.itemsize == 4 and set(np.unique(predicted)) == {1, 2, 3, largest}
    cli(*["export", "s.zarr", "--out", "x.npy"])
    pixels = pd.read_csv(tmp_path / "x.pixels.csv")
    np.testing.assert_array_equal(pixels["class"], labels[pixels.row, pixels.col])
