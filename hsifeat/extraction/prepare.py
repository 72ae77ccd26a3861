"""Prepare an extraction: open the scene and backbone, fit the projection, and derive the tiling and the recipe."""

from __future__ import annotations

import re
from math import gcd
from pathlib import Path
from typing import Any

from hsifeat.backbones.device import pick_device
from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.backbones.plugins import check_backbone
from hsifeat.backbones.protocol import Backbone
from hsifeat.errors import BackboneError, HsifeatError
from hsifeat.extraction.auto_timesteps import choose_timesteps
from hsifeat.extraction.config import DEFAULT_BATCH, ExtractionConfig
from hsifeat.extraction.job import Job
from hsifeat.extraction.layers import plane_strides
from hsifeat.extraction.model_input import make_model_input
from hsifeat.extraction.noise.policy import parse_noise
from hsifeat.extraction.runner import Extractor
from hsifeat.extraction.stored_config import StoredPixels
from hsifeat.extraction.tiling.pixel_list import PixelList, list_pixels
from hsifeat.extraction.tiling.tiling import make_tiling
from hsifeat.files import cache_folder
from hsifeat.runtime.events import Listener, silent
from hsifeat.scenes import Scene, open_scene
from hsifeat.store.layout import PlaneSpec
from hsifeat.store.location import Location, as_location
from hsifeat.store.recipe import ALGORITHM, ProjectionPart, Recipe
from hsifeat.types import PlaneId


