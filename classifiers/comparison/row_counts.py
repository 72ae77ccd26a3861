"""Check, before the first fit, that every draw has enough training pixels for every head."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from classifiers.comparison.sampling import Draws
from classifiers.heads.registry import make_head
from hsifeat.errors import HeadError
from hsifeat.runtime.events import Listener, Note
from hsifeat.scenes import Labels


def find_row_shortages(
    heads: Iterable[str], params: Mapping[str, Mapping[str, Any]], draws: Draws, labels: Labels
) -> dict[str, str]:
    """Find the heads that need more training pixels than a draw has.

    Parameters
    ----------
    heads : iterable of str
        Names of heads.
    params : mapping of str to mapping
        Maps names of heads to dicts of their parameters. All other parameters have their defaults.
    draws : dict of (str, int) to SplitDraw
        Training and test pixels for each split and seed.
    labels : Labels
        Classes of the pixels.

    Returns
    -------
    dict of str to str
        Maps the name of a head to the reason why the head can't be fitted. The reason names the split. Other heads are
        omitted.
    """
    trained = [(split, labels.classes[draw.train]) for (split, _), draw in draws.items()]
    counts = dict.fromkeys((split, len(classes), len(np.unique(classes))) for split, classes in trained)
    shortages: dict[str, str] = {}
    for name in dict.fromkeys(heads):
        head = make_head(name, **params.get(name, {}))
        for split, rows, classes in counts:
            try:
                head.check_rows(rows, classes)
            except HeadError as error:
                shortages.setdefault(name, f"{name} can't be fitted under {split}: {error}")
    return shortages


def check_row_counts(
    heads: Iterable[str], params: Mapping[str, Mapping[str, Any]], draws: Draws, labels: Labels
) -> None:
    """Raise an error if a head needs more training pixels than a draw has.

    Parameters
    ----------
    heads, params, draws, labels
        See `find_row_shortages`.

    Raises
    ------
    HeadError
        If a head needs more training pixels than one of the draws has.
    """
    for reason in find_row_shortages(heads, params, draws, labels).values():
        raise HeadError(f"{reason}, choose a split with more training pixels, or leave out this head")


def trainable_heads(
    heads: Sequence[str], params: Mapping[str, Mapping[str, Any]], draws: Draws, labels: Labels, listen: Listener
) -> list[str]:
    """Return the heads for which every draw has enough training pixels.

    Parameters
    ----------
    heads, params, draws, labels
        See `find_row_shortages`.
    listen : callable
        Receives a note on each head that is left out.

    Raises
    ------
    HeadError
        If no head is left.
    """
    shortages = find_row_shortages(heads, params, draws, labels)
    if len(shortages) == len(heads):
        check_row_counts(heads, params, draws, labels)
    for reason in shortages.values():
        listen(Note(f"left out: {reason}"))
    return [name for name in heads if name not in shortages]
