"""The workbench in a real browser: labelling by mouse, keyboard and touch, a lost service, and downloads of the map."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio

from hsifeat import Labels, Scene, extract, open_features, open_scene
from hsifeat.service.workbench.map_tools import MapTools
from tests.helpers.browser import audit
from tests.helpers.labelled_scene import open_label_set, read_raster
from tests.helpers.services import KillableService
from tests.helpers.workbench_people import Keyboard, Mouse, Touch, Visits
from tests.helpers.workbench_story import LANDSAT_CLASSES, PINES_CLASSES, label_scene

# Parts of Indian Pines and of the Landsat scene with all classes of the story on many pixels each.
PART = np.s_[4:60, 80:136]
LANDSAT = {"row": 280, "col": 310, "rows": 60, "cols": 60}


@pytest.fixture
def pines(tmp_path):
    """The truth of a part of Indian Pines, with a store of its context features."""
    whole = open_scene("indian-pines")
    truth = whole.labels["ground-truth"].classes[PART]
    scene = Scene("Indian Pines", np.asarray(whole.cube[PART]), whole.wavelengths_nm, {"truth": Labels("truth", truth)})
    store = extract(scene, backbone="context", out=tmp_path / "stores" / "pines.zarr")
    return SimpleNamespace(truth=truth, classes=PINES_CLASSES, key=open_features(store).key, file=None)


@pytest.fixture
def landsat(tmp_path, data_folder, gdal):
    """A GeoTIFF that GDAL cut from a Landsat scene, with a store of its context features, and labelled pixels of three classes."""
    folder, window = data_folder / "nc_landsat7", [str(LANDSAT[name]) for name in ("col", "row", "cols", "rows")]
    gdal("gdal_translate", "-q", "-srcwin", *window, folder / "landsat_multiband.tif", tmp_path / "landsat.tif")
    gdal("gdal_translate", "-q", "-srcwin", *window, folder / "landsat96_labelled_pixels.tif", tmp_path / "truth.tif")
    with rasterio.open(tmp_path / "truth.tif") as dataset:
        truth = dataset.read(1).clip(0).astype(int)
    store = extract(open_scene(tmp_path / "landsat.tif"), backbone="context", out=tmp_path / "stores" / "landsat.zarr")
    return SimpleNamespace(
        truth=truth, classes=LANDSAT_CLASSES, key=open_features(store).key, file=tmp_path / "landsat.tif"
    )


@pytest.fixture
def labelled_scene(request):
    """One of the scenes."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def own_service(labelled_scene, tmp_path):  # whose store it serves
    service = KillableService(tmp_path, tmp_path / "stores")
    yield service
    service.kill()


@pytest.fixture
def new_page(chromium):
    """Return a function that opens a page with a cookie of a person. Messages, errors and foreign requests fail the test."""
    visits = Visits(chromium, size_px=(1024, 640))
    yield visits
    visits.close()
    assert not visits.complaints
    assert visits.requests and not visits.foreign_requests


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
@pytest.mark.parametrize(
    ("person", "labelled_scene"),
    [(Mouse, "landsat"), (Keyboard, "pines"), (Touch, "landsat")],
    indirect=["labelled_scene"],
)
def test_a_person_labels_a_scene(person, labelled_scene, own_service, new_page, gdal, tmp_path):
    story = label_scene(person, labelled_scene, own_service, new_page, gdal, tmp_path, clicks=3)
    assert len(list(story)) == 8


def address_of(service):
    """Return the address that opens the workbench of the small scene."""
    return f"{service.url}/login?token={service.tokens['admin']}&next=/label/{service.key}"


