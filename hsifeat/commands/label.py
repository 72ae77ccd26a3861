"""`hsifeat label`: label a scene in the browser, and see the map and its score at once."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hsifeat.commands import terminal
from hsifeat.commands.config_options import with_options
from hsifeat.errors import StoreError
from hsifeat.service.config import ServiceConfig

if TYPE_CHECKING:
    from hsifeat.features.features import Features
    from hsifeat.runtime.events import Listener
    from hsifeat.service.store_index import StoreIndex
    from hsifeat.store.store import Store


@with_options(ServiceConfig, only=("port", "state"))
def label(
    source: Annotated[
        str,
        typer.Argument(metavar="SCENE|STORE", help="Registry name or path of a scene, or a store of a scene."),
    ],
    options: dict[str, Any],
    companion: Annotated[
        str | None,
        typer.Option(
            help="Finer image of the same area to display, such as an aerial photograph: FILE or FILE:VARIABLE."
        ),
    ] = None,
    no_planes: Annotated[
        bool, typer.Option("--no-planes", help="Do not compute planes of natural32 in the background.")
    ] = False,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Print the address only, and do not open a browser.")
    ] = False,
) -> None:
    """Label a scene in the browser: click pixels to label them, and see the map and its score at once.

    If the scene has no context features, they are computed first. If it has no features of a trained model, planes of
    natural32 are computed in the background. Only this machine can open the page, whose address contains a random token.
    Every label is saved at once. Ctrl-C ends the command. If you repeat the command, you continue with the saved labels.

    Example: `hsifeat label indian-pines`
    """
    from hsifeat.cache.catalogue import add_entry
    from hsifeat.commands.serving import serve_until_interrupt
    from hsifeat.service.store_index import StoreIndex

    config = ServiceConfig.from_options(options)
    with terminal.progress() as listen:
        features = open_for_labelling(source, companion, listen)
    # The service serves the stores of the catalogue. A store that was copied to this machine may not be in the catalogue.
    add_entry(features.key, features.store.location)
    stores = StoreIndex(config.cache)
    _check_served(features.store, stores)
    if features.is_context and not no_planes:
        from hsifeat.service.jobs.job_service import JobService
        from hsifeat.service.store_models import Summaries
        from hsifeat.service.workbench.plane_routes import submit_planes
        from hsifeat.service.workbench.workspace import companion_stores

        if not companion_stores(features, stores, Summaries(stores)):
            submit_planes(JobService(config), features.key, "owner")
    serve_until_interrupt(
        config,
        "label at",
        page=f"/label/{features.key}",
        advice="every label is saved at once; end with Ctrl-C",
        open_browser=not no_open,
    )


def _check_served(store: Store, stores: StoreIndex) -> None:
    """Raise a `StoreError` if another store of the same key is served, and lacks label maps or metadata of `store`."""
    from hsifeat.service.jobs.stored import scene_digest
    from hsifeat.store.store import Store

    served = stores.find(store.key)
    if served.location.identity == store.location.identity:
        return
    with suppress(StoreError):
        if scene_digest(Store.open(served.location), store.labels) == scene_digest(store, store.labels):
            return
    raise StoreError(
        f"{served.location} has the same key as {store.location} and was created earlier, so it would be labelled, but its label maps or "
        "metadata are different: delete one of the two stores"
    )


def open_for_labelling(source: str, companion: str | None, listen: Listener) -> Features:
    """Open a store or scene for labelling. If the scene, or the scene of the store, has no context store, extract one.

    Parameters
    ----------
    source : str
        A store, or a scene that `hsifeat.open_scene` accepts.
    companion : str or None
        Path of the companion image, a second image of the same area. None selects the companion image of the scene, if
        the scene has one.
    listen : callable
        Callback for progress events.

    Returns
    -------
    Features
        Features of the store, or the context features of the scene.

    Raises
    ------
    HsifeatError
        If `source` is neither a store nor a scene. If the store or scene can't be read.
    """
    from hsifeat.cache.catalogue import find_store
    from hsifeat.commands.context_store import note_further_planes
    from hsifeat.extraction.extract import extract
    from hsifeat.features.open_features import open_features
    from hsifeat.scenes import open_scene
    from hsifeat.scenes.open_scene import attach_companion
    from hsifeat.service.workbench.companion_image import keep_companion
    from hsifeat.store.store import Store

    try:
        location = find_store(source)
        is_store = Store.find(location) is not None
    except StoreError:
        is_store = False
    opened = open_features(source) if is_store else None
    scene = open_scene(source) if opened is None else opened.scene
    if companion is not None:
        scene = attach_companion(scene, companion)
    context = opened if opened is not None and opened.is_context else None
    if context is None:
        context = open_features(extract(scene, backbone="context", listen=listen))
        note_further_planes(context, None, listen)
    features = opened or context
    keep_companion(features, scene)
    return features
