"""Deletion of stores: deleted and kept files, against the list of files on disk."""

import shutil
from pathlib import Path

import pytest
from humanize import naturalsize

import hsifeat
from hsifeat.cache import catalogue
from hsifeat.cache.gc import collect_garbage, remove_store
from hsifeat.errors import StoreError
from hsifeat.files import cache_folder, temporary_path
from hsifeat.store.location import as_location
from hsifeat.store.read_cache import samples_folder
from tests.helpers.cached_stores import names, on_disk, snapshot
from tests.helpers.store_users import kill, process, read, write


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
    assert names(cache_folder().parent) == ["mine.zarr"], "a store outside the cache folder is never touched"
    assert [entry.name for entry in catalogue.entries()] == ["mine"]


def test_samples_that_stores_of_one_key_share_count_once(three):
    stores = 3 * on_disk(three[0])
    samples = samples_folder(catalogue.entries()[0].key)
    samples.mkdir(parents=True)
    (samples / "x.f4").write_bytes(bytes(10**6))
    shutil.rmtree(cache_folder().parent / "mine.zarr")
    assert collect_garbage(stores + 10**6, on_remove=pytest.fail) == (stores + 10**6, [])
    assert [remove_store(as_location(path)) for path in three] == [stores // 3, stores // 3, stores // 3 + 10**6]
    assert not samples.exists()


def files_of_stores_and_catalogue():
    return {path: state for path, state in snapshot(cache_folder().parent).items() if "locks" not in path.parts}


def test_gc_on_the_command_line(three, cli):
    before = files_of_stores_and_catalogue()
    output = cli("cache", "gc", "--max-size", "0", "--dry-run")
    assert [line.split()[2].rstrip(":") for line in output.splitlines()[:3]] == [str(path) for path in three]
    assert files_of_stores_and_catalogue() == before, "nothing is deleted"
    output = cli("cache", "gc", "--max-size", f"{2 * on_disk(three[0])}B")
    assert output.startswith(f"deleted {three[0]}: ")
    assert names(cache_folder()) == ["b.zarr", "c.zarr"]
    assert "expected a number and a unit, such as 200GB" in cli("cache", "gc", "--max-size", "much", status=1)


@pytest.mark.parametrize(("use", "why"), [(read, "a process reads it"), (write, "another process is writing")])
def test_a_store_in_use_is_kept(three, use, why):
    with process(use, three[0]) as user:
        assert user.hear() == "holds"
        with pytest.raises(StoreError, match=rf"a.zarr is in use: {why}"):
            remove_store(as_location(three[0]))
        remaining, reasons = collect_garbage(0, on_remove=lambda _: None)
        assert names(cache_folder()) == ["a.zarr"]
        assert remaining == on_disk(three[0])
        assert len(reasons) == 1 and why in reasons[0]
        kill(user)
    assert collect_garbage(0, on_remove=lambda _: None) == (0, [])
    assert names(cache_folder()) == []


def test_the_remains_of_a_killed_deletion_are_deleted(three, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("os.getpid", lambda: 2**22 + 7)  # larger than any process number
        left = temporary_path(cache_folder() / "d.zarr", "removed")
    shutil.copytree(three[0], left)
    mark = cache_folder() / "locks" / "0123456789abcdef.read-7-0.lock"
    mark.parent.mkdir(exist_ok=True)
    mark.touch()
    lock = cache_folder() / ".gone.zarr.lock"
    lock.touch()
    assert [e.name for e in catalogue.rebuild(())] == ["c", "b", "a", "mine"]
    assert str(left) not in {entry.path for entry in catalogue.entries()}
    collect_garbage(10**9, dry_run=True, on_remove=lambda _: None)
    assert left.exists() and mark.exists() and lock.exists()
    collect_garbage(10**9, on_remove=lambda _: None)
    assert (
        not left.exists()
        and not mark.exists()
        and not lock.exists()
        and names(cache_folder()) == ["a.zarr", "b.zarr", "c.zarr"]
    )


def test_rm_deletes_a_store_and_its_entry(three, cli):
    freed = on_disk(three[2])
    assert cli("cache", "rm", "c") == f"deleted {three[2]}: {naturalsize(freed)}\n"
    assert not three[2].exists() and len(catalogue.entries()) == 3
    assert not three[2].with_name(".c.zarr.lock").exists()
    assert "no store at or named 'c'" in cli("cache", "rm", "c", status=1)
    assert sorted(p.name for p in cache_folder().iterdir() if p.suffix != ".lock") == [
        "a.zarr",
        "b.zarr",
        "catalogue",
        "locks",
    ]


def test_rm_by_a_link_deletes_the_store_and_the_link(three, tmp_path):
    link = tmp_path / "link.zarr"
    link.symlink_to(three[0])
    remove_store(as_location(link))
    assert (
        not three[0].exists()
        and not link.is_symlink()
        and [entry.name for entry in catalogue.entries()] == ["c", "b", "mine"]
    )


def test_a_store_with_foreign_files_is_not_deleted(three):
    (three[0] / "thesis.txt").write_text("precious")
    with pytest.raises(StoreError, match=r"1 file that hsifeat did not write, such as thesis\.txt"):
        remove_store(as_location(three[0]))
    for dry_run in (True, False):
        removed = []
        _, reasons = collect_garbage(
            0, dry_run=dry_run, on_remove=lambda usage, to=removed: to.append(usage.entry.path)
        )
        assert removed == [str(path) for path in three[1:]]
        assert len(reasons) == 1 and "such as thesis.txt" in reasons[0]
    assert (three[0] / "thesis.txt").exists() and (three[0] / "zarr.json").exists()


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
    assert "nothing was deleted" in cli("cache", "rm", mine, status=1)
    assert snapshot(tmp_path) == before and mine.exists()


def test_the_command_deletes_a_store_and_the_link_to_it(three, tmp_path, cli):
    link = tmp_path / "link.zarr"
    link.symlink_to(three[0])
    assert f"deleted {three[0]} and the link {link}" in cli("cache", "rm", link)
    assert not three[0].exists() and not link.is_symlink()


def test_all_links_in_one_command_are_deleted(three, tmp_path, cli):
    links = [tmp_path / "first.zarr", tmp_path / "second.zarr"]
    for link in links:
        link.symlink_to(three[0])
    output = cli("cache", "rm", links[0], three[0], *links[::-1])
    assert output.startswith(f"deleted {three[0]} and the link {links[0]} and the link {links[1]}: ")
    assert not three[0].exists() and not any(link.is_symlink() for link in links)


@pytest.mark.parametrize("relative", [True, False])
def test_links_to_links_are_deleted(three, tmp_path, relative):
    first, second = tmp_path / "first.zarr", tmp_path / "second.zarr"
    first.symlink_to(three[0])
    second.symlink_to(first.name if relative else first)
    remove_store(as_location(second))
    assert not three[0].exists() and not first.is_symlink() and not second.is_symlink()


def test_a_store_is_kept_if_its_link_cannot_be_deleted(three, tmp_path, monkeypatch):
    link = tmp_path / "link.zarr"
    link.symlink_to(three[0])

    def refuse(path, **options):
        raise PermissionError(13, "permission denied", str(path))

    with monkeypatch.context() as patch, pytest.raises(StoreError, match="ermission denied"):
        patch.setattr(Path, "unlink", refuse)
        remove_store(as_location(link))
    assert (three[0] / "zarr.json").exists() and link.is_symlink()


def test_links_to_another_store_are_refused(three, tmp_path):
    link = tmp_path / "link.zarr"
    link.symlink_to(three[1])
    with pytest.raises(StoreError, match="another store"):
        remove_store(as_location(three[0]), as_location(link))
    assert three[0].exists() and three[1].exists() and link.is_symlink()
