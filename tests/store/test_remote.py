"""A store's whole life in an object store, against moto's S3 server on loopback, and reading behind a plain web server."""

import functools
import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import requests

import hsifeat
from classifiers import compare
from hsifeat.errors import StoreError
from hsifeat.extraction.repair import repair
from hsifeat.store.location import as_location
from hsifeat.store.store import Store
from hsifeat.store.verify import verify

HSIFEAT = Path(sys.executable).with_name("hsifeat")


@pytest.fixture(scope="module")
def server():
    """The address of an S3 server in a process of its own."""
    code = (
        "import sys, threading; from moto.server import ThreadedMotoServer; "
        "s = ThreadedMotoServer('127.0.0.1', 0, verbose=False); s.start(); print(s.get_host_and_port()[1], flush=True); "
        "sys.stdin.read()"
    )
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **options) as process:
        address = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        requests.put(f"{address}/bucket", timeout=30).raise_for_status()
        yield address
        process.kill()


@pytest.fixture
def s3(server, monkeypatch, request):
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": server, "AWS_ALLOW_HTTP": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return f"s3://bucket/{request.node.name}"


def bits(store):
    return {str(p.id): np.asarray(store.plane(p.id)[:]).view(np.uint16) for p in store.planes}


def check(store, path):
    found, wanted = bits(store), bits(Store.open(path))
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values)


def test_write_read_verify_grow(s3, scene, backbone_folder, store_path):
    out = f"{s3}/s.zarr"
    options = {"backbone": backbone_folder, "tile": 32, "halo": 8, "out": out}
    store = hsifeat.extract(scene, timesteps=[0], **options)
    assert str(store.location) == out and len(store.planes) == 4
    store = hsifeat.extract(scene, timesteps=[0, 300], **options)
    check(store, store_path)
    here, there = hsifeat.open_features(store_path), hsifeat.open_features(out)
    rows, cols = np.random.default_rng(0).integers(0, 53, (2, 40))
    np.testing.assert_array_equal(there.sample(rows, cols), here.sample(rows, cols))
    np.testing.assert_array_equal(there.labels().classes, here.labels().classes)
    assert hsifeat.open_features().store.location.identity == out, "the catalogue knows it"
    location = as_location(out)
    found, spent = verify(location), len(location.get("timings.json"))
    assert found.damages == () and found.size_bytes - spent == sum(
        p.stat().st_size for p in store_path.rglob("*") if p.is_file() and p.name != "timings.json"
    )


def test_damage_is_found_and_repaired(s3, scene, backbone_folder, store_path):
    import boto3

    out = f"{s3}/s.zarr"
    hsifeat.extract(scene, backbone=backbone_folder, timesteps=[0, 300], tile=32, halo=8, out=out)
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    key = f"{out.removeprefix('s3://bucket/')}/planes/t0300/up_blocks.2/c/0/0/0"
    content = client.get_object(Bucket="bucket", Key=key)["Body"].read()
    client.put_object(Bucket="bucket", Key=key, Body=content[:100] + b"?" + content[101:])
    location = as_location(out)
    found = verify(location)
    assert [(d.kind, d.key) for d in found.damages] == [("changed", "planes/t0300/up_blocks.2/c/0/0/0")]
    assert repair(location, found).damages == ()
    check(Store.open(out), store_path)


