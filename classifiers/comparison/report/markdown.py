"""Summary of a benchmark, and changes from a baseline report, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from classifiers.comparison.report.change_table import change_table, change_verdict
from classifiers.comparison.report.distance_plots import distance_tables
from classifiers.comparison.report.scene_tables import scene_tables
from classifiers.comparison.results.bench_results import BenchResults
from classifiers.comparison.results.distance_text import estimate_interval
from classifiers.comparison.results.ranking import LEAKS, Ranking, rank
from classifiers.comparison.results.scores import PixelScore
from classifiers.comparison.results.summary_frame import INTERVAL, summary_frame, summary_notes
from classifiers.comparison.results.summary_text import p_value, percent
from hsifeat.formatting import escape_markdown, format_mean

_DISTANCE_NOTE = (
    "OA in percent by the distance of the test pixels to the nearest training pixel, with the 95 % interval, then the gain in "
    "points over spectra alone with the same head on the same pixels. Without leakage: test pixels whose features depend on no "
    "training pixel."
)


def to_markdown(results: BenchResults) -> str:
    """Return the summary of a benchmark as a Markdown table, then notes, further tables and changes from a baseline.

    The best value of each column of the summary is bold.
    """
    table, best = summary_frame(results)
    ranking = rank(results)
    suffixes = {
        split.title: f" {split.name} ({split.question}{', leaks' if split.kind == LEAKS else ''})"
        for split in ranking.splits
    }
    lines = _header([f"{score}{suffixes.get(split, '')}" for split, score in table.columns])
    for row, best_row in zip(table.itertuples(index=False), best.itertuples(index=False), strict=True):
        lines.append(_line(row, best_row))
    for note in summary_notes(results):
        lines += ["", escape_markdown(note)]
    return "\n".join([*lines, *_scenes(ranking), *_distances(ranking), *_changes(results), ""])


def _scenes(ranking: Ranking) -> list[str]:
    """Return lines of Markdown with one table for each split: the overall accuracy (OA) in each of several scenes."""
    lines: list[str] = []
    for table in scene_tables(ranking):
        lines += ["", escape_markdown(f"## {table.question.capitalize()}: OA by scene, {table.split}"), ""]
        lines += _header(["entry", *table.scenes])
        for entry, scores in table.rows:
            cells = ["" if score is None else percent(score.scores["oa"], score.seeds, 1) for score in scores]
            lines.append(_line([str(entry), *cells]))
        pixels = ", ".join(
            f"{name}: {format_mean(count)}" for name, count in zip(table.scenes, table.pixels, strict=True)
        )
        lines += ["", escape_markdown(f"OA in percent on the test pixels of each scene. Test pixels: {pixels}.")]
    return lines


def _distances(ranking: Ranking) -> list[str]:
    """Return lines of Markdown with one table for each split.

    Each table shows the overall accuracy (OA) by distance to the nearest training pixel.
    """
    lines: list[str] = []
    for view in distance_tables(ranking):
        lines += ["", escape_markdown(f"## {view.question.capitalize()}: OA by distance, {view.split}"), ""]
        lines += _header(["entry", *view.ranges, "without leakage"])
        for found in view.rows:
            scores = [*found.bins, found.leak_free]
            lines.append(_line([str(found.entry), *(_score_text(score) for score in scores)]))
        pixels = ", ".join(
            f"{name}: {format_mean(count)}" for name, count in zip(view.ranges, view.pixels, strict=True)
        )
        lines += ["", f"{_DISTANCE_NOTE} Test pixels, mean over seeds: {pixels}."]
    return lines


def _score_text(score: PixelScore) -> str:
    """Return the text of a table cell: overall accuracy and gain over spectra, each followed by its 95 % interval."""
    if score.oa is None:
        return ""
    text = f"{100 * score.oa.mean:.1f}" + (f" ({interval})" if (interval := estimate_interval(score.oa)) else "")
    if score.gain is None:
        return text
    interval = estimate_interval(score.gain, signed=True)
    return f"{text}; {100 * score.gain.mean:+.1f}" + (f" ({interval})" if interval else "")


def _changes(results: BenchResults) -> list[str]:
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
            lines += [
                "",
                f"Only in {report} report:",
                "",
                *(f"- {escape_markdown(f'{entry} under {splits}')}" for entry, splits in entries),
            ]
    return lines


def _header(titles: Sequence[str]) -> list[str]:
    return [_line(titles), _line(["---"] * len(titles))]


def _line(cells: Sequence[str], bold: Sequence[bool] = ()) -> str:
    texts = [escape_markdown(cell) for cell in cells]
    texts = [f"**{text}**" if is_bold else text for text, is_bold in zip_longest(texts, bold)]
    return "| " + " | ".join(texts) + " |"
