"""Routes of the workbench that check the map at random pixels.

A person answers with the class of each random pixel. The map does not learn from these answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import numpy as np
from fastapi import APIRouter, Query
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from classifiers.labelling.check_answers import (
    CheckAnswers,
    JoinedPixelError,
    join_answers,
    read_answers,
    record_answer,
)
from hsifeat.errors import HeadError
from hsifeat.service.problems import ProblemError
from hsifeat.service.workbench.access import Desk, EditableDesk, ReadableDesk
from hsifeat.service.workbench.label_routes import SetState, set_state
from hsifeat.service.workbench.map_tools import MapOptions

if TYPE_CHECKING:
    from classifiers.labelling.score import LabelScore

router = APIRouter(prefix="/label/{key}/sets/{set_id}/checks", include_in_schema=False)
# Pages ask for at most this many places at once.
_MAX_PLACES = 500


class CheckPlaces(BaseModel):
    """Random pixels that the caller should classify next, and the numbers of answers and of skipped pixels."""

    places: list[tuple[int, int]]
    answered: int
    skipped: int


class CheckAnswer(BaseModel):
    """The answer of the caller at a random pixel: the class of the pixel."""

    model_config = ConfigDict(extra="forbid")

    row: Annotated[int, Field(ge=0, lt=2**31)]
    col: Annotated[int, Field(ge=0, lt=2**31)]
    number: Annotated[int, Field(ge=0, lt=2**16, description="Class number; 0 if the person can't tell.")]


@router.get("")
def check_places(desk: ReadableDesk, count: Annotated[int, Query(ge=1, le=_MAX_PLACES)] = 50) -> CheckPlaces:
    """Return random pixels that nobody has classified or skipped, in the order in which they were drawn."""
    answers = read_answers(desk.database, desk.labels.id)
    places = np.stack(np.divmod(_open_places(desk, answers)[:count], desk.space.shape[1]), axis=1)
    return CheckPlaces(places=places.tolist(), answered=answers.count, skipped=answers.skipped)


@router.post("")
def answer_check(desk: EditableDesk, answer: CheckAnswer) -> SetState:
    """Save an answer, the class of a random pixel. A later answer for the same pixel replaces this answer.

    Answers for pixels that were not drawn at random are refused. A score at pixels that a person selects is biased.
    """
    answers = read_answers(desk.database, desk.labels.id)
    pixel = answer.row * desk.space.shape[1] + answer.col
    inside = answer.col < desk.space.shape[1]
    if not inside or (pixel not in answers.asked and pixel not in _open_places(desk, answers)[:_MAX_PLACES]):
        raise ProblemError(422, f"row {answer.row}, column {answer.col} was not drawn: answer the places of GET checks")
    try:
        record_answer(desk.database, desk.labels.id, desk.caller.name, pixel, answer.number)
    except JoinedPixelError as error:
        raise ProblemError(409, str(error)) from error
    return set_state(desk, changed=True)


@router.post("/join")
def join_labels(desk: EditableDesk) -> SetState:
    """Turn all answers at random pixels into labels, as one edit that can be undone.

    The map learns from these labels. The score at random pixels no longer uses these answers.
    """
    joined = join_answers(desk.database, desk.labels.id, desk.caller.name)
    return set_state(desk, changed=joined > 0)


def checked_score(
    desk: Desk, options: MapOptions, labels: NDArray[np.uint16], check: Callable[[], None] = lambda: None
) -> tuple[LabelScore, CheckAnswers] | None:
    """Return the score of the map at the random pixels with an answer, and a `CheckAnswers` with all answers.

    The function returns None if there are no answers, or if there is no map.

    Parameters
    ----------
    desk : Desk
        The label set and the scene of the request.
    options : MapOptions
        Options of the map to check.
    labels : (rows, cols) uint16 array
        Class numbers that the map learns from; 0 for unlabelled pixels.
    check : callable
        Function that is called repeatedly during the work. If it raises an exception, the work stops.
    """
    from classifiers.labelling.check_sample import score_check

    answers = read_answers(desk.database, desk.labels.id)
    if not answers.count:
        return None
    try:
        return score_check(desk.space.mapper(options), labels, answers.classes, check=check), answers
    except HeadError:  # labels of two classes are missing
        return None


def _open_places(desk: Desk, answers: CheckAnswers) -> NDArray[np.int64]:
    """Return the flat indices of the drawn pixels that are not answered yet. Each label set has its own draw."""
    from classifiers.labelling.check_sample import draw_check_places

    columns = desk.space.columns()
    drawn = draw_check_places(columns, len(answers.asked) + _MAX_PLACES, seed=desk.labels.id)
    pixels = drawn[:, 0] * columns.shape[1] + drawn[:, 1]
    return np.asarray(pixels[~np.isin(pixels, answers.asked)], np.int64)
