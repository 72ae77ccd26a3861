"""Choice of the variable to read from a file with several variables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hsifeat.errors import SceneError

# Maximum number of variables in a message; some files have thousands.
_LISTED = 24


def choose_variable(
    path: Path, shapes: Mapping[str, tuple[int, ...]], ndim: int, variable: str | None, others: str = ""
) -> tuple[str, tuple[str, ...]]:
    """Return the name of the requested variable, or of the only variable with `ndim` dimensions.

    Parameters
    ----------
    path : Path
        The file, for messages.
    shapes : mapping of str to tuple of int
        Shape of each numeric array in the file.
    ndim : int
        Required number of dimensions, if `variable` is None.
    variable : str or None
        Name of the requested variable; None to choose the only variable with `ndim` dimensions.
    others : str
        Text that lists further content of the file, for messages.

    Returns
    -------
    name : str
        Name of the variable.
    notes : tuple of str
        A note on the choice, if the file contains several arrays and `variable` is None.

    Raises
    ------
    SceneError
        If the requested variable does not exist. If `variable` is None, and the file does not have exactly one array of
        `ndim` dimensions. The message lists the arrays.
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
    # MATLAB stores a vector as a two-dimensional array, which is not a label map.
    fitting = [name for name, shape in shapes.items() if len(shape) == ndim]
    candidates = [name for name in fitting if sorted(shapes[name])[-2] > 1]
    if ndim > 2 and not candidates:  # a scene of one pixel
        candidates = fitting
    if len(candidates) != 1:
        count = "no array" if not candidates else f"{len(candidates)} arrays"
        flat = ndim == 3 and not candidates and any(len(s) == 2 and min(s) > 1 for s in shapes.values())
        advice = ", or, if its pixels share one axis, add `axes='bands,pixels'` and `rows=N`" if flat else ""
        # A series of images. Label maps, which are no series, lie beside scenes in one file.
        if ndim > 2 and not candidates and any(len(shape) > ndim for shape in shapes.values()):
            raise SceneError(
                f"{path} has {count} of {ndim} dimensions; it holds {listing}: an array with more dimensions, such as a time series, has "
                "several scenes; write each of them, such as `data.isel(time=0)` in xarray, to a file of its own"
            )
        # Label maps have two dimensions; their variable belongs to the name of the file.
        choice = "`variable=NAME`" if ndim > 2 or not candidates else f"FILE:NAME, such as {path.name}:{candidates[0]}"
        raise SceneError(
            f"{path} has {count} of {ndim} dimensions; it holds {listing}: choose one with {choice}{advice}"
        )
    name = candidates[0]
    return name, (f"{path.name}: read the variable {name}, of {listing}",) if len(shapes) > 1 else ()
