"""The stored bytes over HTTP, against the files on disk: by curl, zarr and xarray."""

import re
import subprocess
from dataclasses import replace

import httpx
import numpy as np
import pytest
import xarray
import zarr
from obstore.store import HTTPStore
from zarr.storage import ObjectStore

import hsifeat
from hsifeat.service import routes_files
from hsifeat.service.config import ServiceConfig
from hsifeat.service.tokens import TokenFile
from hsifeat.store.locks import write_lock
from hsifeat.store.store import Store
from tests.helpers.services import running

SHARD = "planes/t0300/up_blocks.2/c/0/0/0"
RECORD = SHARD.replace("planes", "progress")


def curl(service, path, *options):
    command = ["curl", "-s", "-H", f"Authorization: Bearer {service.tokens['read']}", *options, f"{service.url}{path}"]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


def test_curl_reads_ranges_of_a_shard(service):
    content = (service.path / SHARD).read_bytes()
    url = f"/stores/{service.key}.zarr/{SHARD}"
    assert curl(service, url) == content
    assert curl(service, url, "-r", "-68") == content[-68:]
    assert curl(service, url, "-r", "1000-4999") == content[1000:5000]
    assert curl(service, url, "-r", "5000-") == content[5000:]


def test_every_file_of_the_store_is_sent_as_it_is(service, reader):
    for file in sorted(path for path in service.path.rglob("*") if path.is_file()):
        response = reader.get(f"/stores/{service.key}.zarr/{file.relative_to(service.path).as_posix()}")
        assert response.status_code == 200 and response.content == file.read_bytes()


def test_headers_of_ranges_and_conditions(service, reader):
    url, size = f"/stores/{service.key}.zarr/{SHARD}", (service.path / SHARD).stat().st_size
    whole, head = reader.get(url), reader.head(url)
    assert head.content == b"" and head.headers["content-length"] == str(size)
    assert whole.headers["etag"] == head.headers["etag"] and not whole.headers["etag"].startswith("W/")
    part = reader.get(url, headers={"Range": "bytes=-10"})
    assert part.status_code == 206 and part.headers["content-range"] == f"bytes {size - 10}-{size - 1}/{size}"
    kept = reader.get(url, headers={"If-None-Match": whole.headers["etag"]})
    assert kept.status_code == 304 and kept.content == b""
    assert reader.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
    assert reader.get(url, headers={"Range": "bytes=0-3", "If-Range": whole.headers["etag"]}).status_code == 206
    assert reader.get(url, headers={"Range": "bytes=0-3", "If-Range": '"other"'}).status_code == 200


@pytest.mark.parametrize("value", [f"bytes={'9' * 30}-", "bytes=0-0,2-3", "bytes=-0", "bytes=" + "0-1," * 2000])
def test_ranges_that_cannot_be_sent(service, reader, value):
    response = reader.get(f"/stores/{service.key}.zarr/zarr.json", headers={"Range": value})
    size = (service.path / "zarr.json").stat().st_size
    assert response.status_code == 416 and response.headers["content-range"] == f"bytes */{size}"
    assert response.headers["content-type"] == "application/problem+json"


def test_only_finished_shards_may_be_kept_without_asking(service, reader):
    for path, constant in {
        SHARD: True, "scene/cube/c/0/0/0": True, RECORD: False, "checksums.json": False, "zarr.json": False,
        "planes/t0300/up_blocks.2/zarr.json": False,
    }.items():  # fmt: skip
        control = reader.get(f"/stores/{service.key}.zarr/{path}").headers["cache-control"]
        assert ("immutable" in control) is constant and ("no-cache" in control) is not constant
        assert "private" in control
    assert "immutable" not in reader.get(f"/stores/{service.key[:8]}.zarr/{SHARD}").headers["cache-control"]


def test_a_missing_file_is_looked_up_once(service, reader, monkeypatch):
    looked_up = []
    routes_files._file_of.cache_clear()
    is_file = routes_files.is_store_file
    monkeypatch.setattr(routes_files, "is_store_file", lambda path: looked_up.append(path) or is_file(path))
    answer = reader.get(f"/stores/{service.key}.zarr/planes/t0301/zarr.json")
    assert answer.status_code == 404 and answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "the store has no planes/t0301/zarr.json"
    assert looked_up == ["planes/t0301/zarr.json"]
    assert re.search(r'route="/stores/\{key\}\.zarr/\{path:path\}",status="404"', reader.get("/metrics").text)


