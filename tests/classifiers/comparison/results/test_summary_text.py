"""Sentences about results: classes left out under some seeds, the gap by its sign, the distances of a split."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score

from classifiers.comparison.report.findings import key_findings
from classifiers.comparison.report.markdown import to_markdown
from classifiers.comparison.results.ranking import rank
from classifiers.comparison.results.scores import SplitSummary
from classifiers.comparison.results.summary_frame import to_html
from classifiers.comparison.results.summary_text import gap_text, overview, reduction_text, split_remarks
from tests.helpers.comparisons import ENTRIES, SPLITS, Page, add_all, build, page, with_runs

pytestmark = pytest.mark.usefixtures("remembered_plots")


def test_a_class_left_out_under_one_seed_is_averaged_over_the_others_and_said(tmp_path):
    comparison, pairs = build(seeds=3, left_out=(2,), left_out_under=(1,))
    for cell in comparison.summary:
        mine = [pair for (e, s, _), pair in pairs.items() if (e, s) == (cell.entry, cell.split)]
        classes = [np.unique(truth) for truth, _ in mine]
        assert cell.left_out == {2: 1} and cell.class_counts == (4, 5) and cell.class_seeds[2] == 2
        averages = [recall_score(*pair, labels=c, average="macro") for pair, c in zip(mine, classes, strict=True)]
        assert (cell.scores["aa"].mean, cell.scores["aa"].sd) == pytest.approx(
            (np.mean(averages), np.std(averages, ddof=1))
        )
        of_class = [recall_score(*pair, labels=[2], average="macro") for pair in (mine[0], mine[2])]
        assert (cell.class_scores["recall"][2].mean, cell.class_scores["recall"][2].sd) == pytest.approx(
            (np.mean(of_class), np.std(of_class, ddof=1))
        )
    said = "Class 2 (under 1 of 3 seeds); AA is over 4 or 5 classes"
    assert f"classes left out: {said}" in split_remarks(comparison)[0]
    assert f"classes left out of the averages: {said}." in to_markdown(comparison)
    parsed = Page(page(comparison, tmp_path))
    assert [row[-1][0] for row in parsed.tables[0][1:]] == [said, said]
    of_classes = [table for table in parsed.tables if table[0][0][0] == "class"]
    assert len(of_classes) == 4
    for table, metric in zip(of_classes, (recall_score, f1_score) * 2, strict=True):
        assert [row[0][0] for row in table[1:3]] == ["Class 1", "Class 2 left out under 1 of 3 seeds"]
        assert all("±" in cell[0] for cell in table[2][3:]), metric
    assert comparison.frame.groupby("seed").left_out.unique().map(list).to_dict() == {0: [""], 1: ["2"], 2: [""]}


def test_a_class_left_out_under_every_seed_is_left_out(tmp_path):
    comparison, _ = build(left_out=(2,), untested=(4,))
    assert comparison.summary[0].left_out == {2: 2} and comparison.summary[0].class_counts == (3,)
    assert (
        "classes left out: Class 2" in split_remarks(comparison)[0] and "AA is over" not in split_remarks(comparison)[0]
    )
    (table, *_) = (table for table in Page(page(comparison, tmp_path)).tables if table[0][0][0] == "class")
    tags = ["Class 1", "Class 2 left out", "Class 3", "Class 4 no test pixels", "Class 5"]
    assert [row[0][0] for row in table[1:]] == tags


def test_splits_that_leave_out_other_classes_are_said_to_differ():
    comparison, _ = build(seeds=3, left_out=(2,), left_out_under=(1,))
    assert "The classes that are averaged differ" not in dict(key_findings(rank(comparison)))["Gap between splits"]
    runs = [
        run.model_copy(update={"left_out": (3,)}) if (run.split, run.seed) == (SPLITS[1], 0) else run
        for run in comparison.runs
    ]
    gap = dict(key_findings(rank(with_runs(comparison, runs))))["Gap between splits"]
    assert (
        "The classes that are averaged differ: Class 3 (under 1 of 3 seeds) scored under one of the splits only." in gap
    )


def with_gaps(*points, interval=None):
    """Return a comparison whose entries score `points` more on the random split than on the other split.

    The first entry is the best entry on the other split.
    """
    comparison, _ = build(entries=ENTRIES[: len(points)])
    oa = {(entry, SPLITS[1]): 0.6 - 0.1 * at for at, entry in enumerate(ENTRIES)}
    oa |= {(e, SPLITS[0]): oa[e, SPLITS[1]] + p / 100 for e, p in zip(ENTRIES, points, strict=False)}
    runs = [
        run.model_copy(update={"scores": {**run.scores, "oa": oa[run.entry, run.split]}}) for run in comparison.runs
    ]
    return with_runs(comparison, runs, gap_intervals={ENTRIES[0]: interval} if interval else {})


@pytest.mark.parametrize(
    ("points", "interval", "expected"),
    [
        pytest.param(
            (12, 3, 20),
            (0.06, 0.18),
            f"OA under {SPLITS[0]} is 3.0 to 20.0 (median 12.0) points higher than under {SPLITS[1]} for the same entry; for "
            f"svm on spectra, the best under {SPLITS[1]}, it is 12.0 points higher (95 % interval +6.0 to +18.0)",
            id="higher",
        ),
        pytest.param(
            (-30.1, -45.9, -31),
            (-0.38, 0.02),
            f"OA under {SPLITS[0]} is 30.1 to 45.9 (median 31.0) points lower than under {SPLITS[1]} for the same entry; for "
            f"svm on spectra, the best under {SPLITS[1]}, it is 30.1 points lower (95 % interval -2.0 to +38.0)",
            id="lower",
        ),
        pytest.param(
            (-2, 3, 1),
            None,
            f"OA under {SPLITS[0]} is from 2.0 points lower to 3.0 points higher (median +1.0) than under {SPLITS[1]} for the "
            f"same entry; for svm on spectra, the best under {SPLITS[1]}, it is 2.0 points lower",
            id="both",
        ),
        pytest.param(
            (12,),
            (0.06, 0.18),
            f"The OA of svm on spectra under {SPLITS[0]} is 12.0 points higher than under {SPLITS[1]} (95 % interval +6.0 to +18.0)",
            id="one entry",
        ),
    ],
)
def test_the_gap_is_worded_by_its_sign(points, interval, expected):
    comparison = with_gaps(*points, interval=interval)
    assert gap_text(comparison) == expected
    assert split_remarks(comparison)[-2:] == [expected, reduction_text(comparison)]
    assert dict(key_findings(rank(comparison)))["Gap between splits"].startswith(f"{expected}.")


def test_there_is_no_gap_without_both_kinds_of_splits():
    assert gap_text(build(splits=SPLITS[1:])[0]) == ""
    assert gap_text(build(splits=["official", "per-class:5"])[0]) == ""
    few = build(splits=["per-class:5", SPLITS[1]])[0]
    assert few.gaps == () and "Gap between splits" not in dict(key_findings(rank(few))), "other numbers of labels"
    both = build(splits=["per-class:5", *SPLITS])[0]
    assert {(gap.random, gap.disjoint) for gap in both.gaps} == {tuple(SPLITS)}
    assert dict(key_findings(rank(both)))["Gap between splits"].startswith(gap_text(both))


def geometry(split, median_px, min_px):
    return SplitSummary(split=split, leakage={}, footprints={}, median_px=median_px, min_px=min_px)


@pytest.mark.parametrize(
    ("least", "expected"),
    [
        (4.12, "lie 4.1 px or more from every training pixel, like most pixels of a scene with few labelled areas"),
        (1.0, "lie 1.0 px or more from every training pixel, because the split has no buffer"),
    ],
)
def test_the_least_distance_is_said_as_it_was_measured(least, expected):
    comparison, _ = build()
    comparison = comparison.model_copy(update={"splits": (geometry(SPLITS[1], 9.0, least),)})
    assert expected in dict(key_findings(rank(comparison)))["Which scores to trust"]
    both, _ = build(splits=["blocks:12+8:0.1", SPLITS[1]])
    splits = (geometry("blocks:12+8:0.1", 20, 8.06), geometry(SPLITS[1], 9.0, least))
    both = both.model_copy(update={"splits": splits})
    said = dict(key_findings(rank(both)))["Which scores to trust"]
    assert "its test pixels lie 8.1 px or more from every training pixel, like most" in said
    assert f"Those of {SPLITS[1]} lie {least:.1f} px or more from every training pixel" in said
    assert ("no buffer" in said) == (least == 1)
    comparison = comparison.model_copy(update={"splits": ()})
    assert (
        "lie in other blocks than the training pixels." in dict(key_findings(rank(comparison)))["Which scores to trust"]
    )


def test_every_interval_stands_below_its_score(tmp_path):
    comparison = add_all(build()[0])
    cells = {(str(cell.entry), cell.split): cell for cell in comparison.summary}
    for row in Page(page(comparison, tmp_path)).tables[1][2:]:
        for at, split in enumerate(SPLITS[::-1]):
            cell = cells[row[0][1], split]
            oa, aa, kappa = (text for text, _ in row[1 + 3 * at : 4 + 3 * at])
            assert oa.endswith(f"{100 * cell.oa.mean - 3:.1f} to {100 * cell.oa.mean + 2:.1f}")
            assert aa.endswith(f"{100 * cell.scores['aa'].mean - 5:.1f} to {100 * cell.scores['aa'].mean + 4:.1f}")
            assert kappa.endswith(f"{cell.scores['kappa'].mean - 0.07:.3f} to {cell.scores['kappa'].mean + 0.06:.3f}")


def test_a_notebook_shows_intervals_and_the_gap():
    comparison = add_all(build()[0])
    html = to_html(comparison)
    best = next(s for s in comparison.summary if (s.entry, s.split) == (ENTRIES[0], SPLITS[1]))
    assert html.count(">95 % interval<") == len(SPLITS)
    assert f">{100 * best.oa.mean - 3:.1f}\N{EN DASH}{100 * best.oa.mean + 2:.1f}<" in html
    assert f"{gap_text(comparison)}." in html and "(95 % interval -1.0 to +42.0)" in html
    assert "95 %" not in to_html(build(seeds=1)[0])


def test_the_table_of_the_terminal_has_the_median_time_over_all_runs():
    comparison, _ = build(seeds=3)
    runs = [run.model_copy(update={"fit_seconds": float(n)}) for n, run in enumerate(comparison.runs)]
    for row in overview(with_runs(comparison, runs)):
        who = (row["head"], row["input"], row["store"])
        seconds = [run.fit_seconds for run in runs if (run.entry.head, run.entry.inputs, run.entry.store) == who]
        assert row["fit, s"] == f"{np.median(seconds):.2g}"


def test_seeds_with_the_same_pixels_are_said_to_have_them(tmp_path):
    """A mask gives the same pixels for every seed, so that the seeds show nothing about other training pixels."""
    comparison, _ = build(seeds=3)
    runs = [
        run.model_copy(update={"draw": run.split if run.split == SPLITS[1] else f"{run.split}{run.seed}"})
        for run in comparison.runs
    ]
    found = with_runs(comparison, runs)
    said = (
        "all 3 seeds have the same training and test pixels: standard deviations, intervals and tests say nothing about"
    )
    for text in ("\n".join(split_remarks(found)), to_markdown(found), "".join(Page(page(found, tmp_path)).words)):
        assert " ".join(text.split()).count(said) == 1
    assert said not in to_markdown(comparison)
