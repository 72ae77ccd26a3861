"""Where results are written: not on a read-only file system, and not into a store or a model, which is said before the work."""

import json
import re
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import hsifeat
from classifiers import predict_map
from tests.helpers.fuzz import tree_digest

COMMANDS = {
    "fit": "fit STORE --head lda --inputs planes --planes t0/mid_block --split random:0.5 --smooth none --out OUT/model",
    "predict": "predict MODEL STORE --out OUT/map.npy",
    "export": "export STORE --planes t0/mid_block --out OUT/x.npy",
    "bench": "bench STORE --heads lda --inputs spectra --splits random:0.3 --seeds 1 --jobs 1 --out OUT/report",
    "sweep": "sweep STORE --planes t0/mid_block --split random:0.3 --best 0 --seeds 1 --jobs 1 --out OUT/sweep",
    "pretrain": "pretrain CUBE --network mtmsd --steps 2 --out OUT/trained",
    "extract": "extract CUBE --backbone context --layers mean-3 --out OUT/x.zarr",
}
# Where each command has its result: numbers that do not depend on time.
RESULTS = {
    "fit": lambda out, features: predict_map(features, hsifeat.load_model(out / "model")),
    "predict": lambda out, _: np.load(out / "map.npy"),
    "export": lambda out, _: np.load(out / "x.npy"),
    "bench": lambda out, _: pd.read_csv(out / "report" / "results.csv")["oa"],
    "sweep": lambda out, _: [
        one["oa"]["mean"] for one in json.loads((out / "sweep" / "sweep.json").read_bytes())["planes"]
    ],
}


@pytest.fixture(scope="module")
def disk(store_path, model_folder, tmp_path_factory):
    """A store, a model and a cache folder on a file system that even root can't write to."""
    folder = tmp_path_factory.mktemp("disk")
    shutil.copytree(store_path, folder / "s.zarr")
    shutil.copytree(model_folder, folder / "model")
    (folder / "cache").mkdir()
    for options in (["--bind", folder, folder], ["-o", "remount,ro,bind", folder]):
        if subprocess.run(["mount", *options], capture_output=True).returncode:
            pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def command(cli, tmp_path):
    def run(name, store, model, out, status=0):
        np.save(tmp_path / "cube.npy", np.random.default_rng(0).integers(1, 99, (24, 24, 4), np.uint8))
        paths = SimpleNamespace(STORE=store, MODEL=model, CUBE=tmp_path / "cube.npy")
        words = [str(getattr(paths, word, word)).replace("OUT", str(out)) for word in COMMANDS[name].split()]
        return cli(*words, status=status)

    return run


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_those_of_a_writable_store(command, disk, store_path, model_folder, tmp_path, monkeypatch, name):
    results = []
    for folder, store, model in (("a", store_path, model_folder), ("b", disk / "s.zarr", disk / "model")):
        (tmp_path / folder).mkdir()
        if folder == "b":
            monkeypatch.setenv("HSIFEAT_CACHE", str(disk / "cache"))
        command(name, store, model, tmp_path / folder)
        results.append(RESULTS[name](tmp_path / folder, hsifeat.open_features(store)))
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_place_that_cannot_be_written_is_said(command, disk, name):
    message = command(name, disk / "s.zarr", disk / "model", disk, status=1)
    assert re.search(rf"error: {disk}(/model)? is not writable: choose another place", message)


@pytest.mark.parametrize("place", ["s.zarr", "s.zarr/scene", "model"])
@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_is_written_into_a_store_or_a_model(command, store_path, model_folder, tmp_path, name, place):
    shutil.copytree(store_path, tmp_path / "s.zarr")
    shutil.copytree(model_folder, tmp_path / "model")
    before = tree_digest(tmp_path / "s.zarr"), tree_digest(tmp_path / "model")
    message = command(name, tmp_path / "s.zarr", tmp_path / "model", tmp_path / place, status=1)
    assert re.search(r"lies in \S+, which is a (store|model), where nothing else may be written", message)
    assert (tree_digest(tmp_path / "s.zarr"), tree_digest(tmp_path / "model")) == before


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"extract"}))
def test_only_stores_are_written_to_addresses(command, store_path, model_folder, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    message = command(name, store_path, model_folder, "s3://bucket/results", status=1)
    assert "error: s3://bucket/results/" in message
    assert "is an address, to which only stores are written: give a file or folder of this machine" in message
    assert not (tmp_path / "s3:").exists()


def test_a_store_is_no_model_and_a_report_no_store(command, store_path, model_folder, tmp_path):
    shutil.copytree(store_path, tmp_path / "model")
    shutil.copytree(store_path, tmp_path / "report")
    for name in ("fit", "bench"):
        message = command(name, store_path, model_folder, tmp_path, status=1)
        assert "is a store, where nothing else may be written: choose another place" in message
