"""Intervals and tests against SciPy, slow transcriptions, simulations whose answer is known, and examples by hand."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse, stats
from sklearn.metrics import accuracy_score, balanced_accuracy_score, cohen_kappa_score

from classifiers.comparison.stats.bootstrap import (
    accuracy,
    agreement,
    bootstrap,
    holm,
    interval,
    mcnemar,
    sign_p,
    tally,
)
from tests.helpers.comparisons import draw_counts


def test_tally_counts_right_pixels():
    right, regions = np.array([True, False, True, True]), np.array([0, 0, 2, 2])
    assert tally(right, regions, 4).tolist() == [1, 0, 2, 0]


def simulated(seeds=3, regions=12, entries=2):
    random = np.random.default_rng(1)
    pixels = random.integers(0, 30, (seeds, regions)).astype(float)
    right = np.floor(pixels * random.uniform(0.5, 1, (entries, seeds, regions)))
    return right, pixels


def resample(right, pixels, **options):
    return bootstrap(accuracy(right, pixels), len(pixels), [pixels.shape[1]], **options)


def slow_resample(right, pixels, resamples, seed):
    """Transcribe the pigeonhole bootstrap: list the drawn seeds and regions, and go through them one by one."""
    random = np.random.default_rng(seed)
    entries, seeds, regions = right.shape
    of_regions = draw_counts(random, regions, resamples)
    of_seeds = draw_counts(random, seeds, resamples)
    found = np.empty((entries, resamples))
    for e in range(entries):
        for b in range(resamples):
            accuracies = []
            for s in np.repeat(np.arange(seeds), of_seeds[b]):
                drawn = np.repeat(np.arange(regions), of_regions[b])
                accuracies.append(sum(right[e, s, f] for f in drawn) / sum(pixels[s, f] for f in drawn))
            found[e, b] = np.mean(accuracies)
    return found


def test_the_bootstrap_is_that_of_a_slow_transcription():
    right, pixels = simulated()
    expected = slow_resample(right, pixels, 200, seed=4)
    np.testing.assert_allclose(resample(right, pixels, resamples=200, seed=4), expected, rtol=1e-12)


def simulated_pixels(seeds=3, regions=15, classes=3):
    """Return the regions of the pixels, and for each seed the true classes and the predictions of two entries."""
    random = np.random.default_rng(2)
    of_region = random.integers(0, classes, regions)
    region = np.repeat(np.arange(regions), random.integers(1, 9, regions))
    truth = of_region[region]
    assigned = np.where(
        random.random((2, seeds, len(region))) < 0.3, random.integers(0, classes + 1, len(region)), truth
    )
    return region, truth, assigned


def counted(region, classes, count):
    """Count pixels by seed and class (rows) and by region, as a sparse array. Classes from `count` on are not counted."""
    table = np.zeros((len(classes), count, region.max() + 1))
    for row, of_seed in zip(table, classes, strict=True):
        known = of_seed < count
        np.add.at(row, (of_seed[known], region[known]), 1)
    return sparse.csr_array(table.reshape(-1, table.shape[2]))


def test_oa_aa_and_kappa_are_scikit_learns_of_the_pixels_of_drawn_regions():
    region, truth, assigned = simulated_pixels()
    _, seeds, regions = *assigned.shape[:2], region.max() + 1
    score = agreement([counted(region, entry, 3) for entry in assigned], counted(region, [truth] * seeds, 3), seeds)
    found = bootstrap(score, seeds, [regions], resamples=40, seed=5)
    random = np.random.default_rng(5)
    of_regions = draw_counts(random, regions, 40)
    of_seeds = draw_counts(random, seeds, 40)
    metrics = (accuracy_score, balanced_accuracy_score, cohen_kappa_score)
    for b in range(40):
        # Each pixel as often as its region was drawn.
        pixels = np.concatenate([np.flatnonzero(region == f) for f in np.repeat(np.arange(regions), of_regions[b])])
        drawn = np.repeat(np.arange(seeds), of_seeds[b])
        for entry, metric in itertools.product(range(2), range(3)):
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "y_pred contains classes not in y_true")
                each = [metrics[metric](truth[pixels], assigned[entry, s, pixels]) for s in drawn]
            assert found[entry, metric, b] == pytest.approx(np.mean(each))


def test_kappa_of_a_single_class_and_of_a_seed_without_pixels():
    truth = sparse.csr_array(np.array([[4.0, 0.0], [0.0, 3.0], [0.0, 0.0], [0.0, 3.0]]))  # seed 1 has no region 0
    taken = sparse.csr_array(np.array([[4.0, 3.0], [0.0, 0.0], [0.0, 0.0], [0.0, 3.0]]))
    drawn = np.array([[2.0, 0.0], [0.0, 1.0]])  # region 0 alone, twice; region 1 alone
    oa, aa, kappa = agreement([taken], truth, 2)(drawn)[0]
    np.testing.assert_array_equal(oa, [[1, 0], [np.nan, 1]])
    np.testing.assert_array_equal(aa, oa)
    np.testing.assert_array_equal(
        kappa, oa, "nothing but one class on both sides is agreement, as in a run's own score"
    )


def test_each_set_of_regions_is_drawn_on_its_own_and_seeds_for_both():
    right, pixels = simulated(seeds=3, regions=12, entries=1)
    more_right, more_pixels = simulated(seeds=3, regions=30, entries=1)
    first, second = accuracy(right[0], pixels), accuracy(more_right[0], more_pixels)
    drawn = bootstrap(lambda of: first(of[:12]) - second(of[12:]), 3, [12, 30], resamples=50, seed=1)
    random = np.random.default_rng(1)
    one, other = (draw_counts(random, n, 50) for n in (12, 30))
    of_seeds = draw_counts(random, 3, 50)
    for b in range(50):
        each = [
            right[0, s] @ one[b] / (pixels[s] @ one[b]) - more_right[0, s] @ other[b] / (more_pixels[s] @ other[b])
            for s in np.repeat(np.arange(3), of_seeds[b])
        ]
        assert drawn[b] == pytest.approx(np.mean(each))


def test_with_one_seed_it_is_scipys_bootstrap_of_a_ratio():
    right, pixels = simulated(seeds=1, regions=60, entries=1)
    pixels[pixels == 0] = 1
    drawn = resample(right, pixels, resamples=20_000)[0]
    reference = stats.bootstrap(
        (right[0, 0], pixels[0]),
        lambda r, p, axis: r.sum(axis=axis) / p.sum(axis=axis),
        paired=True,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    assert drawn.std() == pytest.approx(reference.standard_error, rel=0.05)
    assert interval(drawn) == pytest.approx(tuple(reference.confidence_interval), abs=0.004)


def test_a_seed_none_of_whose_regions_was_drawn_does_not_count():
    pixels = np.zeros((2, 10))
    pixels[0, 0] = 5  # Few draws have this region, and only they tell of seed 0.
    pixels[1] = 5
    right = np.stack([pixels])
    drawn = resample(right, pixels, resamples=500)
    known = np.isfinite(drawn)
    assert 0.8 < known.mean() < 1, "where only seed 0 was drawn, without its region, there is no accuracy"
    assert np.allclose(drawn[known], 1)
    assert interval(drawn[0]) == pytest.approx((1, 1))


@pytest.mark.parametrize(("seed_sd", "region_sd", "regions"), [(0.01, 0.2, 40), (0.03, 0.1, 40), (0.02, 0.2, 15)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(seed_sd, region_sd, regions):
    random = np.random.default_rng(0)
    pixels, inside, trials = np.full((5, regions), 100.0), 0, 1000
    for trial in range(trials):
        accuracy = 0.7 + random.normal(0, seed_sd, (5, 1)) + random.normal(0, region_sd, regions)
        accuracy = accuracy + random.normal(0, 0.05, (5, regions))
        low, high = interval(resample((accuracy * pixels)[None], pixels, resamples=1000, seed=trial)[0])
        inside += low <= 0.7 <= high
    assert 0.9 <= inside / trials <= 0.99


def test_pixels_that_are_taken_for_independent_would_hold_it_far_too_rarely():
    random = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        right = np.repeat(random.random(40) < 0.7, 100)  # 40 regions, each right or wrong as a whole
        low, high = stats.binomtest(int(right.sum()), right.size).proportion_ci()
        inside += low <= 0.7 <= high
    assert inside / 200 < 0.3


def test_entries_that_do_not_differ_are_rarely_significant():
    random = np.random.default_rng(3)
    pixels, significant = np.full((5, 30), 50.0), 0
    for trial in range(200):
        both = 0.7 + random.normal(0, 0.1, 30) + random.normal(0, 0.01, (5, 1))
        right = pixels * (both + random.normal(0, 0.1, (2, 1, 30)))
        drawn = resample(right, pixels, resamples=1000, seed=trial)
        significant += sign_p(drawn[0] - drawn[1]) < 0.05
    assert significant / 200 <= 0.1


def test_identical_entries_and_one_that_is_always_better():
    right, pixels = simulated(entries=1)
    drawn = resample(np.concatenate([right, right, pixels[None]]), pixels, resamples=2000)
    assert sign_p(drawn[0] - drawn[1]) == 1
    assert sign_p(drawn[2] - drawn[0]) == pytest.approx(2 / 2001)


@pytest.mark.parametrize(("one", "other"), [(0, 0), (5, 1), (12, 30), (40, 40)])
def test_mcnemar_is_the_exact_test_on_what_only_one_has_right(one, other):
    first = np.array([True] * one + [False] * other + [True, False])
    second = np.array([False] * one + [True] * other + [True, False])
    expected = min(1.0, 2 * stats.binom.cdf(min(one, other), one + other, 0.5)) if one + other else 1.0
    assert mcnemar(first, second) == pytest.approx(expected)


def test_holm_by_hand():
    # 4 x 0.005, 3 x 0.01, 2 x 0.03, 1 x 0.04 raised to the one before.
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])) == pytest.approx([1, 1])
    assert len(holm(np.array([]))) == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_begins_as_bonferronis(p):
    corrected = holm(np.array(p))
    assert (corrected >= np.array(p)).all()
    # Some hypothesis is rejected at a level by the one if and only if by the other: the least p decides.
    assert corrected.min() == pytest.approx(min(1.0, len(p) * min(p)))
    assert (np.diff(corrected[np.argsort(p, kind="stable")]) >= 0).all()
