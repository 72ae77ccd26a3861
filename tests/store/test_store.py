"""A store from its creation to its label maps, against raw Zarr: opened once, it knows all that is written through it."""

import hashlib
import shutil

import numpy as np
import pytest
import zarr

from hsifeat.errors import StoreError
from hsifeat.store import create, progress
from hsifeat.store.create import SceneArrays
from hsifeat.store.layout import PixelListLayout, PlaneSpec, SceneLayout
from hsifeat.store.location import LocalLocation
from hsifeat.store.manifest import Manifest, SceneFacts
from hsifeat.store.recipe import key_of
from hsifeat.store.store import Store
from hsifeat.store.verify import verify
from hsifeat.types import PlaneId, Window
from tests.store.test_recipe import RECIPE

ROWS, COLS, BANDS = 40, 25, 6
PIXELS = tuple(np.array(list(np.ndindex(ROWS, COLS))[::13]).T)
LAYOUTS = {"scene": SceneLayout(ROWS, COLS, 16), "pixels": PixelListLayout(len(PIXELS[0]), 8, 32)}


def manifest_of(layout):
    facts = SceneFacts(name="x", rows=ROWS, cols=COLS, bands=BANDS)
    return Manifest(key=key_of(RECIPE), recipe=RECIPE, layout=layout, batch=4, scene=facts)


@pytest.fixture
def arrays():
    cube = np.random.default_rng(0).integers(0, 9999, (ROWS, COLS, BANDS), np.uint16)
    return SceneArrays(cube, np.ones((ROWS, COLS), bool), {"weights": np.eye(BANDS, 3, dtype=np.float32)})


@pytest.fixture(params=LAYOUTS)
def store(request, arrays, tmp_path):
    layout = LAYOUTS[request.param]
    pixels = PIXELS if request.param == "pixels" else None
    return Store.create(
        tmp_path / "s.zarr", manifest_of(layout), SceneArrays(arrays.cube, arrays.valid, arrays.projection, pixels)
    )


def values_of(store, plane):
    shape = store.layout.cells(plane, store.layout.extent)
    return np.random.default_rng(plane.id.t).normal(size=shape).astype(plane.dtype)


def write_units(store, plane, values, units):
    for unit in units:
        store.write(plane.id, unit, values[store.layout.slices(unit, plane.stride)])


def test_a_store_is_written_through_one_opening(store, arrays, tmp_path):
    """Planes, progress and label maps are known at once to the store that wrote them, and to any later reader."""
    coarse, fine = (PlaneSpec(PlaneId(50, f"layer.{s}"), s, 3, "float16") for s in (4, 1))
    values = {plane: values_of(store, plane) for plane in (coarse, fine)}
    for plane in (fine, coarse, fine):
        store.add_plane(plane)
    assert store.planes == [coarse, fine] and not store.done(coarse.id).any()
    write_units(store, coarse, values[coarse], store.units)
    write_units(store, fine, values[fine], store.units[:1])
    store.write_record_checksums()
    for number in (1, 2):
        store.add_labels("fields", np.full((ROWS, COLS), number, np.uint8), {"class_names": {str(number): "corn"}})
    for reader in (store, Store.open(tmp_path / "s.zarr")):
        assert reader.planes == [coarse, fine] and reader.labels == ["fields"]
        assert reader.is_complete(coarse.id) and reader.done(fine.id).sum() == 1
        np.testing.assert_array_equal(reader.label_array("fields")[:], 2)
        height, width, _ = values[coarse].shape
        np.testing.assert_array_equal(
            reader.read(coarse.id, Window(0, 0, height, width)), values[coarse].astype(np.float32)
        )
        np.testing.assert_array_equal(reader.read_scene(Window(3, 2, 9, 9)), arrays.cube[3:12, 2:11].astype(np.float32))
    raw = zarr.open_group(tmp_path / "s.zarr", mode="r")
    np.testing.assert_array_equal(raw["planes/t0050/layer.4"][:], values[coarse])
    assert raw["planes/t0050/layer.4"].metadata.dimension_names == store.layout.dimension_names(coarse)
    result = verify(store.location)
    assert result.damages == () and result.unfinished == (fine,)
    store.drop_plane(coarse.id)
    assert store.planes == [fine] and verify(store.location).damages == ()


