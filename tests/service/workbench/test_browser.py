"""The workbench in a real browser: a person labels, sees the map, loses the service, comes back, and takes the map along."""

from __future__ import annotations

import csv
import json
import re
from math import log2
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from scipy.ndimage import binary_erosion

from hsifeat import Labels, Scene, extract, open_features, open_scene
from tests.helpers.browser import audit
from tests.helpers.labelled_scene import open_label_set
from tests.helpers.services import KillableService

# A part of Indian Pines with four classes on many pixels each, and a part of the Landsat scene with three classes and ground
# of no class, which the person calls bare.
PART, CLASSES = np.s_[4:60, 80:136], {8: "hay", 10: "no-till", 11: "min-till", 14: "woods"}
LANDSAT = {"row": 280, "col": 310, "rows": 60, "cols": 60}
LANDSAT_CLASSES = {1: "town", 5: "forest", 7: "water", 0: "bare"}
# Each click is a new map, score and picture of the browser, so clicks take most of the time of the story.
CLICKS = 3


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


class Bench:
    """The page of the workbench, as a person with a mouse sees it."""

    def __init__(self, page):
        self.page = page
        page.wait_for_selector("#workbench[data-drawn]", timeout=60_000)
        box = page.locator("#stage").bounding_box()
        self._centre = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        # Two pixels that the page names tell where all others are. Zoom levels are multiples of a quarter.
        (first, second) = (self.pixel_at(-60, -60), self.pixel_at(60, 60))
        self._scale = 2 ** (round(4 * log2(240 / (second[0] - first[0] + second[1] - first[1]))) / 4)
        self._first = first

    def pixel_at(self, right, down):
        self.page.mouse.move(self._centre[0] + right, self._centre[1] + down)
        found = re.match(r"row (\d+), column (\d+)", self.page.text_content("#readout"))
        return int(found[1]), int(found[2])

    def place(self, row, col):
        """Return where a pixel is on the screen."""
        return (
            self._centre[0] - 60 + (col - self._first[1]) * self._scale,
            self._centre[1] - 60 + (row - self._first[0]) * self._scale,
        )

    @property
    def drawn(self):
        return self.page.get_attribute("#workbench", "data-drawn")

    def until_drawn(self, action):
        """Do something that changes the labels, and wait for the next map."""
        before = self.drawn
        action()
        self.page.wait_for_selector(f"#workbench:not([data-drawn='{before}'])")

    def click(self, row, col):
        self.until_drawn(lambda: self.page.mouse.click(*self.place(row, col)))

    @property
    def counts(self):
        return {
            button.get_attribute("data-name"): int(re.search(r"\d+$", button.locator(".count").text_content())[0])
            for button in self.page.locator(".class").all()
        }


