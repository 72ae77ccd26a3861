"""Ranking a scene's timesteps from the outside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hsifeat.backbones.device import pick_device
from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.backbones.plugins import check_backbone
from hsifeat.backbones.protocol import Backbone
from hsifeat.backbones.schedule import NoiseSchedule, schedule_from_config
from hsifeat.errors import HsifeatError, StoreError
from hsifeat.features.features import Features, open_features
from hsifeat.projection import Projection, fit_projection
from hsifeat.projection.default import default_projection
from hsifeat.projection.image import SpectralImage
from hsifeat.runtime.events import Listener, Note, silent
from hsifeat.scenes import open_scene
from hsifeat.timesteps.angles import Angles, spectral_angles
from hsifeat.timesteps.correlation import Correlation, correlate_planes
from hsifeat.timesteps.denoiser import OptimalDenoiser, Similarity, similarity_map
from hsifeat.timesteps.proposal import check_budget, order_timesteps
from hsifeat.timesteps.result import TimestepRanking
from hsifeat.timesteps.scene_patches import sample_patches, sample_tiles, usual_patch_px
from hsifeat.timesteps.stages import best_intervals, name_intervals, three_stages

BUDGET, INTERVALS = 5, 3
# Parts of the training timesteps that are compared by default: 0, 25, … 975 of 1000.
_PARTS = 40
_PATCHES, _DRAWS, _TRIPLES = 4000, 512, 2048
# The paper's eta and alpha are in an appendix that could not be read; these are ours.
_TOLERANCE, _ALPHA = 0.05, 0.9
_TILES, _TILE_PX = 2, 64
_COMPONENTS = 10
# Below this many patches that share the posterior, on average, a timestep's optimal denoiser only looks patches up.
_COLLAPSED = 1.5


def rank_timesteps(
    scene: SpectralImage | str | Path,
    *,
    backbone: Backbone | str | Path | None = None,
    store: Features | str | Path | None = None,
    layer: str | None = None,
    budget: int = BUDGET,
    timesteps: Sequence[int] | None = None,
    projection: str | Projection | None = None,
    patch: int | None = None,
    intervals: int = INTERVALS,
    seed: int = 0,
    class_label: int | str | None = None,
    prompt: str | None = None,
    upsample: int | None = None,
    device: str = "auto",
    listen: Listener = silent,
) -> TimestepRanking:
    """Tell without labels which timesteps are worth caching.

    Parameters
    ----------
    scene : Scene, str or Path
        A scene, or what `open_scene` takes.
    backbone : Backbone, str or Path, optional
        A backbone, or what `open_backbone` takes. Without it there are no spectral angles, and the noise schedule is the
        cosine one with T = 1000.
    store : Features, str or Path, optional
        A store of this scene: the planes of a layer are compared, their timesteps alone, and the order goes by that.
    layer : str, optional
        Whose planes; by default the last of the store.
    budget : int
        How many timesteps are proposed.
    timesteps : sequence of int, optional
        Which are compared; by default the store's, or 40 spread evenly from 0 on.
    projection : str or Projection, optional
        As `fit_projection` takes it, or a fitted one; by default the one that the backbone was trained behind, else ``rgb``
        for three channels and ``pca:N`` for others, and ``pca:10`` without a backbone.
    patch : int, optional
        Side in pixels of the optimal denoiser's patches; by default 8, 4, 2 or 1: the largest with at most 16 numbers in a
        patch.
    intervals : int
        How many intervals the timesteps are cut into; at most one for each.
    seed : int
        Seed of patches, tiles and noise, and of fresh weights where the backbone is ``untrained:…``.
    class_label, prompt, upsample : optional
        As `open_backbone` takes them.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    listen : callable
        Gets events.

    Returns
    -------
    TimestepRanking

    Raises
    ------
    HsifeatError
        A budget of none or of more timesteps than are compared, a store of one timestep or of another scene, an unknown
        layer, or whatever is wrong with scene, backbone or projection.
    """
    if isinstance(scene, str | Path):
        scene = open_scene(scene)
    if isinstance(backbone, str | Path):
        given = {"class_label": class_label, "prompt": prompt, "upsample": upsample}
        kept = {name: value for name, value in given.items() if value is not None}
        backbone = open_backbone(backbone, seed=seed, **kept)  # type: ignore[arg-type]
    if backbone is not None:
        check_backbone(backbone, "the backbone")
    schedule = cosine() if backbone is None else backbone.schedule
    if layer is not None and store is None:
        raise HsifeatError(f"the layer {layer} is looked for in a store: name one with --store")
    planes = None if store is None else _planes(store, layer, scene, schedule, seed)
    compared = _compared(timesteps, planes, schedule)
    if planes is not None:
        chosen = [planes.timesteps.index(t) for t in compared]
        planes = Correlation(planes.layer, compared, planes.similarity[np.ix_(chosen, chosen)])
    check_budget(budget, len(compared))
    if intervals < 1:
        raise HsifeatError(f"timesteps are cut into 1 or more intervals; found {intervals}")
    fitted = _projection(scene, backbone, projection)
    px = usual_patch_px(fitted.channels) if patch is None else patch
    if px < 1:
        raise HsifeatError(f"a patch has a side of at least 1 pixel; found {px}")
    denoiser = OptimalDenoiser(sample_patches(scene, fitted, px, _PATCHES, seed), schedule.alphas_cumprod)
    ideal = similarity_map(denoiser, compared, tolerance=_TOLERANCE, draws=_DRAWS, seed=seed, listen=listen)
    stages = three_stages(denoiser, tolerance=_TOLERANCE, alpha=_ALPHA, draws=_TRIPLES, seed=seed)
    angles = None if backbone is None else _angles(scene, backbone, fitted, compared, seed, device, listen)
    redundancy = ideal.similarity if planes is None else planes.similarity
    order = order_timesteps(redundancy, angles)
    ranking = TimestepRanking(
        scene=scene.name,
        projection=fitted.spec,
        backbone=None if backbone is None else backbone.name,
        timesteps=compared,
        proposal=tuple(sorted(compared[index] for index in order.order[:budget])),
        order=order,
        denoiser=ideal,
        angles=angles,
        planes=planes,
        stages=stages,
        intervals=tuple(name_intervals(compared, best_intervals(redundancy, min(intervals, len(compared))))),
        patch_px=px,
        patches=len(denoiser.patches),
        notes=tuple(_notes(compared, ideal, angles, budget, order.resembles.sum(), px)),
    )
    for note in ranking.notes:
        listen(Note(note))
    return ranking


def cosine() -> NoiseSchedule:
    """Return the cosine schedule (Nichol & Dhariwal 2021, eq. 17) with T = 1000, as diffusers has it."""
    return schedule_from_config({"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 1000})


def _planes(
    store: Features | str | Path, layer: str | None, scene: SpectralImage, schedule: NoiseSchedule, seed: int
) -> Correlation:
    features = store if isinstance(store, Features) else open_features(store)
    if features.shape != (scene.rows, scene.cols, scene.bands):
        there, here = (" x ".join(map(str, shape)) for shape in (features.shape, (scene.rows, scene.cols, scene.bands)))
        raise StoreError(f"{features.name} is of a scene of {there} (rows, cols, bands); {scene.name} has {here}")
    if features.recipe["backbone"].get("schedule") != schedule.digest:
        raise StoreError(
            f"{features.name} was made with another noise schedule than the one looked at: name its model with --backbone"
        )
    return correlate_planes(features, layer, seed=seed)


def _compared(timesteps: Sequence[int] | None, planes: Correlation | None, schedule: NoiseSchedule) -> tuple[int, ...]:
    if timesteps is None and planes is not None:
        return planes.timesteps
    last = schedule.timesteps
    found = tuple(sorted(set(timesteps if timesteps is not None else range(0, last, max(last // _PARTS, 1)))))
    schedule.check(found)
    if planes is not None and (missing := [t for t in found if t not in planes.timesteps]):
        listed = ", ".join(map(str, planes.timesteps))
        raise StoreError(f"the store has no complete plane of {planes.layer} at t = {missing[0]}; it has {listed}")
    return found


def _projection(scene: SpectralImage, backbone: Backbone | None, asked: str | Projection | None) -> Projection:
    if backbone is not None:
        return default_projection(
            scene,
            asked,
            backbone=backbone.name,
            channels=backbone.channels,
            projection_file=backbone.projection_file,
        )
    if isinstance(asked, Projection):
        asked.check(scene)
        return asked
    return fit_projection(asked or f"pca:{min(_COMPONENTS, scene.bands)}", scene)


def _angles(
    scene: SpectralImage,
    backbone: Backbone,
    projection: Projection,
    timesteps: tuple[int, ...],
    seed: int,
    device: str,
    listen: Listener,
) -> Angles:
    coarsest = max(tap.stride for tap in backbone.taps)
    side = max(_TILE_PX // coarsest, 1) * coarsest
    tiles = sample_tiles(scene, projection, side, _TILES, seed)
    return spectral_angles(backbone, projection, tiles, timesteps, seed=seed, device=pick_device(device), listen=listen)


def _notes(
    timesteps: tuple[int, ...], ideal: Similarity, angles: Angles | None, budget: int, resembling: int, px: int
) -> list[str]:
    notes = []
    alone = [t for t, count in zip(timesteps, ideal.neighbours, strict=True) if count < _COLLAPSED]
    if len(alone) > 1:
        notes.append(
            f"up to t = {alone[-1]} the optimal denoiser only looks up the nearest of its {px}-px patches: there its map says "
            "nothing of a network, as the planes of a store do"
        )
    if angles is not None and angles.within != "bands":
        what = (
            "are of latents, which no spectrum can be made of"
            if angles.within == "latents"
            else "are of the projection's channels, since it cannot be undone"
        )
        notes.append(f"spectral angles {what}")
    if angles is not None and resembling < budget:
        notes.append(
            f"at {resembling} of {len(timesteps)} timesteps the model's estimate resembles the pixel, fewer than the budget of "
            f"{budget}: the others are those of the smallest angle"
        )
    return notes
