"""Answers at random places that check a map. They are kept in the log of a label set, and are no labels of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.labelling.edit_log import LabelEdit
from classifiers.labelling.labels_db import LabelDatabase


@dataclass(frozen=True, eq=False)
class CheckAnswers:
    """What was answered at random places.

    Attributes
    ----------
    classes : (rows, cols) uint16 array
        Class of each place that checks the map; 0 at all other pixels.
    asked : (n,) int64 array
        Flat indices of all places that were answered or skipped, also of those that are labels now, ascending.
    skipped : int
        Number of places that nobody could name.
    joined : int
        Number of places that are labels now.
    """

    classes: NDArray[np.uint16]
    asked: NDArray[np.int64]
    skipped: int
    joined: int

    @property
    def count(self) -> int:
        """Number of places that check the map."""
        return int(np.count_nonzero(self.classes))


def read_answers(database: LabelDatabase, set_id: int) -> CheckAnswers:
    """Return the answers of a label set. Of several answers at one place, the latest counts."""
    classes = np.zeros(database.label_set(set_id).shape, np.uint16)
    answers: dict[int, int] = {}
    for edit in database.edits(set_id, "check"):
        answers.update(zip(edit.pixels.tolist(), edit.classes.tolist(), strict=True))
    joined = {pixel for edit in database.edits(set_id, "join") for pixel in edit.pixels.tolist()}
    for pixel, number in answers.items():
        if pixel not in joined:
            classes.flat[pixel] = number
    skipped = sum(number == 0 for number in answers.values())
    return CheckAnswers(classes, np.array(sorted(answers), np.int64), skipped, len(joined))


def record_answer(database: LabelDatabase, set_id: int, person: str, pixel: int, number: int) -> int:
    """Append the answer at a place to the log, and return the version of the set.

    Parameters
    ----------
    database : LabelDatabase
        The database.
    set_id : int
        Number of the set.
    person : str
        Who answers.
    pixel : int
        Flat index of the place, see `draw_check_places`.
    number : int
        Class at the place; 0 if the person can't tell.

    Raises
    ------
    SceneError
        See `LabelDatabase.paint`.

    Examples
    --------
    >>> database = LabelDatabase()
    >>> labels = database.open_set("digest of a scene", (4, 5), name="checked", person="ada")
    >>> oak = database.add_class(labels.id, "ada", "oak")
    >>> _ = record_answer(database, labels.id, "ada", 7, oak.number)
    >>> read_answers(database, labels.id).count, database.labels(labels.id).counts
    (1, {})
    >>> join_answers(database, labels.id, "ada")
    1
    >>> read_answers(database, labels.id).count, database.labels(labels.id).counts
    (0, {1: 1})
    """
    return database.paint(set_id, person, LabelEdit.of_class("check", np.array([pixel]), number))


def join_answers(database: LabelDatabase, set_id: int, person: str) -> int:
    """Make the answers of a set labels of it, as one edit that can be undone, and return their number.

    They check the map no longer, because it learns from them.

    Parameters
    ----------
    database : LabelDatabase
        Database of the label set.
    set_id : int
        Identifier of the label set.
    person : str
        Name of the person to whom the edit belongs.
    """
    classes = read_answers(database, set_id).classes.ravel()
    pixels = np.flatnonzero(classes)
    if len(pixels):
        database.paint(set_id, person, LabelEdit("join", pixels.astype(np.int64), classes[pixels]))
    return len(pixels)
