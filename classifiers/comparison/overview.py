"""A comparison in a few lines of text: what the terminal shows."""

from __future__ import annotations

from classifiers.comparison.results import Comparison, DrawnSplit
from classifiers.comparison.runs import Entry


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
    """Say for each split what its numbers are means of, which classes it leaves out, and what it leaks."""
    first = {cell.split: cell for cell in reversed(comparison.summary)}
    drawn = {of.split: of for of in comparison.drawn}
    said = []
    for split, cell in reversed(first.items()):
        said.append(
            f"{split}: mean ± sd of {cell.seeds} seeds, {cell.train_pixels:.0f} training and {cell.test_pixels:.0f} test "
            f"pixels, classes left out: {', '.join(comparison.class_names[c] for c in cell.left_out) or 'none'}"
        )
        if split in drawn:
            said += [f"  leakage: {leakage_line(drawn[split])}", *(f"  {note}" for note in drawn[split].notes)]
    return said


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
