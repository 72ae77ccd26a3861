"""Choice of the variable to read from a file that holds several."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hsifeat.errors import SceneError

# Files with thousands of variables exist; a message lists this many.
_LISTED = 24


def choose_variable(
    path: Path, shapes: Mapping[str, tuple[int, ...]], ndim: int, variable: str | None, others: str = ""
) -> tuple[str, tuple[str, ...]]:
    """Return the requested variable, or the only one with `ndim` dimensions.

    Parameters
    ----------
    path : Path
        The file, for messages.
    shapes : mapping of str to tuple of int
        Shape of each numeric array in the file.
    ndim : int
        Number of dimensions required.
    variable : str or None
        Name of the requested variable.
    others : str
        Description of the file's other content, for messages.

    Returns
    -------
    name : str
        The variable.
    notes : tuple of str
        A note if the file holds further arrays and none was named.

    Raises
    ------
    SceneError
        No such variable, or not exactly one candidate; the message lists the arrays.
    """
    listed = [f"{name} {' x '.join(map(str, shape))}" for name, shape in shapes.items()]
    listing = " ".join(", ".join(listed[:_LISTED]).split()) + (
        f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    )
    listing = (listing or "no numeric array") + (f" (and {others})" if others else "")
    if variable is not None:
        if variable not in shapes:
            raise SceneError(f"{path} has no variable {variable!r}; it holds {listing}")
        return variable, ()
    # A vector is two-dimensional to MATLAB, but it is no label map.
    candidates = [name for name, shape in shapes.items() if len(shape) == ndim and sorted(shape)[-2] > 1]
    if len(candidates) != 1:
        count = "no array" if not candidates else f"{len(candidates)} arrays"
        flat = ndim == 3 and not candidates and any(len(s) == 2 and min(s) > 1 for s in shapes.values())
        advice = ", or, if its pixels share one axis, add --axes bands,pixels --rows N" if flat else ""
        raise SceneError(
            f"{path} has {count} of {ndim} dimensions; it holds {listing}: name one with --variable NAME{advice}"
        )
    name = candidates[0]
    return name, (f"{path.name}: read the variable {name}, of {listing}",) if len(shapes) > 1 else ()
