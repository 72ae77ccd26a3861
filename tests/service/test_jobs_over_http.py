"""Jobs and uploads over HTTP: real clients, one extraction for many equal requests, events, results, and the client's cache."""

import http.client
import json
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
import rasterio
import spectral

import hsifeat
from hsifeat import extract
from hsifeat.client.transport import ServiceError
from hsifeat.errors import HsifeatError
from hsifeat.runtime.events import Note, silent
from hsifeat.scenes import Scene
from hsifeat.service.jobs.scene_source import SceneSource
from hsifeat.service.tokens import TokenFile
from hsifeat.service.uploads.folder import UploadFolder
from hsifeat.service.workbench import plane_routes
from tests.helpers.forked_commands import ForkedCommand
from tests.helpers.job_runners import EXTRACTION, fork_runners, job_config, wait_until
from tests.helpers.labelled_scene import prepare_scene
from tests.helpers.services import running
from tests.helpers.small import small_cube


@pytest.fixture(scope="module")
def served(tmp_path_factory, backbone_folder):
    """A running service with the tokens of several people, whose runners fork."""
    folder = tmp_path_factory.mktemp("jobs")
    tokens = TokenFile(folder / "tokens.json")
    people = {
        name: tokens.add(name, right, days=1) for name, right in (("ann", "write"), ("bob", "write"), ("eve", "read"))
    }
    config = job_config(folder, backbone_folder.parent, tokens=str(tokens.path), port=0, queue_size_each=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HSIFEAT_CACHE", str(folder / "cache"))
        fork_runners(patch)
        with running(config) as service:
            yield SimpleNamespace(**vars(service), people=people, folder=folder)


@pytest.fixture
def ann(served):
    with person(served, "ann") as client:
        yield client


def person(served, name):
    headers = {"Authorization": f"Bearer {served.people[name]}"}
    return httpx.Client(base_url=served.url, headers=headers, timeout=300)


def events_of(text):
    """Parse server-sent events."""
    blocks = [
        dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        for block in text.replace("\r", "").split("\n\n")
    ]
    return [(int(block["id"]), block["event"], json.loads(block["data"])) for block in blocks if "id" in block]


@pytest.fixture(scope="module")
def extracted(served):
    """Send fifty equal requests at once, and wait for the store."""
    with person(served, "ann") as ann, person(served, "bob") as bob, ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda number: (ann, bob)[number % 2].post("/extractions", json=EXTRACTION), range(50)))
    job_id = answers[0].json()["job"]["id"]
    job = hsifeat.connect(served.url, served.people["ann"]).job(job_id)
    heard = []
    job.wait(heard.append)
    return SimpleNamespace(answers=answers, job=job, heard=heard, key=job.result["store"])


def test_fifty_equal_requests_start_one_extraction(extracted, ann):
    assert {answer.json()["job"]["id"] for answer in extracted.answers} == {extracted.job.id}
    assert {answer.status_code for answer in extracted.answers} <= {200, 202}
    assert [answer.json()["outcome"] for answer in extracted.answers].count("queued") == 1
    (job,) = ann.get("/jobs", params={"kind": "extract"}).json()
    assert job["attempts"] == 1 and sorted(job["owners"]) == ["ann", "bob"]
    again = ann.post("/extractions", json=EXTRACTION)
    assert (again.status_code, again.json()["outcome"]) == (200, "answered")
    assert ann.get(f"/stores/{extracted.key}").json()["planes"] == 2


def test_events_resume_after_the_last_one(extracted, ann):
    address = f"/jobs/{extracted.job.id}/events"
    events = events_of(ann.get(address).text)
    assert [data["state"] for _, name, data in events if name == "state"] == ["queued", "running", "done"]
    assert [type(event).__name__ for event in extracted.heard].count("Finished") >= 1
    rest = events_of(ann.get(address, headers={"Last-Event-ID": str(events[2][0])}).text)
    assert rest == events[3:]


def test_a_complete_job_gives_its_notes(served, extracted):
    notes = []
    hsifeat.connect(served.url, served.people["bob"]).job(extracted.job.id).wait(notes.append)
    assert notes and notes == [event for event in extracted.heard if isinstance(event, Note)]


