"""Summary of a benchmark as LaTeX tables."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from classifiers.comparison.results.bench_results import BenchResults
from classifiers.comparison.results.ranking import RankedSplit, rank
from classifiers.comparison.results.summary_frame import INTERVAL, summary_frame, summary_notes
from classifiers.comparison.results.summary_text import pixel_range
from classifiers.splits import parse_split_question
from hsifeat.formatting import printable

_SHORT_TITLES = {INTERVAL: "interval", "kappa": r"$\kappa$"}
# Two splits side by side fill the width of a page.
_SPLITS_PER_TABLE = 2
# pandas escapes only the first ten of these characters. In the default encoding of LaTeX, <, > and | print as other characters,
# and LaTeX reads a bracket after \\ as an argument.
_ESCAPES = str.maketrans({
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "[": "{[}", "\N{EN DASH}": "--", "±": r"$\pm$", "\N{NO-BREAK SPACE}": "~",
})  # fmt: skip


def to_latex(results: BenchResults) -> str:
    """Return the summary of a benchmark as LaTeX tables for the package booktabs, followed by notes.

    The best value of each column is bold.
    """
    splits = rank(results).splits
    table, best = summary_frame(results)
    tables = [
        _tabular(table, best, splits[start : start + _SPLITS_PER_TABLE])
        for start in range(0, len(splits), _SPLITS_PER_TABLE)
    ]
    # A table of one split fits into a text column, and a table of two splits into the width of a page.
    size = r"\small" if len(splits) == 1 else r"\scriptsize"
    return "\n".join([
        r"% For \input in a table or table* environment; needs \usepackage{booktabs}.",
        rf"\begingroup\centering{size}\setlength{{\tabcolsep}}{{2.5pt}}",
        "\n\\par\\medskip\n".join(tables),
        r"\par\smallskip",
        r"\parbox{\linewidth}{\raggedright",
        " \\par\n".join(map(escape_latex, summary_notes(results))) + "}",
        r"\par\endgroup",
        "",
    ])  # fmt: skip


def escape_latex(text: str) -> str:
    r"""Escape text for LaTeX.

    >>> print(escape_latex("50 %_a\\b"))
    50 \%\_a\textbackslash{}b
    """
    return " ".join(printable(text).translate(_ESCAPES).split())


def _tabular(table: pd.DataFrame, best: pd.DataFrame, splits: Sequence[RankedSplit]) -> str:
    """Return a LaTeX ``tabular`` with the columns of `table` that belong to `splits`.

    The header shows the name, the kind (such as ``spatially disjoint``) and the numbers of pixels of each split.
    """
    titles = {split.title for split in splits}
    selection = [column for column in table.columns if column[0] in {"", *titles}]
    by_title = {split.title: split for split in splits}
    header = pd.MultiIndex.from_tuples([_header(by_title.get(title), score) for title, score in selection])
    part, is_best = table[selection].set_axis(header, axis=1), best[selection].set_axis(header, axis=1)
    widths = [sum(title == split.title for title, _ in selection) for split in splits]
    names = len(selection) - sum(widths)
    styled = (
        part.style.hide(axis="index")
        .format(lambda text: escape_latex(text.replace(" ± ", "±")))
        .apply(lambda _: is_best.map(lambda bold: "textbf:--rwrap;" if bold else ""), axis=None)
    )
    columns = r"@{\quad}".join(["l" * names, *("r" * width for width in widths)])
    lines = styled.to_latex(
        column_format=rf"@{{}}{columns}@{{}}", hrules=True, multicol_align="c", convert_css=False
    ).splitlines()
    rules, start = [], names + 1
    for width in widths:
        rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    # The rules lie between the headers of splits and the titles of columns: after \begin, \toprule and three lines of header.
    lines.insert(5, "".join(rules))
    return "\n".join(lines)


def _header(split: RankedSplit | None, score: str) -> tuple[str, str, str, str]:
    title = _SHORT_TITLES.get(score, escape_latex(score))
    if split is None:
        return "", "", "", title
    question = parse_split_question(split.name)
    kind = f"{question}, {split.kind}" if question else split.kind
    pixels = f"{pixel_range(split.train_pixels)} training, {pixel_range(split.test_pixels)} test pixels"
    return escape_latex(split.name), rf"\emph{{{kind}}}", pixels, title
