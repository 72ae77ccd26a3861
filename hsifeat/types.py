"""Small types that several packages share: windows, plane names, taps, cubes."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from hsifeat.errors import StoreError


def as_int(value: object) -> int | None:
    """Return an integer of any type, such as NumPy's, as an int; None for anything else, booleans included.

    >>> as_int(3), as_int(3.0), as_int(True)
    (3, None, None)
    """
    try:
        return None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


class Cube(Protocol):
    """Anything that slices like a NumPy array of shape ``(rows, cols, bands)``, in memory or on disk."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, columns, bands."""
        ...

    @property
    def dtype(self) -> Any:
        """NumPy dtype of the values."""
        ...

    def __getitem__(self, key: Any, /) -> Any:
        """Read a block by slices."""
        ...


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels: first row and column (may be negative), height and width.

    Examples
    --------
    >>> Window(0, 8, 4, 4).slices
    (slice(0, 4, None), slice(8, 12, None))
    """

    row: int
    col: int
    rows: int
    cols: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices of the window."""
        return slice(self.row, self.row + self.rows), slice(self.col, self.col + self.cols)

    def clip(self, rows: int, cols: int) -> Window:
        """Return the part of the window within a scene of `rows` x `cols` pixels."""
        top, left = max(self.row, 0), max(self.col, 0)
        bottom, right = min(self.row + self.rows, rows), min(self.col + self.cols, cols)
        return Window(top, left, max(bottom - top, 0), max(right - left, 0))

    def coarsen(self, stride: int) -> Window:
        """Return the window of all cells, of `stride` x `stride` pixels each, that overlap this window."""
        top, left = self.row // stride, self.col // stride
        bottom, right = -(-(self.row + self.rows) // stride), -(-(self.col + self.cols) // stride)
        return Window(top, left, bottom - top, right - left)


def windows(rows: int, cols: int, side_px: int) -> Iterator[Window]:
    """Divide a scene into square windows, in row-major order; those at the lower and right edge may be smaller.

    Parameters
    ----------
    rows, cols : int
        Shape of the scene.
    side_px : int
        Side of a window.

    >>> [w.cols for w in windows(2, 5, 2)]
    [2, 2, 1]
    """
    for row in range(0, rows, side_px):
        for col in range(0, cols, side_px):
            yield Window(row, col, min(side_px, rows - row), min(side_px, cols - col))


@dataclass(frozen=True, order=True)
class PlaneId:
    """Name of a plane: its training timestep `t` and layer.

    >>> str(PlaneId(50, "up_blocks.2"))
    't50/up_blocks.2'
    >>> PlaneId.parse("t50/up_blocks.2").path
    't0050/up_blocks.2'
    """

    t: int
    layer: str

    def __str__(self) -> str:
        return f"t{self.t}/{self.layer}"

    @property
    def path(self) -> str:
        """Path of the plane below ``planes/`` in a store."""
        return f"t{self.t:04d}/{self.layer}"

    @classmethod
    def parse(cls, text: str) -> PlaneId:
        """Parse a name such as ``t50/up_blocks.2``; `StoreError` for anything else."""
        match = re.fullmatch(r"t(\d+)/([\w.\-]+)", text.strip())
        if match is None:
            raise StoreError(f"a plane is named like t50/up_blocks.2 (timestep, then layer); found {text!r}")
        return cls(int(match[1]), match[2])


@dataclass(frozen=True)
class Tap:
    """A layer of a backbone whose output can be extracted.

    Attributes
    ----------
    name : str
        Dotted module name.
    alias : str
        Name in the numbering of the papers (``output_blocks.10``), or an empty string.
    channels : int
        Channels of its output.
    stride : int
        Scene pixels per cell of its output.
    share : float
        Fraction of the multiplications of a full forward pass that are needed to compute its output.
    """

    name: str
    alias: str
    channels: int
    stride: int
    share: float
