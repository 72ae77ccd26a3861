"""Label sets and their classes, and checks of names, colours and keys that people enter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

from hsifeat.errors import SceneError
from hsifeat.formatting import format_value
from hsifeat.scenes.colours import unused_colour
from hsifeat.scenes.labels.classes import composed
from hsifeat.scenes.scene_checks import check_type
from hsifeat.types import as_int

# Largest class number in a label set. Every map format can store it, unlike `hsifeat.types.LARGEST_CLASS`.
LARGEST_LABEL_CLASS = 2**16 - 1
_MAX_LETTERS = 100
_KEYS = "123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class LabelClass:
    """A class of a label set.

    Attributes
    ----------
    number : int
        Class number in maps, from 1.
    name : str
        Name, unique within the label set.
    colour : str
        Colour as ``#rrggbb``.
    key : str
        Keyboard key that selects the class, one of 1-9 and a-z; empty for no key.
    """

    number: int
    name: str
    colour: str
    key: str = ""


@dataclass(frozen=True)
class LabelSet:
    """Name, owner and shape of a label set. The labels are in a `LabelDatabase`.

    Attributes
    ----------
    id : int
        Number of the set in the database.
    scene : str
        Digest of the scene, ``features.recipe["scene"]``.
    name : str
        Name of the label set.
    person : str or None
        Owner, the only person who can edit the set; None for a set that everybody can edit.
    rows, cols : int
        Shape of the scene in pixels.
    """

    id: int
    scene: str
    name: str
    person: str | None
    rows: int
    cols: int

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> LabelSet:
        """Return the label set of a row of the database, which maps at least the names of all fields to values."""
        return cls(*(row[field.name] for field in fields(cls)))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the scene."""
        return self.rows, self.cols

    @property
    def is_shared(self) -> bool:
        """Whether everybody can edit the label set."""
        return self.person is None


def check_text(text: str, subject: str) -> str:
    """Check a name, and return the name in Unicode form NFC without surrounding spaces.

    In error messages, `subject` says what the name is, such as ``the name of a class``.

    Raises
    ------
    SceneError
        If the name is not a text, is empty, is longer than 100 characters, or has line breaks or control characters.

    Examples
    --------
    >>> check_text(" oak ", "the name of a class")
    'oak'
    """
    check_type(text, str, f"{subject} must be a text")
    text = composed(text.strip())
    if not text or len(text) > _MAX_LETTERS or not text.isprintable():
        raise SceneError(f"{subject} has 1 to {_MAX_LETTERS} printable characters; found {text[:_MAX_LETTERS]!r}")
    return text


def check_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Return the shape of a scene as two ints. Raise `SceneError` if the shape is not two whole numbers from 1."""
    numbers = [as_int(number) for number in shape] if isinstance(shape, tuple | list) else []
    if len(numbers) != 2 or any(number is None or number < 1 for number in numbers):
        raise SceneError(
            f"the shape of a scene is its numbers of rows and columns, such as (75, 53); found {format_value(shape)}"
        )
    return cast(tuple[int, int], tuple(numbers))


def check_number(number: int) -> int:
    """Return a class number as an int. Raise `SceneError` if it is not a whole number from 1 to 65535."""
    whole = as_int(number)
    if whole is None or not 1 <= whole <= LARGEST_LABEL_CLASS:
        raise SceneError(
            f"class numbers are whole numbers from 1 to {LARGEST_LABEL_CLASS}; found {format_value(number)}"
        )
    return whole


def check_class(entry: LabelClass, others: list[LabelClass]) -> LabelClass:
    """Check a class against the other classes of its set. Return the class, with its name normalised by `check_text`.

    Raises
    ------
    SceneError
        If the number is out of range. If the name is a number, belongs to another class, or is invalid (see
        `check_text`). If the colour does not have the form ``#rrggbb``. If the key is invalid or belongs to another
        class.
    """
    name = check_text(entry.name, "the name of a class")
    if is_number(name):
        raise SceneError(
            f"the name of a class is not a number, because files of labels have numbers in its place; found {name!r}: add a word, "
            f"such as 'class {name}'"
        )
    number = check_number(entry.number)
    check_type(entry.colour, str, "the colour of a class must be a text")
    check_type(entry.key, str, "the key of a class must be a text")
    if not re.fullmatch("#[0-9a-f]{6}", entry.colour):
        raise SceneError(f"a colour has the form #rrggbb with the digits 0-9 and a-f; found {entry.colour!r}")
    if entry.key and (len(entry.key) != 1 or entry.key not in _KEYS):
        raise SceneError(f"the key of a class is one of 1-9 and a-z, or empty; found {entry.key!r}")
    for other in others:
        if other.number != number and other.name == name:
            raise SceneError(f"class {other.number} is named {name!r} already: choose another name")
        if other.number != number and entry.key and other.key == entry.key:
            raise SceneError(f"the key {entry.key!r} selects {other.name!r} already: choose another key")
    return LabelClass(number, name, entry.colour, entry.key)


def new_class(
    name: str, others: list[LabelClass], unused: set[int], *, number: int | None, colour: str | None, key: str | None
) -> LabelClass:
    """Make a class that can be added to a label set. The class is not added yet.

    Parameters
    ----------
    name : str
        Name of the class.
    others : list of LabelClass
        Classes whose names and keys the new class can't take.
    unused : set of int
        Numbers of the classes in `others` that undone imports had added. If the new class has the name of such a class, it gets
        its number, because redoing the import would restore this number.
    number : int or None
        Class number. If None, it is one more than the highest number in `others`.
    colour : str or None
        Colour as ``#rrggbb``. If None, it is the default colour of the class number, or of the next number whose default
        colour no other class has.
    key : str or None
        Keyboard key, see `LabelClass`. If None, it is the first free digit.

    Raises
    ------
    SceneError
        If another class has the number. If a value is invalid; see `check_class`.
    """
    earlier = {other.name: other.number for other in others if other.number in unused}
    number = earlier.get(check_text(name, "the name of a class"), number)
    number = max((other.number for other in others), default=0) + 1 if number is None else check_number(number)
    if number in {other.number for other in others} - set(earlier.values()):
        raise SceneError(f"class {number} exists already: leave out the number, or take another one")
    colour = unused_colour(number, [other.colour for other in others]) if colour is None else colour
    return check_class(LabelClass(number, name, colour, free_key(others) if key is None else key), others)


def is_number(name: str) -> bool:
    """Return whether a name reads as a number, such as ``1e3`` or ``NaN``."""
    try:
        float(name)
    except ValueError:
        return False
    return True


def free_key(others: list[LabelClass]) -> str:
    """Return the first digit from 1 to 9 that no class in `others` has as its key. If there is none, return an empty string."""
    taken = {other.key for other in others}
    return next((key for key in _KEYS[:9] if key not in taken), "")
