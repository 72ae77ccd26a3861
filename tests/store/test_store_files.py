"""Files of a store: anything else at a location is refused, and a lost root is read from its copy."""

import numpy as np
import pytest

from hsifeat.errors import StoreError
from hsifeat.store.store import Store
from hsifeat.store.store_files import StoreFiles, holds_store
from tests.helpers.small_stores import LAYOUTS, manifest_of


def test_a_place_that_holds_something_else_is_refused(arrays, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file is a file: name another place"):
        Store.find(tmp_path / "file")
    with pytest.raises(StoreError, match="is a file, not a store"):
        Store.open(tmp_path / "file")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x").write_text("")
    with pytest.raises(StoreError, match="is neither a store nor empty"):
        Store.find(tmp_path / "folder")
    Store.create(tmp_path / "s.zarr", manifest_of(LAYOUTS["scene"]), arrays)
    (tmp_path / "s.zarr" / "zarr.json").unlink()
    with pytest.raises(StoreError, match=r"zarr\.json is missing: hsifeat cache verify .* --repair restores it"):
        Store.find(tmp_path / "s.zarr")
    assert Store.open(tmp_path / "s.zarr").planes == [], "its copy is read"


def test_a_view_lists_only_some_of_the_files(small_store):
    files = StoreFiles(small_store.location)
    view = files.with_checksums({})
    assert files.has_array("scene/cube") and not view.has_array("scene/cube")
    np.testing.assert_array_equal(view.array("scene/valid")[:], True)
    assert holds_store(small_store.location)
