"""A comparison in a few lines of text: what the terminal shows."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from classifiers.comparison.results.model import Comparison, DrawnSplit
from classifiers.comparison.results.run import Entry, Summary


def overview(comparison: Comparison) -> list[dict[str, str]]:
    """Return a row for each entry: head, input, store, OA in percent under every split, median seconds of a fit."""
    rows: dict[Entry, dict[str, str]] = {}
    for cell in comparison.summary:
        row = rows.setdefault(
            cell.entry, {"head": cell.entry.head, "input": cell.entry.features, "store": cell.entry.store}
        )
        row[f"OA {cell.split}"] = f"{100 * cell.oa[0]:.1f} ± {100 * cell.oa[1]:.1f}"
    for cell in comparison.summary:
        rows[cell.entry]["fit s"] = f"{cell.fit_seconds:.2g}"
    return list(rows.values())


def remarks(comparison: Comparison) -> list[str]:
    """Say for each split what its numbers are means of, which classes it leaves out, and what it leaks; then the gap."""
    first = {cell.split: cell for cell in reversed(comparison.summary)}
    drawn = {of.split: of for of in comparison.drawn}
    said = []
    for split, cell in reversed(first.items()):
        said.append(
            f"{split}: mean ± sd of {cell.seeds} seeds, {cell.train_pixels:.0f} training and {cell.test_pixels:.0f} test "
            f"pixels, classes left out: {left_out_line(cell, comparison.class_names)}"
        )
        if split in drawn:
            said += [f"  leakage: {leakage_line(drawn[split])}", *(f"  {note}" for note in drawn[split].notes)]
    gap = gap_line(comparison)
    return [*said, gap] if gap else said


def left_out_line(cell: Summary, class_names: Mapping[int, str]) -> str:
    """Name the classes that are left out, with how many seeds where not under all, and over how many classes AA is then."""
    said = [
        class_names.get(c, f"class {c}") + (f" (under {n} of {cell.seeds} seeds)" if n < cell.seeds else "")
        for c, n in cell.left_out.items()
    ]
    over = f"; AA is over {' or '.join(map(str, cell.class_counts))} classes" if len(cell.class_counts) > 1 else ""
    return (", ".join(said) or "none") + over


def gap_line(comparison: Comparison) -> str:
    """Say how OA differs between the first random and the first disjoint split: of all entries, and of the best there.

    Nothing where a split or an entry of both is missing.
    """
    gaps = {gap.entry: gap for gap in comparison.gaps}
    if not gaps:
        return ""
    disjoint = next(iter(gaps.values())).disjoint
    best = max(
        (cell for cell in comparison.summary if cell.split == disjoint and cell.entry in gaps),
        key=lambda cell: cell.oa[0],
    )
    gap = gaps[best.entry]
    points = f"{100 * abs(gap.difference):.1f} points {_word(gap.difference)}"
    bounds = _bounds(gap.interval, gap.difference)
    if len(gaps) == 1:
        return f"The OA of {gap.entry} on {gap.random} is {points} than on {disjoint}{bounds}"
    return (
        f"The OA on {gap.random} is {_spread([100 * one.difference for one in gaps.values()])} than on {disjoint} for the "
        f"same entry; that of {gap.entry}, the best on {disjoint}, is {points}{bounds}"
    )


def _spread(points: list[float]) -> str:
    low, high = min(points), max(points)
    if low < 0 < high:
        return f"from {-low:.1f} points lower to {high:.1f} points higher (median {median(points):+.1f})"
    near, far = sorted(map(abs, (low, high)))
    return f"{near:.1f} to {far:.1f} (median {abs(median(points)):.1f}) points {_word(low + high)}"


def _bounds(interval: tuple[float, float] | None, difference: float) -> str:
    """Write the interval of a difference in points, along the sign of the difference."""
    if interval is None:
        return ""
    low, high = interval if difference >= 0 else (-interval[1], -interval[0])
    return f" (95 % interval {100 * low:+.1f} to {100 * high:+.1f})"


def _word(difference: float) -> str:
    return "lower" if difference < 0 else "higher"


def leakage_line(drawn: DrawnSplit) -> str:
    """Say which share of the test pixels have features that a training pixel took part in.

    >>> leakage_line(DrawnSplit("random:0.1", {"spectra": 0.0, "planes of ip": 1.0}, {}, 1.41, 1.0))
    'a training pixel is seen by the features of 100.0% (planes of ip), 0.0% (spectra) of the test pixels; the nearest is 1.4 px away at the median, 1.0 px at least'
    """
    shares: dict[str, list[str]] = {}
    for columns, seen in sorted(drawn.seen.items(), key=lambda item: -item[1]):
        shares.setdefault(f"{seen:.1%}", []).append(columns)
    said = ", ".join(f"{share} ({', '.join(columns)})" for share, columns in shares.items())
    return (
        f"a training pixel is seen by the features of {said} of the test pixels; "
        f"the nearest is {drawn.median_px:.1f} px away at the median, {drawn.least_px:.1f} px at least"
    )
