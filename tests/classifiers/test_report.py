"""The page of a comparison and the files beside it, against scikit-learn, HTML parsers and a real browser."""

from __future__ import annotations

import base64
import csv
import io
import itertools
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, cohen_kappa_score, recall_score

from classifiers.comparison import figures, report, tables
from classifiers.comparison.results import Comparison, Entry, Pictures, Run, RunResult
from classifiers.metrics import score
from hsifeat.errors import HsifeatError
from hsifeat.files import write_whole

ENTRIES = [
    Entry("", "spectra", "svm"),
    Entry("scene-rgb", "spectra+planes", "film"),
    Entry("scene-rgb", "planes", "mlp"),
]
SPLITS = ["random:0.1", "blocks:12+4:0.1"]
VOID = {"meta", "link", "img", "br", "input", "wbr"}


def build(entries=ENTRIES, splits=SPLITS, seeds=2, classes=5, left_out=(), names=None, scene="A scene", shape=(40, 50)):
    """Return a comparison of simulated predictions, and (truth, predicted) of the test pixels of each run."""
    rng = np.random.default_rng(7)
    blocks = rng.integers(0, classes + 1, (-(-shape[0] // 5), -(-shape[1] // 5)))
    truth = np.kron(blocks, np.ones((5, 5), dtype=int))[: shape[0], : shape[1]]
    truth.flat[: classes * 8] = np.tile(np.arange(1, classes + 1), 8)  # every class has pixels
    results, maps, drawn, pairs = [], {}, {}, {}
    for split, seed in itertools.product(splits, range(seeds)):
        sides = np.where(truth > 0, rng.integers(1, 3, shape), 0).astype(np.uint8)
        sides.flat[: classes * 8] = 2
        sides[np.isin(truth, left_out)] = 0
        drawn.setdefault(split, sides)
        for at, entry in enumerate(entries):
            wrong = rng.random(shape) < 0.1 + 0.1 * at + 0.2 * split.startswith("blocks")
            predicted = np.where(wrong, rng.integers(1, classes + 1, shape), truth)
            test = sides == 2
            run = Run(entry, split, seed)
            pairs[run] = truth[test], predicted[test]
            counts = int((sides == 1).sum()), int(test.sum())
            results.append(RunResult(run, score(*pairs[run]), *counts, tuple(left_out), 0.5 + at + seed, 0.01))
            maps.setdefault((entry, split), predicted)
    numbers = range(1, classes + 1)
    store = {"name": "scene-rgb", "key": "ab" * 32, "path": "scene-rgb.zarr", "recipe": {"noise": {"seed": 0}}}
    planes = [{"t": 50, "layer": "up_blocks.2", "stride": 4, "channels": 64, "size_bytes": 123_000}]
    comparison = Comparison(
        scene={"name": scene, "rows": shape[0], "cols": shape[1], "bands": 9, "labels": "ground-truth"},
        class_names=dict(zip(numbers, names or [f"Class {c}" for c in numbers], strict=True)),
        class_colours={c: f"#{c * 5:02x}{255 - c * 5:02x}80" for c in numbers},
        stores=[{**store, "planes": planes}],
        results=results,
        pictures=Pictures(truth, rng.integers(0, 256, (*shape, 3), dtype=np.uint8), drawn, maps),
        provenance={
            "command": "hsifeat bench scene-rgb",
            "created": "2025-01-01",
            "versions": {"hsifeat": "0"},
            "machine": {},
        },
    )
    return comparison, pairs


def page(comparison, tmp_path):
    path = tmp_path / "report.html"
    report.write_report(comparison, path)
    return path.read_text()


class Page(HTMLParser):
    """Checks that tags are balanced, and keeps tags with attributes, ids, and tables as rows of (text, data-v)."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.tables, self.cell, self.words = [], [], [], None, []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.cell = ""
            self.tables[-1][-1].append([None, dict(attrs).get("data-v")])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes nothing"
        if tag in ("td", "th"):
            self.tables[-1][-1][-1][0] = self.cell.strip()
            self.cell = None

    def handle_data(self, data):
        self.words.append(data)
        if self.cell is not None:
            self.cell += data

    def named(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def test_ranking_and_recall_equal_scikit_learn(tmp_path):
    comparison, pairs = build(seeds=3)
    parsed = Page(page(comparison, tmp_path))
    ranking, recalls = parsed.tables[1], parsed.tables[2:4]

    def oracle(entry, split, metric):
        values = [metric(t, p) for run, (t, p) in pairs.items() if (run.entry, run.split) == (entry, split)]
        return np.mean(values, axis=0), np.std(values, axis=0, ddof=1)

    metrics = (accuracy_score, lambda t, p: recall_score(t, p, average="macro"), cohen_kappa_score)
    oa = {entry: oracle(entry, SPLITS[1], accuracy_score)[0] for entry in ENTRIES}
    order = sorted(ENTRIES, key=lambda entry: -oa[entry])
    assert [row[0][1] for row in ranking[2:]] == [str(entry) for entry in order], "ranked by the disjoint split"
    for entry, row in zip(order, ranking[2:], strict=True):
        for at, (split, metric) in enumerate(itertools.product(SPLITS, metrics), 1):
            mean, sd = oracle(entry, split, metric)
            shown = f"{mean:.3f} ± {sd:.3f}" if metric is cohen_kappa_score else f"{100 * mean:.2f} ± {100 * sd:.2f}"
            assert float(row[at][1]) == pytest.approx(mean)
            assert row[at][0] == shown
    for split, table in zip(SPLITS, recalls, strict=True):
        for at, entry in enumerate(order):
            means, sds = oracle(entry, split, lambda t, p: recall_score(t, p, average=None))
            column = [row[3 + at][0] for row in table[1:]]
            assert column == [f"{100 * m:.1f} ± {100 * s:.1f}" for m, s in zip(means, sds, strict=True)]


def test_summary_names_the_best_the_gap_and_what_to_believe(tmp_path):
    text = " ".join("".join(Page(page(build()[0], tmp_path)).words).split())
    assert "svm on spectra is best: OA" in text
    assert re.search(r"The OA on random:0.1 is [\d.]+ to [\d.]+ \(median [\d.]+\) points higher", text)
    assert "The disjoint column is the one that tells" in text
    assert "○ leaks through context" in text
    assert "● spatially disjoint" in text


@pytest.mark.parametrize(
    ("split", "kind"),
    [
        pytest.param("random:0.1", report.LEAKS, id="random"),
        pytest.param("per-class:20", report.LEAKS, id="per-class"),
        pytest.param("blocks:12+4:0.1", report.DISJOINT, id="blocks"),
        pytest.param("official", report.GIVEN, id="official"),
    ],
)
def test_a_split_is_marked_by_what_it_leaks(split, kind, tmp_path):
    assert report.split_kind(split) == kind
    words = "".join(Page(page(build(splits=[split], seeds=1)[0], tmp_path)).words)
    assert kind in words
    assert ("No split here is known to be spatially disjoint" in words) == (kind != report.DISJOINT)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"entries": ENTRIES[:1]}, "svm on spectra is best", id="one entry"),
        pytest.param({"seeds": 1}, "with one seed, so without a spread", id="one seed"),
        pytest.param({"splits": SPLITS[1:]}, "blocks:12+4:0.1", id="one split"),
        pytest.param({"left_out": (2, 5)}, "Class 2, Class 5", id="classes left out"),
        pytest.param({"classes": 40, "entries": ENTRIES[:1]}, "Class 40", id="40 classes"),
        pytest.param(
            {"classes": 1},
            "No test pixel was given another class",
            id="one class",
            marks=pytest.mark.filterwarnings("ignore:A single label was found"),  # scikit-learn's, in scoring
        ),
        pytest.param({"names": ["$x_1$", "Größe 草", "c", "d" * 80, "e & f"]}, "Größe 草", id="odd names"),
        pytest.param(
            {"shape": (1100, 30), "entries": ENTRIES[:1]}, "one row and column in 2 is drawn", id="large scene"
        ),
    ],
)
def test_page_of_a_degenerate_comparison(options, expected, tmp_path):
    parsed = Page(page(build(**options)[0], tmp_path))
    words = "".join(parsed.words)
    assert expected in words
    ids = [attrs["id"] for _, attrs in parsed.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert all(image["alt"] for image in parsed.named("img"))
    assert all("scope" in head for head in parsed.named("th"))
    assert (" ± " in words) == (options.get("seeds") != 1)


def test_what_is_missing_is_said(tmp_path):
    comparison, _ = build()
    comparison.pictures.maps.clear()
    comparison.pictures.splits.clear()
    comparison.results[:] = [r for r in comparison.results if (r.run.entry, r.run.split) != (ENTRIES[0], SPLITS[0])]
    words = "".join(Page(page(comparison, tmp_path)).words)
    assert f"{ENTRIES[1]} was not mapped under {SPLITS[0]}" in words
    assert f"{ENTRIES[0]} was not run under {SPLITS[0]}" in words


def test_a_comparison_without_results_is_refused(tmp_path):
    comparison, _ = build()
    comparison.results.clear()
    with pytest.raises(HsifeatError, match="holds no finished run"):
        report.write_report(comparison, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_page_refers_to_nothing_outside_itself(tmp_path):
    text = page(build()[0], tmp_path)
    for _, attrs in Page(text).tags:
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            assert attrs.get(name, "#").startswith(("#", "data:")), attrs
    assert "@import" not in text
    assert "url(" not in text
    for picture in re.findall(r"data:image/svg\+xml;base64,([^\"]+)", text):
        svg = base64.b64decode(picture).decode()
        assert not re.search(r"(href|src)=\"(?!#|data:)|@import|url\((?!#)|<script", svg)
    assert len(text) < 4e6


def test_names_can_not_carry_script(tmp_path):
    evil = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    entries = [Entry(evil, evil, evil)]
    comparison, _ = build(entries=entries, names=[evil, "b", "c", "d", "e"], scene=evil, left_out=(2,))
    comparison.provenance.update(command=evil, created=evil, versions={evil: evil})
    comparison.stores[0].update(name=evil, recipe={evil: evil}, path=evil)
    parsed = Page(page(comparison, tmp_path))
    assert len(parsed.named("script")) == 1
    assert all(image["src"].startswith("data:") for image in parsed.named("img"))
    assert not [name for _, attrs in parsed.tags for name in attrs if name.startswith("on")]


def test_csv_equals_scikit_learn_and_repeats(tmp_path):
    comparison, pairs = build(left_out=(3,))
    tables.write_csv(comparison, tmp_path / "a.csv")
    comparison.results.reverse()
    tables.write_csv(comparison, tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(pairs)
    for row in rows:
        truth, predicted = pairs[Run(Entry(row["store"], row["features"], row["head"]), row["split"], int(row["seed"]))]
        assert float(row["oa"]) == accuracy_score(truth, predicted)
        assert float(row["kappa"]) == cohen_kappa_score(truth, predicted)
        recall = recall_score(truth, predicted, labels=[1, 2, 4, 5], average=None)
        assert [float(row[f"recall_{c}"]) for c in (1, 2, 4, 5)] == list(recall)
        assert (row["recall_3"], row["left_out"]) == ("", "3")


def test_json_reads_back(tmp_path):
    comparison, _ = build()
    comparison.stores[0]["recipe"] = {"seed": np.int64(3), "path": Path("x"), "fitted": np.array([0.5])}
    tables.write_json(comparison, tmp_path / "results.json")
    document = tables.read_json(tmp_path / "results.json")
    assert document["schema_version"] == 1
    assert document["stores"][0]["recipe"] == {"seed": 3, "path": "x", "fitted": [0.5]}
    assert document["class_names"]["5"] == "Class 5"
    for row, result in zip(document["results"], sorted(comparison.results, key=lambda r: r.run), strict=True):
        again = RunResult.from_json(row)
        assert again.run == result.run
        assert again.scores.recall == result.scores.recall
        assert (again.scores.confusion == result.scores.confusion).all()
    first, summary = document["summary"][0], comparison.summary[0]
    assert (first["head"], first["oa"], first["recall"]["1"]) == ("svm", list(summary.oa), list(summary.recall[1]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param('{"schema_version": 9}', "schema version 9; this hsifeat reads version 1", id="newer"),
        pytest.param("[1]", "schema version None", id="other JSON"),
        pytest.param("{", "can't be read as the JSON of a comparison", id="torn"),
    ],
)
def test_json_of_another_kind_is_refused(content, message, tmp_path):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(HsifeatError, match=message):
        tables.read_json(tmp_path / "results.json")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "new" / "report.html"
    write_whole(path, b"old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(HsifeatError, match="can't be written: disk full"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGBA"))


def test_maps_enlarge_small_scenes_and_thin_large_ones():
    truth = np.array([[1, 2], [0, 1]])
    shown = pixels(figures.class_map(truth, {1: "#ff0000", 2: "#00ff00"}))
    assert shown.shape == (580, 580, 4)
    assert shown[0, 0].tolist() == [255, 0, 0, 255]
    assert shown[0, -1].tolist() == [0, 255, 0, 255]
    assert shown[-1, 0, 3] == 0
    large = np.zeros((2400, 900), dtype=np.uint8)
    large[1::3, 1::3] = 1
    assert figures.step(large.shape) == 3
    shown = pixels(figures.split_map(large))
    assert shown.shape == (800, 300, 4)
    assert (shown == [0xD5, 0x5E, 0x00, 255]).all(), "the middle of each 3 x 3 is what is seen"


def test_error_map_shows_wrong_test_pixels_alone():
    truth, predicted = np.array([[1, 1, 1, 0]]), np.array([[1, 2, 2, 2]])
    shown = pixels(figures.error_map(truth, predicted, np.array([[2, 2, 1, 0]], dtype=np.uint8)))[0, ::145]
    assert [f"#{bytes(p[:3]).hex()}" for p in shown[:2]] == [figures.RIGHT, figures.WRONG]
    assert shown[2:, 3].tolist() == [0, 0]


def test_a_map_of_many_classes_keeps_every_colour():
    numbers = np.arange(1, 401).reshape(20, 20)
    shown = pixels(figures.class_map(numbers, {c: f"#{c:06x}" for c in range(1, 401)}))[::29, ::29, :3].astype(int)
    assert (shown @ [65536, 256, 1] == numbers).all()


def test_confusion_matrix_is_svg_with_its_numbers_as_text():
    counts = np.array([[8, 2], [0, 0]])
    root = ET.fromstring(figures.confusion_matrix(counts, ["$a_1$", "<b>"]))  # noqa: S314 -- our own picture
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"80", "20", "$a_1$", "<b>"} <= set(texts)
    assert figures.confusion_matrix(counts, ["a", "b"]) == figures.confusion_matrix(counts, ["a", "b"])


@pytest.fixture
def opened(browser, tmp_path):
    page(build()[0], tmp_path)
    browser.open(tmp_path / "report.html")
    yield browser
    complaints = browser.seen("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    assert not complaints
    requests = [event["request"]["url"] for event in browser.seen("Network.requestWillBeSent")]
    assert all(url.startswith(("file:", "data:")) for url in requests)


HEADS = "[...document.querySelectorAll('.ranking tbody th')].map(th => th.dataset.v)"
SORTED = "[...document.querySelectorAll('[aria-sort]')].map(th => [th.dataset.col, th.ariaSort])"
SHOWN = "[...document.querySelectorAll('.lens figure')].filter(f => f.checkVisibility()).map(f => f.innerText)"


def test_ranking_sorts_by_mouse_and_keyboard(opened):
    names = [str(entry) for entry in ENTRIES]
    assert (opened.js(HEADS), opened.js(SORTED)) == (names, [["4", "descending"]])
    opened.click("th[data-col='4'] button")
    assert (opened.js(HEADS), opened.js(SORTED)) == (names[::-1], [["4", "ascending"]])
    opened.js("document.querySelector('th[data-col=\"0\"] button').focus()")
    opened.key("Enter", 13, "\r")
    assert (opened.js(HEADS), opened.js(SORTED)) == (sorted(names), [["0", "ascending"]])
    opened.key("Tab", 9)
    opened.key(" ", 32, " ")
    assert (opened.js(HEADS), opened.js(SORTED)) == (names, [["1", "descending"]])
    assert opened.js("document.getElementById('sorted').textContent") == "Sorted by OA, random:0.1, descending"


def test_maps_switch_by_mouse_and_keyboard(opened):
    def shows(entry, split):
        shown = opened.js(SHOWN)
        return f"{entry}, {split}" in shown and len(shown) == 6  # truth, map, errors, false colour, split, confusion

    assert shows(ENTRIES[0], SPLITS[1])
    opened.js("document.querySelector('select').focus()")
    opened.key("ArrowDown", 40)
    assert shows(ENTRIES[1], SPLITS[1])
    opened.click("input[value='0']")
    assert shows(ENTRIES[1], SPLITS[0])
    opened.key("ArrowDown", 40)
    assert shows(ENTRIES[1], SPLITS[1])
    opened.click("a[data-show='2'] b")
    assert shows(ENTRIES[2], SPLITS[1])


def test_page_fits_a_phone(opened):
    opened.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
    assert opened.js("document.documentElement.scrollWidth") == 390
    opened.call("Emulation.clearDeviceMetricsOverride")


def test_page_reads_without_script(browser, tmp_path):
    page(build()[0], tmp_path)
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(tmp_path / "report.html")
    shown = browser.js(SHOWN)
    assert not browser.js("document.querySelector('.controls').checkVisibility()")
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert len(shown) == 6
    assert f"{ENTRIES[0]}, {SPLITS[1]}" in shown
