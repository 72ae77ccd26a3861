"""Stores of layout 1, from before there were seals, open, are verified and grow."""

import json
import shutil

import numpy as np

import hsifeat
from hsifeat.cache.place import place_of
from hsifeat.cache.store import Store
from hsifeat.cache.verify import verify


def test_a_store_of_layout_1(store_path, scene, backbone_folder, tmp_path):
    path = tmp_path / "old.zarr"
    shutil.copytree(store_path, path)
    # What layout 1 was: the same arrays, no seals, no groups without members made ahead.
    for name in ("seals.json", "seals.copy.json", "zarr.copy.json"):
        (path / name).unlink()
    root = json.loads((path / "zarr.json").read_text())
    root["attributes"]["hsifeat"]["schema_version"] = 1
    (path / "zarr.json").write_text(json.dumps(root))
    old = hsifeat.open_features(path)
    new = hsifeat.open_features(store_path)
    assert old.planes == new.planes and list(old.scene.labels) == ["fields"]
    np.testing.assert_array_equal(old.sample([3, 40], [5, 50]), new.sample([3, 40], [5, 50]))
    assert verify(place_of(path)).damages == ()
    grown = hsifeat.extract(scene, backbone=backbone_folder, timesteps=[0, 40], tile=32, context=8, out=path)
    assert len(grown.planes) == 12 and (path / "seals.json").exists()
    assert verify(place_of(path)).damages == () and Store.open(path).labels == ["fields"]
