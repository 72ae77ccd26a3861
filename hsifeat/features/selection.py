"""Select planes (one layer at one timestep each) of a store by name, with wildcards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from hsifeat.errors import StoreError, suggest_names
from hsifeat.formatting import format_count, format_value, list_some
from hsifeat.store.plane_layout import PlaneSpec
from hsifeat.types import PlaneId

PlaneLike = str | PlaneId | PlaneSpec


def plane_names(planes: PlaneLike | Iterable[PlaneLike] | None) -> tuple[str, ...] | None:
    """Return names of planes, or patterns of names, as a tuple of str. None stays None.

    Raises
    ------
    StoreError
        If `planes` is neither a plane nor a sequence of planes.

    Examples
    --------
    >>> plane_names([PlaneId(50, "mid_block"), "t100/*"])
    ('t50/mid_block', 't100/*')
    """
    if planes is None:
        return None
    items = tuple(planes) if isinstance(planes, Iterable) and not isinstance(planes, str | PlaneSpec) else (planes,)
    for item in items:
        if not isinstance(item, str | PlaneId | PlaneSpec):
            raise StoreError(f"planes are named by a list of texts such as ['t50/*']; found {format_value(planes)}")
    return tuple(str(item.id if isinstance(item, PlaneSpec) else item) for item in items)


def select_planes(
    name: str,
    complete: Sequence[PlaneSpec],
    unfinished: Sequence[PlaneSpec],
    patterns: PlaneLike | Sequence[PlaneLike] | None,
) -> list[PlaneSpec]:
    """Return the complete planes (one layer at one timestep each) of a store that match `patterns`.

    Parameters
    ----------
    name : str
        Name of the store for error messages.
    complete, unfinished : sequences of PlaneSpec
        Complete planes of the store, and planes whose extraction was interrupted.
    patterns : sequence of str, PlaneId or PlaneSpec, or None
        Names of planes such as ``t50/up_blocks.2``, in which ``*`` and ``?`` are wildcards. A single name can be passed
        without a list. None selects all planes.

    Returns
    -------
    list of PlaneSpec
        Selected planes without duplicates, in the order of `patterns`.

    Raises
    ------
    StoreError
        If an item of `patterns` matches no complete plane. If `patterns` is None and a plane is unfinished.
    """
    if patterns is None:
        if unfinished:
            names = list_some((str(plane.id) for plane in unfinished), 3)
            raise StoreError(
                f"{name} has {format_count(len(unfinished), 'unfinished plane')} ({names}): give the extract command again, or select "
                "other planes with `planes`"
            )
        return list(complete)
    selected: dict[PlaneSpec, None] = {}
    for pattern in plane_names(patterns) or ():
        matches = [plane for plane in complete if fnmatchcase(str(plane.id), pattern)]
        if not matches:
            state = " (it is unfinished)" if any(str(plane.id) == pattern for plane in unfinished) else ""
            names = suggest_names(pattern, [str(plane.id) for plane in complete])
            raise StoreError(f"{name} has no plane {pattern!r}{state}; {names}")
        selected |= dict.fromkeys(matches)
    return list(selected)
