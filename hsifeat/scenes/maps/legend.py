"""The legend of a map: which classes it shows, their names and colours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hsifeat.scenes.colours import default_colours


@dataclass(frozen=True)
class Legend:
    """The classes of a map, ascending; 0 stands for no data and is none of them.

    Attributes
    ----------
    numbers : tuple of int
        The number of each class, from 1.
    names : tuple of str
        The name of each class, on one line.
    colours : tuple of str
        The colour of each class as ``#rrggbb``.
    """

    numbers: tuple[int, ...]
    names: tuple[str, ...]
    colours: tuple[str, ...]

    @classmethod
    def of(cls, numbers: Iterable[int], names: Mapping[int, str], colours: Mapping[int, str]) -> Self:
        """Pick classes from mappings that may lack some: ``class 7`` and a colour of our own then.

        >>> Legend.of([7, 2], {2: "corn"}, {2: "#ff0000"}).names
        ('corn', 'class 7')
        """
        chosen = sorted({int(number) for number in numbers} - {0})
        known = {**default_colours(chosen), **colours}
        return cls(
            tuple(chosen),
            tuple(_one_line(names.get(number, "")) or f"class {number}" for number in chosen),
            tuple(known[number] for number in chosen),
        )

    @property
    def rgb(self) -> NDArray[np.uint8]:
        """Red, green and blue of each class: (classes, 3) uint8 array."""
        parts = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in self.colours]
        return np.array(parts, np.uint8).reshape(-1, 3)


def _one_line(text: str) -> str:
    # Names come from files: a line break or a control character would break XML and the picture.
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
