"""Prepare an extraction: open the scene and the backbone, and derive the recipe and the location of the store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hsifeat.backbones.options import UNTRAINED
from hsifeat.backbones.plugins import absolute_source, check_backbone
from hsifeat.backbones.protocol import FeatureSource
from hsifeat.backbones.recall import recall_source
from hsifeat.context.backbone import ContextBackbone
from hsifeat.errors import BackboneError, HsifeatError
from hsifeat.extraction.config import ExtractionConfig
from hsifeat.extraction.job import Job, Prepared
from hsifeat.extraction.prepare_context import context_layers, prepare_context, unused_with_context
from hsifeat.extraction.prepare_diffusion import prepare_diffusion
from hsifeat.files import cache_folder
from hsifeat.formatting import format_value
from hsifeat.projection.default import match_scene
from hsifeat.runtime.events import Listener, Note, check_listener, silent
from hsifeat.scenes import Scene, open_scene
from hsifeat.store.location import Location, as_location


def prepare(
    scene: Scene | str | Path,
    config: ExtractionConfig | None = None,
    *,
    out: str | Path | Location | None = None,
    device: str = "auto",
    source: FeatureSource | None = None,
    listen: Listener = silent,
) -> Job:
    """Prepare an extraction without writing anything.

    Parameters
    ----------
    scene : Scene, str or Path
        A scene, or a path or name that `open_scene` accepts.
    config : ExtractionConfig, optional
        Options of the extraction, which `hsifeat.extract` describes.
    out : str, Path or Location, optional
        Path or URL of the store. [default: a folder in the cache, named after the scene, the backbone
        and the key of the store]
    device : str
        ``cpu``, ``cuda``, or ``auto`` for a GPU if there is one.
    source : FeatureSource, optional
        The backbone that `config` names, if it is already open. [default: the backbone is opened]
    listen : callable
        Receives progress events when timesteps are chosen automatically (``auto:N``).

    Returns
    -------
    Job
        The prepared extraction, which `run` executes.

    Raises
    ------
    HsifeatError
        If the scene or backbone can't be opened. If an option is wrong, has no effect, or does not fit the scene or the
        backbone.

    Examples
    --------
    >>> import numpy as np
    >>> import hsifeat
    >>> scene = hsifeat.Scene("small", np.ones((64, 64, 12), np.float32))
    >>> hsifeat.prepare(scene, hsifeat.ExtractionConfig(tile=32))
    Traceback (most recent call last):
    hsifeat.errors.HsifeatError: no backbone: name one with `backbone` (hsifeat backbones lists them)
    """
    check_listener(listen)
    config = ExtractionConfig() if config is None else config
    if not isinstance(config, ExtractionConfig):
        raise HsifeatError(f"config is a hsifeat.ExtractionConfig; found {format_value(config)}")
    if isinstance(scene, Scene):
        scene.check_unchanged()
    else:
        scene = open_scene(scene)
    backbone: Any = _backbone(config) if source is None else source
    if config.backbone is not None and not isinstance(config.backbone, str | Path):
        config.refuse(("class_label", "prompt", "upsample"), because="an opened `backbone`")
    _check_weights(backbone, config, listen)
    if not config.companion:
        scene = match_scene(scene, config.projection, backbone, config.inherited_from or "the scene of the projection")
    if isinstance(config.backbone, str | Path):  # workers open it again, maybe in another working directory
        config = config.with_values(backbone=absolute_source(config.backbone))
    if isinstance(backbone, ContextBackbone):
        prepared = prepare_context(scene, backbone, config, device=device)
    else:
        check_backbone(backbone, "the backbone")
        prepared = prepare_diffusion(scene, backbone, config, device=device, listen=listen)
    location = as_location(default_path(scene, prepared) if out is None else out)
    return Job(prepared.config, prepared.extractor, prepared.planes, prepared.recipe, location, device)


def _backbone(config: ExtractionConfig) -> FeatureSource:
    """Open the backbone of an extraction.

    If opening fails, the error message lists the backbone options that come from a preset or a store.
    """
    if config.backbone is None:
        missing = (
            f"{config.inherited_from} does not say where its backbone is" if config.inherited_from else "no backbone"
        )
        raise HsifeatError(f"{missing}: name one with `backbone` (hsifeat backbones lists them)")
    backbone: FeatureSource | str | Path = config.backbone
    if isinstance(backbone, str | Path):
        options = backbone_options(config)
        try:
            return recall_source(**options)
        except BackboneError as error:
            inherited = {name: value for name, value in options.items() if name not in {"source", "seed"}}
            inherited = {"backbone": config.backbone, **inherited}
            inherited = {name: value for name, value in inherited.items() if name not in config.model_fields_set}
            if not config.inherited_from or not inherited:
                raise
            values = ", ".join(f"{name} {value!r}" for name, value in inherited.items())
            raise BackboneError(
                f"{error} ({config.inherited_from} has {values}: set other values, or name a backbone that fits)"
            ) from error
    return backbone


def _check_weights(backbone: Any, config: ExtractionConfig, listen: Listener) -> None:
    """Check that the backbone has the weights of the store from which unset options come.

    Other weights are an error if the backbone is the one that the store names, and give a note if the user names a backbone,
    unless it is untrained.
    """
    wanted = config.stored_weights
    if not wanted or str(config.backbone).startswith(UNTRAINED):
        return
    found = backbone.identity().get("weights", "")
    if wanted == found:
        return
    text = f"{config.inherited_from} was extracted with other weights (sha256 {wanted[:12]}) than those of {config.backbone} ({found[:12]})"
    if "backbone" not in config.model_fields_set:
        raise BackboneError(
            f"{text}, which has changed since: name a backbone with the former weights with `backbone`, or extract both scenes anew"
        )
    listen(Note(f"{text}: a model can't use features of both stores"))


def check_options(config: ExtractionConfig) -> None:
    """Raise `HsifeatError` if an explicitly set option has no effect. Neither the scene nor the backbone is opened."""
    if config.backbone == ContextBackbone.name:
        context_layers(config)
    else:
        config.check_conflicts()


def unused_options(config: ExtractionConfig) -> dict[str, str]:
    """Map the name of each option without effect to the option that makes it ineffective, such as ``stitch='whole'``."""
    return unused_with_context(config) if config.backbone == ContextBackbone.name else config.unused_options()


def backbone_options(config: ExtractionConfig) -> dict[str, Any]:
    """Return the arguments of `open_source` for the backbone of an extraction."""
    options = {"source": config.backbone, "seed": config.seed}
    options |= {name: getattr(config, name) for name in ("class_label", "prompt", "upsample")}
    return {name: value for name, value in options.items() if value is not None}


def default_path(scene: Scene, prepared: Prepared) -> Path:
    """Return the path of a store in the cache folder. The store is named after scene, source of the features and key."""
    name = re.sub(r"[^\w.-]+", "-", f"{scene.name}-{prepared.extractor.source.name}").strip(".-")[:100]
    return cache_folder() / f"{name}-{prepared.recipe.key[:12]}.zarr"
