"""Routes of the workbench that change labels and classes. A response is sent after the change is on the disk."""

from __future__ import annotations

import hashlib
import re
from dataclasses import astuple
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from classifiers.labelling.edit_log import LabelEdit
from classifiers.labelling.label_files import SUFFIXES, import_labels
from classifiers.labelling.label_set import LabelClass
from classifiers.labelling.label_shapes import BRUSH_PX, brush_pixels, polygon_pixels
from hsifeat.errors import HsifeatError
from hsifeat.service.pages.rendering import render
from hsifeat.service.problems import ProblemError
from hsifeat.service.workbench.access import Desk, EditableDesk, ReadableDesk
from hsifeat.service.workbench.tickets import Number, Page
from hsifeat.service.workbench.workspace import workbench_of


def _outdate(request: Request, page: Page = "none", ticket: Number = 0) -> None:
    """Stop the computation of maps and scores before the labels change, so that the change is not delayed."""
    if ticket and request.method == "POST":
        workbench_of(request).tickets.take(f"map-{page}", ticket)


def _request_name(page: Page = "none", ticket: Number = 0) -> str | None:
    """Return the name of a change. A page repeats a change with the same ticket until it receives an answer."""
    return f"{page} {ticket}" if ticket else None


ChangeName = Annotated[str | None, Depends(_request_name)]
router = APIRouter(prefix="/label/{key}/sets/{set_id}", include_in_schema=False, dependencies=[Depends(_outdate)])

Coordinate = Annotated[float, Field(ge=-(2.0**31), lt=2.0**31)]


