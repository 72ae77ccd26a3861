"""Workspaces of the workbench: which stores of a scene they have, and the scene as its stores describe it now."""

from dataclasses import replace

import numpy as np
import pytest

import hsifeat
from classifiers import LabelDatabase
from hsifeat.scenes.georeference import Georeference
from hsifeat.service.store_index import StoreIndex
from hsifeat.service.store_models import Summaries
from hsifeat.service.workbench.workspace import Workbench


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


def test_a_corrected_georeference_reaches_the_next_page(workbench, scene, tmp_path):
    options = {"backbone": "context", "layers": ["mean-5"], "out": tmp_path / "stores" / "context.zarr"}
    key = hsifeat.extract(scene, **options).key
    assert workbench.open(key).features.georeference is None
    corrected = Georeference(None, (2.0, 0.0, 10.0, 0.0, -2.0, 50.0))
    hsifeat.extract(replace(scene, georeference=corrected), **options)
    assert workbench.open(key).features.georeference == corrected
