"""Every score on the page of a real benchmark against scikit-learn on the recorded predictions."""

import itertools
import json
import re

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix, f1_score, recall_score

from tests.classifiers.conftest import SPLITS
from tests.helpers.comparisons import Page

SHOWN = SPLITS[::-1]  # the disjoint split comes first
INTERVAL = r"(-?[\d.]+ to -?[\d.]+)?"


@pytest.fixture(scope="module")
def stored(report):
    """Truth and prediction of the test pixels of each run, by entry, split and seed, as the record keeps them."""
    _, out, _ = report
    pairs = {}
    for run in json.loads((out / "results.json").read_text())["runs"]:
        who = run["entry"]
        entry = f"{who['head']} on {who['inputs']}" + f" of {who['store']}" * bool(who["store"])
        truth = np.load(out / "record" / "draws" / f"{run['draw']}.npz")["truth"]
        predicted = np.load(out / "record" / "predictions" / f"{run['key']}.npy")
        pairs[entry, run["split"], run["seed"]] = truth, predicted
    return pairs


@pytest.fixture(scope="module")
def parsed(report):
    return Page((report[1] / "report.html").read_text())


def over_seeds(stored, entry, split, metric):
    """Return mean and standard deviation of a metric over the seeds."""
    values = [metric(*pair) for (e, s, _), pair in stored.items() if (e, s) == (entry, split)]
    assert len(values) == 2
    return np.mean(values, axis=0), np.std(values, axis=0, ddof=1)


def average_accuracy(truth, predicted):
    return recall_score(truth, predicted, labels=np.unique(truth), average="macro")


def ranked(stored, split):
    entries = list(dict.fromkeys(entry for entry, _, _ in stored))
    return sorted(entries, key=lambda entry: -over_seeds(stored, entry, split, accuracy_score)[0])


def test_the_ranking(stored, parsed):
    ranking = parsed.tables[1]
    assert [row[0][1] for row in ranking[2:]] == ranked(stored, SHOWN[0])
    for row in ranking[2:]:
        for cell, (split, metric) in zip(
            row[1:7], itertools.product(SHOWN, (accuracy_score, average_accuracy, cohen_kappa_score)), strict=True
        ):
            mean, sd = over_seeds(stored, row[0][1], split, metric)
            shown = f"{mean:.3f} ± {sd:.3f}" if metric is cohen_kappa_score else f"{100 * mean:.2f} ± {100 * sd:.2f}"
            assert float(cell[1]) == pytest.approx(mean)
            assert re.fullmatch(shown + INTERVAL, cell[0])


def test_the_classes(stored, parsed):
    tables = [table for table in parsed.tables if table[0][0][0] == "class"]
    order = ranked(stored, SHOWN[0])
    for table, (split, metric) in zip(tables, itertools.product(SHOWN, (recall_score, f1_score)), strict=True):
        pixels, _ = over_seeds(stored, order[0], split, lambda truth, _: np.bincount(truth)[1:])
        assert [row[2][0] for row in table[1:]] == [f"{n:,.0f}" for n in pixels]
        for at, entry in enumerate(order):
            means, sds = over_seeds(stored, entry, split, lambda t, p, metric=metric: metric(t, p, average=None))
            assert len(table) == 1 + len(means)
            for row, mean, sd in zip(table[1:], means, sds, strict=True):
                assert re.fullmatch(f"{100 * mean:.1f} ± {100 * sd:.1f}" + INTERVAL, row[3 + at][0])


def test_the_confusions(stored, parsed):
    tables = [table for table in parsed.tables if table[0][0][0].startswith("true")]
    words = " ".join("".join(parsed.words).split())
    for table, (entry, split) in zip(tables, itertools.product(ranked(stored, SHOWN[0]), SHOWN), strict=True):
        mine = [pair for (e, s, _), pair in stored.items() if (e, s) == (entry, split)]
        counts = sum(confusion_matrix(*pair) for pair in mine)
        shares = 100 * counts / counts.sum(axis=1, keepdims=True)
        names = [cell[0] for cell in table[0][1:]]
        for row, expected in zip(table[1:], shares, strict=True):
            assert [cell[0] for cell in row[1:]] == [f"{share:.0f}" if share >= 0.5 else "" for share in expected]
        wrong = counts * (1 - np.eye(len(counts), dtype=int))
        i, j = np.unravel_index(wrong.argmax(), wrong.shape)
        largest = f"{names[i]} predicted as {names[j]}: {wrong[i, j]:,} pixels, {shares[i, j]:.1f} %"
        assert not wrong.any() or largest in words
        truth, predicted = stored[entry, split, 0]
        assert f"{np.sum(truth != predicted):,} wrong and {np.sum(truth == predicted):,} correct test pixels" in words


def test_the_findings(stored, parsed):
    words = " ".join("".join(parsed.words).split())
    for split in SHOWN:
        best = ranked(stored, split)[0]
        (oa, oa_sd), (kappa, _) = (over_seeds(stored, best, split, m) for m in (accuracy_score, cohen_kappa_score))
        found = rf"OA of {re.escape(best)}: {100 * oa:.2f} ± {100 * oa_sd:.2f} % \(95 % interval \S+ to \S+\), kappa {kappa:.3f}, over 2 seeds"
        assert re.search(found, words)
    there, apart = ({e: over_seeds(stored, e, s, accuracy_score)[0] for e in ranked(stored, s)} for s in SPLITS)
    gaps = {entry: 100 * (there[entry] - apart[entry]) for entry in there}
    best = max(apart, key=apart.get)
    text = re.search(
        rf"for {re.escape(best)}, the best under {re.escape(SPLITS[1])}, it is ([\d.]+) points (\w+) \(95 %", words
    )
    assert float(text[1]) == pytest.approx(abs(gaps[best]), abs=0.05001)
    assert text[2] == ("higher" if gaps[best] >= 0 else "lower")
    low, high = min(gaps.values()), max(gaps.values())
    assert all(f"{abs(end):.1f}" in words.partition(f"OA under {SPLITS[0]} is")[2][:80] for end in (low, high))
