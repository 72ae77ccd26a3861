"""Accuracy against distance and the two questions, as the page, Markdown and the terminal state them."""

import pytest

from classifiers.comparison.report.distance_plots import distance_tables
from classifiers.comparison.report.figures import Line, learning_curves
from classifiers.comparison.report.findings import key_findings
from classifiers.comparison.report.latex import to_latex
from classifiers.comparison.report.markdown import to_markdown
from classifiers.comparison.results.distance_text import leak_free_text, verdict_text
from classifiers.comparison.results.ranking import rank
from classifiers.comparison.results.scores import SceneSummaryScore
from classifiers.comparison.results.summary_frame import summary_notes
from classifiers.comparison.results.summary_text import split_remarks
from tests.helpers.comparisons import ENTRIES, SPLITS, Page, add_all, build, page, with_runs

pytestmark = pytest.mark.usefixtures("remembered_plots")


@pytest.fixture(scope="module")
def comparison():
    return add_all(build(seeds=3)[0])


def cell_text(score, pixels=""):
    """Return the words of a cell of the page."""
    if score.oa is None:
        return f"no such pixel{pixels}" if pixels else "\N{EN DASH}"
    words = f"{100 * score.oa.mean:.1f}{100 * score.oa.low:.1f} to {100 * score.oa.high:.1f}"
    if score.gain:
        ends = f"{100 * score.gain.low:+.1f} to {100 * score.gain.high:+.1f}"
        words += f"gain {100 * score.gain.mean:+.1f} ({ends})"
    return words + pixels


def test_the_page_shows_every_score(comparison, tmp_path):
    parsed = Page(page(comparison, tmp_path))
    tables = [table for table in parsed.tables if table[0][0][0] == "head and input"]
    by_key = {(str(one.entry), one.split): one for one in comparison.distances}
    assert len(tables) == len(SPLITS)
    for split, table in zip(SPLITS[::-1], tables, strict=True):
        ranked = [str(row.entry) for row in rank(comparison).rows]
        assert len(table) == 1 + len(ENTRIES)
        for name, row in zip(ranked, table[1:], strict=True):
            found = by_key[name, split]
            bins = [score for score, first in zip(found.bins, by_key[ranked[0], split].bins, strict=True) if first.oa]
            expected = [cell_text(score) for score in bins]
            pixels = f"{found.leak_free.test_pixels:,.0f} px"
            expected.append("no such pixel" if found.leak_free.oa is None else cell_text(found.leak_free, pixels))
            assert [" ".join(cell[0].split()) for cell in row[1:]] == expected
    words = " ".join("".join(parsed.words).split())
    pixels = {one.split: one.train_pixels for one in comparison.summary}
    for split, question in zip(SPLITS, ("Fill in", "Carry over"), strict=True):
        assert f"{question} from {pixels[split]:,.0f} labels · {split}" in words
        assert f"{question} from {pixels[split]:,.0f} labels: numbers under {split}" in words
    assert sum("against the distance" in image["alt"] for image in parsed.named("img")) == len(SPLITS)


def test_distances_are_in_metres_where_the_side_of_a_pixel_is_known(comparison, tmp_path):
    scene = comparison.scene.model_copy(update={"pixel_size_m": 20.0})
    located = comparison.model_copy(update={"scene": scene})
    assert distance_tables(rank(located))[0].ranges[:2] == (
        "0\N{EN DASH}4 px (0\N{EN DASH}80 m)",
        "4\N{EN DASH}9 px (80\N{EN DASH}180 m)",
    )
    assert "a pixel is 20 m wide" in page(located, tmp_path)
    assert "0\N{EN DASH}4 px (0\N{EN DASH}80 m)" in to_markdown(located)


def test_every_text_says_the_question_of_a_split(comparison):
    labels = {one.split: f"{one.train_pixels:,.0f}" for one in comparison.summary}
    lines = split_remarks(comparison)
    for split, question in zip(SPLITS, ("fill in", "carry over"), strict=True):
        assert any(line.startswith(f"{split}, {question} from {labels[split]} labels: ") for line in lines)
        assert f"{split} ({question} from {labels[split]} labels" in to_markdown(comparison)
        assert any(f"{split}, {question} from {labels[split]} labels:" in note for note in summary_notes(comparison))
        verdict = f"To {question}: No two entries differ significantly under {split}"
        assert verdict_text(comparison, split) == verdict and f"{verdict}." in summary_notes(comparison)
    findings = dict(key_findings(rank(comparison)))
    assert f"Carry over from {labels[SPLITS[1]]} labels · {SPLITS[1]} · spatially disjoint" in findings
    assert f"read {SPLITS[0]}, where closeness to the labels is the point" in findings["Which scores to trust"]


