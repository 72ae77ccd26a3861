"""Which of the variables in a file is meant: the one that is named, or the only one that can be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hsifeat.errors import SceneError

# Files with thousands of variables exist; a message names this many.
_LISTED = 24


def choose(
    path: Path, shapes: Mapping[str, tuple[int, ...]], ndim: int, variable: str | None, others: str = ""
) -> tuple[str, tuple[str, ...]]:
    """Choose a variable; nothing is guessed where there are several candidates.

    Parameters
    ----------
    path : Path
        The file, for messages.
    shapes : mapping of str to tuple of int
        Its numeric arrays.
    ndim : int
        How many dimensions are wanted.
    variable : str or None
        The one that was named.
    others : str
        What else the file holds and can't be taken, for messages.

    Returns
    -------
    name : str
        The variable.
    notes : tuple of str
        That it was taken, where the file holds others too.

    Raises
    ------
    SceneError
        No such variable, or not exactly one candidate; the arrays are listed.
    """
    named = [f"{name} {' x '.join(map(str, shape))}" for name, shape in shapes.items()]
    listing = " ".join(", ".join(named[:_LISTED]).split()) + (
        f" and {len(named) - _LISTED} more" if len(named) > _LISTED else ""
    )
    listing = (listing or "no numeric array") + (f" (and {others})" if others else "")
    if variable is not None:
        if variable not in shapes:
            raise SceneError(f"{path} has no variable {variable!r}; it holds {listing}")
        return variable, ()
    # A vector is two-dimensional to MATLAB, but no label map.
    candidates = [name for name, shape in shapes.items() if len(shape) == ndim and sorted(shape)[-2] > 1]
    if len(candidates) != 1:
        count = "no array" if not candidates else f"{len(candidates)} arrays"
        flat = ndim == 3 and not candidates and any(len(s) == 2 and min(s) > 1 for s in shapes.values())
        advice = "or, where its pixels are in one axis, say so: --axes bands,pixels --rows N" if flat else ""
        raise SceneError(
            f"{path} has {count} of {ndim} dimensions; it holds {listing}: name one with --variable NAME{', ' * bool(advice)}{advice}"
        )
    chosen = candidates[0]
    return chosen, (f"{path.name}: took the variable {chosen}, of {listing}",) if len(shapes) > 1 else ()
