"""Workspaces of the workbench: which stores of a scene they have, and the scene as its stores describe it now."""

from dataclasses import replace

import numpy as np
import pytest

import hsifeat
from classifiers import LabelDatabase
from hsifeat import Scene
from hsifeat.scenes.georeference import Georeference
from hsifeat.service.store_index import StoreIndex
from hsifeat.service.store_models import Summaries
from hsifeat.service.workbench import workspace
from hsifeat.service.workbench.workspace import Workbench
from tests.helpers.cached_stores import set_created
from tests.helpers.small import save_unet


@pytest.fixture
def workbench(tmp_path):
    stores = StoreIndex(str(tmp_path / "stores"))
    with LabelDatabase(tmp_path / "labels.sqlite") as database:
        yield Workbench(stores, Summaries(stores), database)


def test_a_store_that_cannot_be_stacked_is_left_out(workbench, scene, tmp_path):
    context = hsifeat.extract(scene, backbone="context", layers=["mean-5"], out=tmp_path / "stores" / "context.zarr")
    np.save(tmp_path / "values.npy", np.asarray(scene.cube)[..., :2].astype(np.float32))
    for layer, count in (("mean-5", 1), ("other", 2)):  # a plane of the context store has the first name
        out = tmp_path / "stores" / f"{layer}.zarr"
        imported = hsifeat.import_planes(scene, {layer: tmp_path / "values.npy"}, out=out)
        assert len(workbench.open(imported.key).stores) == count
    assert context.key in {store.key for store in workbench.open(context.key).stores}


def test_planes_of_a_trained_model_come_first_and_untrained_ones_never(workbench, scene, tmp_path, monkeypatch):
    monkeypatch.setattr(workspace.Workspace, "_prepare", lambda self: None)
    monkeypatch.setattr(workspace, "BACKBONE", "preferred")
    stores = tmp_path / "stores"
    context = hsifeat.extract(scene, backbone="context", layers=["mean-5"], out=stores / "context.zarr")
    options = {"timesteps": [0], "layers": ["mid_block"], "tile": 32, "halo": 8}
    found = []
    for name, kind in (("a", "untrained:"), ("other", ""), ("preferred", "")):
        save_unet(tmp_path / name, seed=len(found))
        hsifeat.extract(scene, backbone=f"{kind}{tmp_path / name}", **options, out=stores / f"{name}.zarr")
        others = [one for one in workbench.open(context.key).stores if not one.is_context]
        found.append([one.store.manifest.provenance["backbone"] for one in others])
    assert found == [[], ["other"], ["preferred"]]


@pytest.mark.parametrize("earlier", ["mean-3", "mean-5"])
def test_a_later_context_store_does_not_replace_the_earlier(workbench, scene, tmp_path, monkeypatch, earlier):
    monkeypatch.setattr(workspace.Workspace, "_prepare", lambda self: None)
    np.save(tmp_path / "values.npy", np.asarray(scene.cube)[..., :2].astype(np.float32))
    imported = hsifeat.import_planes(scene, {"own": tmp_path / "values.npy"}, out=tmp_path / "stores" / "own.zarr")
    for bits, layer in ((4, "mean-3"), (5, "mean-5")):  # another number of bits is another key
        store = tmp_path / "stores" / f"{layer}.zarr"
        hsifeat.extract(scene, backbone="context", layers=[layer], mantissa_bits=bits, out=store)
        set_created(store, "2026-01-01T00:00:00Z" if layer == earlier else "2026-01-01T00:00:01Z")
    (context,) = (one for one in workbench.open(imported.key).stores if one.is_context)
    assert [plane.id.layer for plane in context.planes] == [earlier]


def test_a_corrected_georeference_reaches_the_next_page(workbench, scene, tmp_path):
    options = {"backbone": "context", "layers": ["mean-5"], "out": tmp_path / "stores" / "context.zarr"}
    key = hsifeat.extract(scene, **options).key
    assert workbench.open(key).features.georeference is None
    corrected = Georeference(None, (2.0, 0.0, 10.0, 0.0, -2.0, 50.0))
    hsifeat.extract(replace(scene, georeference=corrected), **options)
    assert workbench.open(key).features.georeference == corrected


def test_a_store_with_the_former_georeference_is_left_out_with_the_reason(workbench, scene, tmp_path, monkeypatch):
    monkeypatch.setattr(workspace.Workspace, "_prepare", lambda self: None)
    np.save(tmp_path / "values.npy", np.asarray(scene.cube)[..., :2].astype(np.float32))
    placed, corrected = (
        replace(scene, georeference=Georeference(None, (2.0, 0.0, west, 0.0, -2.0, 50.0))) for west in (10.0, 12.0)
    )
    context = {"backbone": "context", "layers": ["mean-5"], "out": tmp_path / "stores" / "context.zarr"}
    own = {"features": {"own": tmp_path / "values.npy"}, "out": tmp_path / "stores" / "own.zarr"}
    key = hsifeat.extract(placed, **context).key
    hsifeat.import_planes(placed, **own)
    assert len(workbench.open(key).stores) == 2 and not workbench.open(key).left_out
    hsifeat.extract(corrected, **context)
    (reason,) = workbench.open(key).left_out
    assert "another georeference than" in reason and len(workbench.open(key).stores) == 1
    hsifeat.import_planes(corrected, **own)
    assert len(workbench.open(key).stores) == 2 and not workbench.open(key).left_out, "as the message advises"


def test_the_workspace_that_was_not_used_for_longest_is_dropped(workbench, scene, tmp_path, monkeypatch):
    monkeypatch.setattr(workspace, "_MAX_WORKSPACES", 2)
    monkeypatch.setattr(workspace.Workspace, "_prepare", lambda self: None)
    keys = []
    for at in range(3):
        part = Scene(f"part {at}", np.asarray(scene.cube)[20 * at : 20 * at + 20])
        store = hsifeat.extract(part, backbone="context", layers=["mean-5"], out=tmp_path / "stores" / f"{at}.zarr")
        keys.append(store.key)
    first, second = workbench.open(keys[0]), workbench.open(keys[1])
    assert workbench.workspace(keys[0]) is first
    workbench.workspace(keys[2])
    assert workbench.workspace(keys[0]) is first
    assert workbench.workspace(keys[1]) is not second
