"""Table of changes from a baseline report: changed entries, new entries and missing entries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from classifiers.comparison.results.differences import EntryChange

_METHOD = (
    "OA is in percent, averaged over the compared seeds: those with the same training and test pixels in both reports, or all "
    "seeds of each report if there are fewer than two of them. The difference is in percentage points, with its 95 % interval by a bootstrap "
    "over seeds and labelled regions."
)
_SEEDS_ONLY = (
    "Differences without an interval are tested by a t-test over seeds, which does not generalise to unseen areas."
)


@dataclass(frozen=True)
class ChangeTable:
    """Changes from a baseline report, sorted for display.

    Attributes
    ----------
    rows : list of (EntryChange, float)
        Changes of entries that are in both reports, each with the difference in overall accuracy (OA). The largest gain
        is first, and the largest loss is last.
    new : list of (str, str)
        Entries of the new report that the baseline lacks: the name of each entry, and the splits under which the baseline
        lacks it.
    missing : list of (str, str)
        Entries of the baseline that the new report lacks: the name of each entry, and the splits under which the new
        report lacks it.
    method : str
        Sentences about the statistical tests of the changes.
    """

    rows: list[tuple[EntryChange, float]]
    new: list[tuple[str, str]]
    missing: list[tuple[str, str]]
    method: str


def change_table(changes: Sequence[EntryChange]) -> ChangeTable | None:
    """Sort the changes for display. Return None if `changes` is empty."""
    if not changes:
        return None
    rows = [
        (change, change.after - change.before)
        for change in changes
        if change.before is not None and change.after is not None
    ]
    tests = [change for change, _ in rows if change.p is not None]
    count = sum(change.p_holm is not None for change in tests)
    holm = f"P-values are corrected for all {count} tests (Holm)." if count > 1 else ""
    seeds_only = _SEEDS_ONLY if any(change.low is None for change in tests) else ""
    return ChangeTable(
        rows=sorted(rows, key=lambda row: -row[1]),
        new=_splits_by_entry(change for change in changes if change.before is None),
        missing=_splits_by_entry(change for change in changes if change.after is None),
        method=" ".join(filter(None, [_METHOD, holm, seeds_only])),
    )


def change_verdict(change: EntryChange) -> str:
    """Return the result of the test of `change` in a few words, such as ``better, beyond noise``.

    If the numbers of training pixels differ, they are added.
    """
    verdict = _test_verdict(change)
    return f"{verdict}; {change.pixels_text}" if change.pixels_text else verdict


def _test_verdict(change: EntryChange) -> str:
    if change.unchanged:
        return "unchanged"
    if change.p is None:
        return "not testable with one draw"
    noise = "noise" if change.low is not None else "variation over seeds"
    if not change.significant:
        return f"within {noise}"
    return f"{'better' if (change.after or 0) > (change.before or 0) else 'worse'}, beyond {noise}"


def _splits_by_entry(changes: Iterable[EntryChange]) -> list[tuple[str, str]]:
    splits: dict[str, list[str]] = {}
    for change in changes:
        splits.setdefault(str(change.entry), []).append(change.split)
    return [(entry, ", ".join(names)) for entry, names in splits.items()]
