"""The page of a report against scikit-learn and a parser of HTML, for benchmarks of every shape."""

from __future__ import annotations

import base64
import itertools
import re
import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix, f1_score, recall_score

from classifiers.comparison.report.class_tables import confusion_table
from classifiers.comparison.report.page import write_page
from classifiers.comparison.results.comparison import BenchImages
from classifiers.comparison.results.ranking import DISJOINT, LEAKS, USER_DEFINED, split_kind
from classifiers.comparison.results.summary import summarise
from hsifeat.errors import HsifeatError
from hsifeat.formatting import format_duration
from tests.helpers.comparisons import (
    ENTRIES,
    SPLITS,
    Page,
    add_all,
    build,
    entry,
    page,
    scored_run,
    with_images,
    with_runs,
)

SHOWN = [SPLITS[1], SPLITS[0]]  # the split that tells comes first


@pytest.mark.usefixtures("remembered_plots")
def test_numbers_equal_scikit_learn(tmp_path):
    comparison, pairs = build(seeds=3)
    parsed = Page(page(comparison, tmp_path))
    ranking, scores = parsed.tables[1], parsed.tables[2:6]

    def oracle(who, split, metric):
        values = [metric(t, p) for (e, s, _), (t, p) in pairs.items() if (e, s) == (who, split)]
        return np.mean(values, axis=0), np.std(values, axis=0, ddof=1)

    metrics = (accuracy_score, lambda t, p: recall_score(t, p, average="macro"), cohen_kappa_score)
    oa = {who: oracle(who, SPLITS[1], accuracy_score)[0] for who in ENTRIES}
    order = sorted(ENTRIES, key=lambda who: -oa[who])
    assert [row[0][1] for row in ranking[2:]] == [str(who) for who in order], "ranked by the disjoint split"
    for who, row in zip(order, ranking[2:], strict=True):
        for at, (split, metric) in enumerate(itertools.product(SHOWN, metrics), 1):
            mean, sd = oracle(who, split, metric)
            shown = f"{mean:.3f} ± {sd:.3f}" if metric is cohen_kappa_score else f"{100 * mean:.2f} ± {100 * sd:.2f}"
            assert float(row[at][1]) == pytest.approx(mean)
            assert row[at][0] == shown
    for (split, metric), table in zip(itertools.product(SHOWN, (recall_score, f1_score)), scores, strict=True):
        pixels, _ = oracle(order[0], split, lambda t, _: np.bincount(t)[1:])
        assert [row[2][0] for row in table[1:]] == [f"{n:,.0f}" for n in pixels]
        sides, truth = comparison.images.splits[split], comparison.images.truth
        assert [row[1][0] for row in table[1:]] == [f"{np.sum(truth[sides == 1] == c):,}" for c in range(1, 6)]
        for at, who in enumerate(order):
            means, sds = oracle(who, split, lambda t, p, metric=metric: metric(t, p, average=None))
            column = [row[3 + at][0] for row in table[1:]]
            assert column == [f"{100 * m:.1f} ± {100 * s:.1f}" for m, s in zip(means, sds, strict=True)]


@pytest.mark.usefixtures("remembered_plots")
def test_confusions_equal_scikit_learn(tmp_path):
    comparison, pairs = build()
    tables = Page(page(comparison, tmp_path)).tables[6:12]
    for (who, split), table in zip(itertools.product(ENTRIES, SHOWN), tables, strict=True):
        of_entry = [pair for (e, s, _), pair in pairs.items() if (e, s) == (who, split)]
        counts = sum(confusion_matrix(t, p) for t, p in of_entry)
        shares = 100 * counts / counts.sum(axis=1, keepdims=True)
        assert [cell[0] for cell in table[0][1:]] == [f"Class {c}" for c in range(1, 6)]
        for row, expected in zip(table[1:], shares, strict=True):
            assert [cell[0] for cell in row[1:]] == [f"{share:.0f}" if share >= 0.5 else "" for share in expected]


