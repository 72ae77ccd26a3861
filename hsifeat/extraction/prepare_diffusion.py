"""Prepare the extraction of features from a network: derive the tiling, the noise policy and the recipe."""

from __future__ import annotations

from math import gcd
from typing import Any

from hsifeat.backbones.device import pick_device
from hsifeat.backbones.protocol import Backbone
from hsifeat.errors import HsifeatError
from hsifeat.extraction.auto_timesteps import choose_timesteps
from hsifeat.extraction.config import DEFAULT_TIMESTEPS, ExtractionConfig
from hsifeat.extraction.diffusion_extractor import DiffusionExtractor
from hsifeat.extraction.job import Prepared
from hsifeat.extraction.layers import check_computed, computed_taps, has_standard_names, plane_strides
from hsifeat.extraction.model_input import make_model_input
from hsifeat.extraction.noise.none import NoNoise
from hsifeat.extraction.noise.policy import parse_noise
from hsifeat.extraction.stored_config import StoredPixels
from hsifeat.extraction.tiling.pixel_list import PixelList, list_pixels
from hsifeat.extraction.tiling.tiling import make_tiling
from hsifeat.runtime.events import Listener, Note
from hsifeat.scenes import Scene
from hsifeat.store.plane_layout import PlaneSpec
from hsifeat.store.recipe import NETWORK_ALGORITHM, ProjectionPart, Recipe
from hsifeat.types import PlaneId


def prepare_diffusion(
    scene: Scene, backbone: Backbone, config: ExtractionConfig, *, device: str, listen: Listener
) -> Prepared:
    """Prepare the extraction of features from a network.

    Parameters
    ----------
    scene : Scene
        The scene.
    backbone : Backbone
        The diffusion model.
    config : ExtractionConfig
        Options of the extraction.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    listen : callable
        Receives progress events when timesteps are chosen automatically (``auto:N``).

    Returns
    -------
    Prepared
        Requested planes and recipe of the extraction.

    Raises
    ------
    HsifeatError
        If `config` sets an option without effect. If an option does not fit the scene or the backbone.
    """
    config.check_conflicts()
    if not backbone.schedule.has_noise:
        config = _without_noise(config, backbone, listen)
    pixels = _pixels(config, scene)
    model_input = make_model_input(
        scene, backbone, config.projection, companion=config.companion, padding=config.padding
    )
    noise = parse_noise(config.noise, backbone.schedule, seed=config.seed, draws=config.draws)
    timesteps = config.timesteps
    if isinstance(timesteps, str):
        count = int(timesteps.removeprefix("auto:"))
        timesteps = choose_timesteps(count, model_input, backbone, noise, device=device, listen=listen)
    elif timesteps == DEFAULT_TIMESTEPS and "timesteps" not in config.model_fields_set:
        timesteps = backbone.schedule.scale(timesteps)
    timesteps = tuple(sorted(set(timesteps)))
    backbone.schedule.check(timesteps)
    noise.check(timesteps)
    config = config.with_values(timesteps=timesteps, noise=noise.spec)
    if config.origin == (-config.halo, -config.halo):  # The default origin has the same recipe if it is set explicitly.
        config = config.with_values(origin=None)
    strides = plane_strides(backbone, config.layers, model_input.factor)
    if config.layers is None or "layers" not in config.model_fields_set:
        computed, note = computed_taps(list(strides), timesteps)
        strides = {tap: strides[tap] for tap in computed}
        if note:
            listen(Note(note))
    if config.layers is None and not has_standard_names(backbone.taps):
        names = ", ".join(tap.name for tap in strides)
        listen(Note(f"{len(strides)} of {len(backbone.taps)} layers by default: {names}; `layers` selects others"))
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
    extractor = DiffusionExtractor(
        scene=scene,
        model_input=model_input,
        backbone=backbone,
        tiling=tiling,
        noise=noise,
        tiles_per_batch=config.batch if isinstance(config.batch, int) else None,
        requested_device=device if device == "auto" else pick_device(device),
        pooled={tap.name: model_input.factor // tap.stride for tap in strides if tap.stride < model_input.factor},
    )
    recipe = _recipe(extractor, config)
    check_computed(strides, timesteps)
    planes = tuple(
        PlaneSpec(PlaneId(t, tap.name), stride, tap.channels, config.dtype)
        for t in timesteps
        for tap, stride in strides.items()
        if tap.runs_at(t)
    )
    return Prepared(config, extractor, planes, recipe)


def _without_noise(config: ExtractionConfig, backbone: Backbone, listen: Listener) -> ExtractionConfig:
    """Return the options for an encoder. Its images get no noise.

    An option that needs noise is an error. If the user replaces the backbone of a preset or store by an encoder, such
    options of the preset or store are not errors, and a note lists them.
    """
    if "noise" in config.model_fields_set and config.noise != NoNoise.name:
        raise HsifeatError(
            f"{backbone.name} is an encoder of clean images; found the noise {config.noise}: leave out `noise`"
        )
    if isinstance(config.timesteps, str):
        raise HsifeatError(
            f"{backbone.name} is an encoder of clean images, whose only timestep is 0: leave out `timesteps`"
        )
    because = f"the encoder {backbone.name}"
    config.refuse({"draws"}, because=because)
    needless = {"noise": config.noise != NoNoise.name, "draws": config.draws != 1}
    if names := [f"`{name}`" for name, unused in needless.items() if unused and name in config.inherited_fields]:
        if "backbone" not in config.model_fields_set:
            raise HsifeatError(f"{config.inherited_from}: no effect with {because}: {', '.join(names)}")
        listen(Note(f"no effect with {because}: {', '.join(names)} of {config.inherited_from}"))
    return config.with_values(noise=NoNoise.name, draws=1)


def _pixels(config: ExtractionConfig, scene: Scene) -> PixelList | None:
    """Return the pixels at which to extract features; None if tiles cover the scene."""
    pixels: Any = config.pixels
    if pixels is None:
        return None
    if isinstance(pixels, StoredPixels):
        if pixels.scene_digest != scene.digest:
            raise HsifeatError(
                f"{pixels.store} lists pixels of another scene than {scene.name}: set the pixels of {scene.name} with `pixels`"
            )
        pixels = (pixels.rows, pixels.cols)
    return list_pixels(pixels, scene)


def _recipe(extractor: DiffusionExtractor, config: ExtractionConfig) -> Recipe:
    tiling, model_input = extractor.tiling, extractor.model_input
    sections = config.recipe_fields()
    # Cells that are covered only by tiles without a valid pixel are 0 if these tiles are skipped, else computed.
    sections["tiling"]["masked"] = "skipped" if tiling.skips_tiles(extractor.scene.valid) else "computed"
    sections["precision"]["compute"] = "float32"
    return Recipe(
        algorithm=NETWORK_ALGORITHM,
        scene=extractor.scene.digest,
        projection=ProjectionPart(spec=model_input.projection.spec, digest=model_input.projection.digest),
        backbone=extractor.backbone.identity(),
        companion=model_input.companion_part() if config.companion else None,
        pixels=None if tiling.pixels is None else tiling.pixels.part(),
        **sections,
    )
