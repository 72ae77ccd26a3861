"""Which entries are told apart, from predictions that a record holds."""

import itertools

import numpy as np
import pytest
from scipy import ndimage, stats
from sklearn.metrics import accuracy_score, balanced_accuracy_score, cohen_kappa_score

from classifiers.comparison.results.run import Entry, Run, RunResult
from classifiers.comparison.run_store import RunStore, draw_key
from classifiers.comparison.stats import counts as outcomes
from classifiers.comparison.stats.significance import judge
from classifiers.metrics import score_predictions
from classifiers.splits import parse_split
from hsifeat.scenes import Labels
from tests.helpers.small import small_labels

SPLIT = "random:0.2"
A, B, C = (Entry("", "spectra", head) for head in ("film", "svm", "lda"))


def recorded(folder, predict, *, seeds=3, labels=None, splits=(SPLIT,)):
    """Record predictions that `predict(entry, truth, random)` makes; return what `judge` takes."""
    labels = labels or Labels("fields", small_labels(), {1: "corn", 2: "wheat", 3: "woods", 4: "grass"})
    record, results = RunStore(folder), []
    for split, seed in itertools.product(splits, range(seeds)):
        draw = parse_split(split).draw(labels, seed)
        name = draw_key(draw, labels)
        record.add_draw(name, draw, labels)
        truth = record.read_draw(name)["truth"]
        for entry in (A, B, C):
            predicted = predict(entry, truth, np.random.default_rng([seed, ord(entry.head[0])]))
            facts = score_predictions(truth, predicted), int(draw.train.sum()), len(truth), (), 0.1, 0.1
            key = f"{entry.head}{seed}{splits.index(split)}"
            results.append(RunResult(Run(entry, split, seed), *facts, key=key, draw=name))
            record.add(results[-1], predicted)
    return results, record, labels


def noisy(truth, random, share):
    return np.where(random.random(len(truth)) < share, truth % 4 + 1, truth)


def alike_and_worse(entry, truth, random):
    """Film and svm agree in all; lda is worse everywhere."""
    if entry == C:
        return noisy(truth, random, 0.6)
    return noisy(truth, np.random.default_rng(len(truth)), 0.1)


def test_identical_predictions_cannot_be_told_apart_and_worse_ones_can(tmp_path):
    told = judge(*recorded(tmp_path, alike_and_worse))
    pairs = {(p.first, p.second): p for p in told.pairs}
    same = pairs[A, B]
    assert (same.difference, same.low, same.high, same.p, same.mcnemar_p) == (0, 0, 0, 1, 1)
    assert same.verdict.startswith(f"film on spectra and svm on spectra can't be told apart on {SPLIT}: +0.0 points")
    for first in (A, B):
        worse = pairs[first, C]
        assert worse.low > 0.3 and worse.p_holm < 0.01 and worse.mcnemar_p_holm < 1e-6
        assert worse.verdict.startswith(f"{first} is better than lda on spectra on {SPLIT}, by 5")
    assert told.verdicts[SPLIT] == (
        f"film on spectra has the highest OA on {SPLIT} and can't be told apart from svm on spectra; it is better than 1 of the 2 others"
    )


def test_the_best_is_named_where_all_others_are_worse(tmp_path):
    told = judge(*recorded(tmp_path, lambda e, y, random: y if e == B else noisy(y, random, 0.5)))
    assert told.verdicts[SPLIT] == f"svm on spectra is the best on {SPLIT}: it is told apart from each of the 2 others"
    pair = next(p for p in told.pairs if (p.first, p.second) == (A, B))
    assert pair.verdict.startswith("svm on spectra is better than film on spectra")
    assert pair.difference < 0 and pair.high < 0


def test_numbers_are_those_of_the_predictions(tmp_path):
    results, record, labels = recorded(tmp_path, lambda e, y, random: noisy(y, random, 0.2 + 0.1 * (e == B)))
    told = judge(results, record, labels)
    right = {
        (r.run.entry, r.run.seed): record.read_predictions(r.key) == record.read_draw(r.draw)["truth"] for r in results
    }
    by_hand = []
    for p, (first, second) in zip(told.pairs, itertools.combinations((A, B, C), 2), strict=True):
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
    for entry in (A, B, C):
        low, high = told.intervals[entry, SPLIT].oa
        assert low < np.mean([right[entry, s].mean() for s in range(3)]) < high
    assert [p.mcnemar_p_holm for p in told.pairs] == pytest.approx(stepped_down(by_hand))


