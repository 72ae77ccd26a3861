"""The story of a person who labels two scenes in the workbench: with a mouse and the keyboard, while the service is killed.

Tests tell it on parts of the scenes, `benchmarks/workbench_story.py` on the whole ones.
"""

from __future__ import annotations

import csv
import json
import re
from math import log2

import numpy as np
import rasterio
from scipy.ndimage import binary_erosion

# Classes of Indian Pines with many pixels each, and of the Landsat scene; the person calls its ground of no class bare.
PINES_CLASSES = {8: "hay", 10: "no-till", 11: "min-till", 14: "woods"}
LANDSAT_CLASSES = {1: "town", 5: "forest", 7: "water", 0: "bare"}


class Visits:
    """Pages with the cookie of a person.

    Parameters
    ----------
    chromium
        The browser.
    size_px : tuple of int
        Width and height of the pages. Drawing takes less time on smaller pages.

    Attributes
    ----------
    complaints : list of str
        Messages and errors of the pages.
    requests : list of str
        Addresses that the pages requested.
    """

    def __init__(self, chromium, size_px=(1280, 800)):
        self._chromium, self._contexts, self._size_px = chromium, [], size_px
        self.complaints, self.requests = [], []

    def __call__(self, service, key, width=None, **options):
        """Open a scene in the workbench of a service, as soon as the service listens."""
        width, height = width or self._size_px[0], self._size_px[1]
        viewport = {"width": width, "height": height}
        context = self._chromium.new_context(viewport=viewport, is_mobile=width < 600, **options)
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        for _ in range(400):
            try:
                page.goto(f"{service.url}/login?token={service.token}&next=/label/{key}")
                break
            except Exception:  # noqa: BLE001  # of playwright
                page.wait_for_timeout(50)
        return page

    @property
    def foreign_requests(self):
        """Addresses of requests that left the service."""
        return [url for url in self.requests if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))]

    def close(self):
        """Close all pages."""
        for context in self._contexts:
            context.close()


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
        return self.pixel_shown()

    def pixel_shown(self):
        """Return row and column of the pixel under the mouse, which the page shows."""
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

    def aim(self, row, col):
        """Point at a pixel, and return where it is on the screen. Where pixels are small, the first try may miss."""
        x, y = self.place(row, col)
        for right, down in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1)):
            self.page.mouse.move(x + right, y + down)
            if self.pixel_shown() == (row, col):
                return x + right, y + down
        raise AssertionError(f"row {row}, column {col} is not on the screen")

    def click(self, row, col):
        place = self.aim(row, col)
        self.until_drawn(lambda: self.page.mouse.click(*place))

    @property
    def counts(self):
        return {
            button.get_attribute("data-name"): int(re.search(r"\d+$", button.locator(".count").text_content())[0])
            for button in self.page.locator(".class").all()
        }


def label_two_scenes(pines, landsat, service, visits, gdal, folder, clicks):
    """Tell the story, and yield what the person has done after each part of it.

    `pines` and `landsat` have the attributes ``key``, of a store of the scene, and ``truth``, its label map; `landsat` also has
    ``file``, the GeoTIFF. The person clicks `clicks` pixels of each of four classes.
    """
    page = visits(service, pines.key)
    page.wait_for_selector("#stage", timeout=60_000)
    # The tour is walked to its end once, and does not come back.
    while page.is_visible("#tour"):
        page.click("#tour-next")
    bench = Bench(page)
    yield "opened the scene, and took the tour"
    label_four_classes(bench, pines.truth, PINES_CLASSES, clicks)
    yield f"clicked {clicks} pixels of each of four classes, and saw the map"
    take_suggestion(bench)
    yield "took a suggestion, undid and redid it, by the keyboard"
    check_map(bench, pines.truth)
    yield "checked the map at ten random places"
    lose_service(bench, service)
    yield "labelled while the service was killed"
    page = come_back(page, service, pines.key, visits)
    counts = dict.fromkeys(PINES_CLASSES.values(), clicks) | {"no-till": clicks + 2}
    assert Bench(page).counts == counts
    page.wait_for_selector("#score :text('of 10 check places')")
    yield "loaded the page again, with all labels and answers"
    take_map(page, folder / "map.tif", pines.truth)
    take_labels(page, folder / "labels.csv", pines.truth, PINES_CLASSES, clicks)
    yield "exported map and labels"
    bring_labels_back(page, folder / "labels.csv", counts)
    yield "imported the labels into another set"

    page.goto(f"{service.url}/label/{landsat.key}")
    page.wait_for_selector("#stage", timeout=60_000)
    bench = Bench(page)
    label_four_classes(bench, landsat.truth, LANDSAT_CLASSES, clicks)
    yield f"clicked {clicks} pixels of each of four classes of the GeoTIFF, and saw the map"
    take_suggestion(bench)
    yield "took a suggestion for the GeoTIFF, undid and redid it"
    service.kill()
    service.start()
    page = come_back(page, service, landsat.key, visits)
    counts = dict.fromkeys(LANDSAT_CLASSES.values(), clicks) | {"forest": clicks + 1}
    assert Bench(page).counts == counts
    yield "loaded the page again after the service was killed, with all labels"
    take_map(page, folder / "landsat-map.tif", landsat.truth)
    assert grid(gdal, folder / "landsat-map.tif") == grid(gdal, landsat.file)
    yield "exported the map, which GDAL lays exactly over the GeoTIFF"
    take_labels(page, folder / "landsat.csv", landsat.truth, LANDSAT_CLASSES, clicks)
    bring_labels_back(page, folder / "landsat.csv", counts)
    yield "exported the labels, and imported them into another set"


