"""The client on broken connections and full disks, against a simulated service."""

import io
import json
import shutil
import zipfile
from types import SimpleNamespace

import httpx
import numpy as np
import pytest

from hsifeat.client.connection import Connection
from hsifeat.client.remote_job import RemoteJob
from hsifeat.client.transport import ServiceError, Transport
from hsifeat.client.uploading import upload_files
from hsifeat.errors import DiskFullError, HsifeatError, SceneError
from hsifeat.runtime.events import silent
from hsifeat.scenes.maps import Legend, write_map
from tests.helpers.command_line import run_main

STATE = {"id": "0" * 16, "kind": "fit", "state": "done", "result": {"download": "model.zip"}}


def transport_to(answer):
    """A transport whose requests the function `answer` answers."""
    transport = Transport("http://service.example", "token")
    transport._client = httpx.Client(base_url=transport.url, transport=httpx.MockTransport(answer))
    return transport


@pytest.fixture
def pauses(monkeypatch):
    """The pauses that the client makes, which take no time."""
    made = []
    monkeypatch.setattr("hsifeat.client.transport.time.sleep", made.append)
    return made


class RestartingService:
    """A service that keeps half of every part, and is then away for the next `away` requests."""

    def __init__(self, away):
        self.away, self.failures, self.content = away, 0, b""

    def __call__(self, request):
        if self.failures:
            self.failures -= 1
            if self.failures % 2:
                raise httpx.ConnectError("refused", request=request)
            return httpx.Response(503, json={"detail": "starting"})
        if request.method == "POST":
            return httpx.Response(200, json={"id": "1", "part_bytes": 10})
        if request.method == "GET":
            return httpx.Response(200, json={"files": [{"name": "a.dat", "offset": len(self.content)}]})
        assert int(request.url.params["offset"]) == len(self.content)
        if len(request.content) == 1:
            self.content += request.content
            return httpx.Response(200, json={})
        self.content += request.content[: len(request.content) // 2]
        self.failures = self.away
        raise httpx.ReadError("broken", request=request)


class RecordingService:
    """A service that accepts everything, and keeps the uploaded contents and the request for an extraction."""

    def __init__(self):
        self.contents, self.request = {}, {}

    def __call__(self, request):
        if request.method == "PUT":
            self.contents[request.url.path.rpartition("/")[2]] = request.content
        elif request.url.path == "/extractions":
            self.request = json.loads(request.content)
        return httpx.Response(
            200, json={"id": "1", "part_bytes": 1000, "job": {**STATE, "result": {"store": "0" * 64}}}
        )


@pytest.mark.parametrize("several", [False, True])
def test_one_label_map_needs_no_list(tmp_path, several):
    service = RecordingService()
    for name in ("a.npy", "la.npy"):
        (tmp_path / name).write_bytes(name.encode())
    labels = str(tmp_path / "la.npy")
    Connection(transport_to(service)).extract(tmp_path / "a.npy", labels=[labels] if several else labels)
    assert service.request["scene"]["labels"] == ["la.npy"] and service.contents == {
        "a.npy": b"a.npy",
        "la.npy": b"la.npy",
    }


def test_files_of_each_scene_are_uploaded_under_different_names(tmp_path, monkeypatch):
    """``labels/{scene}.npy`` has the name of the scene file, and all label maps get the name of their folder."""
    service = RecordingService()
    monkeypatch.setattr("hsifeat.client.connection.connect", lambda url: Connection(transport_to(service)))
    for folder in ("tiles", "labels", "fine"):
        (tmp_path / folder).mkdir()
        for name in ("a.npy", "b.npy"):
            (tmp_path / folder / name).write_bytes(f"{folder}/{name}".encode())
    header = b"ENVI\nsamples = 3\nlines = 2\nbands = 1\ndata type = 1\ninterleave = bsq\n"
    (tmp_path / "labels/b.dat.hdr").write_bytes(header)
    (tmp_path / "labels/b.dat").write_bytes(b"values")
    options = (
        "--service",
        "http://service.example",
        "--backbone",
        "context",
        "--companion",
        tmp_path / "fine/{scene}.npy",
    )
    tiles, labels = [tmp_path / "tiles" / name for name in ("a.npy", "b.npy")], tmp_path / "labels/{scene}.npy"
    for end in ("", ":gt"):
        assert run_main("extract", *tiles, "--labels", f"{labels}{end}", *options) == 0
        assert service.request["scene"] == {
            "upload": "1",
            "files": ["b.npy"],
            "labels": [f"labels.npy{end}"],
            "companion": "companion.npy",
            "bad_bands": "drop",
            "blank_pixels": "drop",
        }
    assert run_main("extract", tiles[1], "--labels", tmp_path / "labels/{scene}.dat", *options) == 0
    assert service.contents == {
        "a.npy": b"tiles/a.npy",
        "b.npy": b"tiles/b.npy",
        "labels.npy": b"labels/b.npy",
        "companion.npy": b"fine/b.npy",
        "labels.dat": b"values",
        "labels.dat.hdr": header,
    }


def test_two_files_of_one_name_are_not_uploaded(tmp_path):
    (tmp_path / "labels").mkdir()
    for folder in (tmp_path, tmp_path / "labels"):
        (folder / "a.npy").write_bytes(b"values")
    service = RecordingService()
    with pytest.raises(SceneError, match=r"labels/a.npy would both be named a.npy in the upload: rename one of them"):
        Connection(transport_to(service)).extract(
            tmp_path / "a.npy", labels=[tmp_path / "labels" / "a.npy"], backbone="context"
        )
    assert service.contents == {}


def test_label_maps_among_the_options_of_the_reader_are_refused_before_the_upload(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"values")
    service = RecordingService()
    with pytest.raises(HsifeatError, match="reading: give label maps as `labels`"):
        Connection(transport_to(service)).extract(
            tmp_path / "a.npy", backbone="context", reading={"labels": ["fields.npy"]}
        )
    assert service.contents == {}


def test_an_upload_continues_after_every_restart_of_the_service(tmp_path, pauses):
    content = bytes(range(256))
    (tmp_path / "a.dat").write_bytes(content)
    service = RestartingService(away=6)
    upload_files(transport_to(service), [("a.dat", tmp_path / "a.dat")], silent)
    assert service.content == content
    assert len(pauses) > 100, "there is a pause after each failure"


def test_an_upload_ends_if_the_service_stays_away_or_refuses(tmp_path, pauses):
    (tmp_path / "a.dat").write_bytes(b"content")
    with pytest.raises(ServiceError, match="is the service running"):
        upload_files(transport_to(RestartingService(away=30)), [("a.dat", tmp_path / "a.dat")], silent)
    refusing = transport_to(lambda request: httpx.Response(413, json={"detail": "too large"}))
    with pytest.raises(ServiceError, match="too large"):
        upload_files(refusing, [("a.dat", tmp_path / "a.dat")], silent)


def test_a_failed_download_leaves_the_other_files_alone(tmp_path, monkeypatch):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("model/model.json", json.dumps({}))
        file.writestr("model/deep/state.skops", "state")
        file.writestr("model/../../escape.txt", "outside")
    job = RemoteJob(transport_to(lambda request: httpx.Response(200, content=archive.getvalue())), STATE)
    (tmp_path / "model.zip").write_text("my own file")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(DiskFullError):
            job.download(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model.zip"]
    job.download(tmp_path / "model")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model.zip"]
    assert (tmp_path / "model.zip").read_text() == "my own file"
    found = sorted(path.relative_to(tmp_path / "model").as_posix() for path in (tmp_path / "model").rglob("*"))
    assert found == ["deep", "deep/state.skops", "model.json"]
    with pytest.raises(HsifeatError, match="exists: name a new folder"):
        job.download(tmp_path / "model")
    single = RemoteJob(job._transport, {**STATE, "result": {"download": "map.tif"}})
    with pytest.raises(HsifeatError, match=r"is the file map.tif: name a file, such as .*map.tif"):
        single.download(tmp_path / "map")
    (tmp_path / "notes.txt").write_text("mine")
    for one, file, wanted in ((single, "notes.txt", "notes.txt.tif"), (job, "notes.txt", "notes.txt.zip")):
        with pytest.raises(HsifeatError, match=f"name a file, such as .*{wanted}"):
            one.download(tmp_path / file)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("missing", ["result", "files/map.tif.aux.xml", None])
@pytest.mark.parametrize("has_names", [True, False])
def test_a_map_and_its_names_belong_together(tmp_path, missing, has_names):
    def answer(request):
        path = request.url.path.partition(f"/jobs/{STATE['id']}/")[2]
        if path == missing:
            return httpx.Response(404, json={"detail": "gone"})
        if path == "files":
            return httpx.Response(200, json=[{"name": "map.tif.aux.xml"}] if has_names else [{"name": "map.tif"}])
        return httpx.Response(200, content=path.encode())

    files = [tmp_path / name for name in ("map.tif", "map.tif.aux.xml")]
    write_map(files[0], np.ones((2, 2), np.uint8), Legend((1,), ("oak",), ("#008000",)))
    before = [file.read_bytes() for file in files]
    job = RemoteJob(transport_to(answer), {**STATE, "result": {"download": "map.tif"}})
    if missing == "result" or (missing and has_names):
        with pytest.raises(ServiceError, match="gone"):
            job.download(files[0])
        assert [file.read_bytes() for file in files] == before
        return
    job.download(files[0])
    assert files[0].read_bytes() == b"result"
    assert files[1].exists() == has_names
    assert not has_names or files[1].read_bytes() == b"files/map.tif.aux.xml"


def test_the_command_extracts_each_scene_on_the_service_whatever_happens_to_the_others(capsys, tmp_path, monkeypatch):
    (tmp_path / "bands.txt").write_text("b1.tif\nb2.tif\n")
    requested = []

    class FakeConnection:
        def extract(self, files, *, labels, reading, preset, like, listen, **options):
            requested.append(files)
            if files == ["refused.mat"]:
                raise ServiceError("too large", 413)
            return SimpleNamespace(wait=lambda listen: self.job(files))

        def job(self, files):
            if files == ["failing.mat"]:
                raise HsifeatError("job 1 failed: no wavelengths")
            return SimpleNamespace(result={"store": files[0]})

        def store_url(self, key):
            return f"http://service.example/stores/{key}.zarr"

    monkeypatch.setattr("hsifeat.client.connection.connect", lambda url: FakeConnection())
    scenes = ("refused.mat", "failing.mat", "a.mat", f"@{tmp_path / 'bands.txt'}")
    assert run_main("extract", *scenes, "--service", "http://service.example") == 1
    bands = [str(tmp_path / "b1.tif"), str(tmp_path / "b2.tif")]
    assert requested == [["refused.mat"], ["failing.mat"], ["a.mat"], bands]
    output = capsys.readouterr()
    stores = [f"store: http://service.example/stores/{name}.zarr" for name in ("a.mat", bands[0])]
    assert output.out.splitlines() == stores
    assert "error: refused: too large" in output.err
    assert "error: failing: job 1 failed: no wavelengths" in output.err
    assert "2 of 4 scenes failed" in output.err
    labelled = ("extract", "a.mat", "b.mat", "--labels", "gt.mat", "--service", "http://service.example")
    assert run_main(*labelled) == 2
    assert "gt.mat belongs to one scene, and there are 2: write {scene}" in capsys.readouterr().err
    assert len(requested) == 4


def test_a_file_that_becomes_shorter_ends_the_upload(tmp_path, pauses):
    path, requests = tmp_path / "a.dat", []
    path.write_bytes(bytes(100))

    def answer(request):
        requests.append(request)
        assert len(requests) < 10
        if request.method == "POST":
            path.write_bytes(bytes(30))
        return httpx.Response(200, json={"id": "1", "part_bytes": 20})

    with pytest.raises(
        SceneError, match=r"a.dat became shorter during the upload: it had 100 bytes, and has 30; upload it again"
    ):
        upload_files(transport_to(answer), [(path.name, path)], silent)


@pytest.mark.parametrize("name", ["cube.zarr", "bands"])
def test_a_folder_is_refused_before_anything_is_sent(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(
        SceneError, match=rf"{name} is a folder, and only files can be uploaded \(MATLAB, NumPy, .*: convert it"
    ):
        upload_files(transport_to(pytest.fail), [(name, tmp_path / name)], silent)


def test_bytes_that_are_added_to_a_file_are_not_sent(tmp_path):
    path, sent = tmp_path / "a.dat", []
    path.write_bytes(b"x" * 100)

    def answer(request):
        if request.method == "PUT":
            sent.append(request.content)
        path.write_bytes(b"x" * 100 + b"y" * 50)
        return httpx.Response(200, json={"id": "1", "part_bytes": 30})

    upload_files(transport_to(answer), [(path.name, path)], silent)
    assert b"".join(sent) == b"x" * 100


def test_a_store_is_named_by_its_key_or_its_address():
    key, requests = "0123456789abcdef" * 4, []

    def answer(request):
        requests.append(json.loads(request.content) if request.content else request.url.path)
        return httpx.Response(200, json={"job": STATE, "key": key})

    service = Connection(transport_to(answer))
    address = f"http://service.example/stores/{key}.zarr"
    for store in (key, address, f"{address}/", key[:8], f"http://service.example/stores/{key[:8]}"):
        requests.clear()
        service.fit([store])
        service.bench((store, store))
        service.predict("0" * 16, store)
        service.extract("scene.mat", like=store)
        digits = key[:8] if len(store) < 64 else key
        assert [request.get("stores", request.get("like")) for request in requests] == [
            [digits], [digits, digits], [digits], digits
        ]  # fmt: skip
        assert service.store_url(store) == address
    requests.clear()
    for store in ("scene.zarr", "", f"http://other.example/stores/{key}.zarr", "ABCDEF01", "../jobs"):
        for request in (service.fit, service.bench, service.store_url, service.open):
            with pytest.raises(
                HsifeatError, match=r"no store of this service: .* http://service.example/stores/KEY.zarr"
            ):
                request(store)
        with pytest.raises(HsifeatError, match="no store of this service"):
            service.extract("scene.mat", like=store)
    assert requests == []


def test_options_may_be_numbers_and_arrays_of_numpy():
    requests = []

    def answer(request):
        requests.append(json.loads(request.content))
        return httpx.Response(200, json={"job": STATE})

    service = Connection(transport_to(answer))
    service.fit("0" * 64, seed=np.int64(3), params={"C": np.float32(2)})
    service.extract("scene.mat", backbone="context", timesteps=np.array([0]), reading={"nodata": np.float32(-9999)})
    assert requests[0]["options"] == {"seed": 3, "params": {"C": 2.0}}
    assert (requests[1]["options"]["timesteps"], requests[1]["scene"]["nodata"]) == ([0], -9999.0)


def test_other_values_than_names_are_refused_before_a_request():
    service = Connection(Transport("http://service.example", "token"))
    calls = {
        "a store of a service is named by": [
            lambda: service.open(None),
            lambda: service.open(12345678),
            lambda: service.fit(None),
        ],
        "each file of a scene is a path": [lambda: service.extract(np.ones((2, 3, 4)), backbone="context")],
        "a label map is a path": [lambda: service.extract("a.tif", labels=[("gt",)], backbone="context")],
        "can't be named 'gt': only uploaded files": [
            lambda: service.extract("a.tif", labels=[("gt", "b.tif")], backbone="context"),
            lambda: service.extract("indian-pines", labels=[("gt", "b.tif")], backbone="context"),
        ],
        "no filter of jobs is named 'status'; .*state": [lambda: service.jobs(status="failed")],
    }
    for message, refused in calls.items():
        for call in refused:
            with pytest.raises(HsifeatError, match=message):
                call()
