"""Commands and functions on a Dask cluster whose worker is killed in each: the same stores, maps and scores as without."""

import dask
import numpy as np
import pytest

import hsifeat
from classifiers import compare
from hsifeat.runtime.dask_executor import dask_executor
from tests.helpers.dask_cluster import Cluster, die_with_results
from tests.helpers.small import small_cube

KILLS = {
    "compute_scene_unit": "hsifeat.extraction.extract_scenes",
    "predict_window": "classifiers.block_workers",
    "do_run": "classifiers.comparison.tasks",
}


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A folder with one file for each function whose worker was killed once, at its first result."""
    return tmp_path_factory.mktemp("killed")


@pytest.fixture(scope="module")
def address(killed):
    with Cluster(1, die_with_results, killed, *(f"{module}:{name}" for name, module in KILLS.items())) as cluster:
        yield cluster.address


def test_extract(address, killed, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate("ab"):
        np.save(f"{name}.npy", small_cube(rows=24, cols=20, seed=seed))
    options = ("extract", "a.npy", "b.npy", "--backbone", "context", "--layers", "mean-5")
    stores = cli(*options, "--out", "shared", "--dask", address)
    assert stores == "store: shared/a.zarr\nstore: shared/b.zarr\n" and (killed / "compute_scene_unit").exists()
    one = ("extract", "b.npy", *options[3:], "--out", "one.zarr", "--dask", address)
    assert cli(*one) == "store: one.zarr\n"
    cli(*options, "--out", "alone")
    for path, same in (("shared/a", "alone/a"), ("shared/b", "alone/b"), ("one", "alone/b")):
        shared, alone = hsifeat.Store.open(f"{path}.zarr"), hsifeat.Store.open(f"{same}.zarr")
        assert shared.key == alone.key
        for plane in alone.planes:
            assert shared.fingerprint(plane.id) == alone.fingerprint(plane.id)
            np.testing.assert_array_equal(shared.plane(plane.id)[:], alone.plane(plane.id)[:])
    monkeypatch.setattr("hsifeat.runtime.dask_connection._FIRST_TIMEOUT_S", 0.0)
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in cli(*options, "--dask", "tcp://127.0.0.1:1", status=1)
    assert "tls://127.0.0.1:1 needs certificates" in cli(*options, "--dask", "tls://127.0.0.1:1", status=1)
    with dask.config.set({"distributed.comm.require-encryption": True}):
        assert "tcp://127.0.0.1:1 is not encrypted" in cli(*options, "--dask", "tcp://127.0.0.1:1", status=1)
    assert "found 'four'" in cli(*options, "--dask", "four", status=1)


def test_predict(address, killed, cli, store_path, model_folder, tmp_path):
    cli("predict", model_folder, store_path, "--out", tmp_path / "shared.npy", "--dask", address)
    cli("predict", model_folder, store_path, "--out", tmp_path / "alone.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "shared.npy"), np.load(tmp_path / "alone.npy"))
    assert (killed / "predict_window").exists()


def test_compare(address, killed, store_path, tmp_path):
    options = {"heads": ["lda"], "inputs": ["spectra"], "splits": ["random:0.3"], "seeds": 2, "sweep": False}
    with dask_executor(address) as executor:
        shared = compare(store_path, **options, executor=executor, out=tmp_path / "shared")
    alone = compare(store_path, **options, out=tmp_path / "alone")
    assert [(run.split, run.seed, run.oa) for run in shared.runs] == [
        (run.split, run.seed, run.oa) for run in alone.runs
    ]
    assert (killed / "do_run").exists()
