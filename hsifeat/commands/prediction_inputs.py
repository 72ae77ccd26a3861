"""Opening of the stores and scenes of `hsifeat predict`. If a scene has no store, its planes are extracted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from classifiers.model import Model
    from hsifeat.features.features import Features
    from hsifeat.projection import Projection
    from hsifeat.runtime.events import Event, Listener
    from hsifeat.scenes import Scene
    from hsifeat.types import PlaneId


def open_inputs(model: Model, sources: Sequence[str] | None, listen: Listener) -> dict[str, Features]:
    """Open stores and scenes, and return a dict that maps the name of each scene to its features.

    Parameters
    ----------
    model : Model
        The model that classifies the scenes.
    sources : sequence of str, optional
        Stores that `hsifeat.open_features` accepts, and scenes that `hsifeat.open_scene` accepts. Stores of one scene are
        combined. [default: the store that was completed last]
    listen : callable
        Callback for progress events.

    Raises
    ------
    HsifeatError
        If a source is neither a store nor a scene. If two scenes have the same name, and their stores too. If planes of a scene must be extracted, but a store that
        the model was trained on is missing, or the backbone of this store is missing.
    """
    from hsifeat.extraction.extract_scenes import scene_name
    from hsifeat.features.scene_set import open_scenes, single_stores
    from hsifeat.scenes import open_scene

    files = [source for source in sources or () if _is_scene(source)]
    stores = [source for source in sources or () if source not in files]
    features: list[Features] = []
    if stores or not sources:
        # The stores of each scene are stacked in the order in which they are given.
        features += open_scenes(stores or None, distinct=False).scenes
    names = [scene_name(one.scene) for one in features]
    of_files = [scene_name(open_scene(file)) for file in files] if len(files) + len(stores) > 1 else []
    if _equal_names([*names, *of_files]):
        # As in reports: scenes of one name, such as those of several dates, are named after their stores.
        names = [scene_name(f"{single_stores(one)[0].name}.zarr") for one in features]
    _check_distinct_names([*names, *of_files])  # before planes are extracted
    features += [_features_of_scene(model, file, listen) for file in files]
    names += of_files or [scene_name(one.scene) for one in features[len(names) :]]
    return dict(zip(names, features, strict=True))


def _equal_names(names: Sequence[str]) -> list[str]:
    """Return the names that occur several times. Some file systems do not distinguish capital letters."""
    folded = [name.casefold() for name in names]
    return [name for name, key in zip(names, folded, strict=True) if folded.count(key) > 1]


def _check_distinct_names(names: Sequence[str]) -> None:
    from hsifeat.errors import HsifeatError
    from hsifeat.formatting import list_some

    if equal := _equal_names(names):
        raise HsifeatError(
            f"several scenes have one name for their maps ({list_some(equal, 8)}): classify them in separate calls, each with another `out`"
        )


def _is_scene(source: str) -> bool:
    """Return whether a source is a scene: the name of a public scene, or an existing file or folder other than a store.

    The scene in a store, ``STORE/scene``, and other Zarr folders are scenes. A damaged store is not a scene.
    """
    from hsifeat.cache.catalogue import find_store
    from hsifeat.errors import StoreError
    from hsifeat.scenes.registry.public_scenes import REGISTRY
    from hsifeat.store.create import is_other_zarr
    from hsifeat.store.store import Store

    try:
        return Store.find(find_store(source)) is None
    except StoreError:
        root = Path(source, "zarr.json")
        return source in REGISTRY or (Path(source).exists() and (not root.exists() or is_other_zarr(root.read_bytes())))


def _features_of_scene(model: Model, source: str, listen: Listener) -> Features:
    from hsifeat.extraction.extract import extract
    from hsifeat.features.open_features import open_features
    from hsifeat.features.scene_features import SceneFeatures
    from hsifeat.features.stack import open_stack
    from hsifeat.formatting import format_count
    from hsifeat.runtime.events import Note
    from hsifeat.scenes import open_scene

    sent: set[str] = set()

    def listen_once(event: Event) -> None:
        """Drop a note that has been sent, because each extraction sends the notes on the scene."""
        if not isinstance(event, Note) or event.message not in sent:
            listen(event)
        if isinstance(event, Note):
            sent.add(event.message)

    scene, stores = open_scene(source), _training_planes(model, source) if model.layout.stored else {}
    if not stores or (not model.selects_bands and not all("companion" in features.recipe for features in stores)):
        scene = _with_training_bands(model, scene)
    if not stores:
        for note in (*scene.notes, *scene.validity_notes):  # otherwise, `extract` sends them
            listen(Note(note))
        return SceneFeatures(scene)
    added = []
    for features, planes in stores.items():
        listen(Note(f"extracting {format_count(len(planes), 'plane')} of {scene.name} as in {features.name}"))
        if note := _wavelengths_note(model, features):
            listen_once(Note(note))
        store = extract(
            scene,
            like=features.store,
            projection=_projection_in_order(model, features, scene),
            timesteps=sorted({plane.t for plane in planes}),
            layers=list(dict.fromkeys(plane.layer for plane in planes)),
            listen=listen_once,
        )
        added.append(open_features(store))
    return open_stack(added)


def _with_training_bands(model: Model, scene: Scene) -> Scene:
    """Return a scene with the bands of the training scene, in their order, if the model knows these bands."""
    if (wanted := model.training_bands) is None:
        return scene
    matched = scene.matched_to(wanted.wavelengths_nm, wanted.count, wanted.scene_name, wanted.names)
    if model.scene_bands is None:
        return matched
    # If the head takes spectra, the prediction matches the bands again, and sends the notes if the scene is unchanged.
    return scene if matched.cube is scene.cube else matched


def _projection_in_order(model: Model, features: Features, scene: Scene) -> Projection | None:
    """Return the projection of a training store, to be applied to the bands of a scene in their order.

    None if the extraction has to match the bands: if the model does not know all bands of the training scene, or the store has a
    projection of a companion image.
    """
    from dataclasses import replace

    from hsifeat.extraction.stored_config import stored_projection
    from hsifeat.scenes.band_matching import names_of_bands

    if model.training_bands is None or model.selects_bands or "companion" in features.recipe:
        return None
    projection = stored_projection(features.store)
    if projection.bands != scene.bands:
        return None
    return replace(projection, wavelengths_nm=scene.wavelengths_nm, band_names=names_of_bands(scene), scale=None)


def _wavelengths_note(model: Model, features: Features) -> str:
    """Return a note if the wavelengths of a training store have changed since the training, so that other bands would be matched.

    Wavelengths are not part of the key: they can be corrected, and another file with the same values can have others.
    """
    from hsifeat.errors import SceneError
    from hsifeat.scenes.band_matching import SceneBands, match_bands

    wanted = model.training_bands
    if wanted is None or wanted.wavelengths_nm is None or model.selects_bands or "companion" in features.recipe:
        return ""
    try:
        unchanged = match_bands(wanted, SceneBands.of(features.scene, features.name)) is None
    except SceneError:
        unchanged = False
    if unchanged:
        return ""
    return (
        f"the wavelengths of {features.name} have changed since the training: bands are matched by the wavelengths at the time of the "
        "training; if these were wrong, fit the model anew"
    )


def _training_planes(model: Model, source: str) -> dict[Features, list[PlaneId]]:
    """Return the training stores of a model on this machine, with the planes that the model needs from each.

    Stores with the same key have the same recipe, so any of them that can be read and has the planes will do. A store with the
    wavelengths of the training is preferred.
    """
    from itertools import product

    from hsifeat.cache.catalogue import stores_with_key
    from hsifeat.errors import HeadError, HsifeatError, shell_command
    from hsifeat.features.open_features import open_features
    from hsifeat.features.stack import open_stack

    keys = model.training_keys
    reasons = [f"no store has the key {key[:12]}" for key in keys if not stores_with_key(key)]
    found = []
    for locations in product(*map(stores_with_key, keys)) if keys else ():
        try:
            stores = model.stored_planes(open_stack([open_features(location) for location in locations]))
            if not any(_wavelengths_note(model, features) for features in stores):
                return stores
            found.append(stores)
        except HsifeatError as error:
            reasons.append(str(error))
    if found:
        return found[0]
    commands = " and ".join(
        shell_command("extract", source, "--like", f"STORE{n}") for n in range(1, max(len(keys), 1) + 1)
    )
    named = f" (keys {', '.join(key[:12] for key in keys)})" if keys else ""
    raise HeadError(
        f"{source} has no planes, and the training stores of the model can't be read on this machine "
        f"({reasons[0] if reasons else 'the model does not record their keys'}): run {commands} with the paths of the training "
        f"stores{named}, and predict on the new stores"
    )
