"""Summary of a benchmark as Markdown, with changes from a baseline report."""

from __future__ import annotations

from collections.abc import Sequence

from classifiers.comparison.report.change_table import change_table, change_verdict
from classifiers.comparison.results.model import BenchResults
from classifiers.comparison.results.ranking import LEAKS, rank
from classifiers.comparison.results.summary_frame import INTERVAL, summary_frame, summary_notes
from classifiers.comparison.results.summary_text import p_value


def to_markdown(results: BenchResults) -> str:
    """Return the summary as a Markdown table, followed by notes and changes from a baseline.

    The best value of each column is bold.
    """
    table, best = summary_frame(results)
    suffixes = {split.title: f" {split.name}" + " (leaks)" * (split.kind == LEAKS) for split in rank(results).splits}
    lines = _header([f"{score}{suffixes.get(split, '')}" for split, score in table.columns])
    for row, best_row in zip(table.itertuples(index=False), best.itertuples(index=False), strict=True):
        lines.append(_line([f"**{text}**" if is_best else text for text, is_best in zip(row, best_row, strict=True)]))
    for note in summary_notes(results):
        lines += ["", note]
    return "\n".join([*lines, *_changes(results), ""])


def _changes(results: BenchResults) -> list[str]:
    """Return the changes from a baseline report as lines of Markdown."""
    table = change_table(results.changes)
    if table is None:
        return []
    lines = ["", "## Changes from the baseline", ""]
    if table.rows:
        lines += _header(["entry", "split", "before, %", "after, %", "difference", INTERVAL, "p", "verdict"])
    for change, difference in table.rows:
        renamed = f" ({change.store_before} before, {change.entry.store} after)" if change.store_before else ""
        known = change.low is not None and change.high is not None
        interval = f"{100 * (change.low or 0):+.2f} to {100 * (change.high or 0):+.2f}" if known else ""
        oa = [f"{100 * (value or 0):.2f}" for value in (change.before, change.after)]
        cells = [f"{change.entry}{renamed}", change.split, *oa, f"{100 * difference:+.2f}", interval]
        lines.append(_line([*cells, p_value(change.p_holm), change_verdict(change)]))
    lines += ["", table.method] if table.rows else []
    for report, entries in (("this", table.new), ("the baseline", table.missing)):
        if entries:
            lines += ["", f"Only in {report} report:", "", *(f"- {entry} under {splits}" for entry, splits in entries)]
    return lines


def _header(titles: Sequence[str]) -> list[str]:
    return [_line(titles), _line(["---"] * len(titles))]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
