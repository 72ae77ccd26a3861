"""The page of a comparison: one HTML file that needs no network, from what was found to how to run it again.

This file decides what the page says and shows; `report.html.j2` beside it decides how it looks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from classifiers.comparison import figures
from classifiers.comparison.overview import leakage_line
from classifiers.comparison.results import Comparison, DrawnSplit, Entry, Summary
from classifiers.splits import picture
from hsifeat.errors import HsifeatError
from hsifeat.files import write_whole

LEAKS, DISJOINT, GIVEN = "leaks through context", "spatially disjoint", "as given"

_TELLS = (
    "The disjoint column is the one that tells: its test pixels lie apart from every training pixel, as the rest of a "
    "scene does when only a few places were visited."
)
_MIXES = "Random pixels lie among their training pixels, and features with spatial context have seen both."
_SEES = (
    "A plane's value at a pixel is decided by the whole tile that the model saw: it saw training pixels without their "
    "classes."
)
_MISSING = (
    "No split here is known to be spatially disjoint, so these numbers can't tell how well an entry maps ground that "
    "it has not seen: run blocks:12+4:0.1 as well."
)


@dataclass(frozen=True)
class SplitFacts:
    """A split as the page speaks of it: its kind, its draws, its pixels over all entries, and what it leaks if known."""

    name: str
    kind: str
    seeds: tuple[int, ...]
    train_pixels: tuple[float, float]
    test_pixels: tuple[float, float]
    left_out: tuple[int, ...]
    drawn: DrawnSplit | None


@dataclass(frozen=True)
class Row:
    """A line of the ranking: an entry, its summary under each split (or None), and its median seconds."""

    entry: Entry
    cells: tuple[Summary | None, ...]
    fit_seconds: float
    predict_seconds: float


@dataclass(frozen=True)
class ClassRow:
    """A line of the recall table: a class, its pixels in seed 0's draw, and its recall by each entry (or None)."""

    number: int
    name: str
    train_pixels: int | None
    test_pixels: int | None
    left_out: bool
    recalls: tuple[tuple[float, float] | None, ...]


@dataclass(frozen=True)
class View:
    """What is shown of one entry under one split; the maps may be missing."""

    title: str
    matrix: str
    confusions: tuple[tuple[str, str, float, int], ...]
    columnless: int
    mapped: str = ""
    errors: str = ""
    wrong: int = 0
    tested: int = 0


