"""The workbench in a real browser: a person labels, sees the map, loses the service, comes back, and takes the map along."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio

from hsifeat import Labels, Scene, extract, open_features, open_scene
from tests.helpers.browser import audit
from tests.helpers.labelled_scene import open_label_set
from tests.helpers.services import KillableService
from tests.helpers.workbench_story import Visits, label_two_scenes

# Parts of Indian Pines and of the Landsat scene with all classes of the story on many pixels each.
PART = np.s_[4:60, 80:136]
LANDSAT = {"row": 280, "col": 310, "rows": 60, "cols": 60}


@pytest.fixture
def own_service(tmp_path):
    service = KillableService(tmp_path, tmp_path / "stores")
    yield service
    service.kill()


@pytest.fixture
def pines(tmp_path):
    """The truth of a part of Indian Pines, with a store of its context features."""
    whole = open_scene("indian-pines")
    truth = whole.labels["ground-truth"].classes[PART]
    scene = Scene("Indian Pines", np.asarray(whole.cube[PART]), whole.wavelengths_nm, {"truth": Labels("truth", truth)})
    store = extract(scene, backbone="context", out=tmp_path / "stores" / "pines.zarr")
    return SimpleNamespace(truth=truth, key=open_features(store).key)


@pytest.fixture
def landsat(tmp_path, data_folder, gdal):
    """A GeoTIFF that GDAL cut from a Landsat scene, with a store of its context features, and labelled pixels of three classes."""
    folder, window = data_folder / "nc_landsat7", [str(LANDSAT[name]) for name in ("col", "row", "cols", "rows")]
    gdal("gdal_translate", "-q", "-srcwin", *window, folder / "landsat_multiband.tif", tmp_path / "landsat.tif")
    gdal("gdal_translate", "-q", "-srcwin", *window, folder / "landsat96_labelled_pixels.tif", tmp_path / "truth.tif")
    with rasterio.open(tmp_path / "truth.tif") as dataset:
        truth = dataset.read(1).clip(0).astype(int)
    store = extract(open_scene(tmp_path / "landsat.tif"), backbone="context", out=tmp_path / "stores" / "landsat.zarr")
    return SimpleNamespace(truth=truth, key=open_features(store).key, file=tmp_path / "landsat.tif")


@pytest.fixture
def new_page(chromium):
    """Return a function that opens a page with a cookie of a person. Messages, errors and foreign requests fail the test."""
    visits = Visits(chromium, size_px=(1024, 640))
    yield visits
    visits.close()
    assert not visits.complaints
    assert visits.requests and not visits.foreign_requests


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_a_person_labels_two_scenes(pines, landsat, own_service, new_page, gdal, tmp_path):
    # Clicks take most of the time, because each one is followed by a map, a score and a picture.
    story = label_two_scenes(pines, landsat, own_service, new_page, gdal, tmp_path, clicks=3)
    assert len(list(story)) == 13


def test_two_pages_edit_a_shared_set_at_once(service, author, new_page):
    path = open_label_set(author, service.key, "by two pages", shared=True)
    author.post(f"{path}/classes", data={"name": "corn"})
    author.post(f"{path}/classes", data={"name": "wheat"})
    number = path.rpartition("/")[2]
    who = SimpleNamespace(url=service.url, token=service.tokens["admin"])
    pages = [new_page(who, service.key) for _ in range(2)]
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


@pytest.mark.parametrize(("width", "scheme", "tablet"), [(1280, "dark", [768]), (390, "light", [])])
def test_pages_are_accessible_and_fit_the_screen(service, new_page, width, scheme, tablet):
    who = SimpleNamespace(url=service.url, token=service.tokens["admin"])
    page = new_page(who, service.key, width, color_scheme=scheme, bypass_csp=True, has_touch=width < 600)
    page.wait_for_selector("#stage", timeout=60_000)
    for path in (f"/label/{service.key}", "/", f"/pages/stores/{service.key}", "/pages/tokens", "/pages/jobs"):
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


def test_a_tap_labels_and_checks(service, new_page):
    who = SimpleNamespace(url=service.url, token=service.tokens["admin"])
    page = new_page(who, service.key, 390, has_touch=True)
    page.wait_for_selector("#stage", timeout=60_000)
    page.tap("#tour-leave")
    page.wait_for_selector("#workbench[data-drawn]")
    page.fill(".add input[name=name]", f"touched {page.locator('.class').count()}")
    page.tap(".add button")
    page.wait_for_selector(".class[aria-pressed=true]")
    before = page.get_attribute("#workbench", "data-drawn")
    page.locator("#stage").scroll_into_view_if_needed()
    box = page.locator("#stage").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector(f"#workbench:not([data-drawn='{before}'])")
    assert re.search(r"\d+$", page.locator(".class[aria-pressed=true] .count").text_content())[0] == "1"
    check_by_touch(page)


def check_by_touch(page):
    """Answer one check place and skip another one. A check needs two classes."""
    page.fill(".add input[name=name]", f"second {page.locator('.class').count()}")
    page.tap(".add button")
    page.wait_for_selector(".class >> nth=1")
    page.tap("#check")
    for button in ("#check-classes button >> nth=0", "[data-check=skip]"):
        page.wait_for_selector("#workbench[data-check]")
        place = page.get_attribute("#workbench", "data-check")
        mark = page.locator("#stage").bounding_box()
        assert 0 < mark["y"] + mark["height"] / 2 < page.viewport_size["height"], "the mark is on the screen"
        page.tap(button)
        page.wait_for_selector(f"#workbench[data-check]:not([data-check='{place}'])")
    page.tap("[data-check=stop]")
    page.wait_for_selector("#check-bar", state="hidden")
