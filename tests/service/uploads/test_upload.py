"""Uploads: parts, resumption, digests, limits and expiry."""

import errno
import hashlib
import os
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hsifeat.errors import DiskFullError
from hsifeat.service.uploads import folder as folder_module
from hsifeat.service.uploads.folder import UnknownUploadError, UploadFolder, UploadTooLargeError
from hsifeat.service.uploads.inspection import RefusedFileError
from hsifeat.service.uploads.upload import FileManifest, OffsetError
from tests.service.uploads.test_inspection import array_bytes

CONTENT = array_bytes(np.arange(60.0).reshape(3, 4, 5))


@pytest.fixture
def uploads(tmp_path):
    return UploadFolder(
        tmp_path / "uploads", max_bytes=2000, max_total_bytes=3000, max_unpacked_bytes=10**6, lifetime_s=60
    )


def manifest(name="scene.npy", content=CONTENT, **changes):
    return FileManifest(
        **{"name": name, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), **changes}
    )


def send(upload, content, offset=0, name="scene.npy"):
    with upload.open_part(name, offset) as part:
        part.write(content)


def test_a_file_arrives_in_parts_and_after_a_broken_connection(uploads):
    upload = uploads.create([manifest()], "ann")
    send(upload, CONTENT[:100])
    with pytest.raises(ConnectionError), upload.open_part("scene.npy", 100) as part:
        part.write(CONTENT[100:150])
        raise ConnectionError
    again = uploads.get(upload.id)
    assert again.offset("scene.npy") == 150
    for offset in (0, 100, 151):
        with pytest.raises(OffsetError, match=f"begins at 150; found a part at {offset}") as repeated:
            send(again, CONTENT[offset:], offset)
        assert repeated.value.offset == 150
    with pytest.raises(OffsetError, match=f"has 150 of {len(CONTENT)} bytes: send the rest first"):
        again.complete()
    with pytest.raises(RefusedFileError, match="is not complete"):
        again.complete_folder()
    send(again, CONTENT[150:], 150)
    assert again.complete().manifest.complete
    complete = uploads.get(upload.id)
    assert complete.complete().scene_file() == "scene.npy"
    assert np.array_equal(np.load(complete.complete_folder() / "scene.npy"), np.arange(60.0).reshape(3, 4, 5))
    with pytest.raises(RefusedFileError, match="is complete: begin a new upload"):
        send(complete, b"x", len(CONTENT))


def test_one_request_at_a_time_appends_to_a_file(uploads):
    upload = uploads.create([manifest()], "ann")
    with upload.open_part("scene.npy", 0) as part:
        part.write(CONTENT[:10])
        with pytest.raises(OffsetError, match="another request appends to scene.npy"):
            send(upload, CONTENT, 0)
    send(upload, CONTENT[10:], 10)


def test_a_part_beyond_the_size_is_refused_and_a_wrong_digest_is_sent_again(uploads):
    upload = uploads.create([manifest(sha256="0" * 64)], "ann")
    with pytest.raises(RefusedFileError, match="reaches beyond the size"):
        send(upload, CONTENT + b"x")
    send(upload, CONTENT, upload.offset("scene.npy"))
    with pytest.raises(RefusedFileError, match="does not have the sha256 0000"):
        upload.complete()
    assert upload.offset("scene.npy") == 0


def test_hostile_content_never_becomes_complete(uploads):
    content = b"<VRTDataset/>"
    upload = uploads.create([manifest("scene.tif", content)], "ann")
    send(upload, content, name="scene.tif")
    with pytest.raises(RefusedFileError, match="its content is not that of a .tif file"):
        upload.complete()
    assert not uploads.get(upload.id).manifest.complete


@pytest.mark.parametrize("name", ["other.npy", "../upload.json", "../../x.npy", ""])
def test_a_part_reaches_only_the_files_of_the_upload(uploads, name):
    upload = uploads.create([manifest()], "ann")
    with pytest.raises(RefusedFileError, match="has no file"):
        send(upload, b"x", name=name)


@pytest.mark.parametrize("upload_id", ["", "..", "../uploads", "0" * 16, "ABCDEF0123456789", "a/../b", "0" * 15 + "\n"])
def test_an_unknown_identifier_is_an_error(uploads, upload_id):
    with pytest.raises(UnknownUploadError, match="no upload"):
        uploads.get(upload_id)


def test_sizes_are_limited(uploads, monkeypatch):
    with pytest.raises(UploadTooLargeError, match="the upload has .* allowed: at most"):
        uploads.create([manifest(size_bytes=2001)], "ann")
    with pytest.raises(UploadTooLargeError, match="by more than capital letters; found scene.npy, SCENE.npy"):
        uploads.create([manifest(), manifest("SCENE.npy")], "ann")
    for count in (0, 41):
        with pytest.raises(UploadTooLargeError, match=f"1 to 40 files; found {count}"):
            uploads.create([manifest(f"{k}.npy") for k in range(count)], "ann")
    uploads.create([manifest(size_bytes=2000)], "ann")
    with pytest.raises(UploadTooLargeError, match="delete uploads that nobody needs"):
        uploads.create([manifest(size_bytes=1001)], "bob")
    monkeypatch.setattr(folder_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(DiskFullError, match="the disk of this service is full: 1.0 kB are free"):
        uploads.create([manifest()], "bob")


def test_a_disk_that_fills_up_keeps_what_has_arrived(uploads, monkeypatch):
    upload = uploads.create([manifest()], "ann")
    send(upload, CONTENT[:50])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(DiskFullError, match="is full"):
            send(upload, CONTENT[50:60], 50)
    send(upload, CONTENT[upload.offset("scene.npy") :], upload.offset("scene.npy"))
    assert upload.complete().manifest.complete


def test_uploads_expire_unless_they_are_used(uploads):
    old, used, new = (uploads.create([manifest()], "ann") for _ in range(3))
    past = time.time() - 61
    for upload in (old, used):
        os.utime(upload.path / "upload.json", (past, past))
    assert uploads.delete_expired({used.id}) == [old.id]
    assert sorted(upload.id for upload in uploads.uploads()) == sorted([used.id, new.id])
    assert not old.path.exists()
    send(used, CONTENT)  # A use.
    assert uploads.delete_expired(()) == []
    used.delete()
    assert [Path(path).name for path in uploads.path.glob("*")] == [new.id]
