"""Answers that check a map: the classes that people name at random pixels.

The log of a label set contains the answers, but answers are not labels: no map is trained on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.labelling.edit_log import LabelEdit
from classifiers.labelling.labels_db import LabelDatabase
from hsifeat.errors import SceneError


class JoinedPixelError(SceneError):
    """Error for an answer at a pixel whose earlier answer has become a label. The pixel can no longer check the map."""


@dataclass(frozen=True, eq=False)
class CheckAnswers:
    """Answers that check the map of a label set: the classes that people named at random pixels.

    Attributes
    ----------
    classes : (rows, cols) uint16 array
        Class that a person named at each pixel. The value is 0 if nobody named the class, or if the answer has become a
        label.
    asked : (n,) int64 array
        Flat indices of all pixels that were answered or skipped, in ascending order. Pixels whose answers have become
        labels are included.
    skipped : int
        Number of pixels whose class nobody could name.
    joined : int
        Number of answers that have become labels, see `join_answers`.
    """

    classes: NDArray[np.uint16]
    asked: NDArray[np.int64]
    skipped: int
    joined: int

    @property
    def count(self) -> int:
        """Number of answers that name a class and have not become labels."""
        return int(np.count_nonzero(self.classes))


def read_answers(database: LabelDatabase, set_id: int) -> CheckAnswers:
    """Return the answers of a label set. Of several answers at one pixel, the latest counts."""
    classes = np.zeros(database.label_set(set_id).shape, np.uint16)
    answers: dict[int, int] = {}
    joined: set[int] = set()
    for edit in database.edits(set_id, "check", "join"):
        if edit.kind == "join":
            joined.update(edit.pixels.tolist())
        else:
            answers.update(zip(edit.pixels.tolist(), edit.classes.tolist(), strict=True))
    for pixel, number in answers.items():
        if pixel not in joined:
            classes.flat[pixel] = number
    skipped = sum(number == 0 for number in answers.values())
    return CheckAnswers(classes, np.array(sorted(answers), np.int64), skipped, len(joined))


def record_answer(database: LabelDatabase, set_id: int, person: str, pixel: int, number: int) -> int:
    """Append the answer at a random pixel to the log of a label set, and return the version of the set.

    Parameters
    ----------
    database : LabelDatabase
        Database of the label set.
    set_id : int
        Number of the label set.
    person : str
        Name of the person who answers.
    pixel : int
        Flat index of the pixel, see `draw_check_places`.
    number : int
        Number of the class at the pixel; 0 if the person can't tell.

    Raises
    ------
    JoinedPixelError
        If an earlier answer at this pixel has become a label, see `join_answers`.
    SceneError
        If the label set belongs to another person. If the pixel lies outside of the scene. If `number` is neither 0 nor
        the number of a class of the label set.

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
    with database.transaction():
        if any(pixel in edit.pixels for edit in database.edits(set_id, "join")):
            row, col = divmod(pixel, database.label_set(set_id).cols)
            raise JoinedPixelError(
                f"the answer at row {row}, column {col} is a label now, from which the map learns: change the label, or undo the step "
                "that made labels of the answers"
            )
        return database.paint(set_id, person, LabelEdit.of_class("check", np.array([pixel]), number))


def join_answers(database: LabelDatabase, set_id: int, person: str) -> int:
    """Turn the answers of a label set into labels, as one edit that can be undone, and return the number of answers.

    The answers no longer check the map, because the map learns from them.

    Parameters
    ----------
    database : LabelDatabase
        Database of the label set.
    set_id : int
        Number of the label set.
    person : str
        Name of the person to whom the edit belongs.
    """
    with database.transaction():
        classes = read_answers(database, set_id).classes.ravel()
        pixels = np.flatnonzero(classes)
        if len(pixels):
            database.paint(set_id, person, LabelEdit("join", pixels.astype(np.int64), classes[pixels]))
    return len(pixels)
