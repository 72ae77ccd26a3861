"""The page of a comparison in a real browser: mouse, keyboard, phone, print, and an audit of its accessibility."""

from __future__ import annotations

import base64
import importlib.util
import json
import time
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.comparisons import ENTRIES, SPLITS, add_all, add_changes, build, page


@pytest.fixture
def opened(browser, tmp_path):
    page(add_changes(add_all(build()[0])), tmp_path)
    browser.look()
    browser.open(tmp_path / "report.html")
    yield browser
    complaints = browser.seen("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    assert not complaints
    requests = [event["request"]["url"] for event in browser.seen("Network.requestWillBeSent")]
    assert all(url.startswith(("file:", "data:")) for url in requests)


HEADS = "[...document.querySelectorAll('.ranking tbody th')].map(th => th.dataset.v)"
SORTED = "[...document.querySelectorAll('.ranking [aria-sort]')].map(th => [th.dataset.col, th.ariaSort])"
SHOWN = "[...document.querySelectorAll('.lens figure')].filter(f => f.checkVisibility()).map(f => f.innerText)"
TABLES = "[...document.querySelectorAll('.classes caption')].filter(c => c.checkVisibility()).map(c => c.innerText)"


def test_ranking_sorts_by_mouse_and_keyboard(opened):
    names = [str(entry) for entry in ENTRIES]
    assert (opened.js(HEADS), opened.js(SORTED)) == (names, [["1", "descending"]])
    opened.click("th[data-col='1'] button")
    assert (opened.js(HEADS), opened.js(SORTED)) == (names[::-1], [["1", "ascending"]])
    opened.js("document.querySelector('th[data-col=\"0\"] button').focus()")
    opened.key("Enter", 13, "\r")
    assert (opened.js(HEADS), opened.js(SORTED)) == (sorted(names), [["0", "ascending"]])
    opened.key("Tab", 9)
    opened.key(" ", 32, " ")
    assert (opened.js(HEADS), opened.js(SORTED)) == (names, [["1", "descending"]])
    assert opened.js("document.getElementById('sorted').textContent") == f"Sorted by OA, {SPLITS[1]}, descending"


def test_planes_sort_too_and_those_without_seconds_come_last(opened):
    sizes = "[...document.querySelectorAll('#sweep .sortable tbody td:nth-child(5)')].map(td => Number(td.dataset.v))"
    before = opened.js(sizes)
    opened.click("#sweep th[data-col='2'] button")
    assert opened.js(sizes) == before[::-1], "the better plane is the larger one"
    for _ in range(2):
        opened.click("#sweep th[data-col='5'] button")
        assert opened.js(sizes)[0] == before[0]


def test_changes_sort_by_mouse_and_keyboard_and_the_untested_come_last(opened):
    heads = "[...document.querySelectorAll('#changes tbody th')].map(th => th.dataset.v.split(' ')[0])"
    assert opened.js(heads) == ["svm", "mlp", "lda", "mlp", "knn"], "from the largest gain to the largest loss"
    opened.click("#changes th[data-col='5'] button")
    assert opened.js(heads) == ["svm", "knn", "mlp", "lda", "mlp"]
    assert opened.js("document.querySelector('#changes tbody tr:last-child td:nth-child(6)').innerText") == "n/a"
    opened.js("document.querySelector('#changes th[data-col=\"0\"] button').focus()")
    opened.key("Enter", 13, "\r")
    assert opened.js(heads) == ["knn", "lda", "mlp", "mlp", "svm"]


def test_maps_switch_by_mouse_and_keyboard(opened):
    def shows(entry, split, figures=7):
        shown = opened.js(SHOWN)
        # Truth, map, errors, confidence, false colour, split, confusion.
        return f"{entry}, {split}" in shown and len(shown) == figures

    assert shows(ENTRIES[0], SPLITS[1])
    opened.js("document.querySelector('select').focus()")
    opened.key("ArrowDown", 40)
    assert shows(ENTRIES[1], SPLITS[1])
    opened.click("input[name='split'][value='1']")
    assert shows(ENTRIES[1], SPLITS[0])
    opened.key("ArrowUp", 38)
    assert shows(ENTRIES[1], SPLITS[1])
    opened.click("a[data-show='2'] b")
    assert shows(ENTRIES[2], SPLITS[1], figures=6)  # without probabilities


def test_scores_of_classes_switch_by_mouse_and_keyboard(opened):
    (shown,) = opened.js(TABLES)
    assert shown.startswith(f"Recall in percent under {SPLITS[1]}")
    opened.click("input[value='F1']")
    (shown,) = opened.js(TABLES)
    assert shown.startswith(f"F1 in percent under {SPLITS[1]}")
    opened.js("document.querySelector('input[name=\"split\"]:checked').focus()")
    opened.key("ArrowDown", 40)
    (shown,) = opened.js(TABLES)
    assert shown.startswith(f"F1 in percent under {SPLITS[0]}")


# The pixels of the maps that are shown of classes, once they are as they will be: rows, columns, red, green, blue, alpha.
PIXELS = """Promise.all([...document.querySelectorAll('.by-class img')].filter(i => i.checkVisibility()).map(async i => {
    const canvas = document.createElement('canvas'), pen = canvas.getContext('2d')
    await i.decode().catch(() => {})
    canvas.width = i.naturalWidth; canvas.height = i.naturalHeight
    pen.drawImage(i, 0, 0)
    return [...pen.getImageData(0, 0, canvas.width, canvas.height).data]
}))"""


def test_a_class_is_seen_alone_by_mouse_and_keyboard(browser, tmp_path):
    comparison = build()[0]
    page(comparison, tmp_path)
    browser.look()
    browser.open(tmp_path / "report.html")
    truth, maps = comparison.pictures.truth, comparison.pictures.maps
    buttons = "[...document.querySelectorAll('.legend button')]"

    def shown(entry, number):
        """Tell whether all of a class (None: of every class) is opaque in the two maps, and the rest is faded."""
        both = truth, maps[entry, SPLITS[1]]
        expected = [np.select([classes == 0, classes == (number or classes)], [0, 255], 31) for classes in both]
        end = time.monotonic() + 20
        while time.monotonic() < end:
            found = [np.reshape(pixels, (*truth.shape, 4))[..., 3] for pixels in browser.js(PIXELS)]
            if all(np.abs(a - b).max() <= 1 for a, b in zip(found, expected, strict=True)):
                return browser.js(f"{buttons}.map(b => b.ariaPressed === 'true')") == [number == c for c in range(1, 6)]
        return False

    assert shown(ENTRIES[0], None)
    browser.click(".legend li:nth-child(2) button")
    assert shown(ENTRIES[0], 2)
    browser.js("document.querySelector('select').focus()")
    browser.key("ArrowDown", 40)
    assert shown(ENTRIES[1], 2), "the map that is switched to shows the class alone, too"
    browser.js(f"{buttons}[4].focus()")
    browser.key("Enter", 13, "\r")
    assert shown(ENTRIES[1], 5)
    browser.key(" ", 32, " ")
    assert shown(ENTRIES[1], None)
    browser.js("document.querySelector('select').focus()")
    browser.key("ArrowUp", 38)
    assert shown(ENTRIES[0], None), "what was left while one class was alone shows all again"


def audit(browser):
    """Return the rules of axe that hold, and its serious faults, with everything opened."""
    browser.js("document.querySelectorAll('details').forEach(part => { part.open = true })")
    browser.js(Path(importlib.util.find_spec("axe_core_python").origin).with_name("axe.min.js").read_text())
    options = "{resultTypes: ['violations'], iframes: false}"
    found = json.loads(
        browser.js(f"axe.run({options}).then(found => JSON.stringify([found.passes.map(p => p.id), found.violations]))")
    )
    serious = [fault for fault in found[1] if fault["impact"] in {"serious", "critical"}]
    return set(found[0]), [f"{fault['id']}: {fault['nodes'][0]['html']}" for fault in serious]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("hidden", [False, True], ids=["as shown", "all shown"])
def test_accessibility_holds_no_serious_fault(browser, hidden, width, scheme, tmp_path):
    browser.look(width, scheme)
    page(add_changes(add_all(build(classes=5 if hidden else 40)[0])), tmp_path)
    browser.open(tmp_path / "report.html")
    assert browser.js("document.documentElement.scrollWidth") <= width, "nothing but a table scrolls sideways"
    if hidden:
        browser.js("document.querySelectorAll('.lens [hidden]').forEach(part => { part.hidden = false })")
    holds, faults = audit(browser)
    assert {"color-contrast", "image-alt", "label"} <= holds
    assert not faults, "\n".join(faults)


def test_the_audit_sees_a_fault(opened):
    opened.js("document.querySelector('.map img').removeAttribute('alt')")
    opened.js("document.querySelector('h1').style.color = '#cccccc'")
    assert [fault.split(":")[0] for fault in audit(opened)[1]] == ["color-contrast", "image-alt"]


def test_page_prints_all_classes_and_numbers_but_no_controls(opened):
    opened.call("Emulation.setEmulatedMedia", media="print")
    assert len(opened.js(TABLES)) == 4
    assert not opened.js("document.querySelector('.controls').checkVisibility()")
    printed = base64.b64decode(opened.call("Page.printToPDF", printBackground=False)["data"])
    assert printed.startswith(b"%PDF")
    assert opened.js("[...document.querySelectorAll('details')].every(part => part.open)")


def test_page_reads_without_script(browser, tmp_path):
    page(build()[0], tmp_path)
    browser.look()
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(tmp_path / "report.html")
    shown = browser.js(SHOWN)
    assert not browser.js("document.querySelector('.controls').checkVisibility()")
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert len(shown) == 6
    assert f"{ENTRIES[0]}, {SPLITS[1]}" in shown
