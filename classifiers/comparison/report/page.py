"""HTML page of a report: a single file that needs no other file and no network.

The modules of `classifiers.comparison.report` prepare the content of the page, and the templates determine its appearance.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifiers.comparison.report import class_tables, distance_plots, findings, map_views, maps, plane_plots
from classifiers.comparison.report.change_table import change_table, change_verdict
from classifiers.comparison.report.report_plots import ReportPlots
from classifiers.comparison.report.scene_tables import scene_tables
from classifiers.comparison.results.comparison import Comparison
from classifiers.comparison.results.differences import EntryPair
from classifiers.comparison.results.distance_text import estimate_interval
from classifiers.comparison.results.ranking import DISJOINT, LEAKS, Ranking, rank
from classifiers.comparison.results.summary_text import (
    constant_points_text,
    constant_text,
    p_value,
    pixel_range,
    repeated_draw_text,
)
from classifiers.comparison.sweep_table import sweep_remarks
from classifiers.metrics import METRICS
from classifiers.splits import split_plot
from hsifeat import formatting
from hsifeat.errors import HsifeatError
from hsifeat.files import write_file

if TYPE_CHECKING:
    from jinja2 import Environment


def write_page(comparison: Comparison, path: Path, plots: ReportPlots | None = None) -> None:
    """Write the page of a report as a self-contained HTML file.

    Parameters
    ----------
    comparison : Comparison
        Results with at least one run. The page omits sections without data, and lists the maps that are missing.
    path : Path
        File to write. The file is written atomically.
    plots : ReportPlots, optional
        Plots of `comparison` that are already drawn. [default: draw them]

    Raises
    ------
    HsifeatError
        If the benchmark has no runs.
    """
    if not comparison.runs:
        raise HsifeatError(
            "the benchmark has no finished run: run at least one entry under one split before writing a report"
        )
    ranking = rank(comparison)
    content = _content(comparison, ranking, plots or ReportPlots(comparison, ranking))
    page = _environment().get_template("report.html.j2").render(content)
    write_file(path, page.encode())


@cache
def _environment() -> Environment:
    """Return the Jinja environment of the page. It compiles each template once per process."""
    environment = formatting.template_environment("classifiers.comparison.report")
    environment.filters.update(
        size=formatting.format_bytes,
        pixel_range=pixel_range,
        seconds=formatting.format_seconds,
        pretty_json=_pretty_json,
        p_value=p_value,
        pair_verdict=_pair_verdict,
        estimate_interval=estimate_interval,
        format_mean=formatting.format_mean,
        change_verdict=change_verdict,
    )
    return environment


def _content(comparison: Comparison, ranking: Ranking, plots: ReportPlots) -> dict[str, Any]:
    sweep = comparison.sweep
    return {
        "comparison": comparison,
        "ranking": ranking,
        "metrics": METRICS,
        "LEAKS": LEAKS,
        "DISJOINT": DISJOINT,
        "findings": findings.key_findings(ranking),
        "split_remarks": [
            (split.name, remark(comparison, split.name))
            for split in ranking.splits
            for remark in (repeated_draw_text, constant_text)
        ],
        "contrasts": findings.contrast_table(comparison),
        "changes": change_table(comparison.changes),
        "overview": plots.uri("overall-accuracy"),
        "whiskers": findings.whisker_legend(ranking),
        "max_dots": findings.MAX_DOTS,
        "best": [_best_scores(ranking, index) for index in range(len(ranking.splits))],
        "smoothing": getattr(comparison.provenance.config, "smooth", None),
        "has_intervals": any(summary.oa.interval for summary in comparison.summary),
        "tables": class_tables.class_tables(comparison, ranking),
        "scene_view": map_views.scene_view(comparison, ranking),
        "views": map_views.entry_views(comparison, ranking),
        "has_confidence": bool(comparison.images.confidence),
        "confidence_colours": maps.confidence_colours(),
        "right_colour": maps.RIGHT,
        "wrong_colour": maps.WRONG,
        "sides": [(split_plot.NAMES[side], split_plot.COLOURS[side]) for side in split_plot.NAMES],
        "sweep_map": plots.uri("planes") if sweep else "",
        "sweep_remarks": sweep_remarks(sweep) if sweep else [],
        "panels": plane_plots.panel_grid(comparison.images.panels),
        "scene_tables": scene_tables(ranking),
        "distances": [(table, plots.uri("distance", table.split)) for table in distance_plots.distance_tables(ranking)],
        "curves": [(table, plots.uri("learning-curves", table.split)) for table in plane_plots.curve_tables(ranking)],
        "constant_points": constant_points_text(comparison.curves),
        "weights": [
            (str(learned.entry), plots.uri("weights", learned.entry), learned.weights) for learned in comparison.mixing
        ],
    }


def _best_scores(ranking: Ranking, index: int) -> dict[str, float | None]:
    """Return the best value of each metric under the split at `index`, by key of the metric.

    The page prints these values in bold. If the benchmark has a single entry, all values are None.
    """
    cells = [summary for _, summary in ranking.ranked(index)]
    several = len(ranking.rows) > 1
    return {
        metric.key: max(summary.scores[metric.key].mean for summary in cells) if several else None for metric in METRICS
    }


def _pair_verdict(pair: EntryPair) -> str:
    """Describe the result of a pairwise test in a few words, such as ``first is better``."""
    if pair.significant:
        return "first is better" if pair.difference > 0 else "second is better"
    return "can't be compared" if pair.low is None else "no significant difference"


def _pretty_json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
