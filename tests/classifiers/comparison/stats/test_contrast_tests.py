"""Planned contrasts: against a bootstrap over listed pixels, Holm's procedure, and simulated differences of known size."""

import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import accuracy_score

from classifiers.comparison.results.differences import Contrast
from classifiers.comparison.run_records import RunRecords
from classifiers.comparison.stats import counts
from classifiers.comparison.stats.significance import assess_entries
from classifiers.splits import parse_split
from hsifeat.scenes import Labels
from tests.classifiers.comparison.stats.test_significance import drawn_pixels, noisy, stepped_down
from tests.helpers.comparisons import draw_counts, entry, scored_run
from tests.helpers.small import small_labels

SPLIT = "per-class:5"
TRAINED, TWIN, CONTEXT = (
    [entry(store, "planes", head) for head in ("lda", "svm")] for store in ("ip", "ip-untrained", "ip-context")
)


def contrast(question, first, second):
    return Contrast(question=question, pairs=tuple(zip(first, second, strict=True)))


PLANNED = (contrast("training", TRAINED, TWIN), contrast("planes", TRAINED[:1], CONTEXT[:1]))


def recorded(folder, wrong, *, seeds=4, split=SPLIT, extra=()):
    """Record predictions of which the share `wrong[store]` is wrong in every field, and of `extra` random entries."""
    labels = Labels("fields", small_labels())
    run_records, runs = RunRecords(folder), []
    for seed in range(seeds):
        draw = parse_split(split).draw(labels, seed)
        name = run_records.add_draw(draw, labels)
        truth = run_records.read_draw(name)["truth"]
        for at, who in enumerate((*TRAINED, *TWIN, *CONTEXT, *extra)):
            predicted = noisy(truth, np.random.default_rng([seed, at]), wrong.get(who.store, 0.5))
            runs.append(scored_run(who, split, seed, truth, predicted, key=f"{at}-{seed}", draw=name))
            run_records.add(runs[-1], predicted)
    return runs, run_records, labels


def test_difference_interval_and_p_are_those_of_resampled_pixels_and_scikit_learn(tmp_path, monkeypatch):
    monkeypatch.setattr(counts, "RESAMPLES", 40)
    monkeypatch.setattr(counts, "_RESAMPLES_PER_TEST", 0)
    runs, run_records, labels = recorded(tmp_path, {"ip": 0.3, "ip-untrained": 0.31, "ip-context": 0.28})
    assessment, without = (assess_entries(runs, run_records, labels, planned) for planned in (PLANNED, ()))
    assert without.contrasts == [] and without.pairs == assessment.pairs, "planned contrasts move no other number"
    assert without.intervals == assessment.intervals and without.verdicts == assessment.verdicts
    tests = assessment.contrasts
    fields = np.zeros(labels.classes.shape, int)
    for number in labels.counts:
        regions, _ = ndimage.label(labels.classes == number, np.ones((3, 3)))
        fields[regions > 0] = regions[regions > 0] + fields.max()
    draws = [run_records.read_draw(run.draw) for run in runs if run.entry == TRAINED[0]]
    assigned = {(run.entry, run.seed): run_records.read_predictions(run.key) for run in runs}
    count = len(np.unique(np.concatenate([fields.flat[draw["test"]] for draw in draws])))
    random = np.random.default_rng(0)
    of_fields = draw_counts(random, count, 40)
    of_seeds = draw_counts(random, 4, 40)
    p = []
    for test, planned in zip(tests, PLANNED, strict=True):
        assert (test.contrast, test.split) == (planned, SPLIT)

        def difference(pixels, weights, planned=planned):
            gains = [
                [
                    accuracy_score(draws[s]["truth"][pixels[s]], assigned[first, s][pixels[s]])
                    - accuracy_score(draws[s]["truth"][pixels[s]], assigned[second, s][pixels[s]])
                    for s in range(4)
                ]
                for first, second in planned.pairs
            ]
            return np.average(np.mean(gains, axis=0), weights=weights)

        every = [np.arange(len(draw["test"])) for draw in draws]
        assert test.difference == pytest.approx(difference(every, np.ones(4)))
        found = np.array(
            [
                difference(drawn_pixels(fields, draws, weights), drawn)
                for weights, drawn in zip(of_fields, of_seeds, strict=True)
            ]
        )
        np.testing.assert_allclose([test.low, test.high], np.quantile(found, [0.025, 0.975]))
        p.append(min(1, 2 * (min((found <= 0).sum(), (found >= 0).sum()) + 1) / 41))
    assert [test.p for test in tests] == pytest.approx(p)
    assert [test.p_holm for test in tests] == pytest.approx(stepped_down(p)), "corrected for the planned contrasts only"