def test_confusions_are_shares_of_all_test_pixels_of_a_class():
    """Also of those that are assigned to a class without test pixels, under one seed (4 and 1) or all seeds (5)."""
    random = np.random.default_rng(0)
    truth = [random.integers(1, 4, 300), random.integers(2, 5, 200)]
    predicted = [random.integers(1, 6, len(one)) for one in truth]
    pairs = zip(truth, predicted, strict=True)
    (summary,) = summarise([scored_run(ENTRIES[0], SPLITS[0], seed, *pair) for seed, pair in enumerate(pairs)], {})
    table = confusion_table({number: str(number) for number in range(1, 6)}, summary)
    shares = confusion_matrix(np.concatenate(truth), np.concatenate(predicted), normalize="true")
    np.testing.assert_allclose(table.percent, 100 * shares)
    assert table.names == ("1", "2", "3", "4", "5") and table.untested == ("5",)
    assert [share for *_, share, _ in table.largest] == pytest.approx(
        [shares[int(true) - 1, int(assigned) - 1] for true, assigned, *_ in table.largest]
    )


@pytest.mark.usefixtures("remembered_plots")
def test_summary_names_the_best_the_gap_and_what_to_believe(tmp_path):
    text = " ".join("".join(Page(page(build()[0], tmp_path)).words).split())
    assert "svm on spectra is best: OA" in text
    assert re.search(r"OA under random:0.1 is [\d.]+ to [\d.]+ \(median [\d.]+\) points higher", text)
    assert f"Trust the column of {SPLITS[1]}" in text
    assert "○ leaks through context" in text
    assert "● spatially disjoint" in text


def test_everything_that_is_known_is_told(tmp_path):
    comparison = add_all(build()[0])
    parsed = Page(page(comparison, tmp_path))
    text = " ".join("".join(parsed.words).split())
    best = next(s for s in comparison.summary if (s.entry, s.split) == (ENTRIES[0], SPLITS[1]))
    assert f"(95 % interval {100 * best.oa.mean - 3:.1f} to {100 * best.oa.mean + 2:.1f})" in text
    assert "No two entries differ significantly under random:0.1." in text
    assert "The planes of scene-rgb take 123.0 kB before compression; on disk the whole store takes 98.0 kB." in text
    assert "Extracting them once took 34 seconds on cpu (threads: 2)." in text
    runs = [r for r in comparison.runs if r.entry.store]
    assert f"computing the planes anew for each run would have taken {format_duration(34 * len(runs))}." in text
    (pairs, _) = (table for table in parsed.tables if table[0][0][0] == "first")
    assert [cell[0] for cell in pairs[1][2:7]] == [
        "+1.00",
        "-0.50 to +2.50",
        "0.120",
        "< 0.001",
        "no significant difference",
    ]
    (together,) = [table for table in parsed.tables if table[0][0][0] == "plane"]
    assert [[cell[0] for cell in row] for row in together[1:]] == [
        ["t50/up_blocks.2", "70.0 ± 1.0", "+20.0 ± 2.0", "12.0 kB", "6.00"],
        ["+ t50/mid_block", "68.0 ± 2.0", "-2.0 ± 3.0", "6.0 kB", "0, same timestep"],
        ["together", "68.0 ± 2.0", "", "18.0 kB", "6.00"],
    ]
    assert "Its OA on spectra alone is 50.0 ± 1.0 %" in text
    remark = "t50/mid_block does not add to the planes before it more than the standard deviation over seeds: -2.0 ± 3.0 points."
    assert remark in text and text.count("deviation over seeds: ") == 1
    (curves, _) = (table for table in parsed.tables if table[0][0][0] == "entry" and len(table) == 1 + len(ENTRIES))
    assert [cell[0] for cell in curves[0][1:]] == ["522 px", "1045 px", "2090 px", "50225 px"]
    assert "mlp predicts no probabilities" in text
    options = "Planes t50/* Learning curves 5, 10 labels per class Sweep every plane of the first store"
    assert options in " ".join(" ".join(parsed.words).split())
    which = ENTRIES[0], SPLITS[0]
    test = comparison.images.splits[which[1]] == 2
    sure = comparison.images.confidence[which][test].mean() / 255
    right = accuracy_score(comparison.images.truth[test], comparison.images.maps[which][test])
    assert (
        f"The mean on test pixels is {100 * sure:.0f} %, and {100 * right:.0f} % of the test pixels are classified correctly."
        in text
    )
    alts = [image["alt"] for image in parsed.named("img")]
    assert sum(alt.startswith("Clusters of") for alt in alts) == 8
    assert sum(alt.startswith("Confidence map of") for alt in alts) == 5
    (weights,) = [alt for alt in alts if alt.startswith("Weights")]
    assert "t100/up_blocks.2 0.111" in weights
    assert f"equal weights would be {1 / 9:.3f}." in text
    (costs,) = [table for table in parsed.tables if table[0][0][0].startswith("layer") and len(table[0]) == 6]
    for row, plane in zip(costs[1:], comparison.sweep.planes, strict=True):
        values = [row[0][1], *(float(cell[1]) if cell[1] else None for cell in row[1:])]
        assert values == [plane.layer, plane.t, plane.oa.mean, plane.gain.mean, plane.size_bytes, plane.seconds]


