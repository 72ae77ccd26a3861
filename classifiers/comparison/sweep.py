"""Sweep: the accuracy of each plane (one timestep and layer) of a store, and of the best planes together.

The best planes are chosen by greedy forward selection, separately for each seed. The selection uses spatial folds of
the training pixels, and never the class of a test pixel. The accuracies are measured on test pixels, and compared with
the accuracy of spectra alone. Each finished fit is recorded at once and is not repeated.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.config import MAX_SEEDS, SWEEP_HEAD
from classifiers.comparison.plane_fits import PlaneFit, PlaneFitter, Planes
from classifiers.comparison.results.base_records import Estimate
from classifiers.comparison.results.plane_scores import PlaneScore, SweepResult
from classifiers.comparison.run_records import RunRecords
from classifiers.comparison.shared_table import SharedTable
from classifiers.comparison.workdir import open_workdir
from classifiers.defaults import DISJOINT_SPLIT
from classifiers.heads.registry import head_class
from classifiers.multi_scene import select_labels
from classifiers.reduction import DEFAULT_REDUCTION
from classifiers.splits import SplitDraw, parse_split
from classifiers.table import PixelTable
from hsifeat.errors import HeadError, StoreError
from hsifeat.features.features import Features, PlaneLike
from hsifeat.features.open_features import open_features
from hsifeat.features.scene_set import SceneSet
from hsifeat.runtime.events import Listener, Note, silent
from hsifeat.runtime.executor import Executor
from hsifeat.runtime.local import local_executor
from hsifeat.scenes import Labels
from hsifeat.types import PlaneId

DEFAULT_BEST = 3


def sweep(
    store: str | Path | Features | None = None,
    *,
    head: str = SWEEP_HEAD,
    split: str = DISJOINT_SPLIT,
    best: int = DEFAULT_BEST,
    seeds: int = 5,
    labels: str | None = None,
    planes: Sequence[PlaneLike] | None = None,
    jobs: int | None = 1,
    out: str | Path = "sweep",
    listen: Listener = silent,
) -> SweepResult:
    """Measure the accuracy of each plane of a store, and of the best planes together.

    A `ReducingHead` fits its reduction on a sample of all pixels of the scene, including test pixels, without their
    labels.

    Parameters
    ----------
    store : str, Path or Features, optional
        Store in any form that `open_features` accepts. [default: the store that was completed last]
    head : str
        Name of a head. A head that needs spectra is fitted on the spectra together with each single plane.
    split : str
        Split in the grammar of `parse_split`.
    best : int
        Number of planes to select by greedy forward selection with cross-validation on the training pixels. With 0, no
        planes are selected.
    seeds : int
        Number of seeds, starting with seed 0. Training pixels, the head and the selected planes depend on the seed.
    labels : str, optional
        Name of a label map in the store. [default: the only map; if there are only the maps ``train`` and ``test``, both
        are merged]
    planes : sequence, optional
        Planes to score, in any form that `Features.select` accepts. [default: all]
    jobs : int, optional
        Number of worker processes. If None, as many processes run as the cores and the memory allow.
    out : str or Path
        Folder for recorded fits, which are not repeated.
    listen : callable
        Callback for progress events.

    Returns
    -------
    SweepResult
        Accuracies, sizes and extraction times of the planes, and the selected planes.

    Raises
    ------
    HsifeatError
        If the store, the head, the split or the label map is unknown. If the store has no planes. If the training
        pixels can't be divided into the folds of the cross-validation.
    """
    _check_head(head)
    if not 1 <= seeds <= MAX_SEEDS or best < 0:
        raise HeadError(f"seeds must be 1 to {MAX_SEEDS} and best at least 0; found seeds = {seeds} and best = {best}")
    features = store if isinstance(store, Features) else open_features(store)
    listen(Note(f"store: {features.store.location}"))
    rule = parse_split(split, features.label_maps)
    selected = features.select(planes)
    if not selected:
        raise StoreError(f"no plane of {features.name} to sweep: select planes with `planes`")
    context = [plane for plane in selected if features.owner(plane)[0].is_context]
    table = PixelTable.from_store(
        features,
        labels=select_labels(features, labels),
        context=context,
        planes=[plane for plane in selected if plane not in context],
        sample=DEFAULT_REDUCTION == "scene",
    )
    draws = {seed: rule.draw(table.labels, seed) for seed in range(seeds)}
    with open_workdir(Path(out), "sweep") as (run_records, folder):
        shared = SharedTable.write(table, folder / "0")
        with local_executor(jobs, shared.fit_bytes(draws.values()), listen=listen) as pool:
            return sweep_planes(
                SceneSet([features]),
                shared,
                table.labels,
                draws,
                run_records,
                head,
                rule.text,
                best=best,
                executor=pool,
                listen=listen,
            )


def sweep_planes(
    scenes: SceneSet,
    table: SharedTable,
    labels: Labels,
    draws: Mapping[int, SplitDraw],
    run_records: RunRecords,
    head: str,
    split: str,
    *,
    executor: Executor,
    best: int = DEFAULT_BEST,
    listen: Listener = silent,
) -> SweepResult:
    """Measure the accuracy of each plane of a table, and of the best planes together.

    Parameters
    ----------
    scenes : SceneSet
        Stores of the planes. The size and the extraction time of a plane are those in the first scene.
    table : SharedTable
        Labelled pixels of the stores, with columns of spectra and planes.
    labels : Labels
        True classes.
    draws : mapping of int to SplitDraw
        Training and test pixels of each seed.
    run_records : RunRecords
        Files in which accuracies are recorded.
    head : str
        Name of the head.
    split : str
        Name of the split in the result. It does not affect the fits.
    executor : Executor
        Executor that runs the fits.
    best : int
        Number of planes to select.
    listen : callable
        Callback for progress events.

    Returns
    -------
    SweepResult
        Accuracies, sizes and extraction times of the planes, and the selected planes.
    """
    names = tuple(
        dict.fromkeys(
            PlaneId(group.t, group.layer)
            for group in table.groups
            if group.kind in {"plane", "context"} and group.t is not None and group.layer
        )
    )
    features = scenes.first
    fitter = PlaneFitter(scenes, table, labels, run_records, head, names, executor, listen)
    keys = {seed: run_records.add_draw(draw, labels, listen=listen) for seed, draw in draws.items()}
    selections = fitter.select(draws, best)
    shown = selections[min(selections)]
    # An empty set of planes means spectra alone, from which a head that needs planes can't learn.
    spectra_suffice = not head_class(head).missing_kinds({"spectra"})
    singles: list[Planes] = [*(((),) if spectra_suffice else ()), *((name,) for name in names)]
    prefixes = {seed: [tuple(planes[: n + 1]) for n in range(len(planes))] for seed, planes in selections.items()}
    fits = [
        PlaneFit(planes, seed, keys[seed]) for seed in draws for planes in dict.fromkeys([*singles, *prefixes[seed]])
    ]
    accuracies = fitter.accuracies(fits, "planes on test pixels")

    def over_seeds(planes: Mapping[int, Planes]) -> NDArray[np.float64]:
        return np.array([accuracies[PlaneFit(planes[seed], seed, keys[seed])].oa for seed in draws])

    single_oa = {planes: over_seeds(dict.fromkeys(draws, planes)) for planes in singles}
    prefix_oa = [over_seeds({seed: steps[n] for seed, steps in prefixes.items()}) for n in range(len(shown))]
    baseline = single_oa.pop((), None)
    before = [baseline, *prefix_oa]
    return SweepResult(
        head=head,
        split=split,
        planes=tuple(_plane_score(features, name, values, baseline) for (name,), values in single_oa.items()),
        selection=tuple(
            _plane_score(features, name, prefix_oa[n], before[n], extracted={plane.t for plane in shown[:n]})
            for n, name in enumerate(shown)
        ),
        selections=tuple(tuple(map(str, selections[seed])) for seed in draws),
        seeds=len(draws),
        store=features.name,
        baseline=None if baseline is None else Estimate.from_values(baseline),
        reduction=fitter.reduction,
        constant=tuple(
            str(planes[0]) if planes else "spectra"
            for planes in singles
            if any(accuracies[PlaneFit(planes, seed, keys[seed])].constant for seed in draws)
        ),
    )


def _check_head(head: str) -> None:
    """Raise `HeadError` if a head needs columns that are neither spectra nor planes."""
    needs = head_class(head).needs - {"spectra", "plane"}
    if needs:
        raise HeadError(f"the head {head} needs {' and '.join(sorted(needs))}, which a single plane does not have")


def _plane_score(
    features: Features,
    name: PlaneId,
    oa: NDArray[np.float64],
    before: NDArray[np.float64] | None,
    extracted: Collection[int] = (),
) -> PlaneScore:
    """Return the accuracy of a plane, its gain over `before`, and its cost.

    Parameters
    ----------
    features : Features
        Store of the plane.
    name : PlaneId
        Timestep and layer of the plane.
    oa : (seeds,) float64 array
        Overall accuracy with the plane.
    before : (seeds,) float64 array, optional
        Overall accuracy without the plane, for the gain.
    extracted : collection of int
        Timesteps that are already extracted; their planes cost no time.
    """
    (plane,) = features.select([name])
    return PlaneScore(
        t=name.t,
        layer=name.layer,
        oa=Estimate.from_values(oa),
        size_bytes=features.size_bytes(plane),
        seconds=0.0 if name.t in extracted else features.owner(plane)[0].seconds([name.t]),
        gain=None if before is None else Estimate.from_values(oa - before),
    )