def test_the_headline_states_pixels_accuracy_and_gain_or_that_there_are_none(comparison):
    best = rank(comparison).ranked(0)[0][0].entry
    total = next(one.test_pixels for one in comparison.summary if (one.entry, one.split) == (best, SPLITS[1]))
    assert best == ENTRIES[0]
    headline = (
        f"Under {SPLITS[1]}, the features of 700 of {total:,.0f} test pixels (means over 3 seeds) depend on no training pixel; {best} classifies "
        "70.0 % of them correctly (95 % interval 65.0 to 72.0)"
    )
    assert dict(key_findings(rank(comparison)))["Carry over without leakage"] == f"{headline}."
    assert f"{headline}." in summary_notes(comparison)
    assert f"  {headline[0].lower()}{headline[1:]}" in split_remarks(comparison)
    distances = tuple(one for one in comparison.distances if one.entry == ENTRIES[1])
    summary = tuple(one for one in comparison.summary if one.entry == ENTRIES[1])
    alone = comparison.model_copy(update={"distances": distances, "summary": summary})
    reason = (
        f"Under {SPLITS[1]}, there is no score without leakage for {ENTRIES[1]}: its features depend on all, which holds a "
        "training pixel for every test pixel"
    )
    advice = (
        "it classifies 73.0 % of the test pixels over 16 px away from every training pixel correctly (95 % interval "
        "69.0 to 76.0); to get one, also run the inputs spectra+window, or planes with smaller tiles, under a split with a buffer"
    )
    assert dict(key_findings(rank(alone)))["Carry over without leakage"] == f"{reason}; {advice}."
    assert f"{reason}; {advice}." in summary_notes(alone)
    # Another entry has such pixels: its score follows.
    best_oa = {"oa": summary[0].oa.model_copy(update={"mean": 0.99})}
    better = [row.model_copy(update={"scores": row.scores | best_oa}) for row in summary]
    others = [row for row in comparison.summary if row.entry == ENTRIES[0]]
    two = comparison.model_copy(update={"summary": (*better, *others)})
    score = f"the features of 700 of {total:,.0f} test pixels (means over 3 seeds) depend on no training pixel; {ENTRIES[0]} classifies 70.0 %"
    assert dict(key_findings(rank(two)))["Carry over without leakage"].startswith(f"{reason}; {score}")
    remark = (
        f"  OA of {ENTRIES[1]} in percent under {SPLITS[1]}, by distance to the nearest training pixel: "
        "0\N{EN DASH}4 px 79.0 (+5.0 from spectra), 4\N{EN DASH}9 px 77.0 (+4.0 from spectra)"
    )
    assert any(line.startswith(remark) for line in split_remarks(alone))


@pytest.mark.parametrize(("pixels", "text"), [((1, 0), "0.5 of 30"), ((3, 3), "3 of 30"), ((30, 30), "all 30")])
def test_pixels_without_leakage_are_means_over_seeds(pixels, text):
    comparison = add_all(build(seeds=2)[0])
    best = comparison.distances[0]
    leak_free = best.leak_free.model_copy(update={"test_pixels": sum(pixels) / 2, "seeds": sum(map(bool, pixels))})
    sentence = leak_free_text(comparison, [best.model_copy(update={"leak_free": leak_free})], 30)
    assert f"the features of {text} test pixels (means over 2 seeds) depend on no training pixel" in sentence
    runs = tuple(run for run in comparison.runs if run.seed == 0)
    assert "(means" not in leak_free_text(comparison.model_copy(update={"runs": runs}), [best], 30)


def test_the_tables_of_ranges_and_of_scenes_state_small_means(comparison, tmp_path):
    def with_few(found):
        first, *others = found.bins
        return found.model_copy(update={"bins": (first.model_copy(update={"test_pixels": 0.5}), *others)})

    def with_scene(row):
        return row.model_copy(
            update={"scenes": (SceneSummaryScore(scene="b", seeds=2, test_pixels=1.5, scores=row.scores),)}
        )

    scenes = (comparison.scene, comparison.scene.model_copy(update={"name": "b"}))
    summary, distances = tuple(map(with_scene, comparison.summary)), tuple(map(with_few, comparison.distances))
    results = comparison.model_copy(update={"scenes": scenes, "summary": summary, "distances": distances})
    headings = [" ".join(cell[0].split()) for table in Page(page(results, tmp_path)).tables for cell in table[0]]
    assert headings.count("0\N{EN DASH}4 px0.5 test px") == headings.count("b1.5 test px") == len(SPLITS)
    text = to_markdown(results)
    assert text.count("0\N{EN DASH}4 px: 0.5,") == text.count("Test pixels: b: 1.5.") == len(SPLITS)


