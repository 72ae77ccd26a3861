"""Report on a label set: one HTML file with the map, the score, the classes and the options."""

from __future__ import annotations

import base64
import time
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from numpy.typing import NDArray

from classifiers.defaults import DEFAULT_FOLDS
from classifiers.labelling.pixel_order import screen_step
from hsifeat import __version__
from hsifeat.features.scene_set import single_stores
from hsifeat.scenes.maps import Legend
from hsifeat.service.pages.pictures import encode_png, scene_picture
from hsifeat.service.pages.rendering import PageRoute, render
from hsifeat.service.workbench.access import ReadableDesk
from hsifeat.service.workbench.check_routes import checked_score
from hsifeat.service.workbench.map_routes import Options

router = APIRouter(prefix="/label/{key}/sets/{set_id}", include_in_schema=False, route_class=PageRoute)
_SIDE_PX = 1000


@router.get("/report.html")
def report_page(
    request: Request,
    desk: ReadableDesk,
    options: Options,
    folds: Annotated[str, Query(max_length=60)] = DEFAULT_FOLDS,
) -> HTMLResponse:
    """Return the report on a label set as an HTML file that loads nothing from the network."""
    from classifiers.labelling.score import score_labels

    features, mapper = desk.space.features_for(options.inputs), desk.space.mapper(options)
    stores = single_stores(features)
    _, labels = desk.database.class_map(desk.labels.id)
    entries = desk.database.classes(desk.labels.id)
    names = {entry.number: entry.name for entry in entries}
    with desk.space.map_slots:
        head = mapper.fit(labels)
        found = mapper.predict(head)
        score = score_labels(mapper, labels, folds)
        checked = checked_score(desk, options, labels)
    recall = {} if score.scores is None else score.scores.by_class["recall"]
    mapped = np.bincount(found.classes.ravel(), minlength=max(names, default=0) + 1)
    labelled = np.bincount(labels.ravel(), minlength=len(mapped))
    step = screen_step(desk.space.shape, _SIDE_PX)
    legend = Legend.from_mappings(names, names, {entry.number: entry.colour for entry in entries})
    response = render(
        request,
        "workbench/report.html.j2",
        scene=features.scene.name,
        shape=desk.space.shape,
        labels=desk.labels.name,
        person=desk.caller.name,
        date=time.strftime("%Y-%m-%d %H:%M"),
        keys=[store.key for store in stores],
        options=options,
        inputs=mapper.columns.inputs,
        sentence=score.describe(names),
        score=score,
        checked=checked,
        rows=[
            (
                entry,
                int(labelled[entry.number]),
                recall.get(entry.number),
                mapped[entry.number] / max(mapped[1:].sum(), 1),
            )
            for entry in entries
        ],
        map_image=_data_uri(encode_png(_painted(found.classes[::step, ::step], legend))),
        scene_image=_data_uri(scene_picture(stores[0])),
        version=__version__,
    )
    response.headers["Content-Disposition"] = f'attachment; filename="{desk.file_name}-labelling.html"'
    return response


def _painted(classes: NDArray[np.uint16], legend: Legend) -> NDArray[np.uint8]:
    """Return a class map as an RGBA image. Pixels without a class are transparent."""
    table = np.zeros((2**16, 4), np.uint8)
    table[list(legend.numbers), :3] = legend.rgb
    table[list(legend.numbers), 3] = 255
    painted: NDArray[np.uint8] = table[classes]
    return painted


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