def test_two_pages_edit_a_shared_set_at_once(service, author, new_page):
    path = open_label_set(author, service.key, "by two pages", shared=True)
    author.post(f"{path}/classes", data={"name": "corn"})
    author.post(f"{path}/classes", data={"name": "wheat"})
    number = path.rpartition("/")[2]
    pages = [new_page(address_of(service)) for _ in range(2)]
    for at, page in enumerate(pages):
        page.goto(f"{service.url}/label/{service.key}?set={number}")
        page.wait_for_selector("#workbench[data-drawn]", timeout=60_000)
        page.keyboard.press("Escape")
        page.keyboard.press(str(at + 1))
        page.locator("#stage").focus()
    for _ in range(4):
        for at, page in enumerate(pages):  # one labels to the right of the middle, the other one to the left
            page.keyboard.press(("ArrowRight", "ArrowLeft")[at])
            page.keyboard.press("Enter")
    for page in pages:
        page.wait_for_function(
            "() => [...document.querySelectorAll('.count')].every(one => one.lastChild.textContent === '4')"
        )
    assert author.get(f"{path}/state").json()["counts"] == {"1": 4, "2": 4}
    # The names are exchanged, and a class is added. The pages show them with the next map, and keep the class that was chosen.
    for number, name in ((1, "none"), (2, "corn"), (1, "wheat")):
        author.post(f"{path}/classes/{number}", data={"name": name, "colour": "#a0b0c0", "shortcut": str(number)})
    author.post(f"{path}/classes", data={"name": "oats"})
    for at, page in enumerate(pages):
        page.keyboard.press("Enter")
        page.wait_for_selector(".class >> text=oats")
        shown = page.locator(".class").all()
        assert [one.get_attribute("data-name") for one in shown] == ["wheat", "corn", "oats"]
        assert [one.get_attribute("data-colour") for one in shown][:2] == ["#a0b0c0"] * 2
        assert [one.get_attribute("aria-pressed") == "true" for one in shown] == [at == 0, at == 1, False]


def test_a_stroke_is_the_line_between_the_places_of_the_mouse(service, author, new_page, monkeypatch):
    path = open_label_set(author, service.key, "strokes", shared=True)
    author.post(f"{path}/classes", data={"name": "corn"})
    page = new_page(address_of(service))
    page.goto(f"{service.url}/label/{service.key}?set={path.rpartition('/')[2]}")
    person = Mouse(page)
    page.keyboard.press("Escape")
    # Without a map, the reason for which a file is refused stays on the page.
    page.locator("#files").evaluate("menu => { menu.open = true; }")
    refused = {"name": "labels.csv", "mimeType": "text/csv", "buffer": b"x,y\n1,2\n"}
    page.set_input_files("#import input[type=file]", refused)
    page.click("#import button")
    page.wait_for_selector("#message:visible >> text=labels.csv")
    page.wait_for_selector("#readout >> text=No map yet")
    assert page.locator("#message").is_visible()
    (refusal,) = new_page.complaints
    assert "422" in refusal
    new_page.complaints.clear()
    page.keyboard.press("Escape")
    page.locator("#stage").focus()
    page.keyboard.press("1")
    page.keyboard.press("b")
    ends = [(20, 10), (31, 44), (52, 30)]
    for at, end in enumerate(ends):
        page.mouse.move(*person.place(*end)[:2])
        if not at:
            page.mouse.down()
    person.until_drawn(page.mouse.up)
    labelled = read_raster(author, path).labels == 1
    # Each place of the line labels the 3 x 3 pixels around it. The mouse moves by whole pixels of the screen.
    line = np.concatenate([np.linspace(start, end, 1000) for start, end in pairwise(ends)])
    distances = (
        np.abs(np.argwhere(np.ones_like(labelled))[:, None] - line).max(axis=2).min(axis=1).reshape(labelled.shape)
    )
    assert labelled[distances < 0.6].all()
    assert not labelled[distances > 1.7].any()
    # A segment of a scene that is too noisy for segments is labelled with a message, which stays until the next action.
    opened = MapTools.segments
    monkeypatch.setattr(MapTools, "segments", lambda self: replace(opened(self), note="the scene is too noisy"))
    message = page.locator("#message")
    assert message.is_hidden()
    page.keyboard.press("s")
    person.until_drawn(lambda: page.mouse.click(*person.place(45, 25)[:2]))
    assert message.inner_text() == "The scene is too noisy."
    page.keyboard.press("x")
    person.until_drawn(lambda: page.mouse.click(*person.place(50, 10)[:2]))
    assert message.is_hidden()


def answer_once(page, address, **answer):
    """Answer the next request of a page to an address, instead of the service."""
    page.route(address, lambda route: route.fulfill(**answer), times=1)


# A message can be shorter on the screen than a test needs to see it: another request that is answered ends it.
_RECORD_MESSAGES = """() => {
    window.said = [];
    const message = document.getElementById("message");
    new MutationObserver(() => window.said.push(message.textContent)).observe(message, { childList: true });
}"""


