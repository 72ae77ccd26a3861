"""Summary of a benchmark: as a table of formatted text and, for notebooks, as HTML with notes."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from classifiers.comparison.results.bench_results import BenchResults
from classifiers.comparison.results.distance_text import distance_remarks
from classifiers.comparison.results.ranking import LEAKS, rank
from classifiers.comparison.results.scores import EntrySummary
from classifiers.comparison.results.summary_text import (
    constant_points_text,
    constant_text,
    gap_text,
    left_out_text,
    pixel_range,
    repeated_draw_text,
    verdict_lines,
)
from classifiers.metrics import METRICS, Metric

if TYPE_CHECKING:
    import pandas as pd

INTERVAL = "95 % interval"


def summary_frame(results: BenchResults) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the summary of a benchmark as a table of formatted text, and a mask of the best values.

    Disjoint splits come first, then user-defined splits, then random splits. Entries are sorted by descending overall
    accuracy (OA) under the first split.

    Returns
    -------
    table : DataFrame
        One row per entry. The first columns name the head, the input and, if there are several stores, the store. Every
        other column has one metric under one split: ``mean ± standard deviation`` over seeds, or the mean if there is a
        single seed. Where available, the 95 % interval of OA has a separate column. A column label is the pair of a
        split title and a metric title. In the labels of the first columns, the split title is empty.
    best : DataFrame
        Booleans with the shape of `table`. True marks the best value of a column.
    """
    import pandas as pd

    ranking = rank(results)
    names = {"head": "head", "inputs": "input"} | ({"store": "store"} if len(ranking.stores) > 1 else {})
    texts = {("", title): [getattr(row.entry, name) for row in ranking.rows] for name, title in names.items()}
    best = {column: [False] * len(ranking.rows) for column in texts}
    for index, split in enumerate(ranking.splits):
        cells = [row.cells[index] for row in ranking.rows]
        for metric in METRICS:
            column = (split.title, metric.title)
            means = [None if summary is None else summary.scores[metric.key].mean for summary in cells]
            top = max(mean for mean in means if mean is not None)
            texts[column] = ["" if summary is None else _cell_text(summary, metric) for summary in cells]
            best[column] = [len(ranking.rows) > 1 and mean == top for mean in means]
            if metric.key == "oa" and any(summary is not None and summary.oa.interval for summary in cells):
                texts[split.title, INTERVAL] = [_summary_interval(summary) for summary in cells]
                best[split.title, INTERVAL] = [False] * len(cells)
    return pd.DataFrame(texts), pd.DataFrame(best)


def to_html(results: BenchResults) -> str:
    """Return the summary of a benchmark as an HTML table, followed by notes.

    The best value of each column is bold.
    """
    table, best = summary_frame(results)
    styled = (
        table.style.format(escape="html")
        .format_index(escape="html", axis="columns")
        .hide(axis="index")
        .apply(lambda _: best.map(lambda is_best: "font-weight: bold" if is_best else ""), axis=None)
        .set_table_attributes('class="dataframe"')
    )
    return str(styled.to_html()) + "".join(f"<p>{escape(note)}</p>" for note in summary_notes(results))


def summary_notes(results: BenchResults) -> list[str]:
    """Return the notes below the summary table.

    The notes are about the seeds and pixels of each split, leaking splits, planned contrasts, significant differences between
    entries, and the gap between random and disjoint splits.
    """
    ranking = rank(results)
    notes = []
    for split in ranking.splits:
        seeds = len(split.seeds)
        average = f"mean ± standard deviation over {seeds} seeds" if seeds > 1 else "one seed, no interval"
        share = f"{100 * np.mean(split.train_pixels) / results.scene.labelled_pixels:.1f} % of the labelled pixels"
        summary = next(summary for summary in results.summary if summary.split == split.name)
        notes.append(
            f"{split.name}, {split.question}: {average}; {pixel_range(split.train_pixels)} training pixels ({share}) and "
            f"{pixel_range(split.test_pixels)} test pixels; classes left out of the averages: "
            f"{left_out_text(summary, results.class_names)}."
        )
    notes += [
        f"{split.name}: {remark}."
        for split in ranking.splits
        for remark in (repeated_draw_text(results, split.name), constant_text(results, split.name))
        if remark
    ]
    if points := constant_points_text(results.curves):
        notes.append(f"{points[0].upper()}{points[1:]}.")
    notes += [
        f"{split.name} leaks through context: its test pixels lie among its training pixels, so its scores tell how well a scene "
        "is filled in, and little about unseen ground."
        for split in ranking.splits
        if split.kind == LEAKS
    ]
    if any(summary.oa.interval for summary in results.summary):
        notes.append("Intervals are 95 % intervals of OA in percent, by a bootstrap over seeds and labelled regions.")
    if len(ranking.stores) == 1:
        notes.append(f"Planes are those of {ranking.stores[0]}.")
    notes += [f"{line}." for line in verdict_lines(results)]
    notes += [
        f"{remark[0].upper()}{remark[1:]}."
        for split in ranking.splits
        for remark in distance_remarks(results, split.name, float(np.mean(split.test_pixels)))
    ]
    gap = gap_text(results)
    return [*notes, f"{gap}."] if gap else notes


def _cell_text(summary: EntrySummary, metric: Metric) -> str:
    score, digits = summary.scores[metric.key], 1 if metric.percent else 3
    sd = f" ± {metric.scale * score.sd:.{digits}f}" if summary.seeds > 1 else ""
    return f"{metric.scale * score.mean:.{digits}f}{sd}"


def _summary_interval(summary: EntrySummary | None) -> str:
    interval = summary.oa.interval if summary else None
    return "\N{EN DASH}".join(f"{100 * end:.1f}" for end in interval) if interval else ""
