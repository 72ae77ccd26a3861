"""The workbench in a real browser: a person labels, sees the map, loses the service, comes back, and takes the map along."""

from __future__ import annotations

import csv
import re
import shutil
import signal
import socket
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio

from hsifeat.service.tokens import TokenFile
from hsifeat.store.store import Store
from tests.helpers.browser import audit
from tests.helpers.forked_commands import ForkedCommand
from tests.helpers.labelled_scene import TRUTH, inner_pixels


class Service:
    """A service in a process of its own, which can be killed and started again at the same address."""

    def __init__(self, folder, store_path):
        (folder / "stores").mkdir()
        shutil.copytree(store_path, folder / "stores" / "small.zarr")
        tokens = TokenFile(folder / "tokens.json")
        self.token, self.key = tokens.add("ada", "write", days=1), Store.open(store_path).key
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._arguments = ["serve", "--cache", folder / "stores", "--state", folder / "state", "--tokens", folder / "tokens.json", "--port", port]  # fmt: skip
        self.start()

    def start(self):
        self._command = ForkedCommand(*self._arguments)

    def kill(self):
        self._command.signal(signal.SIGKILL)
        self._command.wait()


@pytest.fixture
def own_service(tmp_path, store_path):
    service = Service(tmp_path, store_path)
    yield service
    service.kill()


class Bench:
    """The page of the workbench, as a person with a mouse sees it."""

    def __init__(self, page):
        self.page = page
        page.wait_for_selector("#workbench[data-drawn]", timeout=60_000)
        box = page.locator("#stage").bounding_box()
        self._centre = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        # Two pixels that the page names tell where all others are.
        (first, second) = (self.pixel_at(-60, -60), self.pixel_at(60, 60))
        self._scale = 120 / ((second[0] - first[0] + second[1] - first[1]) / 2)
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

    def open_page(service, width=1280, **options):
        context = chromium.new_context(viewport={"width": width, "height": 800}, is_mobile=width < 600, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        for _ in range(100):  # until the service listens
            try:
                page.goto(f"{service.url}/login?token={service.token}&next=/label/{service.key}")
                break
            except Exception:  # noqa: BLE001  # of playwright
                page.wait_for_timeout(200)
        return page

    open_page.complaints = complaints
    yield open_page
    for context in contexts:
        context.close()
    assert not complaints
    assert all(url.startswith(("http://127.0.0.1:", "data:", "blob:")) for url in requests)


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_a_person_labels_a_scene(own_service, new_page, tmp_path):
    page = new_page(own_service)
    page.wait_for_selector("#stage", timeout=60_000)
    # The tour is walked to its end once, and does not come back.
    for _ in range(7):
        page.click("#tour-next")
    assert not page.is_visible("#tour")
    bench = Bench(page)
    label_four_classes(bench)
    take_suggestion(bench)
    lose_service(bench, own_service)
    person = page.context.storage_state()
    page.context.close()
    new_page.complaints.clear()  # the browser logs that requests failed
    page = new_page(own_service, storage_state=person)
    page.wait_for_selector("#stage", timeout=60_000)
    assert Bench(page).counts == {"corn": 3, "wheat": 5, "woods": 3, "grass": 3}
    take_map(page, tmp_path / "map.tif")
    take_labels(page, tmp_path / "labels.csv")
    bring_labels_back(page, tmp_path / "labels.csv")


def label_four_classes(bench):
    page = bench.page
    for number, name in enumerate(("corn", "wheat", "woods", "grass"), 1):
        page.fill(".add input[name=name]", name)
        page.click(".add button")
        page.wait_for_selector(f".class[data-number='{number}'][aria-pressed=true]")
        for row, col in inner_pixels(number, 3).tolist():
            bench.click(row, col)
    assert bench.counts == dict.fromkeys(("corn", "wheat", "woods", "grass"), 3)
    assert page.get_attribute("#workbench", "data-mapped") == "1"
    page.wait_for_selector(f"#workbench[data-scored='{bench.drawn}']")
    assert "held-out pixels" in page.inner_text("#score")
    page.mouse.move(*bench.place(*inner_pixels(2, 1, seed=3)[0]))
    assert re.search(r"mapped as (corn|wheat|woods|grass), \d+ % sure", page.text_content("#readout"))
    page.wait_for_selector("#spectrum svg[aria-label*='corn, wheat, woods, grass']")


def take_suggestion(bench):
    """Go to a suggestion, label it, undo and redo, by the keyboard alone."""
    page = bench.page
    page.locator("#stage").focus()
    page.keyboard.press("n")
    page.wait_for_selector("#workbench[data-place]")
    row, col = map(int, page.get_attribute("#workbench", "data-place").split(","))
    assert f"row {row}, column {col}" in page.text_content("#readout")
    page.keyboard.press("2")
    page.locator("#stage").focus()
    bench.until_drawn(lambda: page.keyboard.press("Enter"))
    assert bench.counts["wheat"] == 4
    bench.until_drawn(lambda: page.keyboard.press("Control+z"))
    assert bench.counts["wheat"] == 3
    bench.until_drawn(lambda: page.keyboard.press("y"))
    assert bench.counts["wheat"] == 4


def lose_service(bench, service):
    """Label while the service is killed: the label waits, and is saved when the service is back. Then kill it again."""
    page = bench.page
    service.kill()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("#message:not([hidden])")
    before = bench.drawn
    service.start()
    page.wait_for_selector(f"#workbench:not([data-drawn='{before}'])", timeout=60_000)
    assert bench.counts["wheat"] == 5
    service.kill()
    service.start()


def take_labels(page, file):
    page.click("text=Files")
    with page.expect_download() as download:
        page.click("text=CSV")
    download.value.save_as(file)
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert sum(line["class"] == "wheat" for line in rows) == 5
    clicked = {tuple(place) for number in (1, 3, 4) for place in inner_pixels(number, 3).tolist()}
    assert {(int(line["row"]), int(line["col"])) for line in rows if line["class"] != "wheat"} == clicked


def take_map(page, file):
    page.click("text=Files")
    with page.expect_download() as download:
        page.click("text=Map, GeoTIFF")
    download.value.save_as(file)
    with rasterio.open(file) as dataset:
        assert dataset.shape == TRUTH.shape
        assert set(np.unique(dataset.read(1))) == {1, 2, 3, 4}
    page.click("text=Files")


def bring_labels_back(page, file):
    """Import the labels into another set."""
    page.click("text=Labels: labels")
    page.fill(".sheet input[name=name]", "again")
    page.click(".sheet button:has-text('Open')")
    bench = Bench(page)
    page.click("text=Files")
    page.set_input_files("#import input[type=file]", file)
    bench.until_drawn(lambda: page.click("#import button"))
    page.wait_for_selector(".class >> nth=3")
    assert bench.counts == {"corn": 3, "wheat": 5, "woods": 3, "grass": 3}


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_pages_are_accessible_and_fit_the_screen(service, new_page, width, scheme):
    who = SimpleNamespace(url=service.url, token=service.tokens["admin"], key=service.key)
    page = new_page(who, width, color_scheme=scheme, bypass_csp=True, has_touch=width < 600)
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


def test_a_tap_labels_and_a_drag_moves_the_scene(service, new_page):
    who = SimpleNamespace(url=service.url, token=service.tokens["admin"], key=service.key)
    page = new_page(who, 390, has_touch=True)
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
