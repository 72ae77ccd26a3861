"""Fit one head on a store of cached features, and score the head under a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from classifiers.columns import table_bytes
from classifiers.defaults import DEFAULT_HEAD, DEFAULT_SMOOTHING
from classifiers.evaluate import Evaluator
from classifiers.fit_config import FitConfig
from classifiers.heads.group_reducer import ReducingHead
from classifiers.heads.registry import as_head_params, make_head
from classifiers.input_sets import SUITED, InputSet, check_input, layout_options, suited_input, suited_remark
from classifiers.model import Model
from classifiers.model_card import ModelCard
from classifiers.multi_scene import (
    check_classes,
    common_label_maps,
    join_label_maps,
    note_plane_facts,
    select_scene_labels,
    smoothing_of_scenes,
)
from classifiers.reduction import DEFAULT_REDUCTION, check_reduction
from classifiers.splits import OfficialSplit, crosses_scenes, parse_split
from classifiers.table import PixelTable
from hsifeat.errors import StoreError
from hsifeat.features.features import PlaneLike
from hsifeat.features.plane_facts import plane_facts
from hsifeat.features.scene_set import SceneSet, open_scenes
from hsifeat.features.selection import plane_names
from hsifeat.features.stack import StoreLike
from hsifeat.formatting import format_bytes, format_count
from hsifeat.runtime.events import Listener, Note, check_listener, silent
from hsifeat.scenes.band_matching import names_of_bands


def fit_model(
    stores: SceneSet | StoreLike | Sequence[StoreLike] | None = None,
    head: str = DEFAULT_HEAD,
    *,
    inputs: str | None = None,
    labels: str | None = None,
    background_class: int | None = None,
    split: str | None = None,
    planes: Sequence[PlaneLike] | None = None,
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
    reduction: str = DEFAULT_REDUCTION,
    tune: bool = False,
    smooth: str = DEFAULT_SMOOTHING,
    listen: Listener = silent,
) -> Model:
    """Fit one head on the labelled pixels of one or several scenes.

    Parameters
    ----------
    stores : SceneSet, str, Path, Features or a sequence of them, optional
        Stores in any form that `hsifeat.open_features` accepts. A further store of the same scene adds columns. A
        further scene adds rows: classes are matched by name, and bands by wavelength. [default: the store that was
        completed last]
    head : str
        Name of the head, one of `head_names`.
    inputs : str, optional
        Columns to learn from: words of `InputSet`, joined by plus signs in any order, such as
        ``spectra+window+context+planes``. ``suited`` is the input set that suits the head, the stores and the split.
        [default: ``suited``]
    labels : str, optional
        Name of a label map in the stores. [default: the only map; if there are only the maps ``train`` and ``test``, both
        are merged]
    background_class : int, optional
        Class number for the pixels that are 0 in the label map. [default: pixels that are 0 are unlabelled]
    split : str, optional
        Split into training and test pixels, such as ``blocks:12+4:0.1``; see `parse_split`. The head is trained on the
        training pixels and scored on the test pixels. For a random split, a second head is trained and scored under a
        spatially disjoint split. [default: train on all labelled pixels, without a score]
    planes : sequence, optional
        Planes to use, such as ``["t50/*"]``; see `Features.select`. Planes of context stores are not affected.
        [default: all]
    seed : int
        Seed of the split and of the head.
    params : mapping, optional
        Maps names of the head's parameters to their values. [default: the defaults of the head]
    reduction : {"scene", "train"}
        Pixels on which a `ReducingHead` fits the reduction of column groups. ``scene``: a sample of all pixels of the scene,
        including test pixels, without their labels. ``train``: the training pixels. Other heads ignore this option and
        fit on the training pixels.
    tune : bool
        Search the parameters in the head's `search_space` by cross-validation on the training pixels, see
        `classifiers.tune_head`. Parameters in `params` are not searched.
    smooth : str
        Rule that smooths the class probabilities of maps, such as ``guided:2,0.001``; see
        `classifiers.parse_smoothing`. ``none`` stands for no smoothing. The rule does not change the training. Test
        pixels are scored both with and without smoothing.
    listen : callable
        Callback for progress events.

    Returns
    -------
    Model
        The fitted head with its classes, provenance and scores.

    Raises
    ------
    HsifeatError
        If a head, parameter, input, label map or split is unknown. If the stores lack the planes of the input set. If
        stores of one scene count as two scenes, see `hsifeat.features.distinct_scenes.check_distinct`. If the split can't
        divide the labels.

    Examples
    --------
    >>> import hsifeat
    >>> features = hsifeat.open_features("fields.zarr")
    >>> model = fit_model(features, "lda", split="blocks:12+4:0.1")
    >>> 0 <= model.evaluation.scores.oa <= 1
    True
    """
    params = as_head_params(params)
    options: dict[str, Any] = {"head": head, "inputs": inputs, "split": split, "params": params or None, "tune": tune}
    seed = FitConfig(seed=seed, **options).seed
    planes = plane_names(planes)
    check_listener(listen)
    unfitted = make_head(head, **params)  # reports wrong parameters before anything is read
    reducing = isinstance(unfitted, ReducingHead)
    fitted_on = check_reduction(reduction) if reducing else "train"
    scenes = open_scenes(stores)
    suited, other_scenes = inputs in {None, SUITED}, split is not None and crosses_scenes(split)
    input_set = suited_input(head, scenes.first, other_scenes=other_scenes) if suited else InputSet.parse(str(inputs))
    for one in scenes.scenes:
        check_input(input_set, head, one)
    if input_set.uses_spectra:
        scenes = scenes.with_matched_bands(listen)
    truth = join_label_maps(select_scene_labels(scenes, labels, background_class, listen=listen), scenes.aliases)
    check_classes(truth, f"give it a number with `background_class={max(truth.counts) + 1}`")
    rule = (
        None if split is None else parse_split(split, common_label_maps(scenes) if split == OfficialSplit.text else {})
    )
    draw = None if rule is None else rule.draw(truth, seed)
    smoothing = smoothing_of_scenes(smooth, scenes, len(truth.counts))
    table = PixelTable.from_store(
        scenes,
        labels=truth,
        planes=planes if input_set.uses_planes else [],
        sample=fitted_on == "scene",
        **layout_options([input_set], scenes.first),
    )
    if input_set.uses_planes and not table.layout.learned:
        raise StoreError(
            f"no plane to learn from is selected: name some with `planes`, or leave planes out of {input_set}"
        )
    if not all(map(input_set.includes, table.layout)):
        table = table.select_groups(input_set.includes)
    note_plane_facts(scenes.scenes, table.layout.plane_names, listen, scales=not input_set.uses_spectra)
    size = format_bytes(table_bytes(len(table), table.layout))
    of_scenes = f" of {len(scenes)} scenes" if len(scenes) > 1 else ""
    listen(
        Note(
            f"{input_set}: {len(table)} labelled pixels{of_scenes}, {format_count(table.layout.width, 'column')}, {size}"
        )
    )
    if suited and (remark := suited_remark(head, scenes.first, other_scenes=other_scenes)):
        listen(Note(remark))
    elif planes and not input_set.uses_planes:
        listen(Note(f"`planes` has no effect: {input_set} has no planes of a model"))
    evaluator = Evaluator(scenes, table, head, seed, params, tune, listen, smoothing)
    evaluation = disjoint_evaluation = None
    if rule is None or draw is None:
        fitted, tuning = evaluator.fit(table)
    else:
        fitted, evaluation = evaluator.evaluate(rule, draw)
        tuning = evaluation.tuning
        if rule.kind == "random":
            disjoint_evaluation = evaluator.evaluate_disjoint(evaluation.train_pixels)
    return Model(
        head=fitted,
        class_names=table.labels.class_names,
        class_colours=table.labels.class_colours,
        recipe=scenes.first.recipe,
        wavelengths_nm=None
        if scenes.first.scene.wavelengths_nm is None
        else tuple(scenes.first.scene.wavelengths_nm.tolist()),
        band_names=names_of_bands(scenes.first.scene),
        scales=tuple(one.scene.scale for one in scenes.scenes),
        selects_bands=scenes.first.bands is not None,
        plane_facts=plane_facts(scenes.first),
        train_pixels=len(table) if evaluation is None else evaluation.train_pixels,
        evaluation=evaluation,
        disjoint_evaluation=disjoint_evaluation,
        tuning=tuning,
        smooth=None if smoothing is None else smoothing.text,
        card=ModelCard.from_fit(
            scenes,
            labels=table.labels.name,
            inputs=str(input_set),
            reduction=fitted_on,
            split=None if rule is None else rule.text,
            seed=seed,
            evaluations=[one for one in (evaluation, disjoint_evaluation) if one is not None],
            smooth=None if smoothing is None else smoothing.text,
        ),
    )