def drawn_pixels(fields, draws, weights):
    """List the test pixels under each seed, each as often as its field was drawn."""
    tested = np.unique(np.concatenate([fields.flat[draw["test"]] for draw in draws]))
    often = dict(zip(tested, weights, strict=True))
    return [np.repeat(np.arange(len(d["test"])), [often[f] for f in fields.flat[d["test"]]]) for d in draws]


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_intervals_are_those_of_resampled_pixels_and_scikit_learn(tmp_path, monkeypatch):
    monkeypatch.setattr(outcomes, "RESAMPLES", 30)
    monkeypatch.setattr(outcomes, "_RESAMPLES_PER_TEST", 0)
    classes = small_labels()
    classes[:9] = np.where(classes[:9] == 2, 5, classes[:9])  # a class that lies in few fields is missing in some draws
    labels = Labels("fields", classes)
    results, record, _ = recorded(
        tmp_path,
        lambda e, y, random: noisy(y, random, 0.2 + 0.2 * (e == B)),
        labels=labels,
        splits=(SPLIT, "blocks:9+1:0.3"),
    )
    told = judge(results, record, labels)
    fields = np.zeros(classes.shape, int)
    for number in range(1, 6):
        regions, _ = ndimage.label(classes == number, np.ones((3, 3)))
        fields[regions > 0] = regions[regions > 0] + fields.max()
    metrics = (accuracy_score, balanced_accuracy_score, cohen_kappa_score)
    for entry, split in itertools.product((A, B), (SPLIT, "blocks:9+1:0.3")):
        runs = [r for r in results if (r.run.entry, r.run.split) == (entry, split)]
        draws, given = [record.read_draw(r.draw) for r in runs], [record.read_predictions(r.key) for r in runs]
        count = len(np.unique(np.concatenate([fields.flat[draw["test"]] for draw in draws])))
        random = np.random.default_rng(0)
        of_fields = random.multinomial(count, np.full(count, 1 / count), 30)
        of_seeds = random.multinomial(3, np.full(3, 1 / 3), 30)
        found = []
        for weights, drawn in zip(of_fields, of_seeds, strict=True):
            pixels = drawn_pixels(fields, draws, weights)
            of_seed = [[m(draws[s]["truth"][pixels[s]], given[s][pixels[s]]) for m in metrics] for s in range(3)]
            found.append(np.average(of_seed, axis=0, weights=drawn))
        expected = np.quantile(found, [0.025, 0.975], axis=0).T
        mine = told.intervals[entry, split]
        np.testing.assert_allclose([mine.oa, mine.aa, mine.kappa], expected)


def test_the_gap_is_between_paired_seeds_and_fields_drawn_for_each_split(tmp_path, monkeypatch):
    splits = (SPLIT, "blocks:9+1:0.3")
    results, record, labels = recorded(
        tmp_path, lambda e, y, random: noisy(y, random, 0.2 + 0.2 * (e == B) + 0.2 * random.random()), splits=splits
    )
    told = judge(results, record, labels)
    assert set(told.gap_intervals) == {A, B, C}
    for entry, (low, high) in told.gap_intervals.items():
        oa = {(r.run.split, r.run.seed): r.scores.oa for r in results if r.run.entry == entry}
        assert low < np.mean([oa[splits[0], s] - oa[splits[1], s] for s in range(3)]) < high
    assert judge([r for r in results if r.run.split == SPLIT], record, labels).gap_intervals == {}
    fewer = [r for r in results if r.run.split == SPLIT or r.run.seed < 2]
    assert judge(fewer, record, labels).gap_intervals == {}, "other seeds can't be paired"


def stepped_down(p):
    """Transcribe Holm's procedure."""
    corrected, highest = [0.0] * len(p), 0.0
    for location, k in enumerate(sorted(range(len(p)), key=lambda k: p[k])):
        highest = max(highest, min(1.0, (len(p) - location) * p[k]))
        corrected[k] = highest
    return corrected


def test_a_class_in_few_fields_has_no_interval(tmp_path):
    classes = small_labels()
    regions, _ = ndimage.label(classes == 2, np.ones((3, 3)))
    classes[regions > 9] = 0
    labels = Labels("fields", classes)
    told = judge(*recorded(tmp_path, lambda e, y, random: noisy(y, random, 0.3), labels=labels))
    assert set(told.intervals[A, SPLIT].recall) == {1, 3, 4}
    low, high = told.intervals[A, SPLIT].recall[1]
    assert low < 0.7 < high


def test_few_fields_or_one_seed_tell_nothing_and_say_so(tmp_path):
    few = Labels("fields", np.repeat([[1] * 40, [0] * 40, [2] * 40], 10, axis=0))
    told = judge(*recorded(tmp_path / "few", lambda e, y, random: noisy(y, random, 0.3), labels=few))
    assert not told.intervals and all(p.low is p.high is p.p is p.p_holm is None for p in told.pairs)
    assert told.verdicts[SPLIT].endswith(
        "nothing can be told apart: the test pixels lie in 2 fields, and 10 are needed"
    )
    told = judge(*recorded(tmp_path / "one", alike_and_worse, seeds=1))
    assert not told.intervals and all(p.p is None for p in told.pairs)
    assert told.pairs[1].mcnemar_p < 1e-6
    assert "one seed says nothing of the spread over draws: run more seeds" in told.pairs[0].verdict


def test_one_entry_has_nothing_to_be_compared_with(tmp_path):
    results, record, labels = recorded(tmp_path, alike_and_worse)
    told = judge([r for r in results if r.run.entry == A], record, labels)
    assert told.pairs == [] and (A, SPLIT) in told.intervals
    assert (
        told.verdicts[SPLIT] == f"film on spectra is the only entry on {SPLIT}, so there is nothing to compare it with"
    )