def test_records_are_the_sha256_of_the_values(store):
    plane = PlaneSpec(PlaneId(7, "mid"), 2, 3, "float32")
    store.add_plane(plane)
    values, unit = values_of(store, plane), store.units[0]
    write_units(store, plane, values, [unit])
    part = np.ascontiguousarray(values[store.layout.slices(unit, 2)])
    assert store.progress.digest(plane.id, unit) == progress.digest_of(part) == hashlib.sha256(part.tobytes()).digest()
    before = store.fingerprint(plane.id)
    write_units(store, plane, values, [unit])
    assert store.fingerprint(plane.id) == before
    store.progress.revoke(plane.id, unit)
    assert store.progress.digest(plane.id, unit) is None and not store.done(plane.id).any()
    assert not store.done(PlaneId(8, "mid")).any(), "a plane that does not exist has no unit done"


def test_listed_pixels_come_back(store):
    if isinstance(store.layout, SceneLayout):
        assert store.pixels is None
    else:
        np.testing.assert_array_equal(store.pixels, PIXELS)


def test_open_or_create(arrays, tmp_path):
    manifest = manifest_of(LAYOUTS["scene"])
    assert Store.find(tmp_path / "s.zarr") is None
    created = Store.open_or_create(tmp_path / "s.zarr", manifest, arrays)
    created.add_plane(PlaneSpec(PlaneId(0, "a"), 1, 2, "float16"))
    opened = Store.open_or_create(tmp_path / "s.zarr", manifest, arrays)
    assert opened.planes == created.planes
    opened.add_plane(PlaneSpec(PlaneId(1, "a"), 1, 2, "float16"))
    with pytest.raises(StoreError, match=r"s\.zarr exists already"):
        Store.create(tmp_path / "s.zarr", manifest, arrays)
    with pytest.raises(StoreError, match="written to by another machine meanwhile"):
        created.add_plane(PlaneSpec(PlaneId(2, "a"), 1, 2, "float16"))


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
    with pytest.raises(StoreError, match=r"is no store, and not empty \(it holds mine.txt\)"):
        Store.create(path, manifest, arrays)
    (path / "mine.txt").unlink()
    assert Store.create(path, manifest, arrays).planes == [] and verify(Store.open(path).location).damages == ()


def test_a_place_that_holds_something_else_is_refused(arrays, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file is a file: name another place"):
        Store.find(tmp_path / "file")
    with pytest.raises(StoreError, match="a file, not a store, at"):
        Store.open(tmp_path / "file")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x").write_text("")
    with pytest.raises(StoreError, match="is no store, and not empty"):
        Store.find(tmp_path / "folder")
    Store.create(tmp_path / "s.zarr", manifest_of(LAYOUTS["scene"]), arrays)
    (tmp_path / "s.zarr" / "zarr.json").unlink()
    with pytest.raises(StoreError, match=r"has lost its zarr\.json: hsifeat cache verify .* --repair restores it"):
        Store.find(tmp_path / "s.zarr")
    assert Store.open(tmp_path / "s.zarr").planes == [], "its copy is read"


def test_a_torn_shard_is_written_again_and_not_merged(store, tmp_path):
    plane = PlaneSpec(PlaneId(7, "mid"), 1, 3, "float16")
    store.add_plane(plane)
    values = values_of(store, plane)
    write_units(store, plane, values, store.units)
    shard = next(p for p in (tmp_path / "s.zarr/planes/t0007/mid/c").rglob("*") if p.is_file())
    shard.write_bytes(shard.read_bytes()[:20])
    write_units(store, plane, values, store.units)
    np.testing.assert_array_equal(store.plane(plane.id)[:], values)
    shutil.rmtree(tmp_path / "s.zarr/planes/t0007/mid/c")
    with pytest.raises(StoreError, match="is missing"):
        store.read(plane.id, Window(0, 0, 1, 1))
