"""Usage of the cache: sizes against os.walk, states of whole, interrupted and damaged stores."""

import json
import shutil

import pytest

from hsifeat.cache import catalogue
from hsifeat.cache.usage import list_usage, store_bytes
from hsifeat.errors import StoreError
from hsifeat.files import cache_folder
from hsifeat.store.location import as_location
from hsifeat.store.read_cache import samples_folder
from hsifeat.store.store import Store
from tests.helpers.cached_stores import on_disk, unfinish
from tests.helpers.fuzz_subjects import reseal_store
from tests.helpers.store_users import process, write


def test_sizes_are_those_on_disk(three, cli):
    wanted = on_disk(three[0])
    assert [h.size_bytes for h in list_usage()] == [wanted] * 4
    key = Store.open(three[0]).key
    samples_folder(key).mkdir(parents=True)
    (samples_folder(key) / "x.npy").write_bytes(b"12345")
    assert store_bytes(as_location(three[0]), key) == wanted + 5
    rows = json.loads(cli("cache", "ls", "--json"))
    assert [row["MB"] * 1e6 for row in rows] == pytest.approx([wanted + 5, *[wanted] * 3])
    assert [row["store"] for row in rows] == ["c", "b", "a", "mine"], "the last used first"
    assert {row["state"] for row in rows} == {"complete"}


def test_what_is_being_written_is_told(three):
    with process(write, three[1]) as user:
        assert user.hear() == "holds"
        assert {h.entry.name: h.state for h in list_usage()}["b"] == "being written"


def test_the_catalogue_is_made_anew_from_stores_alone(three, store_path, cli):
    unfinish(three[2])
    torn = shutil.copytree(store_path, cache_folder() / "torn.zarr")
    (torn / "planes" / "t0000" / "mid_block" / "zarr.json").write_bytes(b"\xff{")
    shutil.rmtree(cache_folder() / "catalogue")
    rows = {row["store"]: row for row in json.loads(cli("cache", "ls", "--json"))}
    assert rows.keys() == {"a", "b", "c", "torn"}
    assert [rows[name]["state"] for name in "abc"] == ["complete", "complete", "interrupted"]
    assert rows["torn"]["state"] == "unreadable" and "torn.zarr" in rows["torn"]["problem"], "and it hides no other"
    assert f"unreadable: {rows['torn']['problem']}" in cli("cache", "ls")
    assert rows["c"]["planes"] == rows["a"]["planes"] - 1
    shutil.rmtree(torn)
    rows = json.loads(cli("cache", "ls", cache_folder().parent, "--json"))
    assert {row["store"] for row in rows} == {"a", "b", "c", "mine"}
    assert "no such folder" in cli("cache", "ls", "nowhere", status=1)


def test_an_interrupted_store_is_never_the_default(three):
    shutil.rmtree(cache_folder() / "catalogue")
    for path in three[1:]:
        unfinish(path)
    catalogue.rebuild(())
    assert catalogue.find_store(None).name == "a"
    shutil.rmtree(three[0])
    with pytest.raises(StoreError, match="no complete store on this machine"):
        catalogue.find_store(None)


def test_show(three, cli):
    unfinish(three[1])
    shown = json.loads(cli("cache", "show", "b", "--json"))
    assert shown["size_MB"] == round(on_disk(three[1]) / 1e6, 3)
    assert shown["scene"] == "small, 75 x 53 pixels, 12 bands" and shown["labels"] == "fields"
    manifest = json.loads((three[1] / "zarr.json").read_text())["attributes"]["hsifeat"]
    assert shown["key"] == manifest["key"] and shown["recipe"]["tiling.tile_px"] == 32
    units = {plane["plane"]: plane["units"] for plane in shown["planes"]}
    assert len(units) == 8 and units.pop("t300/mid_block") == "0 of 1" and set(units.values()) == {"1 of 1"}
    assert "t300/mid_block" in cli("cache", "show", "b")


SEALED = ("zarr.json", "zarr.copy.json", "checksums.json", "checksums.copy.json")
ABSURD = [
    ("zarr.json", ["attributes", "hsifeat", "scene", "rows"], 10**6),
    ("zarr.json", ["attributes", "hsifeat", "scene", "rows"], 0),
    ("zarr.json", ["attributes", "hsifeat", "scene", "name"], ["a", "b"]),
    ("zarr.json", ["attributes", "hsifeat", "layout", "unit_px"], 0),
    ("zarr.json", ["attributes", "hsifeat", "layout"], []),
    ("zarr.json", ["attributes", "hsifeat", "batch"], 1e300),
    ("zarr.json", ["attributes", "hsifeat"], None),
    ("planes/t0000/mid_block/zarr.json", ["attributes", "stride"], 0),
    ("planes/t0000/mid_block/zarr.json", ["attributes", "t"], -(10**400)),
    ("planes/t0000/mid_block/zarr.json", ["attributes", "layer"], {"a": 1}),
    ("planes/t0000/mid_block/zarr.json", ["shape"], [10**15, 10**15, 10**15]),
    ("progress/t0000/mid_block/zarr.json", ["shape"], [10**12, 10**12, 32]),
    ("progress/t0000/mid_block/zarr.json", ["data_type"], "complex128"),
    ("scene/labels/fields/zarr.json", ["attributes"], {"class_names": ["corn"]}),
]


def test_a_store_with_absurd_facts_hides_no_other(three, cli):
    """The checksums are right, because an attacker can compute them."""
    for file, path, value in ABSURD:
        changed = {three[1] / name: (three[1] / name).read_bytes() for name in SEALED}
        changed[three[1] / file] = (three[1] / file).read_bytes()
        document = json.loads(changed[three[1] / file])
        place = document
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = value
        (three[1] / file).write_text(json.dumps(document))
        if file == "zarr.json":
            shutil.copy(three[1] / file, three[1] / "zarr.copy.json")
        reseal_store(three[1])
        rows = {row["store"]: row for row in json.loads(cli("cache", "ls", "--json"))}
        assert [rows[name]["state"] for name in "ac"] == ["complete", "complete"], path
        state, problem, planes = (rows["b"][name] for name in ("state", "problem", "planes"))
        assert state in {"complete", "unreadable"} and bool(problem) == (planes == 0), path
        assert len(rows) == 4
        for name, content in changed.items():
            name.write_bytes(content)
