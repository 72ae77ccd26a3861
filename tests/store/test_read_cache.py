"""Reads of a store at a web address come from the cache when the service is gone, and never from a damaged file."""

import shutil

import numpy as np
import pytest

from hsifeat.errors import StoreError
from hsifeat.store import read_cache
from hsifeat.store.location import as_location
from hsifeat.store.read_cache import ReadCache, samples_folder
from hsifeat.store.remote_location import WebLocation
from hsifeat.store.store import Store
from tests.helpers.small import small_labels
from tests.helpers.web_files import RangeHandler, TokenHandler, serve_folder


@pytest.fixture
def web_folder(store_path, tmp_path):
    """A folder with the small store under its key, as services name it."""
    (tmp_path / "web").mkdir()
    (tmp_path / f"web/{Store.open(store_path).key}.zarr").symlink_to(store_path)
    return tmp_path / "web"


def test_files_are_read_again_without_the_service(web_folder, store_path, monkeypatch):
    monkeypatch.setenv("HSIFEAT_TOKEN", "secret")
    key = Store.open(store_path).key
    with serve_folder(web_folder, TokenHandler) as address:
        url = f"{address}/{key}.zarr"
        location = WebLocation(url)
        root = location.get("zarr.json")
        assert root == (store_path / "zarr.json").read_bytes() and location.get("missing.json") is None
        read = np.array(Store.open(url).label_classes("fields"))
    again = WebLocation(url)
    assert again.get("zarr.json") == root and again.get("missing.json") is None
    with pytest.raises(StoreError, match="can't be reached"):
        again.get("never-read.json")
    assert np.array_equal(Store.open(url).label_classes("fields"), read)
    assert np.array_equal(read, small_labels())
    for file in samples_folder(key).glob("*.read"):
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(StoreError, match="can't be reached"):
        WebLocation(url).get("zarr.json")


def test_reads_are_not_taken_from_another_service(web_folder, store_path, tmp_path):
    """The label maps of a store are not part of its key."""
    name = next(web_folder.iterdir()).name
    shutil.copytree(store_path, tmp_path / "other" / name)
    store, fields = Store.open(as_location(tmp_path / "other" / name), writable=True), small_labels()
    attributes = store.label_array("fields").attrs.asdict()
    store.add_labels("fields", np.where(fields == 1, 2, fields), attributes)
    with serve_folder(web_folder) as one:
        read = np.array(Store.open(f"{one}/{name}").label_classes("fields"))
    with serve_folder(tmp_path / "other") as two:
        other = np.array(Store.open(f"{two}/{name}").label_classes("fields"))
    assert np.array_equal(Store.open(f"{one}/{name}").label_classes("fields"), read) and not np.array_equal(read, other)
    assert np.array_equal(Store.open(f"{two}/{name}").label_classes("fields"), other)
    with pytest.raises(StoreError, match="can't be reached"):
        Store.open(f"http://127.0.0.1:1/{name}")


def test_a_refused_token_is_an_error_although_the_cache_has_the_file(web_folder, monkeypatch):
    with serve_folder(web_folder, TokenHandler) as address:
        url = f"{address}/{next(web_folder.iterdir()).name}"
        monkeypatch.setenv("HSIFEAT_TOKEN", "secret")
        assert WebLocation(url).get("zarr.json")
        monkeypatch.setenv("HSIFEAT_TOKEN", "revoked")
        with pytest.raises(StoreError, match="the service wants a valid token"):
            WebLocation(url).get("zarr.json")


def test_an_error_of_the_service_is_an_error_although_the_cache_has_the_file(web_folder, monkeypatch):
    class Broken(RangeHandler):
        code = None

        def send_head(self):
            return self.send_error(self.code) if self.code else super().send_head()

    with serve_folder(web_folder, Broken) as address:
        location = WebLocation(f"{address}/{next(web_folder.iterdir()).name}")
        assert location.get("zarr.json")
        monkeypatch.setattr(Broken, "code", 500)
        with pytest.raises(StoreError, match="500 Internal Server Error"):
            location.get("zarr.json")
        monkeypatch.setattr(Broken, "code", None)
        assert location.get("zarr.json")


def test_a_service_is_asked_again_a_minute_after_a_failed_connection(tmp_path, monkeypatch, caplog):
    now_s = [1000.0]
    monkeypatch.setattr(read_cache.time, "monotonic", lambda: now_s[0])
    cache = ReadCache(tmp_path, "https://gpu.example.org/x.zarr")
    cache.keep("progress/a", "", b"old")
    assert cache.after_error(OSError("error sending request"), "progress/a").value == b"old"
    assert caplog.messages == [
        "https://gpu.example.org/x.zarr can't be reached: its files are read from the cache, as they were read last"
    ]
    now_s[0] += 59
    assert cache.before_network("progress/a").value == b"old"
    now_s[0] += 2
    assert cache.before_network("progress/a") is None


def test_only_shards_that_exist_are_constant(tmp_path):
    cache = ReadCache(tmp_path, "https://gpu.example.org/x.zarr")
    for key, value in (
        ("planes/t0000/c/c/0/0/0", b"shard"),
        ("planes/t0000/c/c/0/1/0", None),
        ("progress/a", b"record"),
        ("planes/t0000/c/zarr.json", b"{}"),
    ):
        cache.keep(key, "", value)
    assert cache.before_network("planes/t0000/c/c/0/0/0").value == b"shard"
    assert cache.before_network("planes/t0000/c/c/0/1/0") is None and cache.before_network("progress/a") is None
    assert cache.before_network("planes/t0000/c/zarr.json") is None
    assert cache.after_error(OSError(), "planes/t0000/c/c/0/1/0").value is None
    assert cache.before_network("progress/a").value == b"record"  # The service is gone.


def test_signed_addresses_of_a_store_are_one_address(tmp_path):
    path = "stores/" + "0a" * 32 + ".zarr"
    one, two, plain, other = (
        ReadCache.of_address(f"https://{place}/{path}")
        for place in ("gpu.example.org/signed/AAA", "gpu.example.org/signed/BBB", "gpu.example.org", "b.example.org")
    )
    one.keep("progress/a", "", b"record")
    for cache in (two, plain):
        assert cache.after_error(OSError("error sending request"), "progress/a").value == b"record"
    with pytest.raises(OSError, match="sending"):
        other.after_error(OSError("error sending request"), "progress/a")


def test_only_addresses_that_end_with_a_key_are_cached():
    assert ReadCache.of_address("https://gpu.example.org/stores/" + "0a" * 32 + ".zarr") is not None
    for url in (
        "https://gpu.example.org/ip.zarr",
        "s3://bucket/" + "0a" * 32 + ".zarr",
        "http://x/" + "0a" * 31 + ".zarr",
    ):
        assert ReadCache.of_address(url) is None