def test_nothing_is_lost_behind_a_proxy_that_cannot_reach_the_service(service, author, new_page):
    path = open_label_set(author, service.key, "behind a proxy", shared=True)
    author.post(f"{path}/classes", data={"name": "corn"})
    page = new_page(address_of(service))
    page.goto(f"{service.url}/label/{service.key}?set={path.rpartition('/')[2]}")
    page.wait_for_selector("#workbench[data-drawn]", timeout=60_000)
    page.keyboard.press("Escape")
    page.locator("#stage").focus()
    page.keyboard.press("1")
    page.keyboard.press("ArrowRight")
    # nginx answers with a page, and the service with a reason.
    answer_once(page, "**/edits?*", status=502, content_type="text/html", body="<h1>502 Bad Gateway</h1>")
    answer_once(page, "**/raster?*", status=503, json={"detail": "too many requests"})
    before = page.get_attribute("#workbench", "data-drawn")
    page.evaluate(_RECORD_MESSAGES)
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#workbench:not([data-drawn='{before}'])")
    assert [text for text in page.evaluate("said") if text] == [
        "The service answered 502. Your last change is not saved yet; this page keeps trying.",
        "Too many requests. Your labels so far are saved; this page keeps trying.",
    ]
    assert page.locator("#message").is_hidden()
    assert author.get(f"{path}/state").json()["counts"] == {"1": 1}
    assert len(new_page.complaints) == 2 and all("status of 50" in text for text in new_page.complaints)
    new_page.complaints.clear()


@pytest.fixture
def corn_page(service, author, new_page, request):
    """A page whose next Enter labels a pixel as corn, and the path of its label set."""
    path = open_label_set(author, service.key, request.node.name[-20:], shared=True)
    author.post(f"{path}/classes", data={"name": "corn"})
    page = new_page(address_of(service))
    page.goto(f"{service.url}/label/{service.key}?set={path.rpartition('/')[2]}")
    page.wait_for_selector("#workbench[data-drawn]", timeout=60_000)
    page.keyboard.press("Escape")
    page.locator("#stage").focus()
    page.keyboard.press("1")
    return page, path


def test_a_page_without_a_service_says_what_is_unsaved_and_asks_before_it_closes(corn_page, author, new_page):
    page, path = corn_page
    message = page.locator("#message")
    page.route("**/label/**", lambda route: route.abort("connectionrefused"))
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#message:visible >> text=Your labels so far are saved")  # of the spectrum and the picture
    page.evaluate(_RECORD_MESSAGES)
    for unsaved in ("last change is", "last 2 changes are", "last 3 changes are"):
        page.keyboard.press("Enter")
        page.wait_for_selector(f"#message >> text=Your {unsaved} not saved yet")
        page.keyboard.press("ArrowRight")
    # Pictures, spectra, suggestions, the state of the shared set and other messages don't replace what is unsaved.
    page.keyboard.press("n")
    page.keyboard.press("+")
    page.wait_for_event("requestfailed", lambda one: "/state?" in one.url)
    page.fill("#new-class", "wheat")
    page.keyboard.press("Enter")
    page.wait_for_selector("#message >> text=The class is not saved")
    assert all("not saved yet" in text for text in page.evaluate("said"))
    with page.expect_event("dialog") as question:
        page.close(run_before_unload=True)
    assert question.value.type == "beforeunload"
    question.value.dismiss()
    assert "Your last 3 changes are not saved yet" in message.inner_text()
    page.unroute("**/label/**")
    page.wait_for_function("() => document.querySelector('.count').lastChild.textContent === '3'")
    assert author.get(f"{path}/state").json()["counts"] == {"1": 3}
    assert "not saved yet" not in message.inner_text()
    assert all("net::ERR_CONNECTION_REFUSED" in text or text.startswith("htmx:") for text in new_page.complaints)
    new_page.complaints.clear()
    with page.expect_event("close"):
        page.close(run_before_unload=True)


def test_a_page_says_what_is_unsaved_behind_a_connection_that_hangs_and_after_its_token_has_expired(
    corn_page, author, new_page
):
    page, path = corn_page
    held = []
    page.route("**/edits?*", lambda route: held.append(route), times=1)
    page.clock.install()
    page.keyboard.press("ArrowRight")
    with page.expect_request("**/edits?*"):
        page.keyboard.press("Enter")
    page.clock.fast_forward(6000)
    page.wait_for_selector("#message >> text=has not answered yet. Your last change is not saved yet")
    (route,) = held
    before = page.get_attribute("#workbench", "data-drawn")
    page.evaluate(_RECORD_MESSAGES)
    route.fulfill(status=401, json={"detail": "no valid token"})
    page.wait_for_selector(f"#workbench:not([data-drawn='{before}'])")
    (expired,) = filter(None, page.evaluate("said"))
    assert "token has expired" in expired and "Your last change is not saved yet" in expired
    assert page.locator("#message").is_hidden()
    assert author.get(f"{path}/state").json()["counts"] == {"1": 1}
    assert len(new_page.complaints) == 1 and "401" in new_page.complaints[0]
    new_page.complaints.clear()


