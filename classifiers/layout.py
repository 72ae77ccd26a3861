"""The layout of a table: which columns hold spectra, context, planes, window means, patches or pixel positions.

Heads look up their input columns in the layout. For example, the head FiLM needs to know which columns are spectra.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import HeadError
from hsifeat.formatting import format_count, format_value
from hsifeat.types import PlaneId

ColumnKind = Literal["spectra", "context", "plane", "mean", "patch", "position"]

_SIZE = re.compile(r"-[0-9]+")
_WINDOW_STATISTIC = re.compile(r"([0-9]+:)?(mean|deviation)-[0-9]+")


@dataclass(frozen=True)
class ColumnGroup:
    """Consecutive columns of one kind from one source.

    Attributes
    ----------
    kind : {"spectra", "context", "plane", "mean", "patch", "position"}
        ``spectra``: the spectrum of the pixel. ``context``: the channels of one layer of a context store, such as means
        over windows or morphological profiles. ``plane``: the channels of one timestep and layer of the diffusion model.
        ``mean``: the mean over a window. ``patch``: all pixels of a neighbourhood, ordered by row, then column, then
        channel. ``position``: row and column of the pixel. A mean or patch is computed from the plane (`t`, `layer`), or
        from the spectra if `t` and `layer` are None.
    start, stop : int
        Index of the first column, and index of the column after the last column.
    t, layer : int and str, or None
        Timestep and layer of the plane that the columns come from; None if they come from no plane. The planes of a
        context store have timestep 0.
    size : int or None
        Side in pixels of the window (``mean``) or neighbourhood (``patch``); None for other kinds.

    Raises
    ------
    HeadError
        If `kind` is not one of the texts listed above.

    Examples
    --------
    >>> group = ColumnGroup("patch", 0, 54, t=50, layer="up_blocks.2", size=3)
    >>> str(group), group.channels
    ('t50/up_blocks.2 patch 3x3', 6)
    """

    kind: ColumnKind
    start: int
    stop: int
    t: int | None = None
    layer: str | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(ColumnKind):
            raise HeadError(f"the kind of columns is one of {', '.join(get_args(ColumnKind))}; found {self.kind!r}")

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.stop - self.start

    @property
    def patch_pixels(self) -> int:
        """Number of pixels per channel: ``size**2`` for a patch, otherwise 1."""
        return self.size**2 if self.kind == "patch" and self.size else 1

    @property
    def channels(self) -> int:
        """Number of channels per pixel. For spectra, channels are bands."""
        return self.width // self.patch_pixels

    @property
    def input_kind(self) -> str:
        """Kind as `Head.needs` and `Head.wants` name it: ``spectral-patch`` for a patch of spectra, otherwise `kind`."""
        return "spectral-patch" if self.kind == "patch" and self.layer is None else self.kind

    @property
    def is_spectral(self) -> bool:
        """Whether the columns are spectra or window means of spectra. False for the layers of a context store."""
        return self.kind in ("spectra", "mean") and self.layer is None

    @property
    def family(self) -> str:
        """Family of the layer, such as ``profile`` for the layers ``profile-3`` and ``profile-5``.

        Layers of one family are reduced together. For most layers, the family is the name of the layer without the
        sizes in this name. A layer of window means or window deviations of the scene, such as ``mean-25``, has many
        channels and forms a separate family.

        Examples
        --------
        >>> [ColumnGroup("context", 0, 4, t=0, layer=name).family for name in ("mean-25", "reconstruction-3-mean-9")]
        ['mean-25', 'reconstruction-mean']
        """
        name = self.layer or "spectra"
        return name if _WINDOW_STATISTIC.fullmatch(name) else _SIZE.sub("", name)

    @property
    def layer_key(self) -> str:
        """Name of the group without its timestep, such as ``up_blocks.1``, ``up_blocks.1 mean 5x5`` or ``spectra``."""
        name = self.layer or "spectra"
        return name if self.size is None else f"{name} {self.kind} {self.size}x{self.size}"

    def __str__(self) -> str:
        source = f"t{self.t}/{self.layer}" if self.layer else "position" if self.kind == "position" else "spectra"
        return source if self.size is None else f"{source} {self.kind} {self.size}x{self.size}"


@dataclass(frozen=True)
class Layout:
    """Column groups of a table. Each group starts at the column at which the previous group stops.

    Examples
    --------
    >>> layout = Layout((ColumnGroup("spectra", 0, 200), ColumnGroup("plane", 200, 328, t=50, layer="up_blocks.2")))
    >>> layout.width, [str(group) for group in layout.learned]
    (328, ['t50/up_blocks.2'])
    """

    groups: tuple[ColumnGroup, ...]

    def __post_init__(self) -> None:
        stop = 0
        for group in self.groups:
            if group.start != stop or group.stop <= group.start:
                raise ValueError(
                    f"column groups must follow each other from 0; {group} starts at {group.start}, not {stop}"
                )
            stop = group.stop

    @property
    def width(self) -> int:
        """Number of columns of the table."""
        return self.groups[-1].stop if self.groups else 0

    def __repr__(self) -> str:
        return f"<Layout: {format_count(self.width, 'column')} in {format_count(len(self.groups), 'group')}>"

    def __iter__(self) -> Iterator[ColumnGroup]:
        return iter(self.groups)

    def columns(self, *groups: ColumnGroup) -> NDArray[np.intp]:
        """Return the indices of all columns of the given groups, as a (k,) intp array."""
        return np.concatenate([np.arange(g.start, g.stop) for g in groups]) if groups else np.empty(0, np.intp)

    def select_groups(self, keep: Callable[[ColumnGroup], bool]) -> Layout:
        """Return the layout of a table that holds only the groups for which `keep` returns True.

        Raises
        ------
        HeadError
            If `keep` is no function.
        """
        if not callable(keep):
            raise HeadError(
                f"give a function of a column group, such as `lambda group: group.is_spectral`; found {format_value(keep)}"
            )
        groups: list[ColumnGroup] = []
        for group in filter(keep, self.groups):
            start = groups[-1].stop if groups else 0
            groups.append(replace(group, start=start, stop=start + group.width))
        return Layout(tuple(groups))

    @property
    def spectral(self) -> tuple[ColumnGroup, ...]:
        """Column groups of spectra and of their window means."""
        return tuple(g for g in self.groups if g.is_spectral)

    @property
    def context(self) -> tuple[ColumnGroup, ...]:
        """Column groups of context planes."""
        return tuple(g for g in self.groups if g.kind == "context")

    @property
    def learned(self) -> tuple[ColumnGroup, ...]:
        """Column groups of the planes of a diffusion model, and of the window means and patches of these planes."""
        return tuple(g for g in self.stored if g.kind != "context")

    @property
    def stored(self) -> tuple[ColumnGroup, ...]:
        """Column groups that are read from planes of a store, namely the groups in `context` and `learned`."""
        return tuple(g for g in self.groups if g.layer is not None)

    @property
    def plane_names(self) -> frozenset[str]:
        """Names of the planes of a store that are read, such as ``t50/mid``."""
        return frozenset(str(PlaneId(g.t, g.layer)) for g in self.stored if g.t is not None and g.layer is not None)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the layout as plain JSON values."""
        return [{k: v for k, v in asdict(g).items() if v is not None} for g in self.groups]

    @classmethod
    def from_json(cls, groups: list[dict[str, Any]]) -> Layout:
        """Build a layout from the values that `to_json` returned.

        Raises
        ------
        ValueError, TypeError
            If a value has the wrong type or is out of range.
        """
        for group in groups:
            numbers = [value for key, value in group.items() if key not in {"kind", "layer"}]
            if not all(type(number) is int and 0 <= number < 2**31 for number in numbers):
                raise ValueError(f"a column group has a number out of range: {group}")
            if group.get("kind") not in get_args(ColumnKind) or not isinstance(group.get("layer", ""), str):
                raise ValueError(f"a column group has an unknown kind or layer: {group}")
            if ("t" in group) != ("layer" in group) or (group["kind"] in {"plane", "context"} and "t" not in group):
                raise ValueError(f"a column group lacks its plane: {group}")
        return cls(tuple(ColumnGroup(**g) for g in groups))


def first_difference(layout: Layout, other: Layout) -> str:
    """Describe the first column group in which two layouts differ."""
    for group, expected in zip_longest(layout, other):
        if group != expected:
            return " where the other has ".join(
                "nothing" if g is None else f"{g} ({g.width})" for g in (group, expected)
            )
    return "nothing"
