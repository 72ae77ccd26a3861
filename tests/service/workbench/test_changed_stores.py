"""The workbench uses the label maps, the georeference and the planes that the stores of a scene have now."""

import re
import threading
import time
from dataclasses import replace

import httpx
import numpy as np
import pytest
import rasterio

import hsifeat
from classifiers import LabelDatabase
from classifiers.labelling import scene_columns
from hsifeat.scenes import Labels
from hsifeat.scenes.georeference import Georeference
from hsifeat.service.config import ServiceConfig
from hsifeat.service.store_index import StoreIndex
from hsifeat.service.store_models import Summaries
from hsifeat.service.tokens import TokenFile
from hsifeat.service.workbench.workspace import Workbench
from hsifeat.store.locks import write_lock
from tests.helpers.labelled_scene import TRUTH, add_labels, open_label_set, prepare_scene, read_raster
from tests.helpers.services import running

CORRECTED = Georeference("EPSG:32633", (20.0, 0.0, 600000.0, 0.0, -20.0, 5000000.0))


@pytest.fixture
def extract(tmp_path, scene):
    """Extract the small scene, or a variant, to one store."""

    def run(*layers, scene=scene):
        layers = ["mean-5", *layers]
        return hsifeat.extract(scene, backbone="context", layers=layers, out=tmp_path / "stores" / "context.zarr")

    return run


@pytest.fixture
def workbench(tmp_path):
    stores = StoreIndex(str(tmp_path / "stores"))
    with LabelDatabase(tmp_path / "labels.sqlite") as database:
        yield Workbench(stores, Summaries(stores), database)


def prepared(workbench, key):
    """Wait until the columns of the newest workspace are ready, and return the workspace of an open page."""
    while not ((preparation := workbench.newest(key).preparation).finished or preparation.error):
        time.sleep(0.01)
    return workbench.workspace(key)


def layers_of(space):
    return {group.layer for group in space.columns().layout.stored}


def hold_columns(monkeypatch):
    """Let the opening of columns wait for the returned event."""
    released, opened = threading.Event(), scene_columns.open_scene_columns

    def wait(*arguments, **options):
        assert released.wait(60)
        return opened(*arguments, **options)

    monkeypatch.setattr(scene_columns, "open_scene_columns", wait)
    return released


def disk_is_full(*_, **__):
    """Raise the error that the opening of columns meets on a full disk."""
    raise OSError(28, "No space left on device")


def test_an_open_page_follows_its_store(tmp_path, scene, extract, monkeypatch):
    key = extract().key
    tokens = TokenFile(tmp_path / "tokens.json")
    folders = {"cache": tmp_path / "stores", "state": tmp_path / "state", "tokens": tokens.path}
    headers = {"Authorization": f"Bearer {tokens.add('ada', 'write', days=1)}"}
    config = ServiceConfig.from_options({"port": 0, **{name: str(path) for name, path in folders.items()}})
    with running(config) as service, httpx.Client(base_url=service.url, headers=headers, timeout=60) as http:
        prepare_scene(http, key)
        base = open_label_set(http, key)
        add_labels(http, base)
        raster = read_raster(http, base)
        for truth in (TRUTH, np.roll(TRUTH, 13, axis=0)):
            names = {number: f"field {number}" for number in (1, 2, 3, 4)}
            extract(scene=replace(scene, labels={"fields": Labels("fields", truth, names)}))
            text = http.get(f"{base}/score", params={"truth": "fields"}).text
            share, count = re.search(r"<b>([\d.]+)%</b> of ([\d,]+) pixels of <i>fields", text).groups()
            tested = (truth > 0) & (raster.labels == 0) & (raster.classes > 0)
            assert int(count.replace(",", "")) == tested.sum()
            assert float(share) == pytest.approx(100 * (raster.classes == truth)[tested].mean(), abs=0.05)
            shown = np.frombuffer(http.get(f"{base}/truth", params={"name": "fields"}).content, "<u2")
            np.testing.assert_array_equal(shown.reshape(truth.shape), truth)
        extract(scene=replace(scene, georeference=CORRECTED))
        for name in ("map.tif", "labels.tif"):
            with rasterio.MemoryFile(http.get(f"{base}/{name}").content) as file, file.open() as dataset:
                assert dataset.crs.to_epsg() == 32633
                assert dataset.transform.to_gdal() == (600000, 20, 0, 5000000, 0, -20)
        released = hold_columns(monkeypatch)
        extract("mean-9")
        assert "maps use the former planes" in http.get(f"{base}/raster").headers["X-Note"]
        released.set()
        prepare_scene(http, key)
        assert http.get(f"{base}/raster").headers["X-Note"] == ""
        monkeypatch.setattr(scene_columns, "open_scene_columns", disk_is_full)
        extract("mean-7")
        while "until the new ones" in (note := http.get(f"{base}/raster").headers["X-Note"]):
            time.sleep(0.01)
        assert "because the new ones could not be prepared: " in note and "No space left on device" in note


