"""What changed since an older comparison, entry by entry, and whether it is more than noise."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from classifiers.comparison.baseline import Baseline, pair_stores
from classifiers.comparison.results.model import Change
from classifiers.comparison.results.run import Entry, RunResult
from classifiers.comparison.run_store import RunStore
from classifiers.comparison.stats.bootstrap import FIELDS_AT_LEAST, LEVEL, holm, interval, label_fields, sign_p
from classifiers.comparison.stats.counts import draw_accuracies, outcomes
from hsifeat.scenes import Labels

_At = tuple[Entry, str]
_Runs = Mapping[int, RunResult]


@dataclass(frozen=True)
class _Both:
    """An entry under a split that both comparisons have, by its name in the newer; runs by their seeds."""

    entry: Entry
    split: str
    before: _Runs
    after: _Runs

    @property
    def shared(self) -> list[int]:
        """The seeds under which both have the same draw."""
        return [s for s in sorted(self.after) if s in self.before and self.before[s].draw == self.after[s].draw]

    @property
    def repeated(self) -> bool:
        """Whether the runs are the very same, as those on spectra are: there is nothing to test."""
        return bool(self.shared) and all(self.before[s].key == self.after[s].key for s in self.shared)


@dataclass(frozen=True)
class _Test:
    """A test of a change: what it gave, over which pairs of seeds (none for Welch's), over how many seeds, how in words."""

    name: Literal["bootstrap", "paired", "Welch"]
    pairs: tuple[int, ...]
    seeds: int
    p: float
    how: str
    low: float | None = None
    high: float | None = None


def since(results: Sequence[RunResult], record: RunStore, labels: Labels, older: Baseline) -> list[Change]:
    """Compare runs with those of an older comparison.

    Entries are matched by store, input, head and split. A store that only the newer one has is taken for one that only the
    older one has under another name, where there is one of each. Where both have the same draws, and the predictions of
    the older one lie in its record, the difference is judged as `judge` does: by a bootstrap over seeds and fields.
    Otherwise there is a t-test over seeds, which says nothing of other ground. P-values are corrected for all tests but those
    of runs that are the very same (Holm).

    Parameters
    ----------
    results : sequence of RunResult
        Of the newer comparison.
    record : Record
        Where its predictions and draws lie.
    labels : Labels
        True classes.
    older : Older
        The older comparison, checked to be of these labels.
    """
    renamed = pair_stores(*({r.run.entry.store for r in of} - {""} for of in (older.results, results)))
    before, after = _grouped(older.results, renamed), _grouped(results, {})
    both = {at: _Both(*at, before[at], after[at]) for at in after if at in before}
    tests = _bootstraps(both, record, labels, older)
    tests |= {at: test for at, of in both.items() if at not in tests and (test := _t_test(of, older)) is not None}
    # The same key on another machine may still give other numbers.
    told = [at for at, test in tests.items() if not (both[at].repeated and test.p == 1)]
    p_holm = dict(zip(told, holm(np.array([tests[at].p for at in told], float)).tolist(), strict=True))
    return [
        _changed(both[at], tests.get(at), p_holm.get(at)) if at in both else _only(before.get(at), after.get(at))
        for at in {**after, **before}
    ]


def _grouped(results: Sequence[RunResult], renamed: Mapping[str, str]) -> dict[_At, dict[int, RunResult]]:
    grouped: dict[_At, dict[int, RunResult]] = {}
    for result in results:
        entry = result.run.entry
        named = replace(entry, store=renamed.get(entry.store, entry.store))
        grouped.setdefault((named, result.run.split), {})[result.run.seed] = result
    return grouped


def _bootstraps(both: Mapping[_At, _Both], record: RunStore, labels: Labels, older: Baseline) -> dict[_At, _Test]:
    """Test by a bootstrap what has predictions of at least two draws on both sides, in enough fields."""
    grouped: dict[tuple[tuple[int, str], ...], list[_At]] = {}
    for at, of in both.items():
        draws = tuple((s, of.after[s].draw) for s in of.shared if older.predictions(of.before[s]) is not None)
        if len(draws) >= 2:
            grouped.setdefault(draws, []).append(at)
    fields = label_fields(labels.classes)
    tests: dict[_At, _Test] = {}
    for draws, members in grouped.items():
        # What entries have right, before and after, on the same pixels.
        predictions = (
            ((at, side), seed, predicted)
            for at in members
            for seed, _ in draws
            for side, predicted in (
                ("before", older.predictions(both[at].before[seed])),
                ("after", record.read_predictions(both[at].after[seed].key)),
            )
            if predicted is not None
        )
        counted = outcomes(
            [(at, side) for at in members for side in ("before", "after")],
            {seed: record.read_draw(draw) for seed, draw in draws},
            predictions,
            fields,
        )
        seeds, tested = counted.pixels.shape
        if tested < FIELDS_AT_LEAST:
            continue
        drawn = draw_accuracies(counted, len(both))
        for k, at in enumerate(members):
            difference = drawn[2 * k + 1] - drawn[2 * k]
            how = f"bootstrap over {seeds} seeds and {tested} fields"
            tests[at] = _Test(
                "bootstrap", tuple(s for s, _ in draws), seeds, sign_p(difference), how, *interval(difference)
            )
    return tests


def _t_test(of: _Both, older: Baseline) -> _Test | None:
    """Test over seeds alone, if there are two."""
    from scipy.stats import ttest_ind, ttest_rel

    paired = len(of.shared) >= 2
    old, new = ([runs[seed].scores.oa for seed in (of.shared if paired else runs)] for runs in (of.before, of.after))
    seeds = min(len(old), len(new))
    if seeds < 2:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # Differences that are all alike have no spread: p is 0.
        same = old == new if paired else len({*old, *new}) == 1
        p = 1.0 if same else float((ttest_rel(new, old) if paired else ttest_ind(new, old, equal_var=False)).pvalue)
    if not paired:
        return _Test("Welch", (), seeds, p, f"Welch's t-test over {seeds} seeds, since the draws are others")
    held = all(older.predictions(of.before[seed]) is not None for seed in of.shared)
    few = f"the test pixels lie in fewer than {FIELDS_AT_LEAST} fields"
    why = few if held else "the older report lacks recorded predictions"
    return _Test("paired", tuple(of.shared), seeds, p, f"t-test paired over {seeds} seeds, since {why}")


def _only(before: _Runs | None, after: _Runs | None) -> Change:
    runs = list((after or before or {}).values())
    run, oa = runs[0].run, float(np.mean([r.scores.oa for r in runs]))
    verdict = f"{run.entry} on {run.split}: only in the {'newer' if after else 'older'} comparison"
    return Change(run.entry, run.split, None if after else oa, oa if after else None, "", 0, None, None, verdict)


def _changed(of: _Both, test: _Test | None, p_holm: float | None) -> Change:
    pairs = () if test is None else test.pairs
    before, after = (float(np.mean([runs[s].scores.oa for s in pairs or runs])) for runs in (of.before, of.after))
    store = next(iter(of.before.values())).run.entry.store
    change = Change(
        entry=of.entry,
        split=of.split,
        before=before,
        after=after,
        test="" if test is None else test.name,
        seeds=0 if test is None else test.seeds,
        p=None if test is None else test.p,
        p_holm=p_holm,
        verdict="",
        low=None if test is None else test.low,
        high=None if test is None else test.high,
        store_before="" if store == of.entry.store else store,
    )
    return replace(change, verdict=_verdict(change, test, before, after))


def _verdict(change: Change, test: _Test | None, before: float, after: float) -> str:
    renamed = f" ({change.store_before} before, {change.entry.store} after)" if change.store_before else ""
    subject = f"{change.entry} on {change.split}{renamed}"
    if is_same(change):
        return f"{subject}: the same, OA {100 * after:.1f} %"
    said = f"{subject}: OA {100 * before:.1f} to {100 * after:.1f} %, {100 * (after - before):+.2f} points"
    if test is None:
        return f"{said}; one seed can't tell whether that is more than noise"
    corrected = f"{test.how}; Holm-corrected p {change.p_holm:.2g}"
    if change.low is not None and change.high is not None:
        noise = "more than noise" if is_more(change) else "can't be told from noise"
        return f"{said} (95 % interval {100 * change.low:+.2f} to {100 * change.high:+.2f}): {noise} ({corrected})"
    noise = "more than the noise of seeds" if is_more(change) else "can't be told from the noise of seeds"
    return f"{said}: {noise} ({corrected}); this is over seeds only and says nothing of other ground"


def is_more(change: Change) -> bool:
    """Tell whether a change is more than the noise that its test knows, corrected for all tests."""
    return change.p_holm is not None and change.p_holm < 1 - LEVEL


def is_same(change: Change) -> bool:
    """Tell whether nothing changed under any seed, nor in any field."""
    alike = change.p == 1 and change.before == change.after
    return alike and change.test != "Welch" and not change.low and not change.high
