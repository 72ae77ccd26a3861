"""Rank the timesteps of a scene by the usefulness of their features. The ranking needs no labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hsifeat.backbones.device import pick_device
from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.backbones.plugins import check_backbone
from hsifeat.backbones.protocol import Backbone
from hsifeat.backbones.schedule import NoiseSchedule, schedule_from_config
from hsifeat.errors import HsifeatError, StoreError
from hsifeat.features.features import Features
from hsifeat.features.open_features import open_features
from hsifeat.presets import DEFAULT_BACKBONE, preset_options
from hsifeat.projection import Projection, fit_projection
from hsifeat.projection.default import default_projection, match_scene
from hsifeat.projection.fit import fit_leading_components
from hsifeat.projection.image import SpectralImage, check_spectral_image
from hsifeat.runtime.events import Listener, Note, check_listener, silent
from hsifeat.scenes import Scene, open_scene
from hsifeat.timesteps.angles import SpectralAngles, measure_angles
from hsifeat.timesteps.correlation import PlaneSimilarity, correlate_planes
from hsifeat.timesteps.optimal_denoiser import DenoiserSimilarity, OptimalDenoiser, similarity_map
from hsifeat.timesteps.proposal import check_budget, order_timesteps
from hsifeat.timesteps.result import TimestepRanking
from hsifeat.timesteps.scene_patches import default_patch_px, sample_patches, sample_tiles
from hsifeat.timesteps.stages import best_intervals, interval_timesteps, three_stages
from hsifeat.timesteps.studied_levels import studied_timesteps
from hsifeat.types import as_integers, check_integers

BUDGET, INTERVALS = 5, 3
# Default number of evenly spaced timesteps to compare, such as 0, 25, …, 975 of 1000.
_COMPARED = 40
_PATCHES, _DRAWS, _TRIPLES = 4000, 512, 2048
# Values of eta and alpha (Zhang et al., CVPR 2024). The appendix with the published values was not available to us.
_TOLERANCE, _ALPHA = 0.05, 0.9
_TILES, _TILE_PX = 2, 64
_COMPONENTS = 10
# If the effective number of patches is lower, the optimal denoiser only returns the nearest patch.
_MIN_NEIGHBOURS = 1.5


def rank_timesteps(
    scene: SpectralImage | str | Path,
    *,
    backbone: Backbone | str | Path | None = None,
    store: Features | str | Path | None = None,
    layer: str | None = None,
    budget: int | None = None,
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
    """Rank the timesteps of a scene by the usefulness of their features. The ranking needs no labels.

    The features of the first timesteps of the ranking represent the features of all timesteps. If `store` is set, the
    features of a layer in the store are compared between timesteps. Otherwise, the predictions of an optimal denoiser for
    patches of the scene are compared. `order_timesteps` ranks the timesteps by these comparisons.

    Parameters
    ----------
    scene : Scene, SpectralImage, str or Path
        A scene, or a path or name that `open_scene` accepts.
    backbone : Backbone, str or Path, optional
        A diffusion model, or a path or name that `open_backbone` accepts. The spectral angles of its estimates are
        measured. If None, no angles are measured, and the noise schedule is the cosine schedule with T = 1000.
    store : Features, str or Path, optional
        Feature store that was made from `scene`. The features in this store are compared.
    layer : str, optional
        Layer whose features in the store are compared. [default: the last layer of the store]
    budget : int, optional
        Number of timesteps to propose. [default: 5, or all compared timesteps if there are fewer]
    timesteps : sequence of int, optional
        Training timesteps to compare. If None, these are the timesteps of the store. Without a store, these are 40 evenly
        spaced timesteps from 0.
    projection : str or Projection, optional
        A fitted projection, or a text that `fit_projection` accepts. If None, the projection depends on the backbone.
        The backbone ``"natural32"`` uses the projection in the preset of this name. A backbone whose files include a
        projection uses this projection. Any other backbone uses ``rgb`` for three channels, and ``pca:N`` for another
        number N of channels. Without a backbone, ``pca:10`` is used.
    patch : int, optional
        Side of the patches of the optimal denoiser in pixels. If None, this is the largest of 4, 2 and 1 for which a
        patch has at most 16 values. If None and the projection has more than 16 channels, it is 1.
    intervals : int
        Number of intervals into which the timesteps are divided (see `TimestepRanking.intervals`).
    seed : int
        Seed of the random patches, tiles and noise, and of the weights of an ``untrained:…`` backbone.
    class_label : int or str, optional
        Option of `open_backbone`.
    prompt : str, optional
        Option of `open_backbone`.
    upsample : int, optional
        Option of `open_backbone`.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    listen : callable
        Function that receives progress events.

    Returns
    -------
    TimestepRanking
        The order of the timesteps, and the proposed timesteps.

    Raises
    ------
    HsifeatError
        If the budget is less than 1 or greater than the number of compared timesteps. If `patch` or `intervals` is not
        positive. If the store has a single timestep, or no layer with the name `layer`. If the store was made from another
        scene. If the store and the backbone have different noise schedules. If the scene, the backbone or the projection
        can't be used.

    Examples
    --------
    >>> from hsifeat import Scene
    >>> scene = Scene("demo", np.random.default_rng(0).random((16, 16, 4)))
    >>> ranking = rank_timesteps(scene, timesteps=[0, 250, 500, 750], projection="pca:2", budget=2)
    >>> len(ranking.proposal)
    2
    """
    if isinstance(scene, str | Path):
        scene = open_scene(scene)
    check_spectral_image(scene)
    check_listener(listen)
    check_integers(
        0, budget=0 if budget is None else budget, intervals=intervals, patch=0 if patch is None else patch, seed=seed
    )
    projection = _preset_projection(backbone) if projection is None else projection
    backbone = _opened(backbone, seed, {"class_label": class_label, "prompt": prompt, "upsample": upsample})
    schedule = cosine_schedule() if backbone is None else _noise_schedule(backbone)
    if layer is not None and store is None:
        raise HsifeatError(f"the layer {layer} needs a store that contains it: name one with `store`")
    planes = None if store is None else _compare_planes(store, layer, scene, schedule, seed)
    timesteps = _select_timesteps(timesteps, planes, schedule)
    if planes is not None:
        indices = [planes.timesteps.index(t) for t in timesteps]
        planes = PlaneSimilarity(planes.layer, timesteps, planes.similarity[np.ix_(indices, indices)])
    budget = min(BUDGET, len(timesteps)) if budget is None else budget
    check_budget(budget, len(timesteps))
    if intervals < 1:
        raise HsifeatError(f"timesteps can be divided into 1 or more intervals; found {intervals}")
    image, projection = _match_and_fit(scene, backbone, projection, listen)
    patch_px = default_patch_px(projection.channels) if patch is None else patch
    if patch_px < 1:
        raise HsifeatError(f"the side of a patch is at least 1 pixel; found {patch_px}")
    patches = sample_patches(image, projection, patch_px, _PATCHES, seed)
    denoiser = OptimalDenoiser(patches, schedule.alphas_cumprod)
    ideal = similarity_map(denoiser, timesteps, tolerance=_TOLERANCE, draws=_DRAWS, seed=seed, listen=listen)
    stages = three_stages(denoiser, tolerance=_TOLERANCE, alpha=_ALPHA, draws=_TRIPLES, seed=seed)
    angles = None
    if backbone is not None:
        coarsest = max(tap.stride for tap in backbone.taps)
        tiles = sample_tiles(image, projection, max(_TILE_PX // coarsest, 1) * coarsest, _TILES, seed)
        angles = measure_angles(
            backbone, projection, tiles, timesteps, seed=seed, device=pick_device(device), listen=listen
        )
    similarity = ideal.similarity if planes is None else planes.similarity
    order = order_timesteps(similarity, angles)
    ranking = TimestepRanking(
        scene=scene.name,
        projection=projection.spec,
        backbone=None if backbone is None else backbone.name,
        timesteps=timesteps,
        proposal=tuple(sorted(timesteps[index] for index in order.order[:budget])),
        order=order,
        denoiser=ideal,
        angles=angles,
        planes=planes,
        stages=stages,
        intervals=tuple(interval_timesteps(timesteps, best_intervals(similarity, min(intervals, len(timesteps))))),
        patch_px=patch_px,
        patches=len(patches),
        studied=studied_timesteps(schedule),
        notes=tuple(_notes(timesteps, ideal, angles, budget, int(order.eligible.sum()), patch_px)),
    )
    for note in ranking.notes:
        listen(Note(note))
    return ranking


def _opened(backbone: Backbone | str | Path | None, seed: int, options: dict[str, Any]) -> Backbone | None:
    """Open a backbone with those of `options` that are not None. They are refused for an opened backbone."""
    given = {name: value for name, value in options.items() if value is not None}
    if isinstance(backbone, str | Path):
        return open_backbone(backbone, seed=seed, **given)
    if given:
        raise HsifeatError(f"no effect without the name of a backbone: {', '.join(f'`{name}`' for name in given)}")
    if backbone is not None:
        check_backbone(backbone, "the backbone")
    return backbone


def cosine_schedule() -> NoiseSchedule:
    """Return the cosine noise schedule with T = 1000 (``squaredcos_cap_v2`` in diffusers).

    Notes
    -----
    Nichol & Dhariwal, "Improved denoising diffusion probabilistic models", ICML 2021, eq. 17.
    """
    return schedule_from_config({"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 1000})


def _compare_planes(
    store: Features | str | Path, layer: str | None, scene: SpectralImage, schedule: NoiseSchedule, seed: int
) -> PlaneSimilarity:
    features = store if isinstance(store, Features) else open_features(store)
    shape = (scene.rows, scene.cols, scene.bands)
    if features.shape != shape:
        stored_shape, scene_shape = (" x ".join(map(str, sides)) for sides in (features.shape, shape))
        raise StoreError(
            f"{features.name} is of a scene of {stored_shape} (rows, cols, bands); {scene.name} has {scene_shape}"
        )
    whole = scene if isinstance(scene, Scene) else Scene(scene.name, scene.cube, mask=scene.valid)
    if features.recipe["scene"] != whole.digest:
        raise StoreError(
            f"{features.name} was made from another scene ({features.scene.name}) than {scene.name}: values, order of bands or "
            "valid pixels differ; name the store of this scene, or the scene of the store"
        )
    if features.recipe["backbone"].get("schedule") != schedule.digest:
        raise StoreError(f"{features.name} was made with another noise schedule: name its model with `backbone`")
    return correlate_planes(features, layer, seed=seed)


def _select_timesteps(
    timesteps: Sequence[int] | None, planes: PlaneSimilarity | None, schedule: NoiseSchedule
) -> tuple[int, ...]:
    if timesteps is None:
        if planes is not None:
            return planes.timesteps
        timesteps = range(0, schedule.timesteps, max(schedule.timesteps // _COMPARED, 1))
    unique = tuple(sorted(set(as_integers("timesteps", timesteps))))
    if not unique:
        raise HsifeatError("timesteps has no timestep to compare: name some, or leave it out")
    schedule.check(unique)
    if planes is not None and (missing := [t for t in unique if t not in planes.timesteps]):
        stored = ", ".join(map(str, planes.timesteps))
        raise StoreError(f"the store has no complete plane of {planes.layer} at t = {missing[0]}; it has {stored}")
    return unique


def _noise_schedule(backbone: Backbone) -> NoiseSchedule:
    if not backbone.schedule.has_noise:
        raise HsifeatError(f"{backbone.name} is an encoder of clean images, whose only timestep is 0: name a denoiser")
    return backbone.schedule


def _preset_projection(backbone: Backbone | str | Path | None) -> str | None:
    """Return the projection in the preset of the default backbone, which an extraction would use; None for another backbone."""
    if not isinstance(backbone, str) or backbone != DEFAULT_BACKBONE:
        return None
    return str(preset_options(DEFAULT_BACKBONE, "extract")["projection"])


def _match_and_fit(
    scene: SpectralImage, backbone: Backbone | None, projection: str | Projection | None, listen: Listener
) -> tuple[SpectralImage, Projection]:
    """Return the scene with the bands of the projection, as an extraction selects them, and the fitted projection."""
    if isinstance(scene, Scene):
        before = len(scene.notes)
        scene = match_scene(scene, projection, backbone)
        for note in scene.notes[before:]:
            listen(Note(note))
    return scene, _fit(scene, backbone, projection)


def _fit(scene: SpectralImage, backbone: Backbone | None, projection: str | Projection | None) -> Projection:
    if backbone is not None:
        return default_projection(
            scene,
            projection,
            backbone=backbone.name,
            channels=backbone.channels,
            projection_file=backbone.projection_file,
        )
    if isinstance(projection, Projection):
        projection.check(scene)
        return projection
    return fit_leading_components(_COMPONENTS, scene) if projection is None else fit_projection(projection, scene)


def _notes(
    timesteps: tuple[int, ...],
    ideal: DenoiserSimilarity,
    angles: SpectralAngles | None,
    budget: int,
    eligible: int,
    patch_px: int,
) -> list[str]:
    notes = []
    collapsed = [t for t, count in zip(timesteps, ideal.neighbours, strict=True) if count < _MIN_NEIGHBOURS]
    if len(collapsed) > 1:
        notes.append(
            f"up to t = {collapsed[-1]}, the optimal denoiser only returns the nearest of its {patch_px}-px patches, so that its "
            "similarity is not informative at these timesteps; the similarity of cached planes (`store`) is"
        )
    if angles is not None and angles.space != "bands":
        reason = (
            "between latents, which can't be mapped to spectra"
            if angles.space == "latents"
            else "between channels of the projection, which can't be inverted"
        )
        notes.append(f"spectral angles are {reason}")
    if angles is not None and eligible < budget:
        notes.append(
            f"the model's estimate resembles the pixel at {eligible} of {len(timesteps)} timesteps, fewer than the budget of "
            f"{budget}: the proposal is completed with the timesteps of the smallest angles"
        )
    return notes
