"""Changes of accuracy from a baseline report to a new report, and tests of these changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from classifiers.comparison.baseline import Baseline, match_renamed_store
from classifiers.comparison.results.base_records import BenchEntry
from classifiers.comparison.results.differences import EntryChange
from classifiers.comparison.results.scores import RunResult
from classifiers.comparison.results.summary_text import interval_text
from classifiers.comparison.run_records import RunRecords
from classifiers.comparison.stats.bootstrap import MIN_REGIONS, holm, interval, sign_p
from classifiers.comparison.stats.counts import count_pixels, resample_accuracies
from hsifeat.quiet_warnings import ignored_warnings
from hsifeat.scenes import Labels
from hsifeat.scenes.labels.regions import label_regions

_Name = tuple[BenchEntry, str]
_RunsBySeed = Mapping[int, RunResult]


@dataclass(frozen=True)
class _MatchedRuns:
    """Runs of one entry (a head on an input) under one split, in both reports.

    `before` maps seeds to runs of the baseline, and `after` maps seeds to runs of the new report. If the store was
    renamed, `entry` has the new name of the store.
    """

    entry: BenchEntry
    split: str
    before: _RunsBySeed
    after: _RunsBySeed

    @property
    def shared_seeds(self) -> list[int]:
        """Seeds for which both reports have the same training and test pixels."""
        return [
            seed
            for seed in sorted(self.after)
            if seed in self.before and self.before[seed].draw == self.after[seed].draw
        ]

    @property
    def identical(self) -> bool:
        """Whether the two reports have the same run (see `run_key`) for each of the `shared_seeds`."""
        seeds = self.shared_seeds
        return bool(seeds) and all(self.before[seed].key == self.after[seed].key for seed in seeds)


@dataclass(frozen=True)
class _ChangeTest:
    """Result of a test of whether the accuracy of an entry (a head on an input) changed.

    `seeds` lists the seeds that a bootstrap or a paired test compared. For Welch's unpaired test, `seeds` is empty.
    """

    name: Literal["bootstrap", "paired", "Welch"]
    seeds: tuple[int, ...]
    p: float
    method: str
    low: float | None = None
    high: float | None = None


def detect_changes(
    runs: Sequence[RunResult], run_records: RunRecords, labels: Labels, baseline: Baseline
) -> tuple[EntryChange, ...]:
    """Compare the runs of a new report with the runs of a baseline report.

    Entries are matched by store, input, head and split. If each report has exactly one store that the other lacks, these two
    stores are matched as one renamed store.

    Changes are tested by a bootstrap over seeds and regions (connected areas of one class). The bootstrap needs
    recorded predictions of the baseline, and the same training and test pixels in both reports. Otherwise, a
    change is tested by a t-test over seeds, unless all seeds have the same pixels. The t-test does not generalise to unseen
    areas. Holm's method corrects the p-values for multiple testing. It does not count the test of an entry whose runs are
    identical in both reports.

    Parameters
    ----------
    runs : sequence of RunResult
        Runs of the new report.
    run_records : RunRecords
        Recorded predictions and draws of the new report.
    labels : Labels
        True classes.
    baseline : Baseline
        Baseline report, which must have passed `Baseline.check`.

    Returns
    -------
    tuple of EntryChange
        Changes of the entries of the new report, followed by the entries that only the baseline has.
    """
    stores = ({run.entry.store for run in report} - {""} for report in (baseline.runs, runs))
    before, after = _group(baseline.runs, match_renamed_store(*stores)), _group(runs, {})
    matched = {name: _MatchedRuns(*name, before[name], after[name]) for name in after if name in before}
    tests = _bootstrap_tests(matched, run_records, labels, baseline)
    for name, pair in matched.items():
        if name not in tests and (test := _t_test(pair, baseline)) is not None:
            tests[name] = test
    # Runs with the same key may differ in the last bits if they were made on different machines.
    counted = [name for name, test in tests.items() if not (matched[name].identical and test.p == 1)]
    p_holm = dict(zip(counted, holm(np.array([tests[name].p for name in counted], float)).tolist(), strict=True))
    return tuple(
        _change(matched[name], tests.get(name), p_holm.get(name))
        if name in matched
        else _unmatched(*name, before.get(name), after.get(name))
        for name in {**after, **before}
    )


def _group(runs: Sequence[RunResult], renamed: Mapping[str, str]) -> dict[_Name, dict[int, RunResult]]:
    """Group runs by entry and split, and within a group by seed.

    `renamed` maps the old name of a renamed store to its new name.
    """
    groups: dict[_Name, dict[int, RunResult]] = {}
    for run in runs:
        entry = run.entry.model_copy(update={"store": renamed.get(run.entry.store, run.entry.store)})
        groups.setdefault((entry, run.split), {})[run.seed] = run
    return groups


def _bootstrap_tests(
    matched: Mapping[_Name, _MatchedRuns], run_records: RunRecords, labels: Labels, baseline: Baseline
) -> dict[_Name, _ChangeTest]:
    """Test changes by a bootstrap over seeds and regions (connected areas of one class).

    An entry is omitted if fewer than two seeds have the same test pixels and recorded predictions in both reports. It
    is also omitted if fewer than `MIN_REGIONS` regions have test pixels.
    """
    by_draws: dict[tuple[tuple[int, str], ...], list[_Name]] = {}
    for name, pair in matched.items():
        draws = tuple(
            (seed, pair.after[seed].draw)
            for seed in pair.shared_seeds
            if baseline.predictions(pair.before[seed]) is not None
        )
        if len(draws) >= 2:
            by_draws.setdefault(draws, []).append(name)
    regions = label_regions(labels.classes)
    tests: dict[_Name, _ChangeTest] = {}
    for draws, names in by_draws.items():
        # Both reports classify the same test pixels, so the two versions of an entry are counted like two entries.
        predictions = (
            ((name, side), seed, predicted)
            for name in names
            for seed, _ in draws
            for side, predicted in (
                ("before", baseline.predictions(matched[name].before[seed])),
                ("after", run_records.read_predictions(matched[name].after[seed].key)),
            )
            if predicted is not None
        )
        counts = count_pixels(
            [(name, side) for name in names for side in ("before", "after")],
            {seed: run_records.read_draw(draw) for seed, draw in draws},
            predictions,
            regions,
        )
        seed_count, region_count = counts.pixels.shape
        if region_count < MIN_REGIONS:
            continue
        drawn = resample_accuracies(counts, len(matched))
        method = f"bootstrap over {seed_count} seeds and {region_count} regions"
        for k, name in enumerate(names):
            difference = drawn[2 * k + 1] - drawn[2 * k]
            seeds = tuple(seed for seed, _ in draws)
            tests[name] = _ChangeTest("bootstrap", seeds, sign_p(difference), method, *interval(difference))
    return tests


def _t_test(pair: _MatchedRuns, baseline: Baseline) -> _ChangeTest | None:
    """Test a change by a t-test over seeds. Returns None for fewer than two seeds, and if all seeds have the same pixels.

    The test is paired if the reports have the same training and test pixels for at least two seeds. Otherwise, it is
    Welch's unpaired test.
    """
    from scipy.stats import ttest_ind, ttest_rel

    shared = pair.shared_seeds
    paired = len(shared) >= 2
    old, new = ([runs[seed].oa for seed in (shared if paired else runs)] for runs in (pair.before, pair.after))
    draws = {run.draw for run in pair.after.values()}
    if min(len(old), len(new)) < 2 or (len(draws) == 1 and all(draws)):
        return None
    with ignored_warnings(RuntimeWarning):  # SciPy warns about differences with zero variance; p is 0.
        same = old == new if paired else len({*old, *new}) == 1
        p = 1.0 if same else float((ttest_rel(new, old) if paired else ttest_ind(new, old, equal_var=False)).pvalue)
    if not paired:
        seed_text = f"{len(new)} seeds" if len(old) == len(new) else f"{len(old)} seeds before and {len(new)} after"
        return _ChangeTest("Welch", (), p, f"Welch's t-test over {seed_text}, since the draws differ")
    recorded = all(baseline.predictions(pair.before[seed]) is not None for seed in shared)
    reason = (
        f"the test pixels lie in fewer than {MIN_REGIONS} regions"
        if recorded
        else "the baseline lacks recorded predictions"
    )
    return _ChangeTest("paired", tuple(shared), p, f"paired t-test over {len(shared)} seeds, since {reason}")


def _unmatched(entry: BenchEntry, split: str, before: _RunsBySeed | None, after: _RunsBySeed | None) -> EntryChange:
    """Describe an entry that occurs in only one of the two reports, with the store name of that report."""
    runs = list((after or before or {}).values())
    entry, oa = runs[0].entry, float(np.mean([run.oa for run in runs]))
    return EntryChange(
        entry=entry,
        split=split,
        before=None if after else oa,
        after=oa if after else None,
        test="",
        seeds=len(runs),
        p=None,
        p_holm=None,
        verdict=f"{entry} under {split}: only in {'this report' if after else 'the baseline'}",
    )


def _change(pair: _MatchedRuns, test: _ChangeTest | None, p_holm: float | None) -> EntryChange:
    seeds = () if test is None else test.seeds
    before, after = (float(np.mean([runs[seed].oa for seed in seeds or runs])) for runs in (pair.before, pair.after))
    count_before, count = (len(seeds or runs) for runs in (pair.before, pair.after))
    pixels_before, pixels = (
        float(np.mean([runs[seed].train_pixels for seed in seeds or runs])) for runs in (pair.before, pair.after)
    )
    differs = pixels != pixels_before
    store = next(iter(pair.before.values())).entry.store
    change = EntryChange(
        entry=pair.entry,
        split=pair.split,
        before=before,
        after=after,
        test="" if test is None else test.name,
        seeds=count,
        seeds_before=None if count == count_before else count_before,
        p=None if test is None else test.p,
        p_holm=p_holm,
        verdict="",
        low=None if test is None else test.low,
        high=None if test is None else test.high,
        store_before="" if store == pair.entry.store else store,
        train_pixels=pixels if differs else None,
        train_pixels_before=pixels_before if differs else None,
    )
    partial = bool(seeds) and (count < len(pair.before) or count < len(pair.after))
    over = f" over the {count} compared seeds" if partial else ""
    return change.model_copy(update={"verdict": _verdict(change, test, before, after, over)})


def _verdict(change: EntryChange, test: _ChangeTest | None, before: float, after: float, over: str) -> str:
    """Describe a change as a sentence. `over` names the seeds of the means if they are not all seeds of both reports."""
    renamed = f" ({change.store_before} before, {change.entry.store} after)" if change.store_before else ""
    subject = f"{change.entry} under {change.split}{renamed}"
    if change.unchanged:
        return f"{subject}: unchanged, OA {100 * after:.1f} %{over}"
    text = f"{subject}: OA {100 * before:.1f} to {100 * after:.1f} %{over}, {100 * (after - before):+.2f} points"
    text += f" with other training pixels ({change.pixels_text})" if change.pixels_text else ""
    if test is None:
        return f"{text}; not testable with one draw"
    method = f"{test.method}; Holm-corrected p {change.p_holm:.2g}"
    place = "beyond" if change.significant else "within"
    if change.low is not None and change.high is not None:
        return f"{text} ({interval_text(change.low, change.high, '+.2f')}): {place} noise ({method})"
    return f"{text}: {place} the variation over seeds ({method}); this does not generalise to unseen areas"