@pytest.fixture
def new_page(chromium):
    """Return a function that opens a page with a cookie of a person. Messages, errors and foreign requests fail the test."""
    contexts, complaints, requests = [], [], []

    def open_page(service, key, width=1280, **options):
        context = chromium.new_context(viewport={"width": width, "height": 800}, is_mobile=width < 600, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        for _ in range(400):  # until the service listens
            try:
                page.goto(f"{service.url}/login?token={service.token}&next=/label/{key}")
                break
            except Exception:  # noqa: BLE001  # of playwright
                page.wait_for_timeout(50)
        return page

    open_page.complaints = complaints
    yield open_page
    for context in contexts:
        context.close()
    assert not complaints
    assert all(url.startswith(("http://127.0.0.1:", "data:", "blob:")) for url in requests)


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_a_person_labels_two_scenes(pines, landsat, own_service, new_page, gdal, tmp_path):
    page = new_page(own_service, pines.key)
    page.wait_for_selector("#stage", timeout=60_000)
    # The tour is walked to its end once, and does not come back.
    while page.is_visible("#tour"):
        page.click("#tour-next")
    bench = Bench(page)
    label_four_classes(bench, pines.truth, CLASSES)
    take_suggestion(bench)
    check_map(bench, pines.truth)
    lose_service(bench, own_service)
    page = come_back(page, own_service, pines.key, new_page)
    counts = dict.fromkeys(CLASSES.values(), CLICKS) | {"no-till": CLICKS + 2}
    assert Bench(page).counts == counts
    page.wait_for_selector("#score :text('of 10 check places')")
    take_map(page, tmp_path / "map.tif", pines.truth.shape)
    take_labels(page, tmp_path / "labels.csv", pines.truth, CLASSES, CLICKS + 2)
    bring_labels_back(page, tmp_path / "labels.csv", counts)

    page.goto(f"{own_service.url}/label/{landsat.key}")
    bench = Bench(page)
    label_four_classes(bench, landsat.truth, LANDSAT_CLASSES)
    take_suggestion(bench)
    own_service.kill()
    own_service.start()
    page = come_back(page, own_service, landsat.key, new_page)
    counts = dict.fromkeys(LANDSAT_CLASSES.values(), CLICKS) | {"forest": CLICKS + 1}
    assert Bench(page).counts == counts
    take_map(page, tmp_path / "landsat-map.tif", landsat.truth.shape)
    assert grid(gdal, tmp_path / "landsat-map.tif") == grid(gdal, landsat.file)
    take_labels(page, tmp_path / "landsat.csv", landsat.truth, LANDSAT_CLASSES, CLICKS + 1)
    bring_labels_back(page, tmp_path / "landsat.csv", counts)


def come_back(page, service, key, new_page):
    """Close the page and open the scene again, as the same person."""
    person = page.context.storage_state()
    page.context.close()
    new_page.complaints.clear()  # the browser logs that requests failed
    page = new_page(service, key, storage_state=person)
    page.wait_for_selector("#stage", timeout=60_000)
    return page


def pixels_of(truth, number, count):
    """Return pixels inside the fields of a class, the same ones each time."""
    places = np.argwhere(binary_erosion(truth == number, iterations=1))
    return np.random.default_rng(number).choice(places, count, replace=False).tolist()


def label_four_classes(bench, truth, classes):
    page = bench.page
    for number, (true_number, name) in enumerate(classes.items(), 1):
        page.fill(".add input[name=name]", name)
        page.click(".add button")
        page.wait_for_selector(f".class[data-number='{number}'][aria-pressed=true]")
        for row, col in pixels_of(truth, true_number, CLICKS):
            bench.click(row, col)
    assert bench.counts == dict.fromkeys(classes.values(), CLICKS)
    assert page.get_attribute("#workbench", "data-mapped") == "1"
    page.wait_for_selector(f"#workbench[data-scored='{bench.drawn}']")
    assert "held-out pixels" in page.inner_text("#score")
    page.mouse.move(*bench.place(*pixels_of(truth, list(classes)[1], CLICKS + 1)[CLICKS]))
    assert re.search(rf"mapped as ({'|'.join(classes.values())}), \d+ % sure", page.text_content("#readout"))
    page.wait_for_selector(f"#spectrum svg[aria-label*='{', '.join(classes.values())}']")


def take_suggestion(bench):
    """Go to a suggestion, label it with the second class, undo and redo, by the keyboard alone."""
    page = bench.page
    name = list(bench.counts)[1]
    page.locator("#stage").focus()
    page.keyboard.press("n")
    page.wait_for_selector("#workbench[data-place]")
    row, col = map(int, page.get_attribute("#workbench", "data-place").split(","))
    assert f"row {row}, column {col}" in page.text_content("#readout")
    page.keyboard.press("2")
    page.locator("#stage").focus()
    bench.until_drawn(lambda: page.keyboard.press("Enter"))
    assert bench.counts[name] == CLICKS + 1
    bench.until_drawn(lambda: page.keyboard.press("Control+z"))
    assert bench.counts[name] == CLICKS
    bench.until_drawn(lambda: page.keyboard.press("y"))
    assert bench.counts[name] == CLICKS + 1


def check_map(bench, truth):
    """Name random places by the keyboard until ten are named. The map is hidden meanwhile."""
    page, named = bench.page, 0
    keys = {true_number: str(number) for number, true_number in enumerate(CLASSES, 1)}
    page.keyboard.press("c")
    page.wait_for_selector("#workbench[data-check]")
    while named < 10:
        place = page.get_attribute("#workbench", "data-check")
        assert "mapped" not in page.text_content("#readout")
        assert page.locator("#stage canvas").first.is_hidden()
        key = keys.get(int(truth[tuple(map(int, place.split(",")))]), "0")
        page.keyboard.press(key)
        page.wait_for_selector(f"#workbench:not([data-check='{place}'])")
        named += key != "0"
    page.keyboard.press("Escape")
    page.wait_for_selector("#score :text('of 10 check places')")
    assert page.locator("#stage canvas").first.is_visible()


def lose_service(bench, service):
    """Label while the service is killed: the label waits, and is saved when the service is back. Then kill it again."""
    page = bench.page
    service.kill()
    page.locator("#stage").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("#message:not([hidden])")
    before = bench.drawn
    service.start()
    page.wait_for_selector(f"#workbench:not([data-drawn='{before}'])", timeout=60_000)
    assert not page.is_visible("#message")
    assert bench.counts["no-till"] == CLICKS + 2
    # A map that is asked for while the service is away comes by itself, too.
    service.kill()
    page.evaluate("document.getElementById('smooth').closest('details').open = true")
    page.select_option("#smooth", "none")
    page.wait_for_selector("#message:not([hidden])")
    before = page.get_attribute("#workbench", "data-ms")
    service.start()
    page.wait_for_function("before => document.getElementById('workbench').dataset.ms !== before", arg=before)
    service.kill()
    service.start()


def take_labels(page, file, truth, classes, of_second):
    page.click("text=Files")
    with page.expect_download() as download:
        page.click("text=CSV >> nth=0")
    download.value.save_as(file)
    rows = list(csv.DictReader(file.read_text().splitlines()))
    second = list(classes.values())[1]
    assert sum(line["class"] == second for line in rows) == of_second
    clicked = {
        tuple(place) for number in classes if classes[number] != second for place in pixels_of(truth, number, CLICKS)
    }
    assert {(int(line["row"]), int(line["col"])) for line in rows if line["class"] != second} == clicked


def take_map(page, file, shape):
    page.click("text=Files")
    with page.expect_download() as download:
        page.click("text=Map, GeoTIFF")
    download.value.save_as(file)
    with rasterio.open(file) as dataset:
        assert dataset.shape == shape
        assert set(np.unique(dataset.read(1))) <= {1, 2, 3, 4}
    page.click("text=Files")


def bring_labels_back(page, file, counts):
    """Import the labels into another set."""
    page.click("text=Labels: labels")
    page.fill(".sheet input[name=name]", "again")
    page.click(".sheet button:has-text('Open')")
    bench = Bench(page)
    page.click("text=Files")
    page.set_input_files("#import input[type=file]", file)
    bench.until_drawn(lambda: page.click("#import button"))
    page.wait_for_selector(".class >> nth=3")
    assert bench.counts == counts


def grid(gdal, file):
    """Return size, position and reference system of a file as GDAL reads them."""
    facts = json.loads(gdal("gdalinfo", "-json", file))
    return facts["size"], facts["geoTransform"], facts["coordinateSystem"]["wkt"], facts["cornerCoordinates"]


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


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_pages_are_accessible_and_fit_the_screen(service, new_page, width, scheme):
    who = SimpleNamespace(url=service.url, token=service.tokens["admin"])
    page = new_page(who, service.key, width, color_scheme=scheme, bypass_csp=True, has_touch=width < 600)
    page.wait_for_selector("#stage", timeout=60_000)
    for path in (f"/label/{service.key}", "/", f"/pages/stores/{service.key}", "/pages/tokens", "/pages/jobs"):
        page.goto(service.url + path)
        if path.startswith("/label"):
            page.wait_for_selector("#workbench[data-drawn]")
            page.keyboard.press("Escape")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
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
