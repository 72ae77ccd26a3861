"""The page of a comparison: one HTML file that needs no network, from what was found to how to run it again.

What it says and shows is decided in `classifiers.comparison.report`, subject by subject, and how that looks in the
templates there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from classifiers.comparison.report import class_tables as classes
from classifiers.comparison.report import context as facts
from classifiers.comparison.report import figures, findings, maps
from classifiers.comparison.report import map_views as views
from classifiers.comparison.report import plane_plots as planes
from classifiers.comparison.report.changes_section import change_outcome, changed
from classifiers.comparison.results.model import Comparison
from classifiers.comparison.sweep_table import remarks
from classifiers.splits import split_plot as picture
from hsifeat.errors import HsifeatError
from hsifeat.files import write_file
from hsifeat.formatting import format_seconds


def write_report(comparison: Comparison, path: Path) -> None:
    """Write the page of a comparison as one self-contained HTML file.

    Parameters
    ----------
    comparison : Comparison
        At least one result; what else is missing is left out, and maps and pictures are said to be.
    path : Path
        The file to write; it appears whole.

    Raises
    ------
    HsifeatError
        When there is no result to report.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    if not comparison.results:
        raise HsifeatError("the comparison holds no finished run: run at least one entry under one split, then report")
    environment = Environment(
        loader=PackageLoader("classifiers.comparison.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        size=facts.size,
        count=facts.count,
        seconds=format_seconds,
        pretty=facts.pretty,
        p_value=facts.p_value,
        outcome=facts.outcome,
        change_outcome=change_outcome,
    )
    page = environment.get_template("report.html.j2").render(_content(facts.facts_of(comparison)))
    write_file(path, page.encode())


def _content(of: facts.PublishedModel) -> dict[str, Any]:
    comparison = of.comparison
    return {
        "facts": of,
        "LEAKS": facts.LEAKS,
        "DISJOINT": facts.DISJOINT,
        "findings": findings.findings(of),
        "changed": changed(comparison.changes),
        "overview": figures.data_uri(findings.dot_plot(of)),
        "whiskers": findings.whiskers_say(of),
        "most_dots": findings.MOST_DOTS,
        "best": [_best_scores(of, at) for at in range(len(of.splits))],
        "intervals": any(cell.interval for cell in comparison.summary),
        "tables": classes.class_tables(of),
        "scenery": views.scenery(of),
        "views": views.views(of),
        "any_confidence": bool(comparison.pictures.confidence),
        "confidences": maps.confidence_colours(),
        "right_colour": maps.RIGHT,
        "wrong_colour": maps.WRONG,
        "sides": [(picture.NAMES[side], picture.COLOURS[side]) for side in picture.NAMES],
        "sweep_map": figures.data_uri(planes.sweep_map(comparison.sweep.alone)) if comparison.sweep else "",
        "sweep_says": remarks(comparison.sweep) if comparison.sweep else [],
        "panels": planes.panel_grid(comparison.panels),
        "curves": planes.curve_tables(of),
        "weights": [
            (str(entry), figures.data_uri(planes.weight_map(weights)), weights)
            for entry, weights in comparison.mixing.items()
        ],
    }


def _best_scores(of: facts.PublishedModel, at: int) -> dict[str, float | None]:
    """Return the best of each score under a split, which is set in bold; a single entry has no rival."""
    cells = [cell for _, cell in of.ranked(at)]
    return {
        score: max(getattr(cell, score)[0] for cell in cells) if len(of.rows) > 1 else None
        for score in ("oa", "aa", "kappa")
    }