def test_a_planned_difference_is_found_that_drowns_among_all_pairs(tmp_path):
    extra = [entry("", "spectra", f"head{at}") for at in range(20)]
    wrong = {"ip": 0.30, "ip-untrained": 0.335, "ip-context": 0.30}
    runs, run_records, labels = recorded(tmp_path, wrong, extra=extra, seeds=3)
    assessment = assess_entries(runs, run_records, labels, PLANNED)
    pair = next(p for p in assessment.pairs if (p.first, p.second) == (TRAINED[0], TWIN[0]))
    training, planes = assessment.contrasts
    assert len(assessment.pairs) == 26 * 25 / 2 and not pair.significant
    assert training.significant and training.low > 0
    assert training.verdict.startswith(
        f"fill in ({SPLIT}): training the network helps, {100 * training.difference:+.1f} points of OA (95 % interval "
        f"{100 * training.low:+.1f} to {100 * training.high:+.1f}, p "
    )
    assert training.verdict.endswith("planes of ip against planes of ip-untrained, mean of 2 heads)")
    assert not planes.significant
    assert f"({SPLIT}): no significant difference between planes and context features" in planes.verdict


@pytest.mark.parametrize(
    ("question", "split", "wrong", "expected"),
    [
        ("training", SPLIT, 0.5, "the trained network is worse than its untrained twin"),
        ("planes", "blocks:9+1:0.3", 0.05, "carry over (blocks:9+1:0.3): planes are better than context features"),
        ("planes", "random:0.2", 0.5, "fill in (random:0.2): planes are worse than context features"),
        ("added", SPLIT, 0.05, "planes add to context features"),
        ("added", SPLIT, 0.5, "planes beside context features are worse than context features alone"),
    ],
)
def test_a_verdict_states_the_question_and_the_sign(tmp_path, question, split, wrong, expected):
    shares = {"ip": wrong, "ip-untrained": 0.2, "ip-context": 0.2}
    runs, run_records, labels = recorded(tmp_path, shares, split=split, seeds=2)
    (test,) = assess_entries(runs, run_records, labels, [contrast(question, TRAINED, TWIN)]).contrasts
    assert expected in test.verdict and test.significant


def test_one_seed_gives_a_difference_without_a_test(tmp_path):
    runs, run_records, labels = recorded(tmp_path, {"ip": 0.1}, seeds=1)
    for test in assess_entries(runs, run_records, labels, PLANNED).contrasts:
        assert test.low is test.high is test.p is test.p_holm is None and not test.significant
        oa = {run.entry: run.oa for run in runs}
        gains = [oa[first] - oa[second] for first, second in test.contrast.pairs]
        assert test.difference == pytest.approx(np.mean(gains))
        assert "can't tell whether" in test.verdict and "run more seeds" in test.verdict


def test_identical_entries_do_not_differ(tmp_path):
    same = [contrast("training", TRAINED, TRAINED)]
    (test,) = assess_entries(*recorded(tmp_path, {"ip": 0.2}), same).contrasts
    assert (test.difference, test.low, test.high, test.p) == (0, 0, 0, 1)
    assert "no significant effect of training the network, +0.0 points" in test.verdict