def write_report(comparison: Comparison, path: Path) -> None:
    """Write the page of a comparison as one self-contained HTML file.

    Parameters
    ----------
    comparison : Comparison
        At least one result; pictures of splits and maps may be missing and are then left out.
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
        loader=PackageLoader("classifiers.comparison", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(size=_size, count=_count, seconds=_seconds, pretty=_pretty)
    page = environment.get_template("report.html.j2").render(_content(comparison))
    write_whole(path, page.encode())


def split_kind(split: str) -> str:
    """Say whether a split keeps training and test pixels apart.

    >>> split_kind("random:0.1"), split_kind("blocks:12+4:0.1"), split_kind("official")
    ('leaks through context', 'spatially disjoint', 'as given')
    """
    if split.startswith(("random", "per-class")):
        return LEAKS
    return DISJOINT if split.startswith("blocks") else GIVEN


def _content(comparison: Comparison) -> dict[str, Any]:
    splits = _splits(comparison)
    telling = next((at for at, s in enumerate(splits) if s.kind == DISJOINT), 0)
    rows = _rows(comparison, splits, telling)
    pictures = comparison.pictures
    return {
        "comparison": comparison,
        "class_names": _class_names(comparison),
        "splits": splits,
        "telling": telling,
        "rows": rows,
        "best": [_best_scores(rows, at) for at in range(len(splits))],
        "findings": _findings(rows, splits, comparison),
        "overview": _overview(rows, splits),
        "recalls": [_class_rows(comparison, rows, split, at) for at, split in enumerate(splits)],
        "views": [[_view(comparison, cell) if cell else None for cell in row.cells] for row in rows],
        "truth": figures.data_uri(figures.class_map(pictures.truth, comparison.class_colours)),
        "false_colour": figures.data_uri(figures.false_colour(pictures.false_colour)),
        "drawn": [
            figures.data_uri(figures.split_map(pictures.splits[s.name])) if s.name in pictures.splits else ""
            for s in splits
        ],
        "step": figures.step(pictures.truth.shape),
        "colours": {"right": figures.RIGHT, "wrong": figures.WRONG},
        "sides": [(picture.NAMES[side], picture.COLOURS[side]) for side in picture.NAMES],
        "LEAKS": LEAKS,
        "DISJOINT": DISJOINT,
    }


def _class_names(comparison: Comparison) -> dict[int, str]:
    scored = {c for s in comparison.summary for c in (*s.classes, *s.left_out)}
    return {c: comparison.class_names.get(c, f"class {c}") for c in sorted({*comparison.class_names, *scored} - {0})}


def _splits(comparison: Comparison) -> list[SplitFacts]:
    facts = []
    drawn = {of.split: of for of in comparison.drawn}
    for name in dict.fromkeys(s.split for s in comparison.summary):
        cells = [s for s in comparison.summary if s.split == name]
        train, test = [s.train_pixels for s in cells], [s.test_pixels for s in cells]
        facts.append(
            SplitFacts(
                name=name,
                kind=split_kind(name),
                seeds=tuple(sorted({r.run.seed for r in comparison.results if r.run.split == name})),
                train_pixels=(min(train), max(train)),
                test_pixels=(min(test), max(test)),
                left_out=tuple(sorted({c for s in cells for c in s.left_out})),
                drawn=drawn.get(name),
            )
        )
    return facts


def _rows(comparison: Comparison, splits: list[SplitFacts], telling: int) -> list[Row]:
    cells = {(s.entry, s.split): s for s in comparison.summary}
    rows = []
    for entry in dict.fromkeys(s.entry for s in comparison.summary):
        runs = [r for r in comparison.results if r.run.entry == entry]
        rows.append(
            Row(
                entry=entry,
                cells=tuple(cells.get((entry, split.name)) for split in splits),
                fit_seconds=median(r.fit_seconds for r in runs),
                predict_seconds=median(r.predict_seconds for r in runs),
            )
        )
    return _ranked(rows, telling) + [row for row in rows if row.cells[telling] is None]


def _ranked(rows: list[Row], at: int) -> list[Row]:
    present = [(cell.oa[0], row) for row in rows if (cell := row.cells[at])]
    return [row for _, row in sorted(present, key=lambda pair: -pair[0])]


def _best_scores(rows: list[Row], at: int) -> dict[str, float]:
    cells = [cell for row in rows if (cell := row.cells[at])]
    return {score: max(getattr(cell, score)[0] for cell in cells) for score in ("oa", "aa", "kappa")}


def _overview(rows: list[Row], splits: list[SplitFacts]) -> str:
    lines = [
        (
            str(row.entry),
            [
                figures.Interval(*cell.oa, open_dot=split.kind == LEAKS)
                for cell, split in zip(row.cells, splits, strict=True)
                if cell
            ],
        )
        for row in rows[:24]
    ]
    return figures.data_uri(figures.dot_plot(lines, "overall accuracy, %"))


def _findings(rows: list[Row], splits: list[SplitFacts], comparison: Comparison) -> list[tuple[str, str]]:
    """Say in plain words what was found: a title and a sentence or two each, the telling split first."""
    order = sorted(range(len(splits)), key=lambda at: (DISJOINT, GIVEN, LEAKS).index(splits[at].kind))
    found = [(f"{splits[at].name} · {splits[at].kind}", _winner(_ranked(rows, at), at)) for at in order]
    leaky = next((at for at in order if splits[at].kind == LEAKS), None)
    disjoint = next((at for at in order if splits[at].kind == DISJOINT), None)
    if leaky is not None and disjoint is not None:
        gap = _gap(rows, splits, leaky, disjoint, _class_names(comparison))
        found += [("The gap", gap)] if gap else []
    leaks = [f"{splits[at].name}: {leakage_line(drawn)}." for at in order if (drawn := splits[at].drawn)]
    found += [("Leakage", " ".join([*leaks, _SEES]))] if leaks else []
    belief = [_TELLS] * (disjoint is not None) + [_MIXES] * (leaky is not None) + [_MISSING] * (disjoint is None)
    return [*found, ("Which to believe", " ".join(belief))]


def _winner(ranked: list[Row], at: int) -> str:
    first = ranked[0].cells[at]
    assert first is not None  # noqa: S101 -- _ranked keeps the rows that have this cell
    over = f"over {first.seeds} seeds" if first.seeds > 1 else "with one seed, so without a spread"
    text = f"{first.entry} is best: OA {_percent(first.oa, first.seeds)}\u00a0%, kappa {first.kappa[0]:.3f}, {over}."
    if len(ranked) > 1 and (second := ranked[1].cells[at]):
        behind = first.oa[0] - second.oa[0]
        text += f" {second.entry} follows {100 * behind:.2f} points behind"
        within = first.seeds > 1 and behind < max(first.oa[1], second.oa[1])
        text += ", which is less than the spread over seeds: don't read it as a ranking." if within else "."
    return text


def _gap(rows: list[Row], splits: list[SplitFacts], leaky: int, disjoint: int, class_names: dict[int, str]) -> str:
    gaps = [100 * (a.oa[0] - b.oa[0]) for row in rows if (a := row.cells[leaky]) and (b := row.cells[disjoint])]
    if not gaps:
        return ""
    spread = f"{min(gaps):.1f} to {max(gaps):.1f} (median {median(gaps):.1f})" if len(gaps) > 1 else f"{gaps[0]:.1f}"
    text = (
        f"The OA on {splits[leaky].name} is {spread} points higher than on {splits[disjoint].name} for the same entry."
    )
    winner = _ranked(rows, leaky)[0]
    place = next((i for i, row in enumerate(_ranked(rows, disjoint), 1) if row is winner), None)
    if len(gaps) > 1 and place:
        text += (
            " The same entry leads on both."
            if place == 1
            else f" The best entry on {splits[leaky].name} is number {place} of {len(gaps)} on {splits[disjoint].name}."
        )
    if splits[leaky].left_out != splits[disjoint].left_out:
        names = ", ".join(class_names[c] for c in sorted({*splits[leaky].left_out} ^ {*splits[disjoint].left_out}))
        text += f" Not quite the same classes are averaged: {names} scored on one side only."
    return text


def _class_rows(comparison: Comparison, rows: list[Row], split: SplitFacts, at: int) -> list[ClassRow]:
    drawn = comparison.pictures.splits.get(split.name)
    truth = comparison.pictures.truth

    def pixels(number: int, side: int) -> int | None:
        return None if drawn is None else int(np.count_nonzero((truth == number) & (drawn == side)))

    return [
        ClassRow(
            number=number,
            name=name,
            train_pixels=pixels(number, 1),
            test_pixels=pixels(number, 2),
            left_out=number in split.left_out,
            recalls=tuple(cell.recall.get(number) if (cell := row.cells[at]) else None for row in rows),
        )
        for number, name in _class_names(comparison).items()
    ]


def _view(comparison: Comparison, cell: Summary) -> View:
    names = [_class_names(comparison)[c] for c in cell.classes]
    pictures = comparison.pictures
    predicted, drawn = pictures.maps.get((cell.entry, cell.split)), pictures.splits.get(cell.split)
    maps: dict[str, Any] = {}
    if predicted is not None:
        maps["mapped"] = figures.data_uri(figures.class_map(predicted, comparison.class_colours))
    if predicted is not None and drawn is not None:
        tested = drawn == 2
        maps["errors"] = figures.data_uri(figures.error_map(pictures.truth, predicted, drawn))
        maps["tested"] = int(np.count_nonzero(tested))
        maps["wrong"] = int(np.count_nonzero(predicted[tested] != pictures.truth[tested]))
    return View(
        title=f"{cell.entry}, {cell.split}",
        matrix=figures.data_uri(figures.confusion_matrix(cell.confusion, names)),
        confusions=_largest_confusions(cell, names),
        columnless=max(0, round(cell.test_pixels * cell.seeds) - int(cell.confusion.sum())),
        **maps,
    )


def _largest_confusions(cell: Summary, names: list[str], count: int = 6) -> tuple[tuple[str, str, float, int], ...]:
    wrong = cell.confusion * ~np.eye(len(names), dtype=bool)
    totals = cell.confusion.sum(axis=1)
    largest = [divmod(int(i), len(names)) for i in np.argsort(-wrong, axis=None, kind="stable")[:count]]
    return tuple((names[i], names[j], wrong[i, j] / totals[i], int(wrong[i, j])) for i, j in largest if wrong[i, j])


def _percent(score: tuple[float, float], seeds: int) -> str:
    return f"{100 * score[0]:.2f}" + (f"\u00a0±\u00a0{100 * score[1]:.2f}" if seeds > 1 else "")


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _count(between: tuple[float, float]) -> str:
    low, high = (f"{round(n):,}" for n in between)
    return low if low == high else f"{low} to {high}"


def _seconds(value: float) -> str:
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def _size(size_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g} TB"
