"""Which entries differ, from recorded predictions: against scikit-learn, SciPy and a bootstrap over listed pixels."""

import itertools

import numpy as np
import pytest
from scipy import ndimage, stats
from sklearn.metrics import accuracy_score, balanced_accuracy_score, cohen_kappa_score

from classifiers.comparison.run_records import RunRecords
from classifiers.comparison.stats import counts
from classifiers.comparison.stats.significance import assess_entries
from classifiers.splits import parse_split
from hsifeat.scenes import Labels
from tests.helpers.comparisons import draw_counts, entry, scored_run
from tests.helpers.small import small_labels

SPLIT = "random:0.2"
A, B, C = (entry("", "spectra", head) for head in ("film", "svm", "lda"))


def recorded(folder, predict, *, seeds=3, labels=None, splits=(SPLIT,)):
    """Record the predictions that `predict(entry, truth, random)` returns. Return the arguments of `assess_entries`."""
    labels = labels or Labels("fields", small_labels(), {1: "corn", 2: "wheat", 3: "woods", 4: "grass"})
    run_records, runs = RunRecords(folder), []
    for split, seed in itertools.product(splits, range(seeds)):
        draw = parse_split(split).draw(labels, seed)
        name = run_records.add_draw(draw, labels)
        truth = run_records.read_draw(name)["truth"]
        for who in (A, B, C):
            predicted = predict(who, truth, np.random.default_rng([seed, ord(who.head[0])]))
            key = f"{who.head}{seed}{splits.index(split)}"
            runs.append(scored_run(who, split, seed, truth, predicted, key=key, draw=name))
            run_records.add(runs[-1], predicted)
    return runs, run_records, labels


def noisy(truth, random, share):
    return np.where(random.random(len(truth)) < share, truth % 4 + 1, truth)


def alike_and_worse(who, truth, random):
    """Film and svm have the same predictions, and lda has worse predictions in all fields."""
    if who == C:
        return noisy(truth, random, 0.6)
    return noisy(truth, np.random.default_rng(len(truth)), 0.1)


def test_identical_predictions_do_not_differ_and_worse_ones_do(tmp_path):
    assessment = assess_entries(*recorded(tmp_path, alike_and_worse))
    pairs = {(p.first, p.second): p for p in assessment.pairs}
    same = pairs[A, B]
    assert (same.difference, same.low, same.high, same.p, same.mcnemar_p) == (0, 0, 0, 1, 1)
    assert same.verdict.startswith(
        f"film on spectra and svm on spectra do not differ significantly under {SPLIT}: +0.0 points"
    )
    for first in (A, B):
        worse = pairs[first, C]
        assert worse.low > 0.3 and worse.p_holm < 0.01 and worse.mcnemar_p_holm < 1e-6
        assert worse.verdict.startswith(f"{first} is better than lda on spectra under {SPLIT}, by 5")
    assert assessment.verdicts[SPLIT] == (
        f"film on spectra has the highest OA under {SPLIT}, not significantly above svm on spectra; 1 of the 2 others are "
        "significantly worse"
    )


def test_the_best_is_named_where_all_others_are_worse(tmp_path):
    assessment = assess_entries(*recorded(tmp_path, lambda e, y, random: y if e == B else noisy(y, random, 0.5)))
    assert (
        assessment.verdicts[SPLIT]
        == f"svm on spectra is the best under {SPLIT}, significantly better than each of the 2 others"
    )
    pair = next(p for p in assessment.pairs if (p.first, p.second) == (A, B))
    assert pair.verdict.startswith("svm on spectra is better than film on spectra")
    assert pair.difference < 0 and pair.high < 0


def test_numbers_are_those_of_the_predictions(tmp_path):
    runs, run_records, labels = recorded(tmp_path, lambda e, y, random: noisy(y, random, 0.2 + 0.1 * (e == B)))
    assessment = assess_entries(runs, run_records, labels)
    right = {
        (r.entry, r.seed): run_records.read_predictions(r.key) == run_records.read_draw(r.draw)["truth"] for r in runs
    }
    by_hand = []
    for p, (first, second) in zip(assessment.pairs, itertools.combinations((A, B, C), 2), strict=True):
        assert (p.first, p.second) == (first, second)
        assert p.difference == pytest.approx(
            np.mean([right[first, s].mean() - right[second, s].mean() for s in range(3)])
        )
        assert p.low < p.difference < p.high
        one = int(np.count_nonzero(right[first, 0] & ~right[second, 0]))
        other = int(np.count_nonzero(right[second, 0] & ~right[first, 0]))
        by_hand.append(stats.binomtest(one, one + other).pvalue)
        assert p.mcnemar_p == pytest.approx(by_hand[-1])
        assert p.p <= p.p_holm <= 3 * p.p + 1e-12
    for who in (A, B, C):
        low, high = assessment.intervals[who, SPLIT].overall["oa"]
        assert low < np.mean([right[who, s].mean() for s in range(3)]) < high
    assert [p.mcnemar_p_holm for p in assessment.pairs] == pytest.approx(stepped_down(by_hand))


