"""A disk that is full while uploads, jobs and results are written: a small file system of its own."""

import hashlib
import os
from types import SimpleNamespace

import httpx
import numpy as np
import pytest

from hsifeat import open_features
from hsifeat.extraction.repair import verify
from hsifeat.service.tokens import TokenFile
from hsifeat.service.uploads import folder as folder_module
from hsifeat.store.location import as_location
from tests.helpers.job_runners import EXTRACTION, fork_runners, job_config, run_jobs_that_can_be_held, wait_until
from tests.helpers.services import running
from tests.helpers.small_disk import small_disk

SIZE_MB = 24


@pytest.fixture
def disk(tmp_path):
    """A small file system."""
    with small_disk(tmp_path / "disk", SIZE_MB) as disk:
        yield disk


@pytest.fixture
def served(disk, backbone_folder, monkeypatch):
    """A service whose stores and state are on the small disk, and a client."""
    monkeypatch.setattr(folder_module, "_RESERVE_BYTES", 0)
    fork_runners(monkeypatch, run_jobs_that_can_be_held)
    config = job_config(disk.path, backbone_folder.parent, tokens=str(disk.path / "tokens.json"), port=0)
    token = TokenFile(disk.path / "tokens.json").add("ann", "write", days=1)
    with running(config) as service:
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=service.url, headers=headers, timeout=60) as client:
            yield SimpleNamespace(client=client, folder=disk.path)


def is_full(response):
    """Return whether the answer states that the disk is full, or that the audit log can't be written."""
    assert response.headers["content-type"] == "application/problem+json"
    detail = response.json()["detail"]
    return (response.status_code == 507 and "full" in detail) or (
        response.status_code == 503 and "the audit log can't be written" in detail
    )


def test_uploads(served, disk):
    client, content = served.client, b"\x93NUMPY" + os.urandom(2**20)
    files = [{"name": "a.npy", "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}]
    upload = client.post("/uploads", json={"files": files}).json()["id"]
    address = f"/uploads/{upload}/files/a.npy"
    assert client.put(address, params={"offset": 0}, content=content[:1000]).status_code == 200
    disk.fill()
    assert is_full(client.post("/uploads", json={"files": files}))
    assert is_full(client.put(address, params={"offset": 1000}, content=content[1000:]))
    arrived = client.get(f"/uploads/{upload}").json()["files"][0]["offset"]
    assert arrived >= 1000
    disk.free()
    rest = client.put(address, params={"offset": arrived}, content=content[arrived:])
    assert rest.json()["files"][0]["offset"] == len(content)
    assert (disk.path / "state/uploads" / upload / "files/a.npy").read_bytes() == content


def test_jobs_and_results(served, disk):
    client = served.client

    def ended(answer):
        job = answer.json()["job"]["id"]
        return wait_until(
            lambda: (now := client.get(f"/jobs/{job}").json())["state"] in {"done", "failed"} and now, pause_s=0.2
        )

    hold, waits, written = (disk.path.parent / name for name in ("hold", "waits", "written"))
    hold.touch()
    first = client.post("/extractions", json=EXTRACTION)
    wait_until(waits.exists)
    disk.fill()
    hold.unlink()
    wait_until(written.exists)
    assert is_full(client.post("/extractions", json={**EXTRACTION, "options": {**EXTRACTION["options"], "seed": 5}}))
    assert client.get("/jobs").status_code == client.get("/ready").status_code == 200, "reading goes on"
    disk.free()
    failed = ended(first)
    assert failed["state"] == "failed" and "full" in failed["reason"], failed
    done = ended(client.post("/extractions", json=EXTRACTION))
    assert done["state"] == "done", done
    store = disk.path / "stores" / f"{done['result']['name']}.zarr"
    assert verify(as_location(store)).damages == ()
    assert np.isfinite(open_features(store).sample([3], [5])).all()

    options = {"head": "lda", "split": "random:0.5", "smooth": "none"}
    fit = {"stores": [done["result"]["store"]], "options": options}
    assert ended(client.post("/fits", json=fit))["state"] == "done"
    disk.fill()
    key = done["result"]["store"]
    shard = "planes/t0300/up_blocks.2/c/0/0/0"
    assert client.get(f"/stores/{key}.zarr/{shard}").content == (store / shard).read_bytes()
    assert is_full(client.post("/fits", json={**fit, "options": {**options, "seed": 1}}))
    disk.free()
    assert ended(client.post("/fits", json={**fit, "options": {**options, "seed": 1}}))["state"] == "done"
