"""Files that clients name lie below allowed folders, after links."""

import os

import numpy as np
import pytest

from hsifeat.errors import HsifeatError, SceneError
from hsifeat.service.jobs.allowed_files import file_facts, resolve_below, resolve_source
from hsifeat.service.jobs.analysis_requests import BenchRequest, FitRequest
from hsifeat.service.jobs.extract_request import ExtractRequest


@pytest.fixture
def folders(tmp_path):
    for name in ("a/sub", "b", "outside"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("a/sub/scene.npy", "b/other.npy", "outside/secret.npy"):
        np.save(tmp_path / name, np.zeros(3))
    (tmp_path / "a/link.npy").symlink_to(tmp_path / "outside/secret.npy")
    (tmp_path / "a/inner.npy").symlink_to(tmp_path / "a/sub/scene.npy")
    (tmp_path / "a/folder").symlink_to(tmp_path / "outside")
    (tmp_path / "a-outside.npy").write_bytes(b"")
    return [tmp_path / "a", tmp_path / "b"]


def test_paths_below_the_folders_are_resolved(folders, tmp_path):
    scene = tmp_path / "a/sub/scene.npy"
    for name in ("sub/scene.npy", "sub/../sub/scene.npy", str(scene), "inner.npy"):
        assert resolve_below(folders, name, "scene") == scene
    assert resolve_below(folders, "other.npy", "scene") == tmp_path / "b/other.npy"
    assert resolve_source(folders, "sub/scene.npy:layer:column", "labels") == f"{scene}:layer:column"


@pytest.mark.parametrize(
    "name",
    ["../outside/secret.npy", "sub/../../outside/secret.npy", "link.npy", "folder/secret.npy", "/etc/passwd", "../a-outside.npy", "",
     " ", "x\0.npy", "http://example.org/x.npy", "http:/example.org/x.npy", "file:///etc/passwd", "/vsicurl/http://example.org/x.tif",
     "s3://bucket/x.npy", "missing.npy", "~/x.npy", "..", "%2e%2e/outside/secret.npy", "\\..\\outside\\secret.npy"],
)  # fmt: skip
def test_other_paths_and_addresses_are_refused_alike(folders, tmp_path, name):
    name = name.replace("OUTSIDE", str(tmp_path))
    with pytest.raises(
        SceneError, match="no scene .* in the folders of this service: give a path below one of its folders"
    ):
        resolve_below(folders, name, "scene")


def test_facts_change_with_the_file_and_its_header(folders, tmp_path):
    data = tmp_path / "b/scene.dat"
    data.write_bytes(b"1")
    facts = file_facts(data)
    assert [fact[:2] for fact in facts] == [[str(data), 1]]
    (tmp_path / "b/scene.hdr").write_text("ENVI")
    assert file_facts(data) != facts
    facts = file_facts(data)
    (tmp_path / "b/scene10.dat").write_bytes(b"1")
    (tmp_path / "b/scene_2.hdr").write_bytes(b"1")
    assert file_facts(data) == facts, "other scenes are no companions"
    (tmp_path / "b/scene.dat.aux.xml").write_bytes(b"1")
    assert len(file_facts(data)) == 3
    facts = file_facts(tmp_path / "b")
    os.utime(data, (1, 1))
    assert file_facts(tmp_path / "b") != facts


@pytest.mark.parametrize("name", ["scene", "."])
def test_facts_change_with_new_values_of_the_same_size_and_time(tmp_path, name):
    """A program that edits a scene in place can restore its time of modification, but not that of the inode."""
    data = tmp_path / "scene"
    data.write_bytes(b"1")
    os.utime(data, (1, 1))
    facts, before = file_facts(tmp_path / name), data.stat()
    while data.stat().st_ctime_ns == before.st_ctime_ns:
        data.write_bytes(b"2")
        os.utime(data, (1, 1))
    assert (data.stat().st_size, data.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert file_facts(tmp_path / name) != facts
    (tmp_path / "new").write_bytes(b"3")
    os.utime(tmp_path / "new", (1, 1))
    facts = file_facts(tmp_path / name)
    (tmp_path / "new").replace(data)
    assert file_facts(tmp_path / name) != facts


@pytest.mark.parametrize("projection", ["pca:3:mask=/etc/passwd", "rgb:gamma=0.5:mask=s.tif", "all:mask=a:b"])
def test_a_projection_of_a_job_names_no_file(projection):
    refused = pytest.raises(
        HsifeatError, match="^options: .*names a file of this machine, which a service does not read"
    )
    with refused:
        ExtractRequest(scene={"files": ["s.tif"]}, options={"projection": projection})
    ExtractRequest(scene={"files": ["s.tif"]}, options={"projection": projection.partition(":mask")[0]})


@pytest.mark.parametrize("split", ["mask:/etc/passwd", "scenes:@/etc/passwd"])
def test_a_split_of_a_job_names_no_file(split):
    for request, options in ((FitRequest, {"split": split}), (BenchRequest, {"splits": ["random:0.1", split]})):
        with pytest.raises(HsifeatError, match="names a file of this machine, which a service does not read"):
            request(stores=["0123456789"], options=options)
