"""A store in an object store, against moto's S3 server on loopback, and reading behind a plain web server."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import requests

import hsifeat
from classifiers import compare
from hsifeat.cache import catalogue
from hsifeat.errors import StoreError
from hsifeat.extraction.repair import repair
from hsifeat.runtime.events import Note
from hsifeat.scenes import Labels
from hsifeat.store import write_token
from hsifeat.store.location import as_location
from hsifeat.store.progress import ProgressRecords
from hsifeat.store.store import Store
from hsifeat.store.verify import verify
from tests.helpers.dask_cluster import Cluster, die_with_results
from tests.helpers.forked_commands import run_forked
from tests.helpers.killed_writes import die
from tests.helpers.web_files import WholeFileHandler, serve_folder

# What a forked process tries to read.
READS = {}
LAYERS = ["mid_block", "up_blocks.2"]
SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


def die_after_the_third_shard():
    """End the process after the third shard is written, and before its progress record is written."""
    record, remaining = ProgressRecords.record, [2]

    def dying(self, *arguments):
        remaining[0] -= 1
        if remaining[0] < 0:
            die()
        record(self, *arguments)

    ProgressRecords.record = dying


@pytest.fixture(scope="module")
def server():
    """The address of an S3 server in a process of its own."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", SERVER], **pipes, text=True) as process:
        address = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        requests.put(f"{address}/bucket", timeout=30).raise_for_status()
        yield address
        process.kill()