@pytest.mark.usefixtures("remembered_plots")
@pytest.mark.parametrize(
    ("split", "kind"),
    [
        pytest.param("random:0.1", LEAKS, id="random"),
        pytest.param("per-class:20", LEAKS, id="per-class"),
        pytest.param("blocks:12+4:0.1", DISJOINT, id="blocks"),
        pytest.param("official", USER_DEFINED, id="official"),
    ],
)
def test_a_split_is_marked_by_what_it_leaks(split, kind, tmp_path):
    assert split_kind(split) == kind
    words = "".join(Page(page(build(splits=[split], seeds=1)[0], tmp_path)).words)
    assert kind in words
    assert ("No split is known to be spatially disjoint" in words) == (kind != DISJOINT)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"entries": ENTRIES[:1]}, "1 entry, 2 splits", id="one head"),
        pytest.param({"splits": SPLITS[1:]}, "blocks:12+4:0.1", id="one split"),
        pytest.param({"left_out": (2, 5)}, "Class 2, Class 5", id="classes left out"),
        pytest.param({"untested": (3,)}, "no test pixels", id="a class without test pixels"),
        pytest.param({"classes": 40}, "Class 40", id="40 classes"),
        pytest.param(
            {"classes": 1},
            "No test pixel is assigned to another class",
            id="one class",
            marks=pytest.mark.filterwarnings("ignore:A single label was found"),  # scikit-learn's, in scoring
        ),
        pytest.param({"names": ["$x_1$", "Größe 草", "c", "d" * 80, "e & f"]}, "Größe 草", id="odd names"),
        pytest.param(
            {"shape": (1100, 30), "entries": ENTRIES[:1]}, "one in 2 rows and columns is drawn", id="large scene"
        ),
    ],
)
def test_page_of_a_degenerate_comparison(options, expected, tmp_path):
    text = page(add_all(build(**options)[0]), tmp_path)
    parsed = Page(text)
    words = "".join(parsed.words)
    assert expected in words
    ids = [attrs["id"] for _, attrs in parsed.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in parsed.named("a")} <= set(ids)
    assert all(image["alt"] for image in parsed.named("img"))
    assert all("scope" in head for head in parsed.named("th"))
    assert not re.search(r"\bnan\b", words)
    assert len(text) < 1e6


@pytest.mark.usefixtures("remembered_plots")
def test_one_seed_has_no_standard_deviation(tmp_path):
    words = "".join(Page(page(build(seeds=1, splits=SPLITS[1:])[0], tmp_path)).words)
    assert "with one seed, so without a standard deviation" in words and " ± " not in words
    assert " ± " in "".join(Page(page(build(splits=SPLITS[1:])[0], tmp_path)).words)


