"""Usage and deletion of stores: sizes against os.walk, deletions against the list of files on disk."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from humanize import naturalsize

import hsifeat
from hsifeat.cache import catalogue
from hsifeat.cache.gc import collect_garbage, remove_store
from hsifeat.cache.sample_cache import samples_folder
from hsifeat.cache.usage import list_usage, store_bytes
from hsifeat.errors import StoreError
from hsifeat.files import cache_folder
from hsifeat.store.location import as_location
from hsifeat.store.store import Store
from tests.store.test_locks import READER, WRITER, another, killed, told


@pytest.fixture
def cli(monkeypatch, capsys):
    """Run a command in this process, which takes no time to start; return what it prints."""
    from cli import main

    def run(*arguments, status=0):
        monkeypatch.setattr(sys, "argv", ["hsifeat", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert ended.value.code == status, printed.err
        return printed.out if status == 0 else " ".join(printed.err.split())

    return run


def on_disk(folder):
    return sum(Path(root, name).stat().st_size for root, _, names in os.walk(folder) for name in names)


def snapshot(folder):
    return {p.relative_to(folder): p.stat().st_size for p in folder.rglob("*") if p.is_file()}


def make(source, path, used):
    """Copy a store and enter it as used at a time, in seconds since 1970."""
    shutil.copytree(source, path)
    catalogue.add_entry(Store.open(path).key, path, completed=used)
    for file in (cache_folder() / "catalogue").glob("*.json"):
        if json.loads(file.read_text())["path"] == str(path):
            os.utime(file, (used, used))
    return path


def unfinish(path):
    """Take back a unit, as an interrupted run leaves a store."""
    next(p for p in path.rglob("progress/t0300/mid_block/**/*") if p.is_file() and p.name != "zarr.json").unlink()


@pytest.fixture
def three(store_path):
    """Three stores in the cache folder, a used least recently, and one at a place of a user's own, used before all."""
    make(store_path, cache_folder().parent / "mine.zarr", 1e9)
    return [make(store_path, cache_folder() / f"{name}.zarr", 1e9 + 100 * i) for i, name in enumerate("abc", 1)]


def names(folder):
    return sorted(p.name for p in folder.glob("*.zarr"))


def test_sizes_are_those_on_disk(three, cli):
    wanted = on_disk(three[0])
    assert [h.size_bytes for h in list_usage()] == [wanted] * 4
    key = Store.open(three[0]).key
    samples_folder(key).mkdir(parents=True)
    (samples_folder(key) / "x.npy").write_bytes(b"12345")
    assert store_bytes(as_location(three[0]), key) == wanted + 5
    rows = json.loads(cli("cache", "ls", "--json"))
    assert [row["MB"] * 1e6 for row in rows] == [pytest.approx(wanted + 5)] * 4
    assert [row["store"] for row in rows] == ["c", "b", "a", "mine"], "the last used first"
    assert {row["state"] for row in rows} == {"complete"}


def test_gc_deletes_what_was_used_least_recently_and_stops_at_the_limit(three):
    one = on_disk(three[0])
    hsifeat.open_features(three[0])
    gone = []
    assert collect_garbage(2 * one, on_remove=gone.append) == (2 * one, [])
    assert [h.entry.name for h in gone] == ["b"], "a was used since"
    assert names(cache_folder()) == ["a.zarr", "c.zarr"]
    assert collect_garbage(2 * one, on_remove=gone.append) == (2 * one, [])
    assert collect_garbage(2 * one - 1, on_remove=gone.append) == (one, [])
    assert names(cache_folder()) == ["a.zarr"]
    assert collect_garbage(0, on_remove=gone.append) == (0, [])
    assert names(cache_folder()) == []
    assert names(cache_folder().parent) == ["mine.zarr"], "a place of a user's own is never touched"
    assert [entry.name for entry in catalogue.entries()] == ["mine"]