def test_a_killed_run_goes_on(s3, backbone_folder, tmp_path):
    out = f"{s3}/ip.zarr"
    command = [
        HSIFEAT, "extract", "indian-pines", "--backbone", backbone_folder, "--tile", "48", "--halo", "8",
        "--timesteps", "0,50,100", "--layers", "mid_block,up_blocks.2", "--out",
    ]  # fmt: skip
    location = as_location(out)
    with subprocess.Popen([*command, out], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as run:
        while sum(key.startswith("progress/t") and "/c/" in key for key in location.files()) < 6:
            assert run.poll() is None, "the run ended before it could be killed"
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
    done = sum(int(Store.open(out).done(plane.id).sum()) for plane in Store.open(out).planes)
    assert 6 <= done < 24
    subprocess.run([*command, out], check=True, capture_output=True)
    subprocess.run([*command, tmp_path / "ip.zarr"], check=True, capture_output=True)
    check(Store.open(out), tmp_path / "ip.zarr")
    assert verify(location).damages == ()


def test_the_command_line(s3, backbone_folder, store_path):
    out = f"{s3}/s.zarr"

    def said(*arguments):
        return subprocess.run(
            [HSIFEAT, *arguments], capture_output=True, text=True, env={**os.environ, "COLUMNS": "400"}
        )

    assert (
        said(
            "extract",
            "indian-pines",
            "--backbone",
            backbone_folder,
            "--timesteps",
            "0",
            "--layers",
            "mid_block",
            "--out",
            out,
        ).returncode
        == 0
    )
    assert out in said("cache", "ls").stdout
    assert "t0/mid_block" in said("cache", "show", out).stdout
    assert "all is as it was written" in said("cache", "verify", out).stdout
    assert said("fit", out, "--head", "svm").returncode == 0
    assert said("cache", "rm", out).returncode == 0
    assert as_location(out).files() == {} and out not in said("cache", "ls").stdout
    gone = said("cache", "show", out)
    assert gone.returncode == 1 and f"no store at {out}" in gone.stderr


def test_a_bucket_that_is_not_there(s3, scene, backbone_folder):
    with pytest.raises(StoreError, match=r"s3://nowhere/s.zarr can't be reached or written.*AWS_ENDPOINT_URL"):
        hsifeat.extract(scene, backbone=backbone_folder, timesteps=[0], tile=32, halo=8, out="s3://nowhere/s.zarr")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, lists nothing, and knows ranges, as any web server but this one does."""

    def log_message(self, *_):
        pass

    def list_directory(self, _path):
        self.send_error(403)

    def do_GET(self):
        file = Path(self.translate_path(self.path))
        wanted = self.headers.get("Range")
        if not wanted or not file.is_file():
            super().do_GET()
            return
        content = file.read_bytes()
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(len(content) - int(last), 0)
        stop = int(last) + 1 if first and last else len(content)
        part = content[start:stop]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)


def test_reading_behind_a_web_server(store_path, tmp_path, scene, backbone_folder):
    shutil.copytree(store_path, tmp_path / "s.zarr")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=tmp_path)) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{web.server_address[1]}/s.zarr"
        there, here = hsifeat.open_features(url), hsifeat.open_features(store_path)
        assert there.planes == here.planes and there.name == "s"
        np.testing.assert_array_equal(there.sample([3, 70], [5, 50]), here.sample([3, 70], [5, 50]))
        np.testing.assert_array_equal(there.labels().classes, here.labels().classes)
        np.testing.assert_array_equal(there.spectra([3], [5]), here.spectra([3], [5]))
        with pytest.raises(StoreError, match="can only be read"):
            hsifeat.extract(scene, backbone=backbone_folder, timesteps=[7], tile=32, halo=8, out=url)
        with pytest.raises(StoreError, match="can't be listed"):
            verify(as_location(url))
        with pytest.raises(StoreError, match="no store at"):
            hsifeat.open_features(url.replace("s.zarr", "t.zarr"))
        found = compare(url, heads=["lda"], splits=["random:0.3"], seeds=1, out=tmp_path / "bench")
        web.shutdown()
    (costs,) = found.costs["stores"]
    assert costs["bytes_on_disk"] is None and costs["seconds"] == here.seconds([None, 0, 300]) > 0


def test_an_unknown_scheme_is_refused():
    with pytest.raises(StoreError, match="ftp://x/s.zarr: stores lie in a folder or at s3://"):
        hsifeat.open_features("ftp://x/s.zarr")