@pytest.fixture
def s3(server, monkeypatch, request):
    """An empty prefix of a bucket, and the environment that reaches it."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": server, "AWS_ALLOW_HTTP": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return f"s3://bucket/{request.node.name}"


@pytest.fixture(scope="module")
def local(scene, backbone_folder, tmp_path_factory):
    """The options of a store of four planes, and its path in a local folder."""
    path = tmp_path_factory.mktemp("local") / "s.zarr"
    options = {"backbone": str(backbone_folder), "layers": LAYERS, "tile": 32, "halo": 8}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "add_entry", lambda *_, **__: None)
        hsifeat.extract(scene, timesteps=[0, 300], **options, out=path)
    return SimpleNamespace(options=options, path=path)


def bits(store):
    return {str(p.id): np.asarray(store.plane(p.id)[:]).view(np.uint16) for p in store.planes}


def check_equal(store, path):
    stored, expected = bits(store), bits(Store.open(path))
    assert stored.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(stored[name], values)


def test_a_store_is_written_grown_read_damaged_repaired_and_deleted(s3, scene, local, cli):
    import boto3

    out = f"{s3}/s.zarr"
    store = hsifeat.extract(scene, timesteps=[0], **local.options, out=out)
    assert str(store.location) == out and len(store.planes) == 2
    check_equal(hsifeat.extract(scene, timesteps=[0, 300], **local.options, out=out), local.path)

    here, there = hsifeat.open_features(local.path), hsifeat.open_features(out)
    rows, cols = np.random.default_rng(0).integers(0, 53, (2, 40))
    np.testing.assert_array_equal(there.sample(rows, cols), here.sample(rows, cols))
    np.testing.assert_array_equal(there.labels().classes, here.labels().classes)
    assert hsifeat.open_features().store.location.identity == out, "the catalogue has it"
    location = as_location(out)
    result, timings_bytes = verify(location), len(location.get("timings.json"))
    assert result.damages == ()
    assert result.size_bytes - timings_bytes == sum(
        p.stat().st_size for p in local.path.rglob("*") if p.is_file() and p.name != "timings.json"
    )

    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    damaged = "planes/t0300/up_blocks.2/c/0/0/0"
    key = f"{out.removeprefix('s3://bucket/')}/{damaged}"
    content = client.get_object(Bucket="bucket", Key=key)["Body"].read()
    client.put_object(Bucket="bucket", Key=key, Body=content[:100] + b"?" + content[101:])
    result = verify(location)
    assert [(d.kind, d.key) for d in result.damages] == [("changed", damaged)]
    assert repair(location, result).damages == ()
    check_equal(Store.open(out), local.path)

    assert out in cli("cache", "ls")
    assert "t300/mid_block" in cli("cache", "show", out)
    assert "all files are intact" in cli("cache", "verify", out)
    cli("fit", out, "--head", "svm", "--planes", "t0/mid_block")
    del here, there, store
    cli("cache", "rm", out)
    assert location.files() == {} and out not in cli("cache", "ls")
    assert f"no store at {out}" in cli("cache", "show", out, status=1)


def test_nothing_is_written_into_a_store_in_a_bucket(s3, scene, local):
    """A bucket has no folders: every key that begins with the address of a store is a file of the store."""
    import boto3

    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    folder = s3.removeprefix("s3://bucket/")
    for name in ("s.zarr/zarr.copy.json", "model/model.json"):
        client.put_object(Bucket="bucket", Key=f"{folder}/{name}", Body=b"{}")
    for out, place in (
        (f"{s3}/s.zarr/x.zarr", "s.zarr, which is a store"),
        (f"{s3}/model/a/b", "model, which is a model"),
    ):
        with pytest.raises(StoreError, match=rf"{out} lies in {s3}/{place}, where nothing else may be written"):
            hsifeat.extract(scene, backbone="context", layers=["mean-3"], out=out)
    keys = [item["Key"] for item in client.list_objects_v2(Bucket="bucket", Prefix=folder)["Contents"]]
    assert sorted(keys) == [f"{folder}/model/model.json", f"{folder}/s.zarr/zarr.copy.json"]
    assert hsifeat.extract(scene, backbone="context", layers=["mean-3"], out=f"{s3}/beside.zarr").planes


def test_a_killed_run_resumes(s3, scene, backbone_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(write_token, "_EXPIRY_S", 0.3)  # the next run waits as long, in fact for a minute
    monkeypatch.setattr(write_token, "_RENEWAL_S", 0.1)
    np.save(tmp_path / "small.npy", scene.cube[:40, :40])
    out, expected = f"{s3}/s.zarr", tmp_path / "expected.zarr"
    options = {"backbone": backbone_folder, "timesteps": [0, 300], "layers": LAYERS, "tile": 32, "halo": 8}
    command = ["extract", tmp_path / "small.npy", "--backbone", backbone_folder, "--layers", ",".join(LAYERS)]
    command += ["--tile", 32, "--halo", 8, "--timesteps", "0,300", "--out", out]
    run_forked(*command, patch=die_after_the_third_shard, status=-signal.SIGKILL)
    killed = Store.open(out)
    assert sum(int(killed.done(plane.id).sum()) for plane in killed.planes) == 2
    assert sum(key.startswith("planes/t") and "/c/" in key for key in as_location(out).files()) == 3
    hsifeat.extract(tmp_path / "small.npy", **options, out=out)
    hsifeat.extract(tmp_path / "small.npy", **options, out=expected)
    check_equal(Store.open(out), expected)
    assert verify(as_location(out)).damages == ()


def test_a_bucket_that_does_not_exist(s3, scene, backbone_folder):
    with pytest.raises(StoreError, match=r"s3://nowhere/s.zarr can't be reached or written.*AWS_ENDPOINT_URL"):
        hsifeat.extract(scene, backbone=backbone_folder, timesteps=[0], tile=32, halo=8, out="s3://nowhere/s.zarr")


def test_dask_workers_write_to_an_object_store_and_one_is_killed(s3, scene, local, tmp_path):
    out, compute = f"{s3}/shared.zarr", "hsifeat.extraction.unit_task:compute_unit"
    with Cluster(2, die_with_results, tmp_path, compute) as cluster:
        executor = f"dask:{cluster.address}"
        store = hsifeat.extract(scene, **local.options, timesteps=[0, 300], out=out, executor=executor)
    assert (tmp_path / "compute_unit").exists()
    check_equal(store, local.path)
    assert store.location.get("writer.token") is None and not verify(store.location).damages


def test_what_a_server_lacks_is_said(s3, store_path, tmp_path, monkeypatch):
    """Python's own web server sends whole files only."""
    shutil.copytree(store_path, tmp_path / "s.zarr")
    with serve_folder(tmp_path, WholeFileHandler) as address:
        features = hsifeat.open_features(f"{address}/s.zarr")
        with pytest.raises(
            StoreError, match=r"\(the server must send ranges of the bytes of a file, as nginx and Caddy do\)"
        ):
            features.sample([3], [5])
    (tmp_path / "s.zarr/scene/cube/c/0/0/0").unlink()
    with serve_folder(tmp_path) as address:
        advice = "`hsifeat cache verify STORE --repair`, on the machine that has the store, shows what can be restored"
        with pytest.raises(StoreError, match=rf"scene/cube/c/0/0/0 is missing: {advice}$"):
            hsifeat.open_features(f"{address}/s.zarr").spectra([3], [5])
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    with pytest.raises(StoreError, match="for an http:// endpoint, also set AWS_ALLOW_HTTP=true"):
        hsifeat.open_features(f"{s3}/s.zarr")


