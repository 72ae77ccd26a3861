"""Creation of a store: complete, or no store at all."""

import pytest

from hsifeat.errors import StoreError
from hsifeat.store import create
from hsifeat.store.location import LocalLocation
from hsifeat.store.store import Store
from hsifeat.store.verify import verify
from tests.helpers.small_stores import LAYOUTS, manifest_of


@pytest.mark.parametrize("stage", ["scene", "checksums", "manifest"])
def test_an_interrupted_creation_is_no_store_and_is_replaced(arrays, tmp_path, stage):
    path, manifest = tmp_path / "s.zarr", manifest_of(LAYOUTS["scene"])
    target = {"scene": (create, "_write_scene"), "checksums": (create.checksums, "write")}.get(stage)
    with pytest.MonkeyPatch.context() as patch:
        if target:
            patch.setattr(*target, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        else:
            plain, roots = LocalLocation.put, []

            def put_but_not_the_manifest(self, key, content):
                roots.append(key == "zarr.json")
                if sum(roots) == 2:
                    raise KeyboardInterrupt
                plain(self, key, content)

            patch.setattr(LocalLocation, "put", put_but_not_the_manifest)
        with pytest.raises(KeyboardInterrupt):
            Store.create(path, manifest, arrays)
    assert any(path.iterdir()) and Store.find(path) is None
    with pytest.raises(StoreError, match="no store at"):
        Store.open(path)
    (path / "mine.txt").write_text("precious")
    with pytest.raises(StoreError, match=r"is neither a store nor empty \(it contains mine.txt\)"):
        Store.create(path, manifest, arrays)
    (path / "mine.txt").unlink()
    assert Store.create(path, manifest, arrays).planes == [] and verify(Store.open(path).location).damages == ()