@pytest.mark.usefixtures("remembered_plots")
def test_what_is_missing_is_said(tmp_path):
    comparison, _ = build()
    runs = [run for run in comparison.runs if (run.entry, run.split) != (ENTRIES[0], SPLITS[0])]
    comparison = with_runs(with_images(comparison, maps={}, splits={}), runs)
    words = "".join(Page(page(comparison, tmp_path)).words)
    assert f"{ENTRIES[1]} was not mapped under {SPLITS[0]}" in words
    assert f"{ENTRIES[0]} was not run under {SPLITS[0]}" in words


def test_a_comparison_without_results_is_refused(tmp_path):
    comparison = with_runs(build()[0], [])
    with pytest.raises(HsifeatError, match="has no finished run"):
        write_page(comparison, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("remembered_plots")
def test_a_map_of_ten_thousand_pixels_a_side_is_thinned_without_a_copy(tmp_path):
    comparison, _ = build(entries=ENTRIES[:1], splits=SPLITS[1:], seeds=1)
    (which,) = comparison.images.maps
    shape = (10_000, 10_000)
    truth = np.broadcast_to((np.arange(shape[1]) % 6).astype(np.uint8), shape)
    images = BenchImages(
        truth,
        np.broadcast_to(np.arange(3, dtype=np.uint8), (*shape, 3)),
        {which[1]: np.broadcast_to((np.arange(shape[1]) % 3).astype(np.uint8), shape)},
        {which: truth},
        {which: truth},
    )
    tracemalloc.start()
    text = page(comparison.model_copy(update={"images": images}), tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "one in 10 rows and columns is drawn" in text
    assert len(text) < 1e6
    assert peak < 1e8, "a single bool a pixel would take this much"


def test_a_page_of_eight_heads_and_noise_stays_below_five_megabytes(tmp_path):
    entries = [entry("scene-rgb", "planes", f"head {i}") for i in range(8)]
    comparison, _ = build(entries=entries, seeds=1, classes=16)
    rng = np.random.default_rng(0)
    noise = rng.integers(1, 17, (1500, 1500), dtype=np.uint8)
    sides = {split: rng.integers(0, 4, noise.shape, dtype=np.uint8) for split in SPLITS}
    maps = dict.fromkeys(comparison.images.maps, noise[::-1])
    confidence = dict.fromkeys(maps, rng.integers(0, 256, noise.shape, dtype=np.uint8))
    image = rng.integers(0, 256, (*noise.shape, 3), dtype=np.uint8)
    images = BenchImages(noise, image, sides, maps, confidence)
    assert len(page(comparison.model_copy(update={"images": images}), tmp_path)) < 5e6


def test_page_refers_to_nothing_outside_itself(tmp_path):
    text = page(add_all(build()[0]), tmp_path)
    for _, attrs in Page(text).tags:
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            assert attrs.get(name, "#").startswith(("#", "data:")), attrs
    assert "@import" not in text
    assert "url(" not in text
    for picture in re.findall(r"data:image/svg\+xml;base64,([^\"]+)", text):
        svg = base64.b64decode(picture).decode()
        assert not re.search(r"(href|src)=\"(?!#|data:)|@import|url\((?!#)|<script", svg)


def test_names_can_not_carry_script(tmp_path):
    evil = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    entries = [entry(evil, evil, evil), entry("", "spectra", "svm")]
    comparison, _ = build(entries=entries, names=[evil, "b", "c", "d", "e"], scene=evil, left_out=(2,))
    provenance = comparison.provenance.model_copy(update={"command": evil, "created": evil, "versions": {evil: evil}})
    store = comparison.stores[0].model_copy(update={"name": evil, "recipe": {evil: evil}, "path": evil})
    comparison = add_all(comparison.model_copy(update={"provenance": provenance, "stores": (store,)}))
    parsed = Page(page(comparison, tmp_path))
    assert len(parsed.named("script")) == 1
    assert all(image["src"].startswith("data:") for image in parsed.named("img"))
    assert not [name for _, attrs in parsed.tags for name in attrs if name.startswith("on")]