def test_gc_on_the_command_line(three, cli):
    before = snapshot(cache_folder().parent)
    said = cli("cache", "gc", "--max-size", "0", "--dry-run")
    assert [line.split()[2].rstrip(":") for line in said.splitlines()[:3]] == [str(path) for path in three]
    stores = {p: size for p, size in snapshot(cache_folder().parent).items() if "locks" not in p.parts}
    assert stores == {p: size for p, size in before.items() if "locks" not in p.parts}, "nothing is deleted"
    said = cli("cache", "gc", "--max-size", f"{2 * on_disk(three[0])}B")
    assert said.startswith(f"deleted {three[0]}: ")
    assert names(cache_folder()) == ["b.zarr", "c.zarr"]
    assert "a size is a number and a unit, such as 200GB" in cli("cache", "gc", "--max-size", "much", status=1)


@pytest.mark.parametrize(("code", "why"), [(READER, "a process reads it"), (WRITER, "another process is writing")])
def test_what_is_in_use_stays(three, code, why):
    with another(code, three[0]) as process:
        assert told(process) == "holds"
        with pytest.raises(StoreError, match=rf"a.zarr is in use: {why}"):
            remove_store(as_location(three[0]))
        left, stayed = collect_garbage(0, on_remove=lambda _: None)
        assert names(cache_folder()) == ["a.zarr"]
        assert left == on_disk(three[0])
        assert len(stayed) == 1 and why in stayed[0]
        killed(process)
    assert collect_garbage(0, on_remove=lambda _: None) == (0, [])
    assert names(cache_folder()) == []


def test_what_is_being_written_is_told(three):
    with another(WRITER, three[1]) as process:
        assert told(process) == "holds"
        assert {h.entry.name: h.state for h in list_usage()}["b"] == "being written"


def test_what_a_killed_deletion_left_is_swept_away(three):
    left = cache_folder() / ".d.zarr.removed-12345678"
    shutil.copytree(three[0], left)
    assert [e.name for e in catalogue.rebuild(())] == ["c", "b", "a", "mine"]
    assert not catalogue.has_entry(as_location(left))
    collect_garbage(10**9, dry_run=True, on_remove=lambda _: None)
    assert left.exists()
    collect_garbage(10**9, on_remove=lambda _: None)
    assert not left.exists() and names(cache_folder()) == ["a.zarr", "b.zarr", "c.zarr"]


def test_rm_deletes_a_store_and_its_entry(three, cli):
    freed = on_disk(three[2])
    assert cli("cache", "rm", "c") == f"deleted {three[2]}: {naturalsize(freed)}\n"
    assert not three[2].exists() and len(catalogue.entries()) == 3
    assert "no store at or named 'c'" in cli("cache", "rm", "c", status=1)
    assert sorted(p.name for p in cache_folder().iterdir() if p.suffix != ".lock") == [
        "a.zarr",
        "b.zarr",
        "catalogue",
        "locks",
    ]


def test_rm_by_a_link_deletes_the_store(three, tmp_path):
    link = tmp_path / "link.zarr"
    link.symlink_to(three[0])
    remove_store(as_location(link))
    assert not three[0].exists() and [entry.name for entry in catalogue.entries()] == ["c", "b", "mine"]


@pytest.mark.parametrize("what", ["files", "a zarr group", "one file", "empty"])
def test_rm_touches_nothing_else(tmp_path, what, cli):
    mine = tmp_path / "mine"
    if what == "one file":
        mine.write_text("thesis")
    else:
        (mine / "deep").mkdir(parents=True)
    if what == "files":
        (mine / "deep" / "thesis.tex").write_text("thesis")
    if what == "a zarr group":
        (mine / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    before = snapshot(tmp_path)
    assert "so nothing is deleted" in cli("cache", "rm", mine, status=1)
    assert snapshot(tmp_path) == before and mine.exists()


def test_the_catalogue_is_made_anew_from_stores_alone(three, store_path, cli):
    unfinish(three[2])
    torn = shutil.copytree(store_path, cache_folder() / "torn.zarr")
    (torn / "progress" / "t0000" / "mid_block" / "zarr.json").write_bytes(b"\xff{")
    shutil.rmtree(cache_folder() / "catalogue")
    rows = {row["store"]: row for row in json.loads(cli("cache", "ls", "--json"))}
    assert rows.keys() == {"a", "b", "c", "torn"}
    assert [rows[name]["state"] for name in "abc"] == ["complete", "complete", "interrupted"]
    assert rows["torn"]["state"] not in {"complete", "interrupted"}, "it says what is wrong, and hides no other"
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
    with pytest.raises(StoreError, match="no store yet"):
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