def come_back(page, service, key, visits):
    """Close the page and open the scene again, as the same person."""
    person = page.context.storage_state()
    page.context.close()
    # The browser logs requests to the service while it was killed.
    visits.complaints[:] = [text for text in visits.complaints if "net::ERR_" not in text]
    page = visits(service, key, storage_state=person)
    page.wait_for_selector("#stage", timeout=60_000)
    return page


def pixels_of(truth, number, count):
    """Return pixels inside the fields of a class, the same ones each time."""
    places = np.argwhere(binary_erosion(truth == number, iterations=1))
    return np.random.default_rng(number).choice(places, count, replace=False).tolist()


def label_four_classes(bench, truth, classes, clicks):
    page = bench.page
    for number, (true_number, name) in enumerate(classes.items(), 1):
        page.fill(".add input[name=name]", name)
        page.click(".add button")
        page.wait_for_selector(f".class[data-number='{number}'][aria-pressed=true]")
        for row, col in pixels_of(truth, true_number, clicks):
            bench.click(row, col)
    assert bench.counts == dict.fromkeys(classes.values(), clicks)
    assert page.get_attribute("#workbench", "data-mapped") == "1"
    page.wait_for_selector(f"#workbench[data-scored='{bench.drawn}']")
    assert "held-out pixels" in page.inner_text("#score")
    bench.aim(*pixels_of(truth, list(classes)[1], clicks + 1)[clicks])
    assert re.search(rf"mapped as ({'|'.join(classes.values())}), \d+ % sure", page.text_content("#readout"))
    page.wait_for_selector(f"#spectrum svg[aria-label*='{', '.join(classes.values())}']")


def take_suggestion(bench):
    """Go to a suggestion, label it with the second class, undo and redo, by the keyboard alone."""
    page = bench.page
    name, count = list(bench.counts.items())[1]
    page.locator("#stage").focus()
    page.keyboard.press("n")
    page.wait_for_selector("#workbench[data-place]")
    row, col = map(int, page.get_attribute("#workbench", "data-place").split(","))
    assert f"row {row}, column {col}" in page.text_content("#readout")
    page.keyboard.press("2")
    page.locator("#stage").focus()
    bench.until_drawn(lambda: page.keyboard.press("Enter"))
    assert bench.counts[name] == count + 1
    bench.until_drawn(lambda: page.keyboard.press("Control+z"))
    assert bench.counts[name] == count
    bench.until_drawn(lambda: page.keyboard.press("y"))
    assert bench.counts[name] == count + 1


def check_map(bench, truth):
    """Name random places by the keyboard until ten are named. The map is hidden meanwhile."""
    page, named = bench.page, 0
    keys = {true_number: str(number) for number, true_number in enumerate(PINES_CLASSES, 1)}
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
    page, count = bench.page, bench.counts["no-till"]
    service.kill()
    page.locator("#stage").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("#message:not([hidden])")
    before = bench.drawn
    service.start()
    page.wait_for_selector(f"#workbench:not([data-drawn='{before}'])", timeout=60_000)
    assert not page.is_visible("#message")
    assert bench.counts["no-till"] == count + 1
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


def take_labels(page, file, truth, classes, clicks):
    """Export the labels. Those of the second class are not only clicks."""
    page.click("text=Files")
    with page.expect_download() as download:
        page.click("text=CSV >> nth=0")
    download.value.save_as(file)
    rows = list(csv.DictReader(file.read_text().splitlines()))
    second = list(classes.values())[1]
    assert sum(line["class"] == second for line in rows) > clicks
    clicked = {
        tuple(place) for number in classes if classes[number] != second for place in pixels_of(truth, number, clicks)
    }
    assert {(int(line["row"]), int(line["col"])) for line in rows if line["class"] != second} == clicked


def take_map(page, file, truth):
    """Export the map. It has no class where there is no data, and the truth is -1."""
    page.click("text=Files")
    with page.expect_download() as download:
        page.click("text=Map, GeoTIFF")
    download.value.save_as(file)
    with rasterio.open(file) as dataset:
        classes = dataset.read(1)
    assert classes.max() <= 4
    np.testing.assert_array_equal(classes == 0, truth == -1)
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
