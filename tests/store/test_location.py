"""Locations: one conformance suite for local folders and object stores."""

import pytest

from hsifeat.errors import StoreError
from hsifeat.store.location import LocalLocation, as_location
from hsifeat.store.remote_location import BucketLocation
from tests.helpers.web_files import RangeHandler, serve_folder


@pytest.fixture(params=["local", "memory"])
def location(request, tmp_path):
    return as_location(tmp_path / "s.zarr" if request.param == "local" else f"memory:///{request.node.name}/s.zarr")


def test_files_are_written_listed_read_and_deleted(location):
    assert location.name == "s" and location.get("a") is None and location.files() == {}
    location.put("zarr.json", b"{}")
    location.put("planes/x", b"123")
    location.put("planes/x", b"12345")
    assert location.files() == {"zarr.json": 2, "planes/x": 5}
    assert location.get("planes/x") == b"12345"
    assert set(location.list_keys(None)) == {"zarr.json", "planes/x"} and location.list_keys(1)
    location.delete("planes/x")
    location.delete("planes/x")
    assert location.files() == {"zarr.json": 2}
    location.clear()
    assert location.files() == {}


def test_a_path_or_an_address_names_a_location(tmp_path):
    link = tmp_path / "link.zarr"
    (tmp_path / "s.zarr").mkdir()
    link.symlink_to(tmp_path / "s.zarr")
    assert isinstance(as_location(str(link)), LocalLocation)
    assert (
        as_location(link).identity == as_location(tmp_path / "s.zarr").identity == str((tmp_path / "s.zarr").resolve())
    )
    assert isinstance(as_location("s3://bucket/s.zarr"), BucketLocation)
    location = as_location("https://host/s.zarr/")
    assert location.identity == "https://host/s.zarr" and location.read_only
    assert as_location(location) is location


def test_wrong_addresses_and_writes_are_refused(tmp_path):
    with pytest.raises(StoreError, match="ftp://x/s.zarr: unknown scheme ftp://; use a local folder or one of s3://"):
        as_location("ftp://x/s.zarr")
    with pytest.raises(StoreError, match=r"^s3:///x can't be used: [^\n{]*$"):
        as_location("s3:///x").get("zarr.json")
    with pytest.raises(StoreError, match="is read-only: write to a folder or an object store"):
        as_location("https://host/s.zarr").zarr(writable=True)
    with pytest.raises(StoreError, match="a web address cannot be listed"):
        as_location("https://host/s.zarr").files()
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can't be used"):
        as_location(tmp_path / "file" / "s.zarr").put("zarr.json", b"{}")


WEB_USES = {
    "put": lambda web: web.put("zarr.json", b"{}"),
    "delete": lambda web: web.delete("zarr.json"),
    "clear": lambda web: web.clear(),
    "zarr": lambda web: web.zarr(writable=True),
    "files": lambda web: web.files(),
    "children": lambda web: web.children(),
    "list_keys": lambda web: web.list_keys(1),
}


def test_a_web_address_is_neither_written_nor_listed_and_gets_no_request(tmp_path):
    requests = []

    class Listening(RangeHandler):
        def parse_request(self):
            requests.append(self.raw_requestline)
            return super().parse_request()

    with serve_folder(tmp_path, Listening) as address:
        web = as_location(f"{address}/s.zarr")
        for name, use in WEB_USES.items():
            reason = "cannot be listed" if name in {"files", "children", "list_keys"} else "is read-only"
            with pytest.raises(StoreError, match=reason):
                use(web)
        assert requests == [] and web.get("a") is None and len(requests) == 1
