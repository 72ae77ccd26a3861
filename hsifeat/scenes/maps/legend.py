"""Legend of a classification map: class numbers, names and colours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hsifeat.scenes.colours import default_colours
from hsifeat.scenes.label_map import check_class_texts


@dataclass(frozen=True)
class Legend:
    """Class numbers, names and colours of a map, in ascending order of the numbers.

    Number 0 means no data and is not part of a legend.

    Attributes
    ----------
    numbers : tuple of int
        Class numbers, from 1.
    names : tuple of str
        Class names, without line breaks.
    colours : tuple of str
        Class colours as ``#rrggbb``.
    """

    numbers: tuple[int, ...]
    names: tuple[str, ...]
    colours: tuple[str, ...]

    @classmethod
    def from_mappings(cls, numbers: Iterable[int], names: Mapping[int, str], colours: Mapping[int, str]) -> Self:
        """Build a legend of the given class numbers.

        Parameters
        ----------
        numbers : iterable of int
            Class numbers, in any order; 0 is skipped.
        names, colours : mapping of int to str
            Names and colours by class number. A class without a name gets a name such as ``class 7``, and a class without a
            colour gets a default colour.

        Raises
        ------
        SceneError
            If a name is no text, or a colour has another form than ``#rrggbb``.

        Examples
        --------
        >>> Legend.from_mappings([7, 2], {2: "corn"}, {2: "#ff0000"}).names
        ('corn', 'class 7')
        """
        check_class_texts(dict(names), dict(colours), "the legend of the map")
        selected = sorted({int(number) for number in numbers} - {0})
        known = {**default_colours(selected), **colours}
        return cls(
            tuple(selected),
            tuple(_one_line(names.get(number, "")) or f"class {number}" for number in selected),
            tuple(known[number] for number in selected),
        )

    @property
    def rgb(self) -> NDArray[np.uint8]:
        """Red, green and blue of each class, as a (classes, 3) uint8 array."""
        parts = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in self.colours]
        return np.array(parts, np.uint8).reshape(-1, 3)


def _one_line(text: str) -> str:
    # Names come from files; line breaks and control characters would break XML and the drawn legend.
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