def drawn_pixels(fields, draws, weights):
    """List the test pixels under each seed, each as often as its field was drawn."""
    tested = np.unique(np.concatenate([fields.flat[draw["test"]] for draw in draws]))
    often = dict(zip(tested, weights, strict=True))
    return [np.repeat(np.arange(len(d["test"])), [often[f] for f in fields.flat[d["test"]]]) for d in draws]


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_intervals_are_those_of_resampled_pixels_and_scikit_learn(tmp_path, monkeypatch):
    monkeypatch.setattr(counts, "RESAMPLES", 30)
    monkeypatch.setattr(counts, "_RESAMPLES_PER_TEST", 0)
    classes = small_labels()
    classes[:9] = np.where(classes[:9] == 2, 5, classes[:9])  # a class that lies in few fields is missing in some draws
    labels = Labels("fields", classes)
    runs, run_records, _ = recorded(
        tmp_path,
        lambda e, y, random: noisy(y, random, 0.2 + 0.2 * (e == B)),
        labels=labels,
        splits=(SPLIT, "blocks:9+1:0.3"),
    )
    assessment = assess_entries(runs, run_records, labels)
    fields = np.zeros(classes.shape, int)
    for number in range(1, 6):
        regions, _ = ndimage.label(classes == number, np.ones((3, 3)))
        fields[regions > 0] = regions[regions > 0] + fields.max()
    metrics = (accuracy_score, balanced_accuracy_score, cohen_kappa_score)
    for who, split in itertools.product((A, B), (SPLIT, "blocks:9+1:0.3")):
        of_entry = [r for r in runs if (r.entry, r.split) == (who, split)]
        draws = [run_records.read_draw(r.draw) for r in of_entry]
        assigned = [run_records.read_predictions(r.key) for r in of_entry]
        count = len(np.unique(np.concatenate([fields.flat[draw["test"]] for draw in draws])))
        random = np.random.default_rng(0)
        of_fields = draw_counts(random, count, 30)
        of_seeds = draw_counts(random, 3, 30)
        found = []
        for weights, drawn in zip(of_fields, of_seeds, strict=True):
            pixels = drawn_pixels(fields, draws, weights)
            of_seed = [[m(draws[s]["truth"][pixels[s]], assigned[s][pixels[s]]) for m in metrics] for s in range(3)]
            found.append(np.average(of_seed, axis=0, weights=drawn))
        expected = np.quantile(found, [0.025, 0.975], axis=0).T
        overall = assessment.intervals[who, split].overall
        np.testing.assert_allclose([overall["oa"], overall["aa"], overall["kappa"]], expected)


def test_the_gap_is_between_paired_seeds_and_regions_drawn_for_each_split(tmp_path, monkeypatch):
    splits = (SPLIT, "blocks:9+1:0.3")
    runs, run_records, labels = recorded(
        tmp_path, lambda e, y, random: noisy(y, random, 0.2 + 0.2 * (e == B) + 0.2 * random.random()), splits=splits
    )
    assessment = assess_entries(runs, run_records, labels)
    assert set(assessment.gap_intervals) == {A, B, C}
    for who, (low, high) in assessment.gap_intervals.items():
        oa = {(r.split, r.seed): r.oa for r in runs if r.entry == who}
        assert low < np.mean([oa[splits[0], s] - oa[splits[1], s] for s in range(3)]) < high
    assert assess_entries([r for r in runs if r.split == SPLIT], run_records, labels).gap_intervals == {}
    fewer = [r for r in runs if r.split == SPLIT or r.seed < 2]
    assert assess_entries(fewer, run_records, labels).gap_intervals == {}, "other seeds can't be paired"


def stepped_down(p):
    """Transcribe Holm's procedure."""
    corrected, highest = [0.0] * len(p), 0.0
    for location, k in enumerate(sorted(range(len(p)), key=lambda k: p[k])):
        highest = max(highest, min(1.0, (len(p) - location) * p[k]))
        corrected[k] = highest
    return corrected


def test_a_class_in_few_regions_has_no_interval(tmp_path):
    classes = small_labels()
    regions, _ = ndimage.label(classes == 2, np.ones((3, 3)))
    classes[regions > 9] = 0
    labels = Labels("fields", classes)
    assessment = assess_entries(*recorded(tmp_path, lambda e, y, random: noisy(y, random, 0.3), labels=labels))
    assert set(assessment.intervals[A, SPLIT].by_class["recall"]) == {1, 3, 4}
    low, high = assessment.intervals[A, SPLIT].by_class["recall"][1]
    assert low < 0.7 < high


def test_few_regions_or_one_seed_give_no_interval_and_the_verdict_says_so(tmp_path):
    few = Labels("fields", np.repeat([[1] * 40, [0] * 40, [2] * 40], 10, axis=0))
    assessment = assess_entries(*recorded(tmp_path / "few", lambda e, y, random: noisy(y, random, 0.3), labels=few))
    assert not assessment.intervals and all(p.low is p.high is p.p is p.p_holm is None for p in assessment.pairs)
    assert assessment.verdicts[SPLIT].endswith(
        "differences can't be tested: the test pixels lie in 2 regions; at least 10 are needed"
    )
    assessment = assess_entries(*recorded(tmp_path / "one", alike_and_worse, seeds=1))
    assert not assessment.intervals and all(p.p is None for p in assessment.pairs)
    assert assessment.pairs[1].mcnemar_p < 1e-6
    assert "with one seed, the variation over draws is unknown: run more seeds" in assessment.pairs[0].verdict


def test_the_better_of_two_entries_is_better_than_the_other(tmp_path):
    runs, run_records, labels = recorded(tmp_path, alike_and_worse)
    assessment = assess_entries([r for r in runs if r.entry != A], run_records, labels)
    assert assessment.verdicts[SPLIT] == f"{B} is the best under {SPLIT}, significantly better than {C}"


def test_a_single_entry_is_not_compared(tmp_path):
    runs, run_records, labels = recorded(tmp_path, alike_and_worse)
    assessment = assess_entries([r for r in runs if r.entry == A], run_records, labels)
    assert assessment.pairs == [] and (A, SPLIT) in assessment.intervals
    assert assessment.verdicts[SPLIT] == f"film on spectra is the only entry under {SPLIT}"
