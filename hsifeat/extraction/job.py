"""A job: everything about an extraction settled, and nothing written yet."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd
from pathlib import Path

import numpy as np

from hsifeat.cache import catalogue
from hsifeat.cache.grid import PlaneSpec
from hsifeat.cache.place import LocalPlace, Place, place_of
from hsifeat.cache.recipe import (
    ALGORITHM,
    NoisePart,
    PrecisionPart,
    ProjectionPart,
    Recipe,
    TilingPart,
    differences,
)
from hsifeat.cache.store import Store
from hsifeat.diffusion.backbone import Backbone
from hsifeat.diffusion.device import pick_device
from hsifeat.diffusion.entries import check_members
from hsifeat.diffusion.open import open_backbone
from hsifeat.diffusion.taps import find_taps, is_block
from hsifeat.errors import BackboneError, HsifeatError, RecipeMismatchError, StoreError
from hsifeat.extraction.given import check_types
from hsifeat.extraction.noising import parse_noising
from hsifeat.extraction.pattern import Pattern, pattern_of
from hsifeat.extraction.plan import Plan, make_plan, unit_side
from hsifeat.extraction.runner import Extractor
from hsifeat.extraction.sight import companion_part, look
from hsifeat.extraction.tiles import Tiling, cut
from hsifeat.projection import Projection
from hsifeat.recipes import open_recipe
from hsifeat.scenes import Scene, open_scene
from hsifeat.types import PlaneId, Tap

_BATCH = 16


@dataclass(frozen=True)
class Job:
    """A settled extraction: what will be done, and where. Nothing has been written yet.

    Attributes
    ----------
    extractor : Extractor
        Turns units into planes.
    plan : Plan
        What is missing.
    recipe : Recipe
        What decides the values.
    place : Place
        Where the store is, or will be made.
    store : Store or None
        The store, if it is there.
    """

    extractor: Extractor
    plan: Plan
    recipe: Recipe
    place: Place
    store: Store | None

    def again(self) -> Job:
        """Settle the same once more: another process may have made the store, or parts of it, since."""
        return _settle(self.extractor, self.recipe, self.place, self.plan.planes)

    @property
    def intention(self) -> str:
        """Say what was found and what will be done."""
        plan, extractor = self.plan, self.extractor
        unfinished = {plane.id for step in plan.steps for plane in step.planes}
        found = (
            f"{len(plan.planes) - len(unfinished)} of {len(plan.planes)} planes are there"
            if self.store
            else "new store"
        )
        return (
            f"{self.place}: {found}; {plan.passes} of {plan.all_passes} passes to do, at most {_gb(self.needed_bytes)}; "
            f"{extractor.backbone.name} through {extractor.sight.projection.spec} on {extractor.device}"
        )

    @property
    def needed_bytes(self) -> int:
        """Most bytes that the run will add to the disk: missing planes, and the scene if the store is new."""
        scene = self.extractor.scene
        copied = 0 if self.store else scene.rows * scene.cols * (scene.bands * np.dtype(scene.cube.dtype).itemsize + 1)
        return self.plan.missing_bytes + copied

    def check_disk(self) -> None:
        """Raise `StoreError` if the disk can't hold what will be written."""
        if not isinstance(self.place, LocalPlace):
            return
        folder = next(p for p in (self.place.path, *self.place.path.parents) if p.exists())
        free = shutil.disk_usage(folder).free
        if free < self.needed_bytes:
            raise StoreError(
                f"the run writes up to {_gb(self.needed_bytes)} to {self.place}, but only {_gb(free)} are free there: "
                "free some space, ask for fewer planes, or name another place with --out"
            )


