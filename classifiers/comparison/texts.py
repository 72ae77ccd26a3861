"""The summary of a comparison as a table for a paper, a text or a notebook: LaTeX, Markdown, HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from classifiers.comparison.overview import gap_line, left_out_line
from classifiers.comparison.results import Comparison
from classifiers.comparison.runs import Entry, Summary

if TYPE_CHECKING:
    import pandas as pd

_SCORES = (("OA", "oa", 100, 1), ("AA", "aa", 100, 1), ("kappa", "kappa", 1, 3))


def summary_frame(comparison: Comparison) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the summary as text, a row an entry, and which of its cells are the best of their column.

    Returns
    -------
    table, best : DataFrame
        ``mean ± standard deviation`` over seeds, OA and AA in percent; the mean alone for one seed. Same columns both.
    """
    import pandas as pd

    splits = list(dict.fromkeys(s.split for s in comparison.summary))
    cells = {(s.entry, s.split): s for s in comparison.summary}
    entries = list(dict.fromkeys(s.entry for s in comparison.summary))
    top = {
        (split, score): max(getattr(s, score)[0] for s in comparison.summary if s.split == split)
        for split in splits
        for _, score, _, _ in _SCORES
    }
    texts, best = [], []
    for entry in entries:
        row, marks = _named(entry), dict.fromkeys(_named(entry), False)
        for split in splits:
            cell = cells.get((entry, split))
            for name, score, times, digits in _SCORES:
                column = f"{name} {split}"
                row[column] = "" if cell is None else _text(cell, score, times, digits)
                marks[column] = cell is not None and getattr(cell, score)[0] == top[split, score]
        texts.append(row)
        best.append(marks)
    return pd.DataFrame(texts), pd.DataFrame(best)


def to_markdown(comparison: Comparison) -> str:
    """Return the summary as a Markdown table, the best of each column bold, and what can be told apart below."""
    table, best = summary_frame(comparison)
    lines = [_line(list(table.columns)), _line(["---"] * len(table.columns))]
    for row, marks in zip(table.itertuples(index=False), best.itertuples(index=False), strict=True):
        lines.append(_line([f"**{text}**" if mark else text for text, mark in zip(row, marks, strict=True)]))
    return "\n".join([*lines, "", *caption(comparison), ""])


def to_latex(comparison: Comparison) -> str:
    """Return the summary as a LaTeX table for the package booktabs, the best of each column bold."""
    table, best = summary_frame(comparison)
    styled = (
        table.style.format(escape="latex")
        .format_index(escape="latex", axis="columns")
        .hide(axis="index")
        .apply(lambda _: best.map(lambda mark: "textbf:--rwrap;" if mark else ""), axis=None)
    )
    text = styled.to_latex(hrules=True, column_format="lll" + "r" * (table.shape[1] - 3))
    return "".join([*(f"% {line}\n" for line in caption(comparison)), str(text)]).replace("±", r"$\pm$")


def to_html(comparison: Comparison) -> str:
    """Return the summary as an HTML table with the intervals of OA, the best of each column bold."""
    table, best = summary_frame(comparison)
    for split in dict.fromkeys(s.split for s in comparison.summary):
        bounds = {s.entry: s.interval for s in comparison.summary if s.split == split}
        if any(bounds.values()):
            place, name = table.columns.get_loc(f"OA {split}") + 1, f"95 % interval of OA {split}"
            table.insert(
                place, name, [_bounds(bounds.get(s)) for s in dict.fromkeys(s.entry for s in comparison.summary)]
            )
            best.insert(place, name, False)
    styled = (
        table.style.format(escape="html")
        .format_index(escape="html", axis="columns")
        .hide(axis="index")
        .apply(lambda _: best.map(lambda mark: "font-weight: bold" if mark else ""), axis=None)
        .set_table_attributes('class="dataframe"')
    )
    from html import escape

    said = "".join(f"<p>{escape(line)}</p>" for line in caption(comparison))
    return str(styled.to_html()) + said


def caption(comparison: Comparison) -> list[str]:
    """Say what the numbers are, and what can be told apart."""
    lines = []
    for split in dict.fromkeys(s.split for s in comparison.summary):
        first = next(s for s in comparison.summary if s.split == split)
        over = f"mean ± standard deviation over {first.seeds} seeds" if first.seeds > 1 else "one seed, no interval"
        lines.append(
            f"{split}: {over}; {first.train_pixels:.0f} training and {first.test_pixels:.0f} test pixels; "
            f"classes left out of the averages: {left_out_line(first, comparison.class_names)}."
        )
    gap = gap_line(comparison)
    return [*lines, *(f"{verdict}." for verdict in comparison.verdicts.values()), *([f"{gap}."] if gap else [])]


def _named(entry: Entry) -> dict[str, str]:
    return {"head": entry.head, "input": entry.features, "store": entry.store}


def _text(cell: Summary, score: str, times: float, digits: int) -> str:
    mean, sd = (times * value for value in getattr(cell, score))
    return f"{mean:.{digits}f}" + (f" ± {sd:.{digits}f}" if cell.seeds > 1 else "")


def _bounds(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
