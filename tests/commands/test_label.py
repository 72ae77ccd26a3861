"""`hsifeat label`: what it opens, and what it computes first."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from hsifeat import extract, open_features
from hsifeat.cache import catalogue
from hsifeat.scenes.georeference import Georeference
from hsifeat.service.jobs.job_service import JobService
from hsifeat.service.workbench.companion_image import companion_file
from hsifeat.store.store import Store
from tests.helpers.cached_stores import set_created


@pytest.fixture
def served(monkeypatch):
    """Replaces the browser, and a server that ends with Ctrl-C. Records what the command serves and opens."""
    seen = {"opened": []}

    def run_server(config, *, on_start):
        seen["config"], seen["stores"] = config, {entry.key for entry in catalogue.entries()}
        on_start("http://127.0.0.1:8765/login?token=hsf_secret")
        raise KeyboardInterrupt

    monkeypatch.setattr("hsifeat.service.server.run_server", run_server)
    monkeypatch.setattr("webbrowser.open", seen["opened"].append)
    return seen


def test_the_store_of_a_scene_is_labelled(cli, served, store_path, monkeypatch):
    monkeypatch.setattr("hsifeat.extraction.extract.extract", lambda *_, **__: store_path)
    output = cli("label", store_path, "--port", "0")
    key = Store.open(store_path).key
    assert served["opened"] == [f"http://127.0.0.1:8765/login?token=hsf_secret&next=/label/{key}"]
    assert served["opened"][0] in output
    assert served["stores"] == {key}
    assert (served["config"].host, served["config"].port) == ("127.0.0.1", 0)


def test_context_of_a_scene_is_computed_once(cli, served, scene, tmp_path):
    np.save(tmp_path / "scene.npy", np.asarray(scene.cube))
    for _ in range(2):
        output = cli("label", tmp_path / "scene.npy", "--no-open")
    assert not served["opened"]
    (key,) = served["stores"]
    assert f"next=/label/{key}" in output
    assert Store.open(catalogue.find_store(None)).manifest.recipe["backbone"]["kind"] == "context"
    (job,) = JobService(served["config"]).queue.jobs()  # planes follow in the background, once
    assert job.request["scene"] == {"store": key}
    assert (job.request["options"]["backbone"], job.priority) == ("natural32", "low")


@pytest.mark.parametrize("difference", [None, "labels", "georeference"])
def test_an_earlier_store_of_the_same_key_must_be_equal(cli, served, scene, tmp_path, difference):
    """The address of the page has the key only, and of two stores with one key, the earlier is served."""
    other = scene
    if difference == "labels":
        fields = scene.labels["fields"]
        other = replace(scene, labels={"fields": replace(fields, classes=np.minimum(fields.classes, 2))})
    elif difference == "georeference":
        other = replace(scene, georeference=Georeference("EPSG:32633", (2.0, 0.0, 0.0, 0.0, -2.0, 0.0)))
    stores = [
        extract(one, backbone="context", layers=["mean-3"], out=tmp_path / name)
        for one, name in ((scene, "b.zarr"), (other, "a.zarr"))
    ]
    for second, store in enumerate(stores):
        set_created(store.location.path, f"2026-01-01T00:00:0{second}Z")
    assert "label at" in cli("label", tmp_path / "b.zarr", "--no-planes", "--no-open")
    if difference is None:
        assert "label at" in cli("label", tmp_path / "a.zarr", "--no-planes", "--no-open")
        return
    output = cli("label", tmp_path / "a.zarr", "--no-planes", "--no-open", status=1)
    assert "b.zarr has the same key as" in " ".join(output.split())


def test_a_companion_image_is_kept_beside_the_store(cli, served, scene, tmp_path):
    np.save(tmp_path / "scene.npy", np.asarray(scene.cube))
    photo = np.random.default_rng(0).integers(0, 256, (150, 106, 3), np.uint8)
    np.save(tmp_path / "photo.npy", photo)
    cli("label", tmp_path / "scene.npy", "--no-open", "--no-planes", "--companion", tmp_path / "photo.npy")
    assert not JobService(served["config"]).queue.jobs()
    shown = np.asarray(Image.open(companion_file(open_features(catalogue.find_store(None)))))
    low, high = np.percentile(photo.reshape(-1, 3), [2, 98], axis=0)
    assert abs(shown[..., :3] - 255 * ((photo - low) / (high - low)).clip(0, 1)).max() <= 0.51
    assert "photo" in cli("label", tmp_path / "scene.npy", "--companion", tmp_path / "no-photo.npy", status=1)


def test_what_is_neither_store_nor_scene_is_named(cli, served):
    assert "nowhere" in cli("label", "nowhere", status=1)
    assert "config" not in served
