"""Pages of the service: what they show, to whom, and that no name becomes markup."""

import io
import re
from dataclasses import replace

import httpx
import numpy as np
import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from PIL import Image

from hsifeat import Labels, Scene, extract, open_features
from hsifeat.cache import catalogue
from hsifeat.errors import DiskFullError, OutOfMemoryError, StoreError
from hsifeat.service.app import create_app
from hsifeat.service.config import ServiceConfig
from hsifeat.service.jobs.job_service import JobService
from hsifeat.service.jobs.queue import QueueFullError
from hsifeat.service.jobs.records import JobKind
from hsifeat.service.pages.pictures import scene_picture, stretch
from hsifeat.service.pages.rendering import PageRoute
from hsifeat.store.store import Store
from tests.helpers.cached_stores import make
from tests.helpers.context_stores import write_context_store
from tests.helpers.labelled_scene import prepare_scene
from tests.helpers.services import running
from tests.helpers.small import small_cube


@pytest.fixture
def browser_client(service, reader):
    reader.headers.pop("Authorization")
    reader.get("/login", params={"token": service.tokens["read"]})
    return reader


def test_a_stranger_is_asked_for_a_token(anyone):
    answer = anyone.get("/")
    assert answer.status_code == 401
    assert '<input type="password" name="token"' in answer.text
    assert "small" not in answer.text


def test_a_cookie_opens_the_pages(browser_client):
    answer = browser_client.get("/")
    assert answer.status_code == 200
    assert "75 \N{MULTIPLICATION SIGN} 53 pixels, 12 bands" in answer.text


def test_stores_are_searched(reader, service):
    assert service.key in reader.get("/", params={"search": "SMALL"}).text
    answer = reader.get("/", params={"search": '<script>"'})
    assert service.key not in answer.text
    assert "&lt;script&gt;&#34;" in answer.text
    assert "<script>" not in re.sub(r"<script src=.*?>", "", answer.text)


def test_a_store_shows_its_planes_and_its_scene(reader, service):
    text = reader.get(f"/pages/stores/{service.key}").text
    assert text.count("plane.png?plane=") == 8
    for path, shape in (("scene.png", (75, 53, 4)), ("plane.png?plane=t0/up_blocks.2", (75, 53, 3))):
        answer = reader.get(f"/pages/stores/{service.key}/{path}")
        assert answer.headers["content-type"] == "image/png"
        image = np.asarray(Image.open(io.BytesIO(answer.content)))
        assert image.shape == shape
        assert image[..., :3].std() > 10, "the picture has contrast"


def test_a_page_of_a_store_uses_no_other_store(store_path, tmp_path):
    small = make(store_path, tmp_path / "small.zarr", used=1)
    made = write_context_store(tmp_path / "made.zarr", open_features(store_path))
    context = make(made.store.location.path, tmp_path / "context.zarr", used=1)
    app = create_app(ServiceConfig.from_options({"state": str(tmp_path / "state")}))
    service, app.state.jobs = app.state.service, JobService(app.state.service.config)
    headers = {"Authorization": f"Bearer {service.tokens.token}"}
    http = TestClient(app, base_url="http://localhost", headers=headers)
    assert f"/pages/stores/{made.key}" in http.get(f"/pages/stores/{Store.open(small).key}").text
    used = {entry.path: entry.used for entry in catalogue.entries()}
    assert used[str(context)] == 1 < used[str(small)]


def test_a_picture_of_a_plane_shows_its_principal_components(reader, service):
    from sklearn.decomposition import PCA

    from hsifeat import Window

    features = open_features(service.path)
    values = features.read(Window(0, 0, 75, 53), ["t0/up_blocks.2"]).reshape(75 * 53, -1)
    expected = PCA(3).fit_transform(values.astype(float))
    answer = reader.get(f"/pages/stores/{service.key}/plane.png?plane=t0/up_blocks.2")
    shown = np.asarray(Image.open(io.BytesIO(answer.content))).reshape(-1, 3)
    for channel in range(3):
        assert abs(np.corrcoef(shown[:, channel], expected[:, channel])[0, 1]) > 0.95


def test_a_picture_of_a_scene_shows_the_bands_of_corrected_wavelengths(scene, tmp_path):
    for nm in (scene.wavelengths_nm, scene.wavelengths_nm[::-1].copy()):
        options = {"backbone": "context", "layers": ["mean-5"], "out": tmp_path / "small.zarr"}
        extract(replace(scene, wavelengths_nm=nm), **options)
        shown = np.asarray(Image.open(io.BytesIO(scene_picture(open_features(tmp_path / "small.zarr")))))
        for channel, wanted in enumerate((640, 550, 460)):
            ranks = [
                np.corrcoef(shown[..., channel].ravel(), np.asarray(scene.cube)[..., band].ravel())[0, 1]
                for band in range(12)
            ]
            assert np.argmax(ranks) == np.argmin(np.abs(nm - wanted))


