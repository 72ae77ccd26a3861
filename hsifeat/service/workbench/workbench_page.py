"""The page of the workbench, and the page that shows progress while the workbench is being prepared."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from classifiers.defaults import DEFAULT_HEAD, DEFAULT_SMOOTHING
from hsifeat.formatting import format_count
from hsifeat.scenes.colours import rgb_bands
from hsifeat.service.pages.rendering import PageRoute, render
from hsifeat.service.problems import ProblemError
from hsifeat.service.request_parameters import StoreKey
from hsifeat.service.rights import Author, Reader
from hsifeat.service.service import service_of
from hsifeat.service.workbench.access import Desk
from hsifeat.service.workbench.companion_image import companion_file
from hsifeat.service.workbench.label_routes import class_content, set_state
from hsifeat.service.workbench.workspace import workbench_of

router = APIRouter(include_in_schema=False, route_class=PageRoute)
SMOOTHING = {
    "none": "none",
    DEFAULT_SMOOTHING: "along edges of the scene",
    "superpixel:20": "over segments",
    "gaussian:1": "over neighbours",
}
FOLDS = {
    "regions": "fill in the ground between labels",
    "blocks:12+4:5fold": "carry over to ground 4 pixels from any label",
    "blocks:24+12:5fold": "carry over to ground 12 pixels from any label",
}


@router.get("/label/{key}")
def workbench_page(
    request: Request, caller: Reader, key: StoreKey, set_id: Annotated[int | None, Query(alias="set", ge=1)] = None
) -> HTMLResponse:
    """Show the workbench for the scene of a store. While the reduced columns are being computed, show the progress."""
    from classifiers.input_sets import suited_input
    from classifiers.labelling.scene_columns import quick_heads

    bench = workbench_of(request)
    space = bench.open(key)
    features = space.features
    if not space.preparation.finished:
        return render(
            request, "workbench/preparing.html.j2", progress=space.preparation, key=key, name=features.scene.name
        )
    sets = bench.database.sets(space.scene_digest, caller.name)
    if set_id is None:
        own = [one for one in sets if one.person == caller.name]
        labels = own[0] if own else sets[0] if sets else None
        if labels is None:
            labels = bench.database.open_set(space.scene_digest, space.shape, person=caller.name)
            sets = [labels]
    else:
        labels = next((one for one in sets if one.id == set_id), None)
    if labels is None:
        raise ProblemError(404, f"{caller.name} has no label set {set_id} of this scene")
    scene = features.scene
    desk = Desk(space, labels, bench.database, caller)
    nm = scene.wavelengths_nm
    return render(
        request,
        "workbench/workbench.html.j2",
        key=key,
        scene=scene,
        rows=space.shape[0],
        cols=space.shape[1],
        bands=[f"{band}" if nm is None else f"{nm[band]:.0f} nm" for band in range(features.shape[2])],
        rgb=rgb_bands(features.shape[2], nm),
        sets=sets,
        labels=labels,
        state=set_state(desk, changed=False),
        heads=quick_heads(),
        default_head=DEFAULT_HEAD,
        inputs=_inputs(desk),
        stores=[f"{store.name} ({format_count(len(store.planes), 'plane')})" for store in space.stores],
        left_out=space.left_out,
        suited=str(suited_input(DEFAULT_HEAD, features)),
        smoothing=SMOOTHING,
        default_smoothing=DEFAULT_SMOOTHING,
        folds=FOLDS,
        pictures=_pictures(desk),
        has_context=features.has_planes(context=True),
        overview_step=space.bands.overview_step,
        has_position=features.georeference is not None and features.georeference.crs is not None,
        counts=set_state(desk, changed=False).counts,
        **class_content(desk),
    )


@router.get("/label/{key}/progress")
def preparation_progress(request: Request, _caller: Reader, key: StoreKey) -> Response:
    """Return how far the reduced columns of the scene are computed.

    When the columns are ready, the response has the header HX-Refresh. The browser then loads the page again.
    """
    space = workbench_of(request).newest(key)
    response = render(request, "workbench/progress.html.j2", progress=space.preparation, key=key)
    if space.preparation.finished:
        response.headers["HX-Refresh"] = "true"
    return response


@router.post("/label/{key}/sets")
def add_label_set(
    request: Request,
    caller: Author,
    key: StoreKey,
    name: Annotated[str, Form(max_length=200)],
    shared: Annotated[bool, Form()] = False,
) -> RedirectResponse:
    """Open a label set of the caller or of everyone, create it if it is missing, and redirect the browser to its page."""
    bench = workbench_of(request)
    space = bench.workspace(key)
    person = None if shared else caller.name
    labels = bench.database.open_set(space.scene_digest, space.shape, name=name, person=person)
    root = service_of(request).config.root_path
    return RedirectResponse(f"{root}/label/{key}?set={labels.id}", 303)


def _pictures(desk: Desk) -> list[tuple[str, str]]:
    """Return the name of the companion image and of each plane, and their addresses below the address of the service."""
    owners = [(plane, *desk.space.features.owner(plane)) for plane in desk.space.features.planes]
    companion = any(companion_file(features).is_file() for features in desk.space.stores)
    return [("companion image", f"/label/{desk.space.features.key}/companion.png")] * companion + [
        (f"plane {plane.id}", f"/pages/stores/{owner.key}/plane.png?{urlencode({'plane': str(stored.id)})}")
        for plane, owner, stored in owners
    ]


def _inputs(desk: Desk) -> list[str]:
    """Return the names of the input sets that the stores of the scene support."""
    features = desk.space.features
    words = ["spectra", "spectra+window"]
    if features.has_planes(context=True):
        words.append("spectra+window+context")
    if features.has_planes(context=False):
        words += [f"{one}+planes" for one in words[1:]]
    return words
