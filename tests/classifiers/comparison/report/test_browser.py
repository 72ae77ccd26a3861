"""The page of a report in a real browser: mouse, keyboard, phone, print, and an audit of its accessibility."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.helpers.browser import audit
from tests.helpers.comparisons import ENTRIES, SPLITS, add_all, add_changes, build, page

HEADS = "[...document.querySelectorAll('.ranking tbody th')].map(th => th.dataset.v)"
SORTED = "[...document.querySelectorAll('.ranking [aria-sort]')].map(th => [th.dataset.col, th.ariaSort])"
SHOWN = "[...document.querySelectorAll('.lens figure')].filter(f => f.checkVisibility()).map(f => f.innerText)"
TABLES = "[...document.querySelectorAll('.classes caption')].filter(c => c.checkVisibility()).map(c => c.innerText)"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Pages with all parts, with many classes, with few classes and entries, and without optional parts."""
    folder = tmp_path_factory.mktemp("pages")
    comparisons = {"full": add_changes(add_all(build()[0])), "plain": build()[0]}
    comparisons["many"] = add_changes(add_all(build(classes=40)[0]))
    comparisons["few"] = add_changes(add_all(build(classes=3, entries=ENTRIES[:2])[0]))
    for name, comparison in comparisons.items():
        page(comparison, folder / name)
    return {name: folder / name / "report.html" for name in comparisons}


@pytest.fixture
def opened(open_page, files):
    return open_page(files["full"])


def test_the_ranking_sorts_by_mouse_and_keyboard(opened):
    names = [str(who) for who in ENTRIES]
    assert (opened.evaluate(HEADS), opened.evaluate(SORTED)) == (names, [["1", "descending"]])
    opened.click("th[data-col='1'] button")
    assert (opened.evaluate(HEADS), opened.evaluate(SORTED)) == (names[::-1], [["1", "ascending"]])
    opened.focus('.ranking th[data-col="0"] button')
    opened.keyboard.press("Enter")
    assert (opened.evaluate(HEADS), opened.evaluate(SORTED)) == (sorted(names), [["0", "ascending"]])
    opened.keyboard.press("Tab")
    opened.keyboard.press("Space")
    assert (opened.evaluate(HEADS), opened.evaluate(SORTED)) == (names, [["1", "descending"]])
    assert opened.text_content("#sorted") == f"Sorted by OA, {SPLITS[1]}, descending"


def test_planes_sort_and_those_without_seconds_come_last(opened):
    sizes = "[...document.querySelectorAll('#sweep .sortable tbody td:nth-child(5)')].map(td => Number(td.dataset.v))"
    before = opened.evaluate(sizes)
    opened.click("#sweep th[data-col='2'] button")
    assert opened.evaluate(sizes) == before[::-1], "the better plane is the larger one"
    for _ in range(2):
        opened.click("#sweep th[data-col='5'] button")
        assert opened.evaluate(sizes)[0] == before[0]


@pytest.mark.parametrize("width", [1280, 390])
def test_accuracy_against_distance_is_drawn_and_its_numbers_open(open_page, files, width):
    opened = open_page(files["full"], width)
    images = "[...document.querySelectorAll('#distance img')]"
    assert opened.evaluate(f"Promise.all({images}.map(i => i.decode().then(() => i.naturalWidth > 200)))") == [
        True,
        True,
    ]
    shown = opened.evaluate(f"{images}.map(i => i.getBoundingClientRect()).map(box => [box.left, box.right])")
    assert all(left >= 0 and right <= width for left, right in shown)
    tables = "[...document.querySelectorAll('#distance table')].map(table => table.checkVisibility())"
    assert opened.evaluate(tables) == [True, False]
    opened.click("#distance details:last-of-type summary")
    assert opened.evaluate(tables) == [True, True]
    assert "no such pixel" in opened.inner_text("#distance tbody tr:nth-child(2) td:last-child")


def test_changes_sort_by_mouse_and_keyboard_and_untested_ones_come_last(opened):
    heads = "[...document.querySelectorAll('#changes tbody th')].map(th => th.dataset.v.split(' ')[0])"
    assert opened.evaluate(heads) == ["svm", "mlp", "lda", "mlp", "knn"], "from the largest gain to the largest loss"
    opened.click("#changes th[data-col='5'] button")
    assert opened.evaluate(heads) == ["svm", "knn", "mlp", "lda", "mlp"]
    assert opened.inner_text("#changes tbody tr:last-child td:nth-child(6)") == "n/a"
    opened.focus('#changes th[data-col="0"] button')
    opened.keyboard.press("Enter")
    assert opened.evaluate(heads) == ["knn", "lda", "mlp", "mlp", "svm"]