def prepare(
    scene: Scene | str | Path,
    config: ExtractionConfig | None = None,
    *,
    out: str | Path | Location | None = None,
    device: str = "auto",
    listen: Listener = silent,
) -> Job:
    """Prepare an extraction without writing anything.

    Parameters
    ----------
    scene : Scene, str or Path
        A scene, or the path or name of a scene as `open_scene` takes it.
    config : ExtractionConfig, optional
        Options of the extraction, which `hsifeat.extract` describes.
    out : str, Path or Location, optional
        Path or URL of the store. [default: a folder in the cache, named after the scene, the backbone and the key]
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    listen : callable
        Receives progress events when timesteps are chosen automatically (``auto:N``).

    Returns
    -------
    Job
        The prepared extraction, which `run` executes.

    Raises
    ------
    HsifeatError
        If the scene or backbone can't be opened, or an option is wrong, has no effect, or does not fit the scene or the
        backbone.

    Examples
    --------
    >>> import numpy as np
    >>> import hsifeat
    >>> scene = hsifeat.Scene("small", np.ones((64, 64, 12), np.float32))
    >>> hsifeat.prepare(scene, hsifeat.ExtractionConfig(tile=32))
    Traceback (most recent call last):
    hsifeat.errors.HsifeatError: no backbone: name one with --backbone (hsifeat backbones lists them)
    """
    config = config or ExtractionConfig()
    config.check_conflicts()
    if not isinstance(scene, Scene):
        scene = open_scene(scene)
    pixels = _pixels(config, scene)
    backbone = _backbone(config)
    model_input = make_model_input(
        scene, backbone, config.projection, companion=config.companion, padding=config.padding
    )
    noise = parse_noise(config.noise, backbone.schedule, seed=config.seed, draws=config.draws)
    timesteps = config.timesteps
    if isinstance(timesteps, str):
        count = int(timesteps.removeprefix("auto:"))
        timesteps = choose_timesteps(count, model_input, backbone, noise, device=device, listen=listen)
    timesteps = tuple(sorted(set(timesteps)))
    backbone.schedule.check(timesteps)
    noise.check(timesteps)
    config = config.with_values(timesteps=timesteps, noise=noise.spec)
    if config.origin == (-config.halo, -config.halo):  # The default origin has the same recipe if it is set explicitly.
        config = config.with_values(origin=None)
    strides = plane_strides(backbone, config.layers, model_input.factor)
    coarsest_px = max(tap.stride for tap in backbone.taps)
    tiling = make_tiling(
        (scene.rows, scene.cols),
        pixels,
        tile_px=config.tile,
        halo_px=config.halo,
        multiple=coarsest_px // gcd(coarsest_px, model_input.factor),
        stitch=config.stitch,
        origin=None if "origin" in config.unused_options() else config.origin,
    )
    tiling.check(strides, noise, backbone, model_input.factor)
    extractor = Extractor(
        scene=scene,
        model_input=model_input,
        backbone=backbone,
        tiling=tiling,
        noise=noise,
        batch=config.batch if isinstance(config.batch, int) else DEFAULT_BATCH,
        device=pick_device(device),
        pooled={tap.name: model_input.factor // tap.stride for tap in strides if tap.stride < model_input.factor},
    )
    recipe = _recipe(extractor, config)
    planes = tuple(
        PlaneSpec(PlaneId(t, tap.name), stride, tap.channels, config.dtype)
        for t in timesteps
        for tap, stride in strides.items()
    )
    location = as_location(_default_path(scene, backbone, recipe) if out is None else out)
    return Job(config, extractor, planes, recipe, location)


def _pixels(config: ExtractionConfig, scene: Scene) -> PixelList | None:
    """Return the pixels at which to extract features; None if tiles cover the scene."""
    pixels: Any = config.pixels
    if pixels is None:
        return None
    if isinstance(pixels, StoredPixels):
        if pixels.scene_digest != scene.digest:
            raise HsifeatError(
                f"{pixels.store} lists pixels of another scene than {scene.name}: set the pixels of {scene.name} with --pixels"
            )
        pixels = (pixels.rows, pixels.cols)
    return list_pixels(pixels, scene)


def _backbone(config: ExtractionConfig) -> Backbone:
    """Open the backbone of an extraction.

    If opening fails, the error message lists the backbone options that come from a preset or a store.
    """
    if config.backbone is None:
        missing = (
            f"{config.inherited_from} does not say where its backbone is" if config.inherited_from else "no backbone"
        )
        raise HsifeatError(f"{missing}: name one with --backbone (hsifeat backbones lists them)")
    backbone = config.backbone
    if isinstance(backbone, str | Path):
        options = backbone_options(config)
        try:
            backbone = open_backbone(**options)
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
    check_backbone(backbone, "the backbone")
    return backbone


def backbone_options(config: ExtractionConfig) -> dict[str, Any]:
    """Return the arguments of `open_backbone` for the backbone of an extraction."""
    options = {"source": config.backbone, "seed": config.seed}
    options |= {name: getattr(config, name) for name in ("class_label", "prompt", "upsample")}
    return {name: value for name, value in options.items() if value is not None}


def _recipe(extractor: Extractor, config: ExtractionConfig) -> Recipe:
    """Return the recipe of an extraction, with its options and the digests of its scene, projection and backbone."""
    tiling, model_input = extractor.tiling, extractor.model_input
    sections = config.recipe_fields()
    # Cells that are covered only by tiles without a valid pixel are 0 if these tiles are skipped, else computed.
    sections["tiling"]["masked"] = "zero" if tiling.skips_tiles(extractor.scene.valid) else "computed"
    sections["precision"]["compute"] = "float32"
    return Recipe(
        algorithm=ALGORITHM,
        scene=extractor.scene.digest,
        projection=ProjectionPart(spec=model_input.projection.spec, digest=model_input.projection.digest),
        backbone=extractor.backbone.identity(),
        companion=model_input.companion_part() if config.companion else None,
        pixels=None if tiling.pixels is None else tiling.pixels.part(),
        **sections,
    )


def _default_path(scene: Scene, backbone: Backbone, recipe: Recipe) -> Path:
    name = re.sub(r"[^\w.-]+", "-", f"{scene.name}-{backbone.name}").strip(".-")[:100]
    return cache_folder() / f"{name}-{recipe.key[:12]}.zarr"