def test_all_texts_state_the_same_small_means(comparison, tmp_path):
    def with_few(run):
        more = 1.5 * (run.seed == 2)
        few = {"train_pixels": 4 + more, "test_pixels": 7 + more, "pixels": dict.fromkeys(run.pixels, 1 + more)}
        return run.model_copy(update=few)

    def with_scene(row):
        scene = SceneSummaryScore(scene="b", seeds=2, test_pixels=2.5, scores=row.scores)
        return row.model_copy(update={"scenes": (scene,)})

    results = with_runs(comparison, [with_few(run) for run in comparison.runs])
    results = results.model_copy(
        update={
            "summary": tuple(map(with_scene, results.summary)),
            "curves": tuple(point.model_copy(update={"train_pixels": 3.5}) for point in comparison.curves),
        }
    )
    (headline, *lines) = split_remarks(results)
    assert "from 4.5 labels" in headline and "4.5 training and 7.5 test pixels" in headline
    assert any(line.endswith(" of 2.5") for line in lines)
    assert "4.5 training pixels" in (notes := "\n".join(summary_notes(results))) and "7.5 test pixels" in notes
    assert "4.5 training, 7.5 test pixels" in to_latex(results)
    parsed = Page(page(results, tmp_path))
    cells = [" ".join(cell[0].split()) for table in parsed.tables for row in table for cell in row]
    assert cells.count("4.5") == cells.count("7.5") == len(SPLITS)
    assert cells.count("1.5") >= 5 * len(SPLITS)
    assert "53.5 px" in cells and "103.5 px" in cells
    assert b"3.5 px" in learning_curves([Line("a", [5], [0.5], [0.1])], "OA, %", {5: 3.5}).svg


def test_a_feature_of_the_whole_scene_has_advice_of_its_own(comparison):
    distances = tuple(one for one in comparison.distances if one.entry == ENTRIES[1])
    whole = dict.fromkeys(comparison.splits[0].footprints, "the whole scene")
    splits = tuple(split.model_copy(update={"footprints": whole}) for split in comparison.splits)
    text = leak_free_text(comparison.model_copy(update={"splits": splits}), distances[1:], 900)
    assert ": its features depend on the whole scene" in text
    assert text.endswith("or a context store without the layers reconstruction-*, under a split with a buffer")


def test_the_finding_on_leakage_is_two_sentences_whatever_the_number_of_splits(comparison):
    leaks = dict(zip(comparison.splits[0].leakage, (0.25, 0.75, 0.5), strict=False))
    splits = [comparison.splits[0].model_copy(update={"leakage": leaks}), comparison.splits[1]]
    text = dict(key_findings(rank(comparison.model_copy(update={"splits": tuple(splits)}))))["Leakage"]
    for share, split in zip((max(leaks.values()), 0.5), SPLITS, strict=True):
        assert f"{100 * share:.1f}\N{NO-BREAK SPACE}% under {split}" in text
    assert text.count(". ") == 1 and not any(columns in text for columns in leaks if columns != "spectra")


def test_markdown_has_a_table_of_each_split(comparison):
    text = to_markdown(comparison)
    rows = [line for line in text.splitlines() if line.startswith(f"| {ENTRIES[2]} | 7")]
    assert len(rows) == len(SPLITS)
    assert "| 78.0 (75.0 to 82.0); +5.0 (-2.0 to +11.0) | 76.0" in rows[0]
    assert "by distance" not in to_markdown(build()[0])


def test_the_report_counts_the_pixels_without_a_distance(comparison, tmp_path):
    total = next(one.test_pixels for one in comparison.summary if one.split == SPLITS[1])
    first, second = comparison.splits
    second = second.model_copy(update={"pixels_without_distance": 27.4, "seeds_without_distance": 1})
    results = comparison.model_copy(update={"splits": (first, second)})
    sentence = (
        f"nder {SPLITS[1]}, 27 of {total:,.0f} test pixels (means over 3 seeds) are in no range of distances, because their "
        "scenes have no training pixels under 1 of 3 seeds"
    )
    assert f"  u{sentence}" in split_remarks(results) and f"U{sentence}." in summary_notes(results)
    assert f"U{sentence}." in " ".join("".join(Page(page(results, tmp_path)).words).split())
    assert to_markdown(results).count(f"U{sentence}.") == 1
    alone = with_runs(results, [run for run in results.runs if run.seed == 0]).model_copy(
        update={"splits": results.splits}
    )
    total = next(one.test_pixels for one in alone.summary if one.split == SPLITS[1])
    assert (
        f"Under {SPLITS[1]}, 27 of {total:,.0f} test pixels are in no range of distances, because their scenes have no training "
        "pixels."
    ) in summary_notes(alone)
    assert not any("no range" in note for note in summary_notes(comparison))
