"""Reports with names that hold formulas, markup and control characters, as other programs read them."""

import csv
import re
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt

from classifiers.comparison.report.write import write_report
from tests.helpers.comparisons import build, entry

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ufffe\ud800-\udfff]")
STORES = [
    '=HYPERLINK("http://x")\x07',
    "@sum <script>alert(1)</script>|a|",
    "[b](javascript:alert(1)) `c` **d** &lt;\x1b[2J",
]  # fmt: skip
CLASSES = ["corn\x1b]0;x\x07", "[/red]$x_{", "=1+1<b>", "\u202ewheat\ufffe", "a|b\nc\ud800"]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    entries = [entry(store, "planes", head) for store, head in zip(STORES, ("film", "mlp", "svm"), strict=True)]
    comparison, _ = build(entries, seeds=2, names=[name.replace("\ud800", "") for name in CLASSES], scene=STORES[1])
    write_report(comparison, folder)
    return folder


@pytest.mark.parametrize(
    ("store", "names", "count"),
    [
        pytest.param("field", ["corn", "wheat", "soy", "oats", "woods"], 0, id="latin"),
        pytest.param("field", ["玉米", "小麦", "soy", "oats", "woods"], 1, id="classes"),
        pytest.param("田", ["corn", "wheat", "soy", "oats", "woods"], 1, id="store"),
    ],
)
def test_letters_that_no_font_has_are_noted_once(tmp_path, monkeypatch, store, names, count):
    monkeypatch.setattr("hsifeat.formatting.installed_fallbacks", tuple)
    comparison, _ = build([entry(store, "planes", "film"), entry(store, "planes", "mlp")], seeds=2, names=names)
    notes = []
    write_report(comparison, tmp_path, listen=notes.append)
    said = [note.message for note in notes if "drawn as boxes" in note.message]
    assert len(said) == count
    assert all(text.startswith("PNG figures: letters that no font of figures has") for text in said)
    assert len(list(tmp_path.glob("figures/*.png"))) > 1


def test_a_spreadsheet_finds_no_formula(report):
    with (report / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 1 + 3 * 2 * 2
    cells = [cell for row in rows for cell in row]
    assert not [
        cell for cell in cells if cell.startswith(("=", "+", "@", "-")) and not re.fullmatch(r"-?[\d.e-]+", cell)
    ]
    assert {row[rows[0].index("store")] for row in rows[1:]} == {
        '\'=HYPERLINK("http://x")\\x07',
        "'@sum <script>alert(1)</script>|a|",
        "[b](javascript:alert(1)) `c` **d** &lt;\\x1b[2J",
    }


def test_markdown_shows_names_and_obeys_none_of_their_markup(report):
    text = (report / "results.md").read_text(encoding="utf-8")
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    inline = [child for token in tokens for child in (token.children or [])]
    kinds = {token.type for token in [*tokens, *inline]}
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "code_inline", "fence", "code_block"}
    columns = {len(re.findall(r"(?<!\\)\|", line)) for line in text.split("\n\n")[0].splitlines()}
    assert len(columns) == 1
    shown = "".join(child.content for child in inline if child.type.startswith("text"))
    for store in STORES:
        assert CONTROLS.sub("", store).split("[2J")[0] in shown.replace("\\x07", "").replace("\\x1b", "")


def test_pictures_are_well_formed_and_no_table_holds_control_characters(report):
    pictures = list(report.rglob("*.svg"))
    assert pictures
    for picture in pictures:
        ET.parse(picture)  # noqa: S314  # written by this test
    for auxiliary in report.rglob("*.aux.xml"):
        ET.parse(auxiliary)  # noqa: S314
    for name in ("results.csv", "results.md", "results.tex", "report.html"):
        found = CONTROLS.search((report / name).read_text(encoding="utf-8"))
        assert not found, (name, found)
