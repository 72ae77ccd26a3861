"""Open features whose store is replaced, deleted or extended: no value of another store is ever returned."""

import pickle
import shutil

import numpy as np
import pytest

from hsifeat import Scene, Window, extract, open_features
from hsifeat.errors import StoreError
from hsifeat.features.stack import StackSource
from hsifeat.scenes import Labels

REPLACED = "another store has replaced the store that was opened"


def scene_of(seed):
    values = np.random.default_rng(seed)
    labels = Labels("gt", values.integers(1, 4, (20, 16)))
    return Scene("fields", values.normal(size=(20, 16, 5)).astype(np.float32), labels={"gt": labels})


def put(path, seed, projection="pca:2", layers=("mean-3",)):
    extract(scene_of(seed), out=path, backbone="context", layers=list(layers), projection=projection)


READS = {
    "sample": lambda f: f.sample([5], [5]),
    "kept sample": lambda f: f.sample([5], [5], keep=True),
    "read": lambda f: f.read(Window(0, 0, 3, 3)),
    "patches": lambda f: f.patches([5], [5], 3),
    "spectra": lambda f: f.spectra([5], [5]),
    "cube": lambda f: f.scene.cube[:2],
    "labels": lambda f: f.labels(),
    "mask": lambda f: f.valid,
    "dask": lambda f: f.to_dask("t0/mean-3").compute(scheduler="sync"),
    "xarray": lambda f: f.to_xarray().spectra.values,
}


@pytest.fixture
def path(tmp_path):
    put(tmp_path / "s.zarr", 1)
    return tmp_path / "s.zarr"


@pytest.mark.parametrize(
    ("seed", "projection", "was_read"), [(2, "pca:2", False), (1, "pca:3", True)], ids=["scene", "recipe"]
)
def test_values_of_another_store_are_refused(path, seed, projection, was_read):
    features = open_features(path)
    lazy = features.to_dask("t0/mean-3"), features.to_xarray().spectra
    if was_read:
        for read in READS.values():
            read(features)
    moved = pickle.loads(pickle.dumps(lazy[0]))  # noqa: S301
    shutil.rmtree(path)
    put(path, seed, projection)
    in_memory = {"labels", "mask"} if was_read else set()
    for name in READS.keys() - in_memory:
        with pytest.raises(StoreError, match=REPLACED):
            pytest.fail(f"{name} returned {READS[name](features)}")
    for array in (lazy[0], moved, lazy[1].data):
        with pytest.raises(StoreError, match=REPLACED):
            array.compute(scheduler="sync")
    np.testing.assert_array_equal(open_features(path).spectra([5], [5])[0], scene_of(seed).cube[5, 5])


def test_a_worker_does_not_open_another_store_than_the_caller(path):
    source = StackSource.of_features(open_features(path).with_bands([3, 1]))
    np.testing.assert_array_equal(source.open().spectra([5], [5])[0], scene_of(1).cube[5, 5, [3, 1]])
    shutil.rmtree(path)
    put(path, 2)
    with pytest.raises(StoreError, match=REPLACED):
        source.open()
    assert StackSource.of_features(open_features(path)) != source


def test_a_store_that_grows_or_comes_back_stays_readable(path):
    features = open_features(path)
    values = features.sample([5], [5])
    put(path, 1, layers=["mean-3", "mean-5"])
    extract(
        Scene("renamed", scene_of(1).cube, nodata=-9999, labels={"more": Labels("more", np.ones((20, 16), int))}),
        out=path, backbone="context", layers=["mean-3"], projection="pca:2",
    )  # fmt: skip
    np.testing.assert_array_equal(features.sample([5], [5]), values)
    shutil.copytree(path, path.with_name("copy.zarr"))
    shutil.rmtree(path)
    with pytest.raises(StoreError, match="the store was deleted since it was opened"):
        features.sample([5], [5])
    path.with_name("copy.zarr").rename(path)
    np.testing.assert_array_equal(features.sample([5], [5]), values)
    (path / "zarr.json").unlink()  # its copy has the key
    np.testing.assert_array_equal(features.sample([5], [5]), values)


def test_a_dataset_of_a_replaced_label_map_says_so(path):
    features, unread = open_features(path), open_features(path)
    former, new = features.labels(), Labels("gt", np.ones((20, 16), int))
    extract(
        Scene("fields", scene_of(1).cube, labels={"gt": new}),
        out=path, backbone="context", layers=["mean-3"], projection="pca:2",
    )  # fmt: skip
    assert features.labels() is former
    with pytest.raises(StoreError, match="the label map 'gt' was replaced since it was read: open the store again"):
        pytest.fail(str(features.to_xarray().labels_gt.values))
    np.testing.assert_array_equal(unread.labels().classes, 1)
    np.testing.assert_array_equal(unread.to_xarray().labels_gt, 1)