def test_maps_switch_by_mouse_and_keyboard(opened):
    def shows(who, split, figures=7):
        shown = opened.evaluate(SHOWN)
        # Truth, map, errors, confidence, false colour, split, confusion.
        return f"{who}, {split}" in shown and len(shown) == figures

    assert shows(ENTRIES[0], SPLITS[1])
    opened.focus("select")
    opened.keyboard.press("ArrowDown")
    assert shows(ENTRIES[1], SPLITS[1])
    opened.click("input[name='split'][value='1']")
    assert shows(ENTRIES[1], SPLITS[0])
    opened.keyboard.press("ArrowUp")
    assert shows(ENTRIES[1], SPLITS[1])
    opened.click("a[data-show='2'] b")
    assert shows(ENTRIES[2], SPLITS[1], figures=6)  # without probabilities


def test_metrics_by_class_switch_by_mouse_and_keyboard(opened):
    (shown,) = opened.evaluate(TABLES)
    assert shown.startswith(f"Recall in percent under {SPLITS[1]}")
    opened.click("input[value='F1']")
    (shown,) = opened.evaluate(TABLES)
    assert shown.startswith(f"F1 in percent under {SPLITS[1]}")
    opened.focus('input[name="split"]:checked')
    opened.keyboard.press("ArrowDown")
    (shown,) = opened.evaluate(TABLES)
    assert shown.startswith(f"F1 in percent under {SPLITS[0]}")


# The pixels of the visible maps of classes, once they are decoded: rows, columns, red, green, blue, alpha.
PIXELS = """Promise.all([...document.querySelectorAll('.by-class img')].filter(i => i.checkVisibility()).map(async i => {
    const canvas = document.createElement('canvas'), pen = canvas.getContext('2d')
    await i.decode().catch(() => {})
    canvas.width = i.naturalWidth; canvas.height = i.naturalHeight
    pen.drawImage(i, 0, 0)
    return [...pen.getImageData(0, 0, canvas.width, canvas.height).data]
}))"""


def test_a_class_is_shown_alone_by_mouse_and_keyboard(open_page, files):
    images = build()[0].images
    opened = open_page(files["plain"])
    buttons = "[...document.querySelectorAll('.legend button')]"

    def shown(who, number):
        """Return whether only the pixels of a class are opaque in both maps. None stands for all classes."""
        both = images.truth, images.maps[who, SPLITS[1]]
        expected = [np.select([classes == 0, classes == (number or classes)], [0, 255], 31) for classes in both]
        end = time.monotonic() + 20
        while time.monotonic() < end:
            alphas = [np.reshape(pixels, (*images.truth.shape, 4))[..., 3] for pixels in opened.evaluate(PIXELS)]
            if all(np.abs(a - b).max() <= 1 for a, b in zip(alphas, expected, strict=True)):
                pressed = opened.evaluate(f"{buttons}.map(b => b.ariaPressed === 'true')")
                return pressed == [number == c for c in range(1, 6)]
        return False

    assert shown(ENTRIES[0], None)
    opened.click(".legend li:nth-child(2) button")
    assert shown(ENTRIES[0], 2)
    opened.focus("select")
    opened.keyboard.press("ArrowDown")
    assert shown(ENTRIES[1], 2), "the map that is switched to shows the class alone, too"
    opened.evaluate(f"{buttons}[4].focus()")
    opened.keyboard.press("Enter")
    assert shown(ENTRIES[1], 5)
    opened.keyboard.press("Space")
    assert shown(ENTRIES[1], None)
    opened.focus("select")
    opened.keyboard.press("ArrowUp")
    assert shown(ENTRIES[0], None), "the first map shows all classes again"


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["full", "many"])
def test_nothing_but_a_table_scrolls_sideways(open_page, files, name, width):
    assert open_page(files[name], width).evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_accessibility_has_no_serious_fault(open_page, files, width, scheme):
    """With every hidden part shown, in both schemes and at both widths."""
    opened = open_page(files["few"], width, scheme)
    opened.evaluate("document.querySelectorAll('.lens [hidden]').forEach(part => { part.hidden = false })")
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    passes, faults = audit(opened)
    assert {"color-contrast", "image-alt", "label"} <= passes
    assert not faults, "\n".join(faults)


def test_the_audit_finds_faults(open_page, files):
    opened = open_page(files["plain"])
    opened.evaluate("document.querySelector('.map img').removeAttribute('alt')")
    opened.evaluate("document.querySelector('h1').style.color = '#cccccc'")
    assert [fault.split(":")[0] for fault in audit(opened, "h1, .map")[1]] == ["color-contrast", "image-alt"]


def test_the_page_prints_all_classes_and_numbers_but_no_controls(opened):
    opened.emulate_media(media="print")
    assert len(opened.evaluate(TABLES)) == 4
    assert not opened.is_visible(".controls")
    assert opened.pdf().startswith(b"%PDF")
    assert opened.evaluate("[...document.querySelectorAll('details')].every(part => part.open)")


def test_the_page_reads_without_script(open_page, files):
    opened = open_page(files["plain"], java_script_enabled=False)
    assert not opened.is_visible(".controls")
    # Playwright evaluates its own script all the same.
    shown = opened.evaluate(SHOWN)
    assert len(shown) == 6
    assert f"{ENTRIES[0]}, {SPLITS[1]}" in shown