class EditRequest(BaseModel):
    """An edit of labels: points that select pixels, and the class for these pixels."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["pixel", "brush", "polygon", "segment"]
    number: Annotated[int, Field(ge=0, lt=2**16, description="Class number; 0 erases.")]
    points: Annotated[
        list[tuple[Coordinate, Coordinate]],
        Field(min_length=1, max_length=10_000, description="Row and column of each click or corner, in pixels."),
    ]


class SetState(BaseModel):
    """State of a label set: its version, a digest of its classes, and the number of labelled pixels of each class.

    `note` tells the user about the latest edit.
    """

    version: int
    changed: bool
    counts: dict[int, int]
    classes: str
    note: str = ""


@router.post("/edits")
def edit_labels(desk: EditableDesk, wanted: EditRequest, change: ChangeName) -> SetState:
    """Label pixels with a class, or erase the labels of pixels."""
    pixels = _pixels(desk, wanted)
    pixels = pixels[desk.space.features.valid.ravel()[pixels]]
    if not len(pixels):
        raise ProblemError(422, "there is no data here: label a pixel inside the scene")
    edit = LabelEdit.of_class(wanted.kind, pixels, wanted.number)
    desk.database.paint(desk.labels.id, desk.caller.name, edit, request=change)
    note = desk.space.segments().note if wanted.kind == "segment" else ""
    return set_state(desk, changed=True).model_copy(update={"note": note})


@router.post("/undo")
def undo_edit(desk: EditableDesk, change: ChangeName) -> SetState:
    """Undo the latest edit of the caller."""
    return set_state(desk, changed=desk.database.undo(desk.labels.id, desk.caller.name, request=change))


@router.post("/redo")
def redo_edit(desk: EditableDesk, change: ChangeName) -> SetState:
    """Redo the edit that the caller undid last."""
    return set_state(desk, changed=desk.database.redo(desk.labels.id, desk.caller.name, request=change))


@router.get("/state")
def label_state(desk: ReadableDesk) -> SetState:
    """Return the version of a label set and the number of labelled pixels of each class."""
    return set_state(desk, changed=False)


@router.get("/classes")
def class_list(request: Request, desk: ReadableDesk) -> HTMLResponse:
    """Return the list of classes of the label set."""
    return _class_list(request, desk)


@router.post("/classes")
def add_class(request: Request, desk: EditableDesk, name: Annotated[str, Form(max_length=200)]) -> HTMLResponse:
    """Add a class to the label set."""
    desk.database.add_class(desk.labels.id, desk.caller.name, name)
    return _class_list(request, desk)


@router.post("/classes/{number}")
def change_class(
    request: Request,
    desk: EditableDesk,
    number: Annotated[int, PathParameter(ge=1, lt=2**16)],
    name: Annotated[str, Form(max_length=200)],
    colour: Annotated[str, Form(max_length=20)],
    shortcut: Annotated[str, Form(max_length=5)] = "",
) -> HTMLResponse:
    """Change the name, the colour and the keyboard shortcut of a class."""
    desk.database.change_class(
        desk.labels.id, desk.caller.name, LabelClass(number, name, colour.lower(), shortcut.strip())
    )
    return _class_list(request, desk)


@router.post("/classes-of-map")
def adopt_classes(request: Request, desk: EditableDesk, name: Annotated[str, Form(max_length=200)]) -> HTMLResponse:
    """Add the classes of the label map `name` of the scene to the label set. Labels are not copied."""
    labels = desk.space.features.labels(name)
    known = desk.database.classes(desk.labels.id)
    names, numbers = {entry.name for entry in known}, {entry.number for entry in known}
    with desk.database.transaction():  # all classes, or none
        for number in labels.counts:
            if labels.class_names[number] not in names:
                wanted = number if number not in numbers else None
                entry = desk.database.add_class(
                    desk.labels.id,
                    desk.caller.name,
                    labels.class_names[number],
                    colour=labels.class_colours[number],
                    number=wanted,
                )
                numbers.add(entry.number)
    return _class_list(request, desk)


@router.post("/import")
def import_label_file(desk: EditableDesk, file: Annotated[UploadFile, File()], change: ChangeName) -> SetState:
    """Add the labels in a file to the label set, as one edit. Classes are matched by name. New classes are added."""
    name = re.sub(r"[^\w.-]", "-", file.filename or "")[-80:].lstrip(".")
    if Path(name).suffix.lower() not in SUFFIXES:
        raise ProblemError(422, f"labels are read from {', '.join(SUFFIXES)}; found {name!r}")
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(file.file.read())
        try:
            features = desk.space.features
            _, notes = import_labels(
                desk.database,
                desk.labels.id,
                desk.caller.name,
                path,
                features.scene,
                valid=features.valid,
                request=change,
            )
        except HsifeatError as error:
            # Clients must not see where the service keeps files.
            raise ProblemError(422, str(error).replace(f"{folder}/", "")) from error
    note = "; ".join(notes).replace(f"{folder}/", "")
    return set_state(desk, changed=True).model_copy(update={"note": note})


def _pixels(desk: Desk, wanted: EditRequest) -> NDArray[np.int64]:
    shape = desk.space.shape
    if wanted.kind == "polygon":
        return polygon_pixels(wanted.points, shape)
    at = np.floor(np.asarray(wanted.points)).astype(np.int64)
    if wanted.kind == "segment":
        return desk.space.segments().pixels_at(at[:, 0], at[:, 1])
    return brush_pixels(at[:, 0].tolist(), at[:, 1].tolist(), shape, BRUSH_PX if wanted.kind == "brush" else 1)


def set_state(desk: Desk, *, changed: bool) -> SetState:
    """Return the state of a label set. `changed` states whether the request changed the label set."""
    version, labels = desk.database.class_map(desk.labels.id)
    numbers, counts = np.unique(labels[labels > 0], return_counts=True)
    return SetState(
        version=version,
        changed=changed,
        counts=dict(zip(numbers.tolist(), counts.tolist(), strict=True)),
        classes=digest_of_classes(desk),
    )


def digest_of_classes(desk: Desk) -> str:
    """Return a digest of the numbers, names, colours and keys of all classes of a label set.

    A page compares this digest with the digest of the list of classes that the page shows.
    """
    classes = [astuple(entry) for entry in desk.database.classes(desk.labels.id)]
    return hashlib.sha256(repr(classes).encode()).hexdigest()[:16]


def _class_list(request: Request, desk: Desk) -> HTMLResponse:
    state = set_state(desk, changed=False)
    return render(request, "workbench/classes.html.j2", **class_content(desk), counts=state.counts)


def class_content(desk: Desk) -> dict[str, Any]:
    """Return the values for the template of the class list. Pixel counts are not included."""
    try:
        maps = list(desk.space.features.label_maps)
    except HsifeatError:
        maps = []
    return {
        "base": f"/label/{desk.space.features.key}/sets/{desk.labels.id}",
        "classes": desk.database.classes(desk.labels.id),
        "digest": digest_of_classes(desk),
        "maps": maps,
        "editable": desk.caller.may("write"),
    }