def test_rights_and_errors_of_jobs(served, extracted, ann):
    with person(served, "eve") as eve, person(served, "bob") as bob:
        assert eve.get("/jobs").status_code == 200
        for method, path in (
            ("POST", "/extractions"),
            ("POST", f"/jobs/{extracted.job.id}/cancel"),
            ("POST", "/uploads"),
        ):
            assert eve.request(method, path, json=EXTRACTION).status_code == 403
        upload = ann.post("/uploads", json={"files": [{"name": "a.npy", "size_bytes": 3, "sha256": "0" * 64}]}).json()[
            "id"
        ]
        assert bob.get(f"/uploads/{upload}").status_code == 403
        assert ann.delete(f"/uploads/{upload}").status_code == 204
    assert ann.get("/jobs/0000000000000000").status_code == 404
    assert ann.get(f"/jobs/{extracted.job.id}/result").status_code == 409
    wrong = ann.post("/extractions", json={**EXTRACTION, "options": {"tile": -1}})
    assert wrong.status_code == 422 and wrong.headers["content-type"] == "application/problem+json"
    assert "tile" in wrong.json()["detail"]
    assert httpx.post(f"{served.url}/extractions", json=EXTRACTION).status_code == 401


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/fits", {"stores": [f"{n:064x}" for n in range(201)]}, "body.stores: at most 200 different stores"),
        ("/predictions", {"model": "0" * 16, "stores": [f"{n:064x}" for n in range(201)]}, "body.stores: at most 200"),
        ("/benches", {"stores": ["ab" * 32], "options": {"seeds": 10**20}}, "body.options.seeds: "),
        ("/benches", {"stores": ["ab" * 32], "options": {"seeds": 1001}}, "body.options.seeds: "),
        ("/extractions", {**EXTRACTION, "options": {"draws": 10**30}}, "body.options.draws: "),
        ("/extractions", {**EXTRACTION, "options": {"draws": 10**12}}, "body.options.draws: "),
        ("/extractions", {**EXTRACTION, "options": {"tile": 10**12}}, "body.options.tile: "),
        ("/extractions", {**EXTRACTION, "options": {"halo": 10**12}}, "body.options.halo: "),
        ("/extractions", {**EXTRACTION, "options": {"timesteps": [10**30]}}, "body.options.timesteps: "),
    ],
)  # fmt: skip
def test_absurd_requests_are_answered_at_once(ann, path, body, told):
    before = ann.get("/jobs").json()
    answer = ann.post(path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert told in answer.json()["detail"], answer.json()
    assert ann.get("/jobs").json() == before


def test_a_full_queue_is_429_with_retry_after(served, ann):
    lane = {**EXTRACTION, "scene": {"name": "indian-pines"}, "priority": "low"}
    answers = [
        ann.post("/extractions", json={**lane, "options": {"backbone": "context", "layers": [f"mean-{size}"]}})
        for size in range(3, 19, 2)
    ]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused and int(refused[0].headers["retry-after"]) >= 5
    for answer in answers:
        if answer.status_code == 202:
            assert ann.post(f"/jobs/{answer.json()['job']['id']}/cancel").status_code == 200


def test_a_model_a_map_and_their_files(served, extracted, ann, tmp_path):
    service = hsifeat.connect(served.url, served.people["ann"])
    fit = service.fit([extracted.key], head="lda", split="random:0.5", smooth="none").wait()
    model = hsifeat.load_model(fit.download(tmp_path / "model"))
    assert 0 < fit.result["accuracy"] <= 1
    image = service.predict(fit, [extracted.key]).wait().download(tmp_path / "map.tif")
    import rasterio

    with warnings.catch_warnings(action="ignore", category=rasterio.errors.NotGeoreferencedWarning):
        raster = rasterio.open(image)
    with raster:
        classes = raster.read(1)
    names = re.findall("<Category>(.*?)</Category>", (tmp_path / "map.tif.aux.xml").read_text())
    assert names[1:] == [model.class_names[number] for number in range(1, len(names))] and len(names) > 1
    assert np.array_equal(classes, hsifeat.predict_map(service.open(extracted.key), model))
    files = {file["name"] for file in ann.get(f"/jobs/{fit.id}/files").json()}
    assert "model.zip" in files and not any("pkl" in name or "pickle" in name for name in files)
    ranged = ann.get(f"/jobs/{fit.id}/files/model.zip", headers={"Range": "bytes=0-1"})
    assert (ranged.status_code, ranged.content) == (206, b"PK")
    for name in (
        "../../jobs.sqlite",
        "%2e%2e/%2e%2e/jobs.sqlite",
        "..%2f..%2fjobs.sqlite",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "model",
    ):
        assert ann.get(f"/jobs/{fit.id}/files/{name}").status_code in {404, 422}


def test_an_uploaded_scene_is_extracted(served, extracted, tmp_path):
    service = hsifeat.connect(served.url, served.people["bob"])
    cube = np.load(served.folder / "scenes/small.npy")
    np.save(tmp_path / "mine.npy", cube[:40, :40])
    job = service.extract(tmp_path / "mine.npy", reading={"axes": "rows,cols,bands"}, **EXTRACTION["options"])
    assert job.wait().result["store"] != extracted.key
    assert np.array_equal(service.open(job.result["store"]).store.scene_array("cube")[:], cube[:40, :40])
    uploads = list(served.config.uploads_folder.iterdir())
    with pytest.raises(HsifeatError, match="no effect with `backbone='context'`: `seed`"):
        service.extract(tmp_path / "mine.npy", backbone="context", seed=3)
    assert list(served.config.uploads_folder.iterdir()) == uploads, "options are checked before the upload"
    (tmp_path / "vrt.tif").write_bytes(b"<VRTDataset><SourceFilename>/etc/passwd</SourceFilename></VRTDataset>")
    with pytest.raises(ServiceError, match="its content is not that of a .tif file"):
        service.upload([tmp_path / "vrt.tif"])


def write_with_metadata(path, values, metadata):
    """Write a GeoTIFF, and metadata of all bands as GDAL writes them beside a file that it may not change."""
    rows, cols, bands = values.shape
    profile = {"height": rows, "width": cols, "count": bands, "dtype": values.dtype, "driver": "GTiff"}
    ignored = warnings.catch_warnings(action="ignore", category=rasterio.errors.NotGeoreferencedWarning)
    with ignored, rasterio.open(path, "w", **profile) as file:
        file.write(np.moveaxis(values, 2, 0))
    each = "".join(f'<PAMRasterBand band="{number}">{metadata}</PAMRasterBand>' for number in range(1, bands + 1))
    path.with_name(f"{path.name}.aux.xml").write_text(f"<PAMDataset>{each}</PAMDataset>")


def test_a_scene_is_uploaded_with_all_files_that_it_is_read_from(served, tmp_path):
    """GDAL keeps metadata beside a raster that it may not change. Data files of ENVI have many suffixes, or none."""
    cube = small_cube()[..., :3].astype(np.float32)
    cube[2, 3:9] = 7
    nodata, classes = (
        "<NoDataValue>7</NoDataValue>",
        "<CategoryNames><Category/><Category>oak</Category></CategoryNames>",
    )
    write_with_metadata(tmp_path / "scene.tif", cube, nodata)
    write_with_metadata(tmp_path / "gt.tif", (cube[..., :1] > 0.5).astype(np.uint8), classes)
    (tmp_path / "scene.tfw").write_text("2\n0\n0\n-2\n101\n199\n")
    envi = tmp_path / "envi"
    envi.mkdir()
    spectral.envi.save_image(str(envi / "flight.hdr"), cube, dtype=np.float32, ext=".img")
    service = hsifeat.connect(served.url, served.people["bob"])
    context = SimpleNamespace(settings=served.config, uploads=UploadFolder.of_settings(served.config))

    def uploaded(scene, *labels):
        return SceneSource(**service._scene([scene], labels, silent)).open(context)

    scene = uploaded(tmp_path / "scene.tif", tmp_path / "gt.tif")
    assert int((~scene.valid).sum()) == 6
    assert scene.georeference.transform == (2, 0, 100, 0, -2, 200)
    assert scene.labels["gt"].class_names == {1: "oak"}
    for file in ("flight.hdr", "flight.img"):
        np.testing.assert_array_equal(uploaded(envi / file).cube[:], cube)
    for header, data in (("flight.hdr", "flight"), ("f.rfl.hdr", "f.rfl")):
        for file in list(envi.iterdir()):
            file.rename(envi / (header if file.suffix == ".hdr" else data))
        np.testing.assert_array_equal(uploaded(envi / data).cube[:], cube)


def test_the_command_line_uploads_a_scene_and_lists_the_stores(served, extracted, cli, monkeypatch):
    monkeypatch.setenv("HSIFEAT_TOKEN", served.people["bob"])
    options = ("--axes", "rows,cols,bands", "--backbone", "tiny", "--timesteps", "0,300", "--layers", "up_blocks.2")
    scene = served.folder / "scenes/small.npy"
    output = cli("extract", scene, "--service", served.url, *options, "--tile", 32, "--halo", 8)
    # Equal values have the same store, wherever they come from.
    assert output == f"store: {served.url}/stores/{extracted.key}.zarr\n"
    stores = json.loads(cli("cache", "ls", "--service", served.url, "--json"))
    assert extracted.key in {store["key"] for store in stores}


def test_the_scene_of_a_store_is_extracted_again(served, extracted, ann, monkeypatch):
    """The scene in a store has the values and label maps of its file, so the same options give the same store."""
    monkeypatch.setenv("HSIFEAT_CACHE", str(served.folder / "cache"))  # it has the description of the backbone
    # On a busy machine, the service searches for new stores less often.
    wait_until(lambda: extracted.key in {store["key"] for store in ann.get("/stores").json()["stores"]}, pause_s=0.2)
    answer = ann.post("/extractions", json={"scene": {"store": extracted.key[:12]}, "options": EXTRACTION["options"]})
    assert (answer.status_code, answer.json()["outcome"]) == (200, "answered"), "the store is found by its content"
    assert answer.json()["job"]["result"]["store"] == extracted.key


def test_planes_join_the_inputs_of_a_scene_that_is_being_labelled(served, extracted, ann, monkeypatch):
    monkeypatch.setattr(plane_routes, "BACKBONE", "tiny")
    scene = Scene("labelled", small_cube()[:32, :32] + np.float32(1))
    key = extract(scene, backbone="context", out=served.folder / "stores" / "labelled.zarr").key
    address = f"/label/{key}"
    prepare_scene(ann, key)
    service = hsifeat.connect(served.url, served.people["ann"])
    other = ann.post(
        "/extractions", json={"scene": {"store": key}, "options": {"backbone": "context", "dtype": "float32"}}
    )
    service.job(other.json()["job"]["id"]).wait()
    assert "Compute them in the background" in ann.get(f"{address}/planes").text, "these are other features"
    assert "being computed in the background" in ann.post(f"{address}/planes").text
    wait_until(lambda: "are ready" in ann.get(f"{address}/planes").text, pause_s=0.2)
    job = next(job for job in ann.get("/jobs").json() if job["request"]["options"]["backbone"] == "tiny")
    store = served.folder / "stores" / f"{job['result']['name']}.zarr"
    store.rename(served.folder / "away")
    assert "Compute them in the background" in ann.get(f"{address}/planes").text, "the store was deleted"
    (served.folder / "away").rename(store)
    assert "are ready" in ann.get(f"{address}/planes").text
    page = ann.get(address).text
    spaces = list(served.app.state.workbench._workspaces.values())
    assert len(spaces) == 2, "one before the planes, and one with them"
    assert spaces[0].map_slots is spaces[1].map_slots and spaces[0].columns() is spaces[1].columns()
    assert '<option value="spectra+window+context+planes">' in page
    assert "suited: spectra+window+context<" in page
    assert "gained nothing" in ann.get(f"{address}/planes").text


def test_parts_that_are_repeated_or_too_large_are_refused(served, ann):
    file = {"name": "a.dat", "size_bytes": 100, "sha256": "0" * 64}
    upload = ann.post("/uploads", json={"files": [file]}).json()["id"]
    address = f"/uploads/{upload}/files/a.dat?offset=0"
    assert ann.put(address, content=b"x" * 50).json()["files"][0]["offset"] == 50
    repeated = ann.put(address, content=b"x" * 50)
    assert (repeated.status_code, repeated.headers["upload-offset"]) == (409, "50")
    assert ann.put(address.replace("=0", "=50"), content=b"x" * 51).status_code == 422
    assert ann.post(f"/uploads/{upload}/complete").status_code == 409
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"))
    connection.putrequest("PUT", address)
    connection.putheader("Authorization", f"Bearer {served.people['ann']}")
    connection.putheader("Content-Length", str(10**9))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_a_fit_from_another_process_and_again_without_the_network(served, extracted, monkeypatch, tmp_path):
    monkeypatch.setenv("HSIFEAT_TOKEN", served.people["eve"])
    monkeypatch.setenv("HSIFEAT_CACHE", str(tmp_path / "empty"))
    address = f"{served.url}/stores/{extracted.key}.zarr"
    arguments = ("fit", address, "--head", "lda", "--split", "random:0.5", "--smooth", "none", "--out")
    first = ForkedCommand(*arguments, tmp_path / "first").wait()
    assert first.returncode == 0, first.stderr
    monkeypatch.setenv("HSIFEAT_TOKEN", "wrong")
    wrong = ForkedCommand("cache", "ls", "--service", served.url).wait()
    assert wrong.returncode == 1 and f"set HSIFEAT_TOKEN, or write the token for {served.url} to" in wrong.stderr
    served.server.should_exit = True
    served.thread.join(20)
    again = ForkedCommand(*arguments, tmp_path / "again").wait()
    assert again.returncode == 0, again.stderr
    assert again.stdout.replace("again", "first") == first.stdout