def test_reading_behind_a_web_server(store_path, tmp_path, scene, backbone_folder):
    shutil.copytree(store_path, tmp_path / "s.zarr")
    with serve_folder(tmp_path) as address:
        url = f"{address}/s.zarr"
        there, here = hsifeat.open_features(url), hsifeat.open_features(store_path)
        assert there.planes == here.planes and there.name == "s"
        np.testing.assert_array_equal(there.sample([3, 70], [5, 50]), here.sample([3, 70], [5, 50]))
        np.testing.assert_array_equal(there.labels().classes, here.labels().classes)
        np.testing.assert_array_equal(there.spectra([3], [5]), here.spectra([3], [5]))
        options = {"backbone": backbone_folder, "tile": 32, "halo": 8, "out": url}
        notes = []
        assert hsifeat.extract(scene, timesteps=[0, 300], **options, listen=notes.append).key == here.key
        assert notes == [Note(f"{url}: all 8 planes exist, nothing to compute")]
        with pytest.raises(StoreError, match="is read-only"):
            hsifeat.extract(scene, timesteps=[7], **options)
        more = scene.with_labels(Labels("more", np.eye(75, 53, dtype=np.uint8), {1: "line"}))
        with pytest.raises(StoreError, match="is read-only and lacks the labels 'more'"):
            hsifeat.extract(more, timesteps=[0], **options)
        corrected = replace(scene, fwhm_nm=np.full(scene.bands, 12.5))
        with pytest.raises(StoreError, match="is read-only, and the scene has other bandwidths than its copy there"):
            hsifeat.extract(corrected, timesteps=[0], **options)
        with pytest.raises(StoreError, match="cannot be listed"):
            verify(as_location(url))
        with pytest.raises(StoreError, match="no store at"):
            hsifeat.open_features(url.replace("s.zarr", "t.zarr"))
        comparison = compare(url, heads=["lda"], splits=["random:0.3"], seeds=1, out=tmp_path / "bench", sweep=False)
    (summary,) = comparison.stores
    assert summary.bytes_on_disk is None and summary.extraction_seconds == here.seconds([None, 0, 300]) > 0


def test_an_unknown_scheme_is_refused():
    with pytest.raises(StoreError, match="ftp://x/s.zarr: unknown scheme ftp://; use a local folder or one of s3://"):
        hsifeat.open_features("ftp://x/s.zarr")


def test_a_bucket_is_served(s3, store_path, tmp_path):
    import boto3
    from starlette.testclient import TestClient

    from hsifeat.service.app import create_app
    from hsifeat.service.config import ServiceConfig

    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    for file in (path for path in store_path.rglob("*") if path.is_file()):
        key = f"{s3.removeprefix('s3://bucket/')}/small.zarr/{file.relative_to(store_path).as_posix()}"
        client.put_object(Bucket="bucket", Key=key, Body=file.read_bytes())
    app = create_app(ServiceConfig.from_options({"cache": s3, "state": str(tmp_path / "state")}))
    headers = {"Authorization": f"Bearer {app.state.service.tokens.token}"}
    with TestClient(app, base_url="http://localhost", headers=headers) as http:
        (store,) = http.get("/stores").json()["stores"]
        assert store["key"] == Store.open(store_path).key and store["state"] == "complete"
        shard = "planes/t0300/up_blocks.2/c/0/0/0"
        url, content = f"/stores/{store['key']}.zarr/{shard}", (store_path / shard).read_bytes()
        part = http.get(url, headers={"Range": "bytes=-50"})
        assert part.status_code == 206 and part.content == content[-50:]
        whole = http.get(url)
        assert whole.content == content and "immutable" in whole.headers["cache-control"]
        assert http.get(url, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
        assert http.get(f"/stores/{store['key']}.zarr/scene/labels/none/zarr.json").status_code == 404


def refusal(read):
    try:
        READS[read]()
    except StoreError as error:
        return str(error)


def test_a_forked_process_is_told_that_it_can_not_read_an_address(local, monkeypatch):
    """It waited for ever, for example in the workers of a DataLoader."""
    with serve_folder(local.path.parent) as address:
        features = hsifeat.open_features(f"{address}/s.zarr")
        features.spectra([0], [0])
        monkeypatch.setitem(READS, "open", lambda: features.spectra([0], [0]))
        monkeypatch.setitem(READS, "new", lambda: hsifeat.open_features(f"{address}/s.zarr"))
        with multiprocessing.get_context("fork").Pool(1) as pool:
            messages = pool.map_async(refusal, READS).get(60)
    assert all("can't be read in a forked process: start processes with" in str(message) for message in messages)
