"""The summary of a comparison as a table for a paper, a text or a notebook: LaTeX, Markdown, HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from classifiers.comparison.report.changes_section import change_outcome, changed
from classifiers.comparison.report.context import LEAKS, PublishedModel, SplitFacts, count, facts_of, p_value
from classifiers.comparison.report.summary_text import gap_line, left_out_line
from classifiers.comparison.results.model import Comparison
from classifiers.comparison.results.run import Summary

if TYPE_CHECKING:
    import pandas as pd

_SCORES = (("OA, %", "oa", 100, 1), ("AA, %", "aa", 100, 1), ("kappa", "kappa", 1, 3))
_INTERVAL = "95 % interval"
# What LaTeX and readers of a paper write shorter.
_SHORT = {_INTERVAL: "interval", "kappa": r"$\kappa$"}
# So many splits beside each other are as wide as a page.
_ABREAST = 2
_SPECIAL = str.maketrans({
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "[": "{[}", "\N{EN DASH}": "--", "±": r"$\pm$", "\N{NO-BREAK SPACE}": "~",
})  # fmt: skip


def summary_frame(comparison: Comparison) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the summary as text, a row an entry, and which of its cells are the best of their column.

    Entries are ranked by OA under the first disjoint split, which comes first.

    Returns
    -------
    table, best : DataFrame
        Columns are pairs: the split and its kind, empty for what names the entry; and the score. ``mean ± standard
        deviation`` over seeds, OA and AA in percent, the mean alone for one seed; and the interval of OA where there is one.
        The store stands only where there are several. Same columns both.
    """
    import pandas as pd

    of = facts_of(comparison)
    names = ["head", "features", *(["store"] if len(_stores(of)) > 1 else [])]
    said = {"features": "input"}
    texts = {("", said.get(name, name)): [getattr(row.entry, name) for row in of.rows] for name in names}
    best = {column: [False] * len(of.rows) for column in texts}
    for at, split in enumerate(of.splits):
        cells = [row.cells[at] for row in of.rows]
        for name, score, times, digits in _SCORES:
            column = (_titled(split), name)
            means = [None if cell is None else getattr(cell, score)[0] for cell in cells]
            top = max(mean for mean in means if mean is not None)
            texts[column] = ["" if cell is None else _text(cell, score, times, digits) for cell in cells]
            best[column] = [len(of.rows) > 1 and mean == top for mean in means]
            if score == "oa" and any(cell is not None and cell.interval for cell in cells):
                texts[column[0], _INTERVAL] = [_between(cell) for cell in cells]
                best[column[0], _INTERVAL] = [False] * len(cells)
    return pd.DataFrame(texts), pd.DataFrame(best)


def to_markdown(comparison: Comparison) -> str:
    """Return the summary as a Markdown table, the best of each column bold; what can be told apart and what changed below."""
    table, best = summary_frame(comparison)
    marked = {
        _titled(split): f" {split.name}" + " (leaks)" * (split.kind == LEAKS) for split in facts_of(comparison).splits
    }
    named = [f"{score}{marked.get(split, '')}" for split, score in table.columns]
    lines = [_line(named), _rule(len(named))]
    for row, marks in zip(table.itertuples(index=False), best.itertuples(index=False), strict=True):
        lines.append(_line([f"**{text}**" if mark else text for text, mark in zip(row, marks, strict=True)]))
    for note in notes(comparison):
        lines += ["", note]
    return "\n".join([*lines, *_changes(comparison), ""])


def to_latex(comparison: Comparison) -> str:
    """Return the summary as LaTeX tables for the package booktabs, the best of each column bold; what can be told apart below."""
    of = facts_of(comparison)
    table, best = summary_frame(comparison)
    tables = [_tabular(table, best, of.splits[at : at + _ABREAST]) for at in range(0, len(of.splits), _ABREAST)]
    # A split fits a column of text, and two fit the width of a page.
    size = r"\small" if len(of.splits) == 1 else r"\scriptsize"
    return "\n".join([
        r"% For \input in a table or table* environment; needs \usepackage{booktabs}.",
        rf"\begingroup\centering{size}\setlength{{\tabcolsep}}{{2.5pt}}",
        "\n\\par\\medskip\n".join(tables),
        r"\par\smallskip",
        r"\parbox{\linewidth}{\raggedright",
        " \\par\n".join(map(_escaped, notes(comparison))) + "}",
        r"\par\endgroup",
        "",
    ])  # fmt: skip


def to_html(comparison: Comparison) -> str:
    """Return the summary as an HTML table with the intervals of OA, the best of each column bold."""
    table, best = summary_frame(comparison)
    styled = (
        table.style.format(escape="html")
        .format_index(escape="html", axis="columns")
        .hide(axis="index")
        .apply(lambda _: best.map(lambda mark: "font-weight: bold" if mark else ""), axis=None)
        .set_table_attributes('class="dataframe"')
    )
    return str(styled.to_html()) + "".join(f"<p>{escape(note)}</p>" for note in notes(comparison))


