"""Routes of the workbench that show the scene: false colours, and the spectrum of a pixel."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from hsifeat.service.pages.rendering import render
from hsifeat.service.problems import ProblemError
from hsifeat.service.workbench.access import ReadableDesk, Scene, ShownView
from hsifeat.service.workbench.band_images import Rendering
from hsifeat.service.workbench.companion_image import companion_file
from hsifeat.service.workbench.spectrum_plot import plot_spectra

router = APIRouter(prefix="/label/{key}", include_in_schema=False)
_KEPT = {"Cache-Control": "private, max-age=600"}
Band = Annotated[int, Query(ge=0, lt=2**20)]


@router.get("/colour.png")
def colour_image(
    space: Scene,
    view: ShownView,
    red: Band,
    green: Band,
    blue: Band,
    cut: Annotated[float, Query(ge=0, le=20)] = 2.0,
    gamma: Annotated[float, Query(ge=0.2, le=3)] = 1.0,
) -> Response:
    """Return a false-colour image of a part of the scene as PNG."""
    bands = space.features.shape[2]
    if max(red, green, blue) >= bands:
        raise ProblemError(422, f"the scene has {bands} bands, counted from 0; found {max(red, green, blue)}")
    content = space.bands.png(Rendering((red, green, blue), cut, gamma), view.window, view.step)
    return Response(content, media_type="image/png", headers=_KEPT)


@router.get("/companion.png")
def companion_image(space: Scene) -> Response:
    """Return the picture of the companion image that ``hsifeat label --companion`` stored for the scene."""
    for features in space.stores:
        if (file := companion_file(features)).is_file():
            return Response(file.read_bytes(), media_type="image/png", headers=_KEPT)
    raise ProblemError(404, "the scene has no companion image: name one with hsifeat label --companion FILE")


@router.get("/sets/{set_id}/spectrum")
def spectrum(
    request: Request, desk: ReadableDesk, row: Annotated[int, Query(ge=0)], col: Annotated[int, Query(ge=0)]
) -> HTMLResponse:
    """Return a plot of the spectrum of a pixel, with mean and standard deviation of the labelled spectra of each class."""
    rows, cols = desk.space.shape
    if row >= rows or col >= cols:
        raise ProblemError(422, f"the scene has {rows} x {cols} pixels; found row {row}, column {col}")
    features = desk.space.features
    version, labels = desk.database.class_map(desk.labels.id)
    statistics = desk.space.spectra.of_classes(features, desk.labels.id, version, labels)
    values = features.spectra([row], [col])[0] if features.valid[row, col] else None
    plot = plot_spectra(features.scene.wavelengths_nm, values, statistics, desk.database.classes(desk.labels.id))
    return render(request, "workbench/spectrum.html.j2", plot=plot, row=row, col=col)
