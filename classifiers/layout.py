"""The layout of a table: which columns are spectra, which a plane, a window mean, a neighbourhood, or the position.

Heads find their inputs by it: FiLM its conditioning columns, a mixing head its (t, layer) groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["spectra", "plane", "mean", "patch", "position"]


@dataclass(frozen=True)
class ColumnGroup:
    """A run of columns of one kind.

    Attributes
    ----------
    kind : {"spectra", "plane", "mean", "patch", "position"}
        What the columns hold. A ``mean`` is a window mean of the plane (t, layer), or of the spectra when both are None; so
        is a ``patch`` a neighbourhood, whose columns go by its row, its column, then by channel. A ``position`` is row and
        column of the pixel.
    start, stop : int
        First column, and the one after the last.
    t, layer : int and str, or None
        The plane that the columns come from.
    size : int or None
        Side in pixels of the window (``mean``) or neighbourhood (``patch``).
    """

    kind: Kind
    start: int
    stop: int
    t: int | None = None
    layer: str | None = None
    size: int | None = None

    @property
    def width(self) -> int:
        """How many columns the group has."""
        return self.stop - self.start

    @property
    def is_spectral(self) -> bool:
        """Whether the columns come from the spectra and not from a plane."""
        return self.kind in ("spectra", "mean") and self.layer is None

    def __str__(self) -> str:
        source = f"t{self.t}/{self.layer}" if self.layer else "position" if self.kind == "position" else "spectra"
        return source if self.size is None else f"{source} {self.kind} {self.size}x{self.size}"


@dataclass(frozen=True)
class Layout:
    """Column groups that follow each other without a gap, from column 0."""

    groups: tuple[ColumnGroup, ...]

    def __post_init__(self) -> None:
        at = 0
        for group in self.groups:
            if group.start != at or group.stop <= group.start:
                raise ValueError(
                    f"column groups must follow each other from 0; {group} starts at {group.start}, not {at}"
                )
            at = group.stop

    @property
    def width(self) -> int:
        """How many columns the table has."""
        return self.groups[-1].stop if self.groups else 0

    def __iter__(self) -> Iterator[ColumnGroup]:
        return iter(self.groups)

    def columns(self, *groups: ColumnGroup) -> NDArray[np.intp]:
        """Return the indices of the columns of the given groups."""
        return np.concatenate([np.arange(g.start, g.stop) for g in groups]) if groups else np.empty(0, np.intp)

    def take(self, keep: Callable[[ColumnGroup], bool]) -> Layout:
        """Return the layout of a table that holds only the groups that `keep` says yes to."""
        groups: list[ColumnGroup] = []
        for group in filter(keep, self.groups):
            start = groups[-1].stop if groups else 0
            groups.append(replace(group, start=start, stop=start + group.width))
        return Layout(tuple(groups))

    @property
    def spectral(self) -> tuple[ColumnGroup, ...]:
        """The groups that come from the spectra."""
        return tuple(g for g in self.groups if g.is_spectral)

    @property
    def learned(self) -> tuple[ColumnGroup, ...]:
        """The groups that come from planes."""
        return tuple(g for g in self.groups if g.layer is not None)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the layout as plain JSON values."""
        return [{k: v for k, v in asdict(g).items() if v is not None} for g in self.groups]

    @classmethod
    def from_json(cls, groups: list[dict[str, Any]]) -> Layout:
        """Read what `to_json` wrote."""
        return cls(tuple(ColumnGroup(**g) for g in groups))
