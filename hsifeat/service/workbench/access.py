"""FastAPI dependencies of the routes of the workbench. They find the scene and the label set that a request names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Query, Request

from classifiers.labelling.label_set import LabelSet
from classifiers.labelling.labels_db import LabelDatabase
from hsifeat.service.problems import ProblemError
from hsifeat.service.request_parameters import StoreKey
from hsifeat.service.rights import Author, Reader
from hsifeat.service.tokens import Caller
from hsifeat.service.workbench.rasters import aligned_window
from hsifeat.service.workbench.workspace import Workspace, workbench_of
from hsifeat.types import Window


@dataclass(frozen=True, eq=False)
class Desk:
    """What most routes of the workbench need: a label set, the workspace of its scene, and the caller.

    Attributes
    ----------
    space : Workspace
        Workspace of the scene.
    labels : LabelSet
        The label set.
    database : LabelDatabase
        Database with the labels of the set.
    caller : Caller
        The person who works on the set.
    """

    space: Workspace
    labels: LabelSet
    database: LabelDatabase
    caller: Caller

    @property
    def file_name(self) -> str:
        """Start of the names of downloaded files: the scene's name without characters that are special in HTTP headers."""
        return re.sub(r"[^\w.-]+", "-", self.space.features.scene.name)[:60].strip(".-") or "scene"


@dataclass(frozen=True)
class View:
    """The part of a scene that the browser shows, and its resolution.

    Attributes
    ----------
    window : Window
        The visible part of the scene. Its first row and first column are multiples of `step`.
    step : int
        Distance between neighbouring pixels of the displayed image, in pixels of the scene.
    """

    window: Window
    step: int


def _scene(request: Request, _caller: Reader, key: StoreKey) -> Workspace:
    return workbench_of(request).workspace(key)


Scene = Annotated[Workspace, Depends(_scene)]


def _view(
    space: Scene,
    row: Annotated[int, Query(ge=-(2**31), lt=2**31)] = 0,
    col: Annotated[int, Query(ge=-(2**31), lt=2**31)] = 0,
    rows: Annotated[int, Query(ge=1, lt=2**31)] = 2**31 - 1,
    cols: Annotated[int, Query(ge=1, lt=2**31)] = 2**31 - 1,
    step: Annotated[int, Query(ge=1, le=16)] = 1,
) -> View:
    if step not in {1, 2, 4, 8, 16}:
        raise ProblemError(422, f"step: expected 1, 2, 4, 8 or 16; found {step}")
    bottom, right = min(row + rows, space.shape[0]), min(col + cols, space.shape[1])
    window = Window(max(row, 0), max(col, 0), bottom - max(row, 0), right - max(col, 0))
    return View(aligned_window(window, space.shape, step), step)


ShownView = Annotated[View, Depends(_view)]


def _desk(request: Request, caller: Caller, space: Workspace, set_id: int) -> Desk:
    database = workbench_of(request).database
    for labels in database.sets(space.scene_digest, caller.name):
        if labels.id == set_id:
            return Desk(space, labels, database, caller)
    raise ProblemError(404, f"{caller.name} has no label set {set_id} of this scene")


def _readable_desk(request: Request, caller: Reader, space: Scene, set_id: Annotated[int, Path(ge=1)]) -> Desk:
    return _desk(request, caller, space, set_id)


def _editable_desk(request: Request, caller: Author, space: Scene, set_id: Annotated[int, Path(ge=1)]) -> Desk:
    return _desk(request, caller, space, set_id)


ReadableDesk = Annotated[Desk, Depends(_readable_desk)]
EditableDesk = Annotated[Desk, Depends(_editable_desk)]
