"""`STORE/scene` is the scene from which the store was extracted."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from rasterio.crs import CRS

import hsifeat
from hsifeat import Labels, Scene, SceneError, open_scene
from hsifeat.scenes import Georeference


@pytest.fixture(scope="module")
def original():
    random = np.random.default_rng(0)
    mask = random.random((20, 30)) > 0.3
    labels = Labels("gt", random.integers(0, 3, (20, 30)), {1: "soil", 2: "corn"}, {1: "#aa0000"})
    nm = np.linspace(400, 900, 6)
    place = Georeference(CRS.from_epsg(32616).to_wkt(), (30.0, 0, 5e5, 0, -30.0, 4e6))
    cube = random.integers(1, 900, (20, 30, 6)).astype(np.uint16)
    return Scene("field", cube, nm, {"gt": labels}, mask=mask, georeference=place, licence="CC0")


@pytest.fixture(scope="module")
def store(original, tmp_path_factory):
    path = tmp_path_factory.mktemp("stores") / "field.zarr"
    return hsifeat.extract(original, backbone="context", layers=["mean-5"], out=path).location.path


def test_the_copy_is_the_original(original, store):
    copy = open_scene(f"{store}/scene")
    assert (copy.name, copy.digest, copy.licence) == ("field", original.digest, "CC0")
    np.testing.assert_array_equal(copy.valid, zarr.open(store)["scene/valid"][:])
    np.testing.assert_array_equal(copy.valid, original.mask)
    np.testing.assert_array_equal(copy.cube[:], original.cube)
    np.testing.assert_array_equal(copy.wavelengths_nm, original.wavelengths_nm)
    np.testing.assert_array_equal(copy.labels["gt"].classes, original.labels["gt"].classes)
    assert copy.labels["gt"].class_names == {1: "soil", 2: "corn"}
    assert copy.labels["gt"].class_colours[1] == "#aa0000"
    assert copy.georeference.transform == original.georeference.transform
    assert copy.georeference.same_crs(original.georeference)


def test_the_planes_are_not_searched_for_links(store, monkeypatch):
    """A store can have very many files."""
    rglob, searched = Path.rglob, []
    monkeypatch.setattr(Path, "rglob", lambda folder, pattern: searched.append(folder) or rglob(folder, pattern))
    assert open_scene(store / "scene").labels.keys() == {"gt"}
    assert set(searched) == {store / "scene"}


def test_another_store_of_the_copy_has_the_same_recipe(original, store, tmp_path):
    again = hsifeat.extract(store / "scene", like=store, out=tmp_path / "again.zarr")
    assert again.key == json.loads((store / "zarr.json").read_text())["attributes"]["hsifeat"]["key"]


def test_a_copy_takes_no_options_of_files(store):
    with pytest.raises(SceneError, match=r"is a scene in a store: leave out the options that say how to read a file"):
        open_scene(store / "scene", variable="cube")


def test_a_damaged_manifest_is_named(store, tmp_path):
    copy = tmp_path / "damaged.zarr"
    shutil.copytree(store, copy)
    manifest = json.loads((copy / "zarr.json").read_text())
    manifest["attributes"]["hsifeat"]["scene"]["rows"] = "many"
    (copy / "zarr.json").write_text(json.dumps(manifest))
    with pytest.raises(SceneError, match=r"damaged\.zarr is unfinished or damaged: give the file of the scene"):
        open_scene(copy / "scene")
