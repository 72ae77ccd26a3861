"""A comparison in a few lines of text: what the terminal shows."""

from __future__ import annotations

from classifiers.comparison.results import Comparison, Entry


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
    """Say for each split what its numbers are means of, and which classes it leaves out."""
    first = {cell.split: cell for cell in reversed(comparison.summary)}
    return [
        f"{split}: mean ± sd of {cell.seeds} seeds, {cell.train_pixels:.0f} training and {cell.test_pixels:.0f} test "
        f"pixels, classes left out: {', '.join(comparison.class_names[c] for c in cell.left_out) or 'none'}"
        for split, cell in reversed(first.items())
    ]