def test_a_note_on_the_map_does_not_replace_that_a_label_was_refused(corn_page, author, new_page):
    page, path = corn_page

    def add_note(route):
        response = route.fetch()
        route.fulfill(response=response, headers={**response.headers, "X-Note": "the map is smoothed"})

    page.route("**/raster?*", add_note, times=1)
    answer_once(page, "**/edits?*", status=507, json={"detail": "north field.tif is on a full disk"})
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("#message >> text=The map is smoothed.")
    assert page.inner_text("#message") == "north field.tif is on a full disk. The map is smoothed."
    assert author.get(f"{path}/state").json()["counts"] == {}
    assert len(new_page.complaints) == 1 and "507" in new_page.complaints[0]
    new_page.complaints.clear()


def test_an_undo_that_was_asked_for_meanwhile_does_not_hide_that_a_label_was_refused(corn_page, new_page):
    page, _ = corn_page
    held = []
    page.route("**/edits?*", lambda route: held.append(route), times=1)
    page.keyboard.press("ArrowRight")
    with page.expect_request("**/edits?*"):
        page.keyboard.press("Enter")
    page.keyboard.press("z")
    held[0].fulfill(status=507, json={"detail": "the disk is full"})
    page.wait_for_selector("#readout >> text=There is nothing to undo.")
    assert page.inner_text("#message") == "The disk is full."
    assert len(new_page.complaints) == 1 and "507" in new_page.complaints[0]
    new_page.complaints.clear()


def test_refused_answers_of_a_check_are_not_called_saved(service, author, new_page):
    path = open_label_set(author, service.key, "refused answers", shared=True)
    for name in ("corn", "wheat"):
        author.post(f"{path}/classes", data={"name": name})
    page = new_page(address_of(service))
    page.goto(f"{service.url}/label/{service.key}?set={path.rpartition('/')[2]}")
    page.wait_for_selector("#workbench[data-drawn]", timeout=60_000)
    page.keyboard.press("Escape")
    for refusals, text in (
        (1, "The service refused 1 of 2 answers. The place is a label."),
        (0, "The answers are saved."),
    ):
        page.keyboard.press("c")
        page.wait_for_selector("#workbench[data-check]")
        if refusals:
            answer_once(page, "**/checks?*", status=409, json={"detail": "the place is a label."})
        for key in ("1", "2", "Escape"):
            page.keyboard.press(key)
        page.wait_for_selector(f"#readout >> text={text}")
        assert page.locator("#message").is_visible() == (refusals > 0)
    assert author.get(f"{path}/checks").json()["answered"] == 3
    assert len(new_page.complaints) == 1 and "409" in new_page.complaints[0]
    new_page.complaints.clear()


@pytest.mark.parametrize(("width", "scheme", "tablet"), [(1280, "dark", [768]), (390, "light", [])])
def test_pages_are_accessible_and_fit_the_screen(service, author, new_page, width, scheme, tablet):
    number = open_label_set(author, service.key, "n" * 60, shared=True).rpartition("/")[2]
    page = new_page(address_of(service), width, color_scheme=scheme, bypass_csp=True, has_touch=width < 600)
    page.wait_for_selector("#stage", timeout=60_000)
    for path in (
        f"/label/{service.key}?set={number}",
        "/",
        f"/pages/stores/{service.key}",
        "/pages/tokens",
        "/pages/jobs",
    ):
        page.goto(service.url + path)
        if path.startswith("/label"):
            page.wait_for_selector("#workbench[data-drawn]")
            page.keyboard.press("Escape")
        # Only the workbench has another layout on tablets.
        for shown in [*tablet, width] if path.startswith("/label") else [width]:
            page.set_viewport_size({"width": shown, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= shown, path
            passes, faults = audit(page)
            assert "color-contrast" in passes
            assert not faults, path + "\n".join(faults)
