"""Preparing an extraction: everything about it is settled, and nothing is written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from math import gcd
from pathlib import Path

from hsifeat.backbones.device import pick_device
from hsifeat.backbones.plugins import check_backbone
from hsifeat.backbones.protocol import Backbone
from hsifeat.cache import catalogue
from hsifeat.errors import HsifeatError, StoreError
from hsifeat.extraction.auto_timesteps import choose_timesteps
from hsifeat.extraction.chosen import choose, chosen_pixels, open_chosen
from hsifeat.extraction.config import Pattern
from hsifeat.extraction.given import check_types
from hsifeat.extraction.job import Job, settle_on
from hsifeat.extraction.layers import strides_of
from hsifeat.extraction.model_input import make_model_input
from hsifeat.extraction.noise.policy import parse_noise
from hsifeat.extraction.runner import Extractor
from hsifeat.extraction.tiling.pixel_list import PixelsLike
from hsifeat.extraction.tiling.tiling import make_tiling
from hsifeat.files import cache_folder
from hsifeat.projection import Projection
from hsifeat.runtime.events import Listener, silent
from hsifeat.scenes import Scene, open_scene
from hsifeat.store.layout import PlaneSpec
from hsifeat.store.location import Location, as_location
from hsifeat.store.recipe import ALGORITHM, PrecisionPart, ProjectionPart, Recipe
from hsifeat.store.store import Store
from hsifeat.timesteps.proposal import parse_auto
from hsifeat.types import PlaneId

_BATCH = 16


def prepare(
    scene: Scene | str | Path,
    *,
    backbone: Backbone | str | Path | None = None,
    preset: str | Path | None = None,
    like: str | Path | Store | None = None,
    timesteps: Sequence[int] | str | None = None,
    layers: Sequence[str] | None = None,
    projection: str | Projection | None = None,
    tile: int | None = None,
    halo: int | None = None,
    stitch: str | None = None,
    padding: str | None = None,
    origin: tuple[int, int] | None = None,
    pixels: PixelsLike | None = None,
    noise: str | None = None,
    draws: int | None = None,
    seed: int | None = None,
    companion: bool | None = None,
    class_label: int | str | None = None,
    prompt: str | None = None,
    upsample: int | None = None,
    dtype: str | None = None,
    out: str | Path | Location | None = None,
    device: str = "auto",
    batch: int | None = None,
    listen: Listener = silent,
) -> Job:
    """Settle an extraction without writing anything.

    Parameters
    ----------
    scene, backbone
        As `extract` takes them.
    preset : str or Path, optional
        A published extraction by name, or a ``.toml`` file, see `hsifeat.presets`: whatever is not given is chosen as
        it says.
    like : str, Path or Store, optional
        A store as `open_features` takes it: whatever is not given is chosen as it was there, its fitted projection
        included.
    timesteps : sequence of int or str, optional
        Training timesteps; by default 0, 50, 100, 200 and 400. ``auto:5`` takes the 5 that are worth caching, see
        `rank_timesteps`: the same ones each time, for the same scene, backbone and seed.
    layers : sequence of str, optional
        Names or aliases of taps; by default the middle block and every decoder block.
    projection : str or Projection, optional
        As `fit_projection` takes it, or a fitted one; by default the one that the backbone was trained behind, else
        ``rgb`` for three channels and ``pca:N`` for others.
    tile, halo : int, optional
        Side of a tile and width of the frame around its core, in pixels; by default 64 and 16. Neighbouring tiles
        overlap by two halos.
    stitch : {"core", "mean", "hann", "whole"}, optional
        Keep each tile's core, blend whole tiles, or see the scene at once, see `Tiling`; by default core.
    padding : {"reflect", "zero"}, optional
        What lies beyond the scene's edge, see `ModelInput`; by default reflect.
    origin : tuple of 2 ints, optional
        Row and column of the first tile's corner; by default the halo's width above and left of the scene.
    pixels : str, Labels, tuple of two arrays or (n, 2) array, optional
        See each of these pixels in a window of its own, `tile` pixels wide, instead of tiles that cover the scene, and keep
        the value at the pixel and the mean over the window. See `list_pixels`; ``"ground-truth"`` takes the labelled pixels
        of that label map, a tuple gives rows and columns.
    noise : str, optional
        Noise policy: ``field``, ``shared``, ``none``, ``inversion:N`` or one of an installed package; by default field.
    draws : int, optional
        Over how many draws of the noise taps are averaged; by default 1.
    seed : int, optional
        Seed of the noise, and of fresh weights where the backbone is ``untrained:…``; by default 0.
    companion : bool, optional
        Show the scene's companion image instead of its bands; by default not. Tile, halo and strides count pixels of
        the scene all the same.
    class_label : int or "mean", optional
        Fixed label for a class-conditional backbone, or the mean of all.
    prompt : str, optional
        Text for a backbone that takes one.
    upsample : int, optional
        How many times a latent backbone enlarges tiles before it encodes them.
    dtype : {"float16", "float32"}, optional
        What is stored; by default float16.
    out : str, Path or Place, optional
        The store: a path, or the address of an object store; by default a folder in the cache, named after scene,
        backbone and key.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    batch : int, optional
        Most tiles in a forward; by default what the store was begun with, else 16.
    listen : callable
        Gets events while timesteps are chosen.

    Returns
    -------
    Job
    """
    budget = parse_auto(timesteps)
    given = check_types({
        "timesteps": timesteps if budget is None else None, "layers": layers, "projection": projection, "tile": tile, "halo": halo,
        "stitch": stitch, "padding": padding, "origin": origin, "pixels": pixels, "noise": noise, "draws": draws, "seed": seed,
        "companion": companion, "class_label": class_label, "prompt": prompt, "upsample": upsample, "dtype": dtype, "batch": batch,
    })  # fmt: skip
    if preset is not None and like is not None:
        raise HsifeatError("a preset and a store to be like are two answers to one question: leave one of them out")
    if like is not None and not isinstance(like, Store):
        like = Store.open(catalogue.find_store(like))
    chosen = choose(preset, like, given)
    budget = parse_auto(chosen.timesteps) if timesteps is None else budget
    if not isinstance(scene, Scene):
        scene = open_scene(scene)
    listed = chosen_pixels(chosen, scene, like, given=pixels is not None)
    backbone = backbone or chosen.backbone
    if backbone is None:
        raise HsifeatError(
            "no backbone asked for: name one with --backbone (hsifeat backbones lists what can be named)"
            if like is None
            else f"{like.location} does not say where its backbone lies: name it with --backbone"
        )
    if isinstance(backbone, str | Path):
        backbone = open_chosen(backbone, chosen, preset, like)
    check_backbone(backbone, "the backbone")
    sight = make_model_input(scene, backbone, chosen.projection, companion=chosen.companion, padding=chosen.padding)
    if budget is not None:
        automatic = choose_timesteps(budget, sight, backbone, chosen, device=device, listen=listen)
        chosen = replace(chosen, timesteps=automatic)
    wanted = tuple(sorted({int(t) for t in chosen.timesteps}))
    backbone.schedule.check(wanted)
    noise_policy = parse_noise(chosen.noise, backbone.schedule, seed=chosen.seed, draws=chosen.draws)
    noise_policy.check(wanted)
    strides = strides_of(backbone, chosen.layers, sight.factor)
    coarsest = max(tap.stride for tap in backbone.taps)
    tiling = make_tiling(
        (scene.rows, scene.cols),
        listed,
        tile_px=chosen.tile,
        halo_px=chosen.halo,
        multiple=coarsest // gcd(coarsest, sight.factor),
        stitch=chosen.stitch,
        origin=chosen.origin,
    )
    tiling.check(strides, noise_policy, backbone, sight.factor)
    extractor = Extractor(
        scene=scene,
        model_input=sight,
        backbone=backbone,
        tiling=tiling,
        noise=noise_policy,
        batch=chosen.batch or _BATCH,
        device=pick_device(device),
        pooled={tap.name: sight.factor // tap.stride for tap in strides if tap.stride < sight.factor},
    )
    settled = _recipe(extractor, chosen)
    location = as_location(_usual_path(scene, backbone, settled) if out is None else out)
    planes = [
        PlaneSpec(PlaneId(t, tap.name), stride, tap.channels, chosen.dtype)
        for t in wanted
        for tap, stride in strides.items()
    ]
    job = settle_on(location, extractor, settled, planes)
    if batch is not None and batch != job.extractor.batch:
        raise StoreError(
            f"{location} was begun with batches of {job.extractor.batch}; going on with {batch} would change the last bits: "
            "leave out --batch, or name another store with --out"
        )
    return job


def _recipe(extractor: Extractor, chosen: Pattern) -> Recipe:
    """Say all that decides the values."""
    scene, sight, tiling = extractor.scene, extractor.model_input, extractor.tiling
    return Recipe(
        algorithm=ALGORITHM,
        scene=scene.digest,
        projection=ProjectionPart(spec=sight.projection.spec, digest=sight.projection.digest),
        backbone=extractor.backbone.identity(),
        tiling=tiling.part(chosen.padding, scene.valid),
        noise=extractor.noise.part(),
        precision=PrecisionPart(compute="float32", stored=chosen.dtype),  # type: ignore[arg-type]
        companion=sight.companion_part() if chosen.companion else None,
        pixels=None if tiling.pixels is None else tiling.pixels.part(),
    )


def _usual_path(scene: Scene, backbone: Backbone, recipe: Recipe) -> Path:
    name = re.sub(r"[^\w.-]+", "-", f"{scene.name}-{backbone.name}").strip(".-")[:100]
    return cache_folder() / f"{name}-{recipe.key[:12]}.zarr"