def test_a_shard_without_its_record_is_not_sent(service, reader):
    record, url = service.path / RECORD, f"/stores/{service.key}.zarr/{SHARD}"
    content = record.read_bytes()
    try:
        record.unlink()
        assert reader.get(url).status_code == 404, "nobody computes it"
        with write_lock(Store.open(service.path).location, on_wait=pytest.fail):
            response = reader.get(url, headers={"Range": "bytes=-68"})
        assert response.status_code == 503 and int(response.headers["retry-after"]) > 0
    finally:
        record.write_bytes(content)
    assert reader.get(url).status_code == 200


def test_files_of_a_store_that_another_one_replaced_are_not_sent(tmp_path, scene, monkeypatch):
    monkeypatch.setattr("hsifeat.service.store_index._PAUSE_PER_SEARCH", 0)
    folder, tokens = tmp_path / "stores", TokenFile(tmp_path / "tokens.json")
    folders = {"cache": folder, "state": tmp_path / "state", "tokens": tokens.path}
    config = ServiceConfig.from_options({"port": 0, **{name: str(path) for name, path in folders.items()}})
    headers = {"Authorization": f"Bearer {tokens.add('ada', 'read', days=1)}"}
    keys = [
        hsifeat.extract(one, backbone="context", layers=["mean-5"], out=tmp_path / name).key
        for name, one in (("a", scene), ("b", replace(scene, cube=np.asarray(scene.cube) + 1)))
    ]
    files = "planes/t0000/mean-5/c/0/0/0", "scene/cube/c/0/0/0"
    folder.mkdir()
    (tmp_path / "a").rename(folder / "s.zarr")
    with running(config) as service, httpx.Client(base_url=service.url, headers=headers) as http:
        for _ in range(2):
            assert [http.get(f"/stores/{keys[0]}.zarr/{file}").status_code for file in files] == [200, 200]
        (folder / "s.zarr").rename(tmp_path / "a")
        (tmp_path / "b").rename(folder / "s.zarr")
        for name in (f"{keys[0]}.zarr", f"{keys[0]}.consolidated.zarr", f"{keys[0][:9]}.zarr"):
            assert [http.get(f"/stores/{name}/{file}").status_code for file in (*files, "zarr.json")] == [404] * 3
        assert http.get(f"/stores/{keys[1]}.zarr/{files[1]}").content == (folder / "s.zarr" / files[1]).read_bytes()


def test_zarr_opens_a_store_with_a_token(service, store_path):
    options = {"allow_http": True, "default_headers": {"Authorization": f"Bearer {service.tokens['read']}"}}
    files = HTTPStore.from_url(f"{service.url}/stores/{service.key}.zarr", client_options=options)
    there, here = zarr.open_group(ObjectStore(files), mode="r"), zarr.open_group(store_path, mode="r")
    for plane in Store.open(store_path).planes:
        path = f"planes/{plane.id.path}"
        np.testing.assert_array_equal(there[path][:], here[path][:])
    np.testing.assert_array_equal(there["scene/cube"][10:30, 5:9], here["scene/cube"][10:30, 5:9])


@pytest.fixture
def signed(service, reader):
    """Return a function that signs an address of the service."""
    return lambda path: reader.post("/addresses", json={"path": path}).json()["url"]


def test_xarray_finds_planes_by_consolidated_metadata(service, signed, store_path):
    url = signed(f"/stores/{service.key}.consolidated.zarr")
    files = ObjectStore(HTTPStore.from_url(url, client_options={"allow_http": True}))
    with xarray.open_zarr(files, group="planes/t0300", consolidated=True) as there:
        here = zarr.open_group(store_path, mode="r")["planes/t0300"]
        assert set(there.data_vars) == set(here.array_keys())
        np.testing.assert_array_equal(there["up_blocks.1"].values, here["up_blocks.1"][:])
    with xarray.open_datatree(files, engine="zarr", consolidated=True) as tree:
        assert tree["planes/t0000"]["mid_block"].dims == ("y_s4", "x_s4", "channel_mid_block")


def test_hsifeat_opens_a_signed_address(service, signed, store_path):
    there, here = hsifeat.open_features(signed(f"/stores/{service.key}.zarr")), hsifeat.open_features(store_path)
    np.testing.assert_array_equal(there.sample([3, 70], [5, 50]), here.sample([3, 70], [5, 50]))
    np.testing.assert_array_equal(there.labels().classes, here.labels().classes)