def test_a_correction_of_a_label_map_computes_no_columns(workbench, scene, extract, monkeypatch):
    key = extract().key
    before = prepared(workbench, key)
    monkeypatch.setattr(scene_columns, "open_scene_columns", lambda *_, **__: pytest.fail("columns are opened again"))
    flipped = Labels("fields", TRUTH[::-1].copy())
    extract(scene=replace(scene, labels={"fields": flipped}))
    after = workbench.workspace(key)
    np.testing.assert_array_equal(after.features.labels("fields").classes, TRUTH[::-1])
    assert after.columns() is before.columns() and after.bands is before.bands


def test_an_open_page_works_while_the_columns_of_new_planes_are_computed(workbench, extract, monkeypatch):
    key = extract().key
    before = prepared(workbench, key)
    assert layers_of(before) == {"mean-5"}
    released = hold_columns(monkeypatch)
    extract("mean-9")
    assert workbench.workspace(key) is before
    assert layers_of(workbench.workspace(key)) == {"mean-5"}
    assert not workbench.open(key).preparation.finished
    assert workbench.workspace(key) is before
    released.set()
    after = prepared(workbench, key)
    assert layers_of(after) == {"mean-5", "mean-9"} and after.bands is before.bands


def test_an_open_page_works_after_the_columns_of_new_planes_could_not_be_computed(workbench, extract, monkeypatch):
    key = extract().key
    before = prepared(workbench, key)
    with monkeypatch.context() as patch:
        patch.setattr(scene_columns, "open_scene_columns", disk_is_full)
        extract("mean-9")
        assert prepared(workbench, key) is before
        assert "No space left on device" in workbench.newest(key).preparation.error
        assert layers_of(before) == {"mean-5"}
    workbench.open(key)
    assert layers_of(prepared(workbench, key)) == {"mean-5", "mean-9"}


def test_a_page_waits_until_a_store_is_complete(workbench, extract):
    store = extract()
    before = prepared(workbench, store.key)
    writer = hsifeat.Store.open(store.location, writable=True)
    with write_lock(writer.location, lambda: None):
        writer.add_labels("new", TRUTH, {})
        assert workbench.workspace(store.key) is before
    assert "new" in (after := prepared(workbench, store.key)).features.label_maps
    writer.add_planes([replace(plane, id=replace(plane.id, layer="mean-9")) for plane in writer.planes])
    assert workbench.workspace(store.key) is workbench.open(store.key) is after
    extract("mean-9")
    now = prepared(workbench, store.key)
    assert layers_of(now) == {"mean-5", "mean-9"}


def test_a_page_works_without_a_store_that_was_deleted(workbench, extract):
    store = extract()
    before = prepared(workbench, store.key)
    store.location.clear()
    assert workbench.workspace(store.key) is before
