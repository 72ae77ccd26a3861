"""What changed since an older report: a line for each entry that both have, what is new and what is gone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from classifiers.comparison.changes import is_more, is_same
from classifiers.comparison.results.model import Change

_HOW = (
    "Mean OA in percent over the seeds that are compared, and the difference in points with its 95 % interval by a bootstrap "
    "over seeds and label-connected fields."
)
_SEEDS_ONLY = "Where there is no interval, the test is a t-test over seeds only and says nothing of other ground."


@dataclass(frozen=True)
class Changed:
    """What changed.

    Attributes
    ----------
    lines : list of (Change, float)
        What both reports have and the difference of OA, from the largest gain to the largest loss.
    new, gone : list of (str, str)
        Entries that only the newer or only the older report has, and under which splits.
    how : str
        How differences were judged.
    """

    lines: list[tuple[Change, float]]
    new: list[tuple[str, str]]
    gone: list[tuple[str, str]]
    how: str


def changed(changes: Sequence[Change]) -> Changed | None:
    """Sort what changed; None where nothing was compared with."""
    if not changes:
        return None
    both = [(c, c.after - c.before) for c in changes if c.before is not None and c.after is not None]
    tested = [c for c, _ in both if c.p is not None]
    count = sum(c.p_holm is not None for c in tested)
    holm = f"P-values are corrected for all {count} tests (Holm)." if count > 1 else ""
    over_seeds = _SEEDS_ONLY if any(c.low is None for c in tested) else ""
    return Changed(
        lines=sorted(both, key=lambda line: -line[1]),
        new=_by_entry(c for c in changes if c.before is None),
        gone=_by_entry(c for c in changes if c.after is None),
        how=" ".join(filter(None, [_HOW, holm, over_seeds])),
    )


def change_outcome(change: Change) -> str:
    """Say in a few words what came of a change."""
    if is_same(change):
        return "the same"
    if change.p is None:
        return "one seed can't tell"
    noise = "noise" if change.low is not None else "the noise of seeds"
    if not is_more(change):
        return f"can't be told from {noise}"
    return f"{'better' if (change.after or 0) > (change.before or 0) else 'worse'}, more than {noise}"


def _by_entry(changes: Iterable[Change]) -> list[tuple[str, str]]:
    splits: dict[str, list[str]] = {}
    for change in changes:
        splits.setdefault(str(change.entry), []).append(change.split)
    return [(entry, ", ".join(under)) for entry, under in splits.items()]