def notes(comparison: Comparison) -> list[str]:
    """Say what the numbers are, which of them leak, and what can be told apart."""
    of = facts_of(comparison)
    labelled = int(np.count_nonzero(comparison.pictures.truth))
    said = []
    for split in of.splits:
        seeds = len(split.seeds)
        over = f"mean ± standard deviation over {seeds} seeds" if seeds > 1 else "one seed, no interval"
        share = f"{100 * np.mean(split.train_pixels) / labelled:.1f} % of the labelled ones"
        cell = next(cell for cell in comparison.summary if cell.split == split.name)
        said.append(
            f"{split.name}: {over}; {count(split.train_pixels)} training pixels, {share}, and "
            f"{count(split.test_pixels)} test pixels; classes left out of the averages: "
            f"{left_out_line(cell, comparison.class_names)}."
        )
    said += [
        f"{split.name} leaks through context: its test pixels lie among its training pixels, so its numbers say little of "
        "ground that was not seen."
        for split in of.splits
        if split.kind == LEAKS
    ]
    if any(cell.interval for cell in comparison.summary):
        said.append("Intervals are those of OA in percent, 95 %, by a bootstrap over seeds and label-connected fields.")
    if len(stores := _stores(of)) == 1:
        said.append(f"Planes are those of {stores[0]}.")
    said += [f"{verdict}." for s in of.splits if (verdict := comparison.verdicts.get(s.name))]
    gap = gap_line(comparison)
    return [*said, f"{gap}."] if gap else said


def _tabular(table: pd.DataFrame, best: pd.DataFrame, splits: tuple[SplitFacts, ...]) -> str:
    """Write the columns of some splits as a tabular, their names, kinds and pixels above them."""
    named = [at for at, (split, _) in enumerate(table.columns) if not split]
    groups = [[at for at, (of, _) in enumerate(table.columns) if of == _titled(split)] for split in splits]
    shown = [*named, *(at for group in groups for at in group)]
    above = [
        [_escaped(split.name) for split in splits],
        [rf"\emph{{{split.kind}}}" for split in splits],
        [f"{count(split.train_pixels)} training, {count(split.test_pixels)} test pixels" for split in splits],
    ]
    heads = [
        [""] * len(named)
        + [rf"\multicolumn{{{len(group)}}}{{c}}{{{text}}}" for group, text in zip(groups, texts, strict=True)]
        for texts in above
    ]
    rules, first = [], len(named) + 1
    for group in groups:
        rules.append(rf"\cmidrule(lr){{{first}-{first + len(group) - 1}}}")
        first += len(group)
    columns = r"@{\quad}".join(["l" * len(named), *("r" * len(group) for group in groups)])
    scores = [_SHORT.get(table.columns[at][1], _escaped(table.columns[at][1])) for at in shown]
    rows = [
        [_bold(_escaped(row[at].replace(" ± ", "±")), mark=marks[at]) for at in shown]
        for row, marks in zip(table.to_numpy(), best.to_numpy(), strict=True)
    ]
    return "\n".join([
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        *(" & ".join(cells) + r" \\" for cells in heads),
        "".join(rules),
        " & ".join(scores) + r" \\",
        r"\midrule",
        *(" & ".join(cells) + r" \\" for cells in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ])  # fmt: skip


def _changes(comparison: Comparison) -> list[str]:
    """Write what changed since an older report as lines of Markdown."""
    found = changed(comparison.changes)
    if found is None:
        return []
    lines = ["", "## What changed", ""]
    if found.lines:
        columns = ["entry", "split", "before, %", "after, %", "difference", _INTERVAL, "p", "so"]
        lines += [_line(columns), _rule(len(columns))]
    for change, difference in found.lines:
        renamed = f" ({change.store_before} before, {change.entry.store} after)" if change.store_before else ""
        between = (
            "" if change.low is None or change.high is None else f"{100 * change.low:+.2f} to {100 * change.high:+.2f}"
        )
        oa = [f"{100 * (value or 0):.2f}" for value in (change.before, change.after)]
        cells = [f"{change.entry}{renamed}", change.split, *oa, f"{100 * difference:+.2f}", between]
        lines.append(_line([*cells, p_value(change.p_holm), change_outcome(change)]))
    lines += ["", found.how] if found.lines else []
    for title, entries in (("this", found.new), ("the older", found.gone)):
        if entries:
            lines += ["", f"Only in {title} report:", "", *(f"- {entry} under {under}" for entry, under in entries)]
    return lines


def _stores(of: PublishedModel) -> list[str]:
    return list(dict.fromkeys(row.entry.store for row in of.rows if row.entry.store))


def _titled(split: SplitFacts) -> str:
    return f"{split.name}, {split.kind}"


def _text(cell: Summary, score: str, times: float, digits: int) -> str:
    mean, sd = (times * value for value in getattr(cell, score))
    return f"{mean:.{digits}f}" + (f" ± {sd:.{digits}f}" if cell.seeds > 1 else "")


def _between(cell: Summary | None) -> str:
    if cell is None or cell.interval is None:
        return ""
    return "\N{EN DASH}".join(f"{100 * end:.1f}" for end in cell.interval)


def _escaped(text: str) -> str:
    r"""Write text so that LaTeX shows it.

    >>> print(_escaped("50 %_a\\b"))
    50 \%\_a\textbackslash{}b
    """
    return " ".join(text.translate(_SPECIAL).split())


def _bold(text: str, *, mark: bool) -> str:
    return rf"\textbf{{{text}}}" if mark else text


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def _rule(columns: int) -> str:
    return _line(["---"] * columns)
