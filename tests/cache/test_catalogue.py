"""The catalogue finds the store completed last, and stores by name and key prefix. It does not list deleted stores."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from hsifeat import files
from hsifeat.cache import catalogue
from hsifeat.cache.gc import remove_store
from hsifeat.cache.usage import list_usage
from hsifeat.errors import HsifeatError, StoreError
from hsifeat.files import cache_folder
from hsifeat.store.location import as_location


@pytest.fixture
def three(tmp_path):
    paths = [tmp_path / f"{name}.zarr" for name in ("pines", "pavia", "salinas")]
    for path, key in zip(paths, ("aaaa11", "aaaa22", "bbbb33"), strict=True):
        path.mkdir()
        catalogue.add_entry(key * 10, path)
    return paths


def test_the_last_completed_is_the_default(three):
    assert catalogue.find_store(None).path == three[2]
    catalogue.add_entry("aaaa11" * 10, three[0])
    assert catalogue.find_store(None).path == three[0]
    assert len(catalogue.entries()) == 3


def test_by_path_name_and_prefix(three):
    assert catalogue.find_store(three[1]).path == three[1]
    assert catalogue.find_store("pavia").path == three[1]
    assert catalogue.find_store("aaaa22").path == three[1]
    with pytest.raises(StoreError, match=r"'aaaa' matches 2 stores: .*pines.*|'aaaa' matches 2 stores: .*pavia.*"):
        catalogue.find_store("aaaa")
    with pytest.raises(StoreError, match="no store at or named 'paviaa'; nearest: pavia"):
        catalogue.find_store("paviaa")


def test_a_folder_without_a_store_does_not_hide_a_store(three, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("pavia", "bbbb33", "empty"):
        (tmp_path / name).mkdir()
    assert catalogue.find_store("pavia").path == three[1]
    assert catalogue.find_store("bbbb33").path == three[2]
    assert catalogue.find_store("empty").path == tmp_path / "empty"  # whose reader says that it holds no store
    (tmp_path / "pavia" / "zarr.copy.json").touch()  # a damaged store
    assert catalogue.find_store("pavia").path == tmp_path / "pavia"


def test_what_is_gone_is_forgotten(three):
    shutil.rmtree(three[2])
    assert catalogue.find_store(None).path == three[1]
    for path in three[:2]:
        shutil.rmtree(path)
    with pytest.raises(StoreError, match="no complete store on this machine"):
        catalogue.find_store(None)


def test_a_store_in_a_bucket_that_another_machine_deleted_is_forgotten(three):
    for name in ("first", "second"):
        catalogue.add_entry("cccc44" * 10, f"memory:///{name}.zarr")  # each location in memory begins empty
    with pytest.raises(StoreError, match="no store at memory:///first.zarr: nothing was deleted"):
        remove_store(as_location("memory:///first.zarr"))
    assert [entry.name for entry in catalogue.entries()] == ["second", "salinas", "pavia", "pines"]
    assert catalogue.find_store(None).path == three[2]
    assert [entry.name for entry in catalogue.entries()] == ["salinas", "pavia", "pines"]


@pytest.mark.parametrize("damage", ["torn", "digit", "exchanged", "without a seal"])
def test_a_damaged_entry_is_said_and_never_used(three, damage):
    files = {json.loads(file.read_text())["path"]: file for file in (cache_folder() / "catalogue").glob("*.json")}
    first, last = files[str(three[0])], files[str(three[2])]
    text = last.read_text()
    if damage == "torn":
        last.write_text(text[:20])
    elif damage == "digit":
        completed = json.loads(text)["completed"]
        last.write_text(text.replace(repr(completed), repr(completed - 1000)))
    elif damage == "exchanged":
        last.write_text(first.read_text())
    else:
        last.write_text(json.dumps({k: v for k, v in json.loads(text).items() if k != "seal"}))
    assert {entry.path for entry in catalogue.entries()} == {str(path) for path in three[:2]}
    with pytest.raises(StoreError, match=rf"{last.name} is damaged, so it is unknown .* hsifeat cache ls FOLDER"):
        catalogue.find_store(None)
    assert catalogue.find_store("pavia").path == three[1]
    last.unlink()
    assert catalogue.find_store(None).path == three[1]


def test_a_damaged_entry_is_mended_by_listing_the_folder(store_path, tmp_path):
    shutil.copytree(store_path, tmp_path / "stores" / "s.zarr")
    catalogue.add_entry("ab" * 32, tmp_path / "stores" / "s.zarr")
    (file,) = (cache_folder() / "catalogue").glob("*.json")
    file.write_text("{")
    (entry,) = catalogue.rebuild([tmp_path / "stores"])
    assert catalogue.find_store(None).identity == entry.path == str((tmp_path / "stores" / "s.zarr").resolve())


def test_stores_are_listed_although_the_cache_folder_cannot_be_written(store_path, tmp_path, monkeypatch):
    store = shutil.copytree(store_path, tmp_path / "stores" / "s.zarr")
    (tmp_path / "file").touch()
    monkeypatch.setenv("HSIFEAT_CACHE", str(tmp_path / "file" / "cache"))
    (usage,) = list_usage(catalogue.rebuild([tmp_path / "stores"]))
    assert (usage.entry.path, usage.state) == (str(store.resolve()), "complete")
    assert usage.entry.completed == (store / "zarr.json").stat().st_mtime


def test_the_last_completed_does_not_depend_on_a_clock_that_was_set_back(three, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1e9)
    catalogue.add_entry("aaaa22" * 10, three[1])
    assert catalogue.find_store(None).path == three[1]
    catalogue.mark_used(as_location(three[1]))
    catalogue.add_entry("aaaa11" * 10, three[0])
    assert catalogue.find_store(None).path == three[0]


def test_a_new_store_is_added_without_reading_the_others(three, monkeypatch):
    for file in (cache_folder() / "catalogue").glob("*.json"):
        os.utime(file, (1e9, 1e9))
    read = []
    plain = catalogue._read_entry
    monkeypatch.setattr(catalogue, "_read_entry", lambda file: read.append(file) or plain(file))
    later = time.time() + 60  # The three may have been completed up to 2 ms from now, so that they keep their order.
    monkeypatch.setattr("time.time", lambda: later)
    catalogue.add_entry("aaaa11" * 10, three[0])
    assert read == []
    assert catalogue.find_store(None).path == three[0]


def test_a_store_made_anew_at_a_place_takes_the_old_entry(three):
    catalogue.add_entry("cccc44" * 10, three[0])
    assert catalogue.find_store("cccc44").path == three[0]
    with pytest.raises(StoreError, match="no store at or named 'aaaa11'"):
        catalogue.find_store("aaaa11")


def test_listing_deletes_the_temporary_file_of_a_killed_process(three, monkeypatch):
    entry = next((cache_folder() / "catalogue").glob("*.json"))
    with monkeypatch.context() as patch:
        patch.setattr("os.getpid", lambda: 2**22 + 7)  # larger than any process number
        left = files.temporary_path(entry, "part")
    left.write_text("half")
    files._sweep.cache_clear()
    assert len(catalogue.entries()) == 3
    assert not left.exists()


def test_the_cache_is_a_folder_of_this_machine(monkeypatch):
    monkeypatch.setenv("HSIFEAT_CACHE", "s3://bucket/cache")
    with pytest.raises(HsifeatError, match="HSIFEAT_CACHE is s3://bucket/cache, and the cache is a folder"):
        catalogue.entries()
    monkeypatch.setenv("HSIFEAT_CACHE", "~/stores")
    assert cache_folder() == Path.home() / "stores"


def test_a_store_in_a_folder_whose_name_is_no_text(store_path, tmp_path):
    path = shutil.copytree(store_path, tmp_path / os.fsdecode(b"\xff.zarr"))
    catalogue.add_entry("ab" * 32, path)
    assert [entry.path for entry in catalogue.entries()] == [str(path)]
    assert catalogue.find_store("ab" * 4).identity == str(path)