def test_stretch_is_linear_between_its_ends():
    assert stretch(
        np.array([[0.0], [1.0], [3.0], [9.0], [np.nan]]), np.array([1.0]), np.array([5.0])
    ).ravel().tolist() == [0, 0, 128, 255, 0]


@pytest.mark.parametrize(
    "path", ["/pages/stores/0000000000000000", "/pages/stores/..%2f..", "/pages/stores/{key}/plane.png?plane=t9/none"]
)
def test_what_does_not_exist_is_not_found(reader, service, path):
    answer = reader.get(path.format(key=service.key))
    assert answer.status_code == 404
    assert "Traceback" not in answer.text


def test_only_scripts_of_the_service_run(reader):
    policy = reader.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "script-src 'self';" in policy


def test_static_files_are_kept_under_their_version_only(anyone, reader):
    address = re.search(r'href="(/static/[^"]*pages\.css)"', reader.get("/").text)[1]
    assert "immutable" in anyone.get(address).headers["cache-control"]
    assert anyone.get("/static/old/pages.css").headers["cache-control"] == "no-cache"
    for path in ("/static/x/%2e%2e/app.py", "/static/x/vendor/leaflet/LICENSE"):
        assert anyone.get(path).status_code == 404


def test_tokens_are_for_those_who_administer(service, reader):
    assert reader.get("/pages/tokens").status_code == 403
    headers = {"Authorization": f"Bearer {service.tokens['admin']}"}
    form = {"name": "grace", "right": "write", "days": "3"}
    text = reader.post("/pages/tokens", data=form, headers=headers).text
    token = re.search(r'value="(hsf_[\w-]+)"', text)[1]
    caller = service.token_file.caller_of_token(token)
    assert (caller.name, caller.right) == ("grace", "write")
    assert reader.post("/pages/tokens", data=form).status_code == 403
    answer = reader.post(f"/pages/tokens/{caller.token_id}/revoke", headers=headers)
    assert answer.headers["location"] == "/pages/tokens"
    assert service.token_file.caller_of_token(token) is None


def test_a_form_of_another_site_changes_nothing(service, reader):
    reader.headers.pop("Authorization")
    reader.get("/login", params={"token": service.tokens["admin"]})
    before = service.token_file.path.read_bytes()
    answer = reader.post(
        "/pages/tokens", data={"name": "eve", "right": "admin"}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert answer.status_code == 401
    assert service.token_file.path.read_bytes() == before


@pytest.mark.parametrize(
    ("error", "status", "retry", "message"),
    [
        (StoreError("/srv/private/stores/a.zarr is damaged"), 422, None, ">a.zarr is damaged.<"),
        (OutOfMemoryError("memory ran out"), 503, "30", ">memory ran out.<"),
        (DiskFullError("the disk of /srv/private/jobs is full"), 507, None, ">The disk of jobs is full.<"),
        (QueueFullError("ann has 2 queued jobs", 7), 429, "7", ">ann has 2 queued jobs.<"),
    ],
)
def test_a_page_answers_an_error_as_the_other_routes_do(service, anyone, error, status, retry, message):
    path = f"/fails-for-a-test-with-{status}"
    for prefix, route_class in (("/page", PageRoute), ("/json", APIRoute)):
        router = APIRouter(route_class=route_class, include_in_schema=False)

        @router.get(f"{prefix}{path}")
        def fail() -> None:
            raise error

        service.app.include_router(router)
    page, plain = anyone.get(f"/page{path}"), anyone.get(f"/json{path}")
    assert message in page.text
    assert message.lower() == f">{plain.json()['detail']}.<"
    for answer in (page, plain):
        assert (answer.status_code, answer.headers.get("retry-after")) == (status, retry)
        assert "/srv" not in answer.text


def test_no_name_becomes_markup_on_any_page(tmp_path):
    name = "<img src=x onerror=alert(1)>'\""
    classes = np.repeat(np.uint8([1, 0, 2]), 8)[:, np.newaxis].repeat(24, 1)
    scene = Scene(name, small_cube()[:24, :24], labels={name: Labels(name, classes, {1: name, 2: "b"})})
    key = extract(scene, backbone="context", layers=["mean-5"], out=tmp_path / "stores" / "named.zarr").key
    config = ServiceConfig.from_options(
        {"cache": str(tmp_path / "stores"), "state": str(tmp_path / "state"), "port": 0}
    )
    queue = JobService(config).queue
    job = queue.cancel(queue.submit(JobKind.EXTRACT, "k", {"scene": {"files": [name]}}, owner=name).job.id, name)
    with running(config) as service:
        headers = {"Authorization": f"Bearer {service.app.state.service.tokens.token}"}
        with httpx.Client(base_url=service.url, headers=headers, timeout=60) as http:
            prepare_scene(http, key)
            for path in ("/", f"/pages/stores/{key}", "/pages/jobs", f"/pages/jobs/{job.id}", f"/label/{key}"):
                text = http.get(path).text
                assert "&lt;img src=x" in text, path
                assert "<img src=x" not in text, path
