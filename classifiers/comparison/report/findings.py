"""The summary on top of the page: what was found in plain words, the telling split first, and its picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from classifiers.comparison.report import figures
from classifiers.comparison.report.context import DISJOINT, LEAKS, PublishedModel, SplitFacts, percent, size
from classifiers.comparison.report.summary_text import gap_line, leakage_line
from classifiers.comparison.results.run import Summary
from hsifeat.formatting import format_duration

_VISITED = ", as the rest of a scene does when only a few places were visited"
_TOUCHES = ": no buffer keeps them apart, as that of blocks:12+4:0.1 does"
_MIXES = "Random pixels lie among their training pixels, and features with spatial context have seen both."
_SEES = (
    "A plane's value at a pixel is decided by the whole tile that the model saw: it saw training pixels without their "
    "classes."
)
_MISSING = (
    "No split here is known to be spatially disjoint, so these numbers can't tell how well an entry maps ground that "
    "it has not seen: run blocks:12+4:0.1 as well."
)
MOST_DOTS = 24


def findings(facts: PublishedModel) -> list[tuple[str, str]]:
    """Say what was found: a title and a few sentences each."""
    splits = facts.splits
    found = [(f"{split.name} · {split.kind}", _best(facts, at)) for at, split in enumerate(splits)]
    leaky, disjoint = facts.first(LEAKS), facts.first(DISJOINT)
    if leaky is not None and disjoint is not None and (gap := _gap(facts, leaky, disjoint)):
        found.append(("The gap", gap))
    leaks = [f"{split.name}: {leakage_line(split.drawn)}." for split in splits if split.drawn]
    found += [("Leakage", " ".join([*leaks, _SEES]))] if leaks else []
    found += [("Cost", cost)] if (cost := _cost(facts)) else []
    apart = [split for split in splits if split.kind == DISJOINT]
    belief = [_tells(apart) if apart else _MISSING, *([] if leaky is None else [_MIXES])]
    return [*found, ("Which to believe", " ".join(belief))]


def dot_plot(facts: PublishedModel, medium: figures.Medium = "page") -> bytes:
    """Draw the OA of the best entries under every split, with their intervals where they are known, else ± sd."""
    lines = [
        (
            str(row.entry),
            [
                figures.Interval(cell.oa[0], *whisker(cell), open_dot=split.kind == LEAKS)
                for cell, split in zip(row.cells, facts.splits, strict=True)
                if cell
            ],
        )
        for row in facts.rows[:MOST_DOTS]
    ]
    return figures.dot_plot(lines, "overall accuracy, %", medium)


def whisker(cell: Summary) -> tuple[float, float]:
    """Return the 95 % interval of OA, or mean ± standard deviation where there is none."""
    return cell.interval or (cell.oa[0] - cell.oa[1], cell.oa[0] + cell.oa[1])


def whiskers_say(facts: PublishedModel) -> str:
    """Say what the whiskers of the dot plot and the numbers behind ± are."""
    cells = [cell for row in facts.rows for cell in row.cells if cell]
    if all(cell.interval for cell in cells):
        return "with 95 % intervals over seeds and fields"
    if any(cell.interval for cell in cells):
        return "with 95 % intervals where there are any, else ± standard deviation over seeds"
    return "± standard deviation over seeds" if max(cell.seeds for cell in cells) > 1 else "one seed, without a spread"


def _best(facts: PublishedModel, at: int) -> str:
    ranked = facts.ranked(at)
    row, first = ranked[0]
    over = f"over {first.seeds} seeds" if first.seeds > 1 else "with one seed, so without a spread"
    verdict = facts.comparison.verdicts.get(facts.splits[at].name)
    text = f"{verdict.rstrip('.')}. OA of {row.entry}:" if verdict else f"{row.entry} is best: OA"
    text += f" {percent(first.oa, first.seeds)}\u00a0%"
    if first.interval:
        text += f" (95 % interval {100 * first.interval[0]:.1f} to {100 * first.interval[1]:.1f})"
    text += f", kappa {first.kappa[0]:.3f}, {over}."
    if len(ranked) > 1 and not verdict:
        follower, second = ranked[1]
        behind = first.oa[0] - second.oa[0]
        text += f" {follower.entry} follows {100 * behind:.2f} points behind"
        within = first.seeds > 1 and behind < max(first.oa[1], second.oa[1])
        text += ", which is less than the spread over seeds: don't read it as a ranking." if within else "."
    return text


def _tells(splits: Sequence[SplitFacts]) -> str:
    """Say why the first disjoint split is the one to believe, and how far apart each of them keeps pixels."""
    said = [
        f"{split.drawn.least_px:.1f} px or more from every training pixel"
        + (_TOUCHES if split.drawn.least_px <= 1 else "" if at else _VISITED)
        if split.drawn
        else "in other blocks than the training pixels"
        for at, split in enumerate(splits)
    ]
    text = f"The disjoint column is the one that tells: its test pixels lie {said[0]}."
    others = [f"Those of {split.name} lie {where}." for split, where in zip(splits[1:], said[1:], strict=True)]
    return " ".join([text, *others])


def _gap(facts: PublishedModel, leaky: int, disjoint: int) -> str:
    text = gap_line(facts.comparison)
    if not text:
        return ""
    text += "."
    gaps, there, apart = facts.comparison.gaps, facts.splits[leaky], facts.splits[disjoint]
    winner = facts.ranked(leaky)[0][0]
    place = next((i for i, (row, _) in enumerate(facts.ranked(disjoint), 1) if row is winner), None)
    if len(gaps) > 1 and place:
        text += (
            " The same entry leads on both."
            if place == 1
            else f" The best entry on {there.name} is number {place} of {len(gaps)} on {apart.name}."
        )
    return text + _unlike(facts, there, apart)


def _unlike(facts: PublishedModel, there: SplitFacts, apart: SplitFacts) -> str:
    """Say which classes only one of two splits leaves out, under the same seed."""
    results = facts.comparison.results
    out = [
        {(r.run.seed, c) for r in results if r.run.split == split.name for c in r.left_out} for split in (there, apart)
    ]
    unlike = Counter(c for _, c in out[0] ^ out[1])
    if not unlike:
        return ""
    seeds = len(apart.seeds)
    names = ", ".join(
        facts.class_names[c] + (f" (under {n} of {seeds} seeds)" if n < seeds else "")
        for c, n in sorted(unlike.items())
    )
    return f" Not quite the same classes are averaged: {names} scored on one side only."


def _cost(facts: PublishedModel) -> str:
    """Say what the cached features cost once, and what computing them for every run would have."""
    stores = facts.comparison.costs.get("stores", [])
    runs = [r for r in facts.comparison.results if r.run.entry.store]
    if not stores or not runs:
        return ""
    text = " ".join(_cost_of(store) for store in stores)
    spent = sum(r.fit_seconds + r.predict_seconds for r in runs)
    text += (
        f" All {len(runs):,} runs on planes then fitted and predicted in {format_duration(spent)}, without the model"
    )
    known = {store["name"]: store["seconds"] for store in stores if store["seconds"] is not None}
    if not known or any(r.run.entry.store not in known for r in runs):
        return f"{text}."
    again = sum(known[r.run.entry.store] for r in runs)
    return f"{text}; computing the planes anew for each run would have taken {format_duration(again)}."


def _cost_of(store: dict[str, Any]) -> str:
    text = f"The planes of {store['name']} take {size(store['bytes'])} before compression"
    if (on_disk := store.get("bytes_on_disk")) is not None:
        text += f"; on disk the whole store takes {size(on_disk)}"
    if store["seconds"] is not None:
        text += f". Extracting them took {format_duration(store['seconds'])}, once, on {' and '.join(store['devices'])}"
    return f"{text}."