def prepare(
    scene: Scene | str | Path,
    *,
    backbone: Backbone | str | Path | None = None,
    recipe: str | Path | None = None,
    like: str | Path | Store | None = None,
    timesteps: Sequence[int] | None = None,
    layers: Sequence[str] | None = None,
    projection: str | Projection | None = None,
    tile: int | None = None,
    context: int | None = None,
    stitch: str | None = None,
    padding: str | None = None,
    origin: tuple[int, int] | None = None,
    noise: str | None = None,
    draws: int | None = None,
    seed: int | None = None,
    companion: bool | None = None,
    class_label: int | str | None = None,
    prompt: str | None = None,
    upsample: int | None = None,
    dtype: str | None = None,
    out: str | Path | Place | None = None,
    device: str = "auto",
    batch: int | None = None,
) -> Job:
    """Settle an extraction without writing anything.

    Parameters
    ----------
    scene, backbone
        As `extract` takes them.
    recipe : str or Path, optional
        A published extraction by name, or a ``.toml`` file, see `hsifeat.recipes`: whatever is not given is chosen as
        it says.
    like : str, Path or Store, optional
        A store as `open_features` takes it: whatever is not given is chosen as it was there, its fitted projection
        included.
    timesteps : sequence of int, optional
        Training timesteps; by default 0, 50, 100, 200 and 400.
    layers : sequence of str, optional
        Names or aliases of taps; by default the middle block and every decoder block.
    projection : str or Projection, optional
        As `fit_projection` takes it, or a fitted one; by default the one that the backbone was trained behind, else
        ``rgb`` for three channels and ``pca:N`` for others.
    tile, context : int, optional
        Side of a tile and width of the frame around its core, in pixels; by default 64 and 16. Neighbouring tiles
        overlap by two contexts.
    stitch : {"core", "mean", "hann", "whole"}, optional
        Keep each tile's core, blend whole tiles, or see the scene at once, see `Tiling`; by default core.
    padding : {"reflect", "zero"}, optional
        What lies beyond the scene's edge, see `Sight`; by default reflect.
    origin : tuple of 2 ints, optional
        Row and column of the first tile's corner; by default the context's width above and left of the scene.
    noise : str, optional
        ``field``, ``shared``, ``none`` or ``inversion:N``, see `Noising`; by default field.
    draws : int, optional
        Over how many draws of the noise taps are averaged; by default 1.
    seed : int, optional
        Seed of the noise, and of fresh weights where the backbone is ``untrained:…``; by default 0.
    companion : bool, optional
        Show the scene's companion image instead of its bands; by default not. Tile, context and strides count pixels of
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

    Returns
    -------
    Job
    """
    given = check_types({
        "timesteps": timesteps, "layers": layers, "projection": projection, "tile": tile, "context": context,
        "stitch": stitch, "padding": padding, "origin": origin, "noise": noise, "draws": draws, "seed": seed,
        "companion": companion, "class_label": class_label, "prompt": prompt, "upsample": upsample, "dtype": dtype, "batch": batch,
    })  # fmt: skip
    if recipe is not None and like is not None:
        raise HsifeatError("a recipe and a store to be like are two answers to one question: leave one of them out")
    if like is not None and not isinstance(like, Store):
        like = Store.open(catalogue.find_store(like))
    usual = _usual(recipe, like)
    chosen = replace(usual, **given)
    _check(chosen)
    if chosen.stitch == "whole" and origin is None:
        chosen = replace(chosen, origin=None)  # that of a recipe plays no part then
    if chosen.stitch == "whole" and not (tile is None and context is None):
        raise HsifeatError("tile and context play no part where the whole scene is seen at once: leave them out")
    if not isinstance(scene, Scene):
        scene = open_scene(scene)
    backbone = backbone or chosen.backbone
    if backbone is None:
        raise HsifeatError(
            "no backbone asked for: name one with --backbone (hsifeat backbones lists what can be named)"
            if like is None
            else f"{like.place} does not say where its backbone lies: name it with --backbone"
        )
    if isinstance(backbone, str | Path):
        backbone = _open(backbone, chosen, recipe, like)
    check_members(backbone, "the backbone")
    wanted = tuple(sorted(set(chosen.timesteps)))
    backbone.schedule.check(wanted)
    sight = look(scene, backbone, chosen.projection, companion=chosen.companion, padding=chosen.padding)
    noising = parse_noising(chosen.noise, chosen.seed, chosen.draws, backbone.schedule, wanted)
    grids = _grids(backbone, chosen.layers, sight.factor)
    coarsest = max(tap.stride for tap in backbone.taps)
    tiling = cut(
        (scene.rows, scene.cols),
        tile_px=chosen.tile,
        context_px=chosen.context,
        multiple=coarsest // gcd(coarsest, sight.factor),
        stitch=chosen.stitch,
        origin=chosen.origin,
    )
    _check_origin(tiling, grids, backbone, sight.factor)
    whole = chosen.stitch == "whole"
    settled = Recipe(
        algorithm=ALGORITHM,
        scene=scene.digest,
        projection=ProjectionPart(spec=sight.projection.spec, digest=sight.projection.digest),
        backbone=backbone.identity(),
        tiling=TilingPart(
            tile_px=0 if whole else chosen.tile,
            context_px=0 if whole else chosen.context,
            stitch=chosen.stitch,  # type: ignore[arg-type]
            padding=chosen.padding,  # type: ignore[arg-type]
            masked="zero" if tiling.masks(scene.valid) else "computed",
            origin=chosen.origin,
        ),
        noise=NoisePart(
            policy=noising.policy,  # type: ignore[arg-type]
            seed=chosen.seed,
            draws=noising.draws,
            steps=len(noising.steps),
        ),
        precision=PrecisionPart(compute="float32", stored=chosen.dtype),  # type: ignore[arg-type]
        companion=companion_part(sight) if chosen.companion else None,
    )
    place = place_of(_usual_path(scene, backbone, settled) if out is None else out)
    extractor = Extractor(
        scene=scene,
        sight=sight,
        backbone=backbone,
        tiling=tiling,
        noising=noising,
        batch=chosen.batch or _BATCH,
        device=pick_device(device),
        pooled={tap.name: sight.factor // tap.stride for tap in grids if tap.stride < sight.factor},
    )
    planes = [
        PlaneSpec(PlaneId(t, tap.name), stride, tap.channels, chosen.dtype)
        for t in wanted
        for tap, stride in grids.items()
    ]
    job = _settle(extractor, settled, place, planes)
    if batch is not None and batch != job.extractor.batch:
        raise StoreError(
            f"{place} was begun with batches of {job.extractor.batch}; going on with {batch} would change the last bits: "
            "leave out --batch, or name another store with --out"
        )
    return job


def _usual(recipe: str | Path | None, like: Store | None) -> Pattern:
    """Return what is chosen where nothing is given."""
    if recipe is not None:
        return Pattern(**open_recipe(recipe).options)
    return Pattern() if like is None else pattern_of(like)


def _open(backbone: str | Path, chosen: Pattern, recipe: str | Path | None, like: Store | None) -> Backbone:
    """Open a backbone with what is chosen for it; what goes wrong says where the choice came from."""
    asked = {"class_label": chosen.class_label, "prompt": chosen.prompt, "upsample": chosen.upsample}
    given = {name: value for name, value in asked.items() if value is not None}
    try:
        return open_backbone(backbone, seed=chosen.seed, **given)  # type: ignore[arg-type]
    except BackboneError as error:
        if like is not None and backbone == chosen.backbone:
            raise BackboneError(
                f"{like.place} was made with the backbone {backbone}, which can't be opened now ({error}): "
                "name it with --backbone"
            ) from error
        if recipe is None and like is None:
            raise
        source = f"the recipe {recipe}" if like is None else f"{like.place}, which this is to be like,"
        wanted = ", ".join(f"{name} {value!r}" for name, value in {"backbone": chosen.backbone, **given}.items())
        raise BackboneError(f"{error} ({source} asks for {wanted}: name a backbone of that kind)") from error


def _check(chosen: Pattern) -> None:
    if chosen.dtype not in {"float16", "float32"}:
        raise HsifeatError(f"planes are stored as float16 or float32; found {chosen.dtype!r}")
    if chosen.batch is not None and chosen.batch < 1:
        raise HsifeatError(f"a batch has at least one tile; found {chosen.batch}")
    if not chosen.timesteps or (chosen.layers is not None and not chosen.layers):
        raise HsifeatError(f"no {'layer' if chosen.timesteps else 'timestep'} asked for")
    if not 0 <= chosen.seed < 2**32:
        raise HsifeatError(f"a seed lies between 0 and {2**32 - 1}; found {chosen.seed}")


def _settle(extractor: Extractor, recipe: Recipe, place: Place, planes: Sequence[PlaneSpec]) -> Job:
    """Look at what the store holds by now, and plan what it lacks; a store keeps the batch and the units that it was begun with."""
    store = _existing(place, recipe)
    unit_px = unit_side(extractor.tiling)
    if store is not None:
        extractor, unit_px = replace(extractor, batch=store.manifest.batch), store.manifest.unit_px
    plan = make_plan(
        extractor.scene.valid, extractor.tiling, unit_px, planes, extractor.noising, store.done if store else None
    )
    return Job(extractor, plan, recipe, place, store)


def _default_taps(taps: Sequence[Tap]) -> list[Tap]:
    """Return the middle block and every decoder block, or, in a network without such names, all blocks."""
    named = [t for t in taps if t.name == "mid_block" or (t.name.startswith("up_blocks.") and t.name.count(".") == 1)]
    return named or [t for t in taps if is_block(t.name)]


def _grids(backbone: Backbone, layers: Sequence[str] | None, factor: int) -> dict[Tap, int]:
    """Return the taps asked for with their planes' strides in pixels of the scene.

    A tap's stride counts pixels of the image that the model is shown. Where that is finer than the scene by a factor, the
    stride is a multiple of it, or divides it: such a layer is averaged over each of the scene's pixels.
    """
    taps = _default_taps(backbone.taps) if layers is None else find_taps(backbone.taps, layers)
    grids = {tap: max(tap.stride // factor, 1) for tap in taps if tap.stride % factor == 0 or factor % tap.stride == 0}
    lost = [tap for tap in taps if tap not in grids]
    if lost and (layers is not None or not grids):
        raise BackboneError(
            f"the layer {lost[0].name} has a cell every {lost[0].stride} pixels of the companion image, of which {factor} make "
            "one of the scene's: one of both numbers must divide the other; hsifeat layers BACKBONE lists others"
        )
    return grids


def _check_origin(tiling: Tiling, grids: Mapping[Tap, int], backbone: Backbone, factor: int) -> None:
    """Raise `HsifeatError` unless tiles begin where cells of all planes, and of what is noised, begin."""
    for tap, stride in grids.items():
        if any(corner % stride for corner in tiling.first):
            nearest = ",".join(str(-(-corner // stride) * stride) for corner in tiling.first)
            raise HsifeatError(
                f"tiles that begin at {','.join(map(str, tiling.first))} cut cells of {tap.name} in two, which has one every "
                f"{stride} px: give multiples of that, such as {nearest}"
            )
    if any((factor * n / backbone.noised_px).denominator != 1 for n in (*tiling.first, *tiling.step, *tiling.tile)):
        raise HsifeatError(
            f"tiles must begin at multiples of {backbone.noised_px} px, where {backbone.name} has a cell of what it noises"
        )


def _usual_path(scene: Scene, backbone: Backbone, recipe: Recipe) -> Path:
    name = re.sub(r"[^\w.-]+", "-", f"{scene.name}-{backbone.name}").strip(".-")[:100]
    return catalogue.cache_folder() / f"{name}-{recipe.key[:12]}.zarr"


def _existing(place: Place, recipe: Recipe) -> Store | None:
    store = Store.find(place)
    if store is not None and store.key != recipe.key:
        raise RecipeMismatchError(mismatch(store, recipe) + "\nname another store with --out")
    return store


def mismatch(store: Store, recipe: Recipe) -> str:
    """Say side by side in what a store's recipe differs from another."""
    rows = [f"  {n}: {_brief(a)} -> {_brief(b)}" for n, a, b in differences(store.manifest.recipe, recipe.canonical())]
    return f"{store.place} holds planes of another recipe (there -> asked for):\n" + "\n".join(rows)


def _brief(value: object) -> str:
    text = str(value)
    return text if len(text) <= 24 else text[:20] + "…"


def _gb(size: int) -> str:
    return f"{size / 1e9:.3g} GB"
