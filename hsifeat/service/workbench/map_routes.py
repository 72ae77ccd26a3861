"""Routes of the workbench for maps, scores and suggestions."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, Response
from numpy.typing import NDArray
from pydantic import BaseModel
from starlette.background import BackgroundTask

from classifiers.defaults import DEFAULT_FOLDS, DEFAULT_HEAD, DEFAULT_SMOOTHING
from hsifeat.errors import HsifeatError
from hsifeat.scenes import Labels
from hsifeat.service.pages.rendering import render
from hsifeat.service.request_parameters import StoreKey
from hsifeat.service.workbench.access import Desk, ReadableDesk, ShownView, View
from hsifeat.service.workbench.check_routes import checked_score
from hsifeat.service.workbench.curve_plot import ScorePoint, plot_curve
from hsifeat.service.workbench.label_routes import digest_of_classes
from hsifeat.service.workbench.map_tools import MapOptions
from hsifeat.service.workbench.rasters import coarse_labels, raster_response
from hsifeat.service.workbench.tickets import Number, Page, ReplaceableRoute
from hsifeat.service.workbench.workspace import workbench_of

router = APIRouter(prefix="/label/{key}/sets/{set_id}", include_in_schema=False, route_class=ReplaceableRoute)
_SUGGESTIONS = 5
_TRUTH_OTHER = 2**16 - 1


def _options(
    head: Annotated[str, Query(max_length=60)] = DEFAULT_HEAD,
    inputs: Annotated[str, Query(max_length=100)] = "",
    smooth: Annotated[str, Query(max_length=60)] = DEFAULT_SMOOTHING,
) -> MapOptions:
    return MapOptions(head, inputs, smooth)


Options = Annotated[MapOptions, Depends(_options)]


class Place(BaseModel):
    """A suggested pixel to label next, and the reason for the suggestion."""

    row: int
    col: int
    reason: str


@router.get("/raster")
def raster(
    request: Request,
    desk: ReadableDesk,
    view: ShownView,
    options: Options,
    key: StoreKey,
    page: Page = "none",
    number: Number = 0,
) -> Response:
    """Return the labels (uint16), the map (uint16) and the confidence (uint8) of the visible part of the scene, as bytes.

    A map needs labels of at least two classes. If there is no map, map and confidence are 0, and the header ``X-Message``
    states why. The header ``X-Note`` has notes on the smoothing of the map, and says whether new planes of the stores are not
    used yet.
    """
    start = time.perf_counter()
    check = workbench_of(request).tickets.take(f"map-{page}", number)
    newest = workbench_of(request).newest(key)
    former_planes = () if desk.space is newest else (_former_planes(newest.preparation.error),)
    version, labels = desk.database.class_map(desk.labels.id)
    shown = coarse_labels(labels, view.window, view.step)
    classes, confidence, message, later = np.zeros_like(shown), np.zeros(shown.shape, np.uint8), "", None
    notes: tuple[str, ...] = ()
    mapper = desk.space.mapper(options)
    with desk.space.map_slots:
        check()
        try:
            head = mapper.fit(labels)
        except HsifeatError as error:
            message, later = str(error), BackgroundTask(mapper.prepare, view.window, view.step)
        else:
            found = mapper.predict(head, window=view.window, step=view.step, check=check)
            classes, confidence = found.classes, np.round(255 * np.clip(found.confidence, 0, 1)).astype(np.uint8)
            notes = (*found.notes, *former_planes)
    facts = {
        "version": version,
        "classes": digest_of_classes(desk),
        "ms": round(1000 * (time.perf_counter() - start)),
        "message": _header(message),
        "note": _header("; ".join(notes)),
    }
    response = raster_response(view.window, view.step, [shown, classes, confidence], **facts)
    response.background = later
    return response


@router.get("/truth")
def truth(desk: ReadableDesk, view: ShownView, name: Annotated[str, Query(max_length=200)]) -> Response:
    """Return a label map of the scene as uint16 bytes, with the class numbers of the label set.

    Unlabelled pixels have the value 0. Classes that the label set does not have get the value 65535.
    """
    numbers = _truth(desk, desk.space.features.labels(name))
    return raster_response(view.window, view.step, [np.ascontiguousarray(numbers[_grid(view)])])


@router.get("/score")
def score(
    request: Request,
    desk: ReadableDesk,
    options: Options,
    folds: Annotated[str, Query(max_length=60)] = DEFAULT_FOLDS,
    truth: Annotated[str, Query(max_length=200)] = "",
    page: Page = "none",
    number: Number = 0,
) -> HTMLResponse:
    """Return the cross-validated score of the map and its score at random pixels, each with an explanation."""
    from classifiers.labelling.score import score_labels

    check = workbench_of(request).tickets.take(f"score-{page}", number, f"map-{page}")
    _, labels = desk.database.class_map(desk.labels.id)
    classes = desk.database.classes(desk.labels.id)
    names = {entry.number: entry.name for entry in classes}
    mapper = desk.space.mapper(options)
    with desk.space.map_slots:
        check()
        result = score_labels(mapper, labels, folds, check=check)
        checked = checked_score(desk, options, labels, check)
        against, unnamed = None, list[str]()
        if truth:
            given = desk.space.features.labels(truth)
            against = _accuracy(desk, options, labels, _truth(desk, given), check)
            unnamed = [
                given.class_names[number] for number in given.counts if given.class_names[number] not in names.values()
            ]
    rows = []
    if result.scores is not None:
        rows = [
            (names.get(number, f"class {number}"), share) for number, share in result.scores.by_class["recall"].items()
        ]
    return render(
        request,
        "workbench/score.html.j2",
        score=result,
        sentence=result.describe(names),
        rows=rows,
        checked=checked,
        editable=desk.caller.may("write"),
        truth=truth,
        against=against,
        unnamed=unnamed,
    )


@router.get("/curve")
def curve(
    request: Request,
    desk: ReadableDesk,
    options: Options,
    folds: Annotated[str, Query(max_length=60)] = DEFAULT_FOLDS,
    page: Page = "none",
    number: Number = 0,
) -> HTMLResponse:
    """Return the learning curve: the accuracy of the map after different numbers of edits.

    The accuracy after n edits is computed from the labels of the first n edits only.
    """
    from classifiers.labelling.learning_curve import learning_curve

    check = workbench_of(request).tickets.take(f"score-{page}", number, f"map-{page}")
    mapper = desk.space.mapper(options)
    points = []
    with desk.space.map_slots:
        for labels, result in learning_curve(mapper, desk.database, desk.labels.id, folds, check=check):
            check()
            if result.scores is not None and result.interval is not None:
                points.append(ScorePoint(labels, result.scores.oa, result.interval))
    return render(request, "workbench/curve.html.j2", curve=plot_curve(points))


@router.get("/suggestions")
def suggestions(
    request: Request,
    response: Response,
    desk: ReadableDesk,
    view: ShownView,
    options: Options,
    page: Page = "none",
    number: Number = 0,
) -> list[Place]:
    """Return the visible pixels where labels would improve the map most, best first.

    If the scene is too noisy for superpixels, the header ``X-Note`` says so.
    """
    check = workbench_of(request).tickets.take(f"suggestions-{page}", number)
    suggester = desk.space.suggester(options)
    response.headers["X-Note"] = _header(desk.space.segments().note)
    _, labels = desk.database.class_map(desk.labels.id)
    with desk.space.map_slots:
        check()
        inside = np.zeros(labels.shape, np.bool_)
        inside[view.window.slices] = True
        found = suggester.suggest(labels, _SUGGESTIONS, among=None if inside.all() else inside)
    return [Place(row=one.row, col=one.col, reason=one.describe()) for one in found]


def _truth(desk: Desk, given: Labels) -> NDArray[np.uint16]:
    """Return a label map of the scene with the class numbers of the label set. Classes are matched by name."""
    numbers = {entry.name: entry.number for entry in desk.database.classes(desk.labels.id)}
    highest = int(given.classes.max(initial=0))
    table = np.full(highest + 1, _TRUTH_OTHER, np.uint16)
    table[0] = 0
    for number in given.counts:
        table[number] = numbers.get(given.class_names[number], _TRUTH_OTHER)
    matched: NDArray[np.uint16] = table[given.classes]
    return matched


def _accuracy(
    desk: Desk,
    options: MapOptions,
    labels: NDArray[np.uint16],
    truth: NDArray[np.uint16],
    check: Callable[[], None],
) -> tuple[int, int] | None:
    """Return the number of correctly mapped pixels, and the number of all tested pixels; None if there is no map.

    Pixels in `truth` without a label in `labels` are tested.
    """
    mapper = desk.space.mapper(options)
    try:
        head = mapper.fit(labels)
    except HsifeatError:
        return None
    found = mapper.predict(head, check=check)
    tested = (truth > 0) & (labels == 0) & (found.classes > 0)
    return int((found.classes == truth)[tested].sum()), int(tested.sum())


def _grid(view: View) -> tuple[slice, slice]:
    rows, cols = view.window.slices
    return slice(rows.start, rows.stop, view.step), slice(cols.start, cols.stop, view.step)


def _former_planes(error: str) -> str:
    """Return the note on a map from former planes. `error` says why the new ones could not be prepared, if they could not."""
    if error:
        return f"the stores have changed, but maps use the former planes, because the new ones could not be prepared: {error}"
    return "the stores have changed: maps use the former planes until the new ones are prepared"


def _header(text: str) -> str:
    """Replace characters that a header field can't contain, and shorten the text to 400 characters."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)[:400]
