"""The page of the study of few labels, the card of natural32 and texts of the package have the numbers of the result files."""

import json
import sys
from pathlib import Path

import pytest

from classifiers.defaults import DEFAULT_HEAD, DEFAULT_SMOOTHING
from classifiers.input_sets import WORTH_OF_CONTEXT

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def results():
    return json.loads((ROOT / "benchmarks" / "results" / "worth.json").read_text())


def test_the_page_is_what_its_script_writes(results, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    from results_page import PAGE, page

    written = page(results, json.loads((ROOT / "benchmarks" / "results" / "transfer.json").read_text()))
    assert PAGE.read_text(encoding="utf-8") == written and "@" not in written


def test_the_card_of_natural32_is_what_its_script_writes(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    from natural32_card import CARD, RESULT, card

    content = json.loads(RESULT.read_text())
    assert CARD.read_text(encoding="utf-8") == card(content)
    # A draw counts far away if it has enough test pixels there.
    for scores in content["scores"].values():
        for values in scores.values():
            assert all(sum(one is not None for one in by_draw) >= 30 for by_draw in values.values())


def test_the_study_has_the_default_of_today(results):
    default = results["default"]
    assert default == f"{DEFAULT_HEAD} spectra+window+context reduction=scene smooth={DEFAULT_SMOOTHING}"
    for scene in ("indian-pines", "houston", "pavia-reduced"):
        for regime in ("per-class:5", "per-class:20"):
            assert len(results["fits"][scene][regime][default]) >= 10


def test_the_remark_on_context_has_the_accuracies_of_the_study(results):
    oa = {
        row["entry"]: row["oa"]
        for row in results["summary"]
        if row["scene"] == "indian-pines" and row["regime"] == "per-class:5"
    }
    with_context, with_planes, window = (
        oa[f"lda spectra+window{words} reduction=scene smooth=none"] for words in ("+context", "+planes", "")
    )
    said = f"gave {with_context:.0f} % on Indian Pines with one, {with_planes:.0f} % with planes of natural32, and {window:.0f} %"
    assert said in WORTH_OF_CONTEXT
