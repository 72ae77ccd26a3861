"""Commands and functions on a Dask cluster of real processes: the same stores, maps and scores as without."""

import numpy as np
import pytest

import hsifeat
from classifiers import compare
from hsifeat.runtime.dask_executor import dask_executor
from tests.helpers.dask_cluster import Cluster
from tests.helpers.small import small_cube


@pytest.fixture(scope="module")
def address():
    with Cluster(1) as cluster:
        yield cluster.address


def test_extract(address, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("s.npy", small_cube(rows=24, cols=20))
    options = ("extract", "s.npy", "--backbone", "context", "--layers", "mean-5")
    assert cli(*options, "--out", "shared.zarr", "--dask", address) == "store: shared.zarr\n"
    cli(*options, "--out", "alone.zarr")
    shared, alone = hsifeat.Store.open("shared.zarr"), hsifeat.Store.open("alone.zarr")
    for plane in alone.planes:
        assert shared.fingerprint(plane.id) == alone.fingerprint(plane.id)
        np.testing.assert_array_equal(shared.plane(plane.id)[:], alone.plane(plane.id)[:])
    monkeypatch.setattr("hsifeat.runtime.dask_connection._FIRST_TIMEOUT_S", 0.0)
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in cli(*options, "--dask", "tcp://127.0.0.1:1", status=1)
    assert "found 'four'" in cli(*options, "--dask", "four", status=1)


def test_predict(address, cli, store_path, model_folder, tmp_path):
    cli("predict", model_folder, store_path, "--out", tmp_path / "shared.npy", "--dask", address)
    cli("predict", model_folder, store_path, "--out", tmp_path / "alone.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "shared.npy"), np.load(tmp_path / "alone.npy"))


def test_compare(address, store_path, tmp_path):
    options = {"heads": ["lda"], "inputs": ["spectra"], "splits": ["random:0.3"], "seeds": 2, "sweep": False}
    with dask_executor(address) as executor:
        shared = compare(store_path, **options, executor=executor, out=tmp_path / "shared")
    alone = compare(store_path, **options, out=tmp_path / "alone")
    assert [(run.split, run.seed, run.oa) for run in shared.runs] == [
        (run.split, run.seed, run.oa) for run in alone.runs
    ]
