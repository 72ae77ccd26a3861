"""The sweep: every plane of a store on its own, and the best few together, selected within training pixels alone.

Planes are selected by greedy forward selection over spatial folds of the training pixels, so the selection never uses the class
of a test pixel; each seed, with training pixels of its own, selects for itself. The accuracies that are reported are those on
test pixels, beside that of spectra alone. Each fit is recorded as soon as it is done and is not repeated.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.config import SPLITS, SWEEP_HEAD
from classifiers.comparison.plane_fits import PlaneFit, PlaneFitter, Planes
from classifiers.comparison.results.model import Estimate, PlaneScore, SweepResult
from classifiers.comparison.run_records import RunRecords
from classifiers.comparison.shared_table import SharedTable
from classifiers.comparison.workdir import open_workdir
from classifiers.heads.registry import head_class
from classifiers.splits import SplitDraw, parse_split
from classifiers.table import PixelTable, select_labels
from hsifeat.errors import HeadError, StoreError
from hsifeat.features.features import Features, PlaneLike, open_features
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
    split: str = SPLITS[1],
    best: int = DEFAULT_BEST,
    seeds: int = 5,
    labels: str | None = None,
    planes: Sequence[PlaneLike] | None = None,
    jobs: int | None = 1,
    out: str | Path = "sweep",
    listen: Listener = silent,
) -> SweepResult:
    """Score every plane of a store on its own, and the best few together.

    Parameters
    ----------
    store : str, Path or Features, optional
        As `open_features` takes it; by default the store that was completed last.
    head : str
        Name of a head. One that needs spectra gets them with each plane.
    split : str
        In the grammar of `parse_split`.
    best : int
        Number of planes to select for use together; 0 selects none.
    seeds : int
        Number of seeds, from 0; each decides a draw, a selection and the head.
    labels : str, optional
        Name of a label map in the store; by default its first.
    planes : sequence, optional
        As `Features.select` takes them; by default all.
    jobs : int, optional
        Number of worker processes; None uses as many as cores and memory allow.
    out : str or Path
        Folder of the run store: fits recorded there are not repeated.
    listen : callable
        Receives progress events.

    Raises
    ------
    HsifeatError
        An unknown name, a store without planes, or training pixels that can't be divided into folds.
    """
    _check_head(head)
    if seeds < 1 or best < 0:
        raise HeadError(f"a sweep needs at least one seed, and selects 0 planes or more; found {seeds} and {best}")
    features = store if isinstance(store, Features) else open_features(store)
    listen(Note(f"store: {features.store.location}"))
    rule = parse_split(split, features.scene.labels)
    if not features.select(planes):
        raise StoreError(f"{features.name} has no plane to sweep: name some with --planes")
    table = PixelTable.from_store(features, labels=select_labels(features, labels), planes=planes)
    draws = {seed: rule.draw(table.labels, seed) for seed in range(seeds)}
    with open_workdir(Path(out)) as (run_records, folder):
        shared = SharedTable.write(table, folder / "0")
        with local_executor(jobs, shared.fit_bytes(draws.values()), listen=listen) as pool:
            return sweep_planes(
                features,
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
    features: Features,
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
    """Sweep the planes of a table under the draws of a split.

    Parameters
    ----------
    features : Features
        The store.
    table : SharedTable
        Its labelled pixels, with spectra and planes.
    labels : Labels
        True classes.
    draws : mapping of int to SplitDraw
        Draws of the split, by seed.
    run_records : RunRecords
        Where accuracies are recorded.
    head, split : str
        Name of the head; the split in the grammar.
    executor : Executor
        Does the fits.
    best : int
        Number of planes to select.
    listen : callable
        Receives progress events.
    """
    names = tuple(
        dict.fromkeys(
            PlaneId(group.t, group.layer)
            for group in table.groups
            if group.kind == "plane" and group.t is not None and group.layer
        )
    )
    fitter = PlaneFitter(features, table, labels, run_records, head, names, executor, listen)
    keys = {seed: run_records.add_draw(draw, labels) for seed, draw in draws.items()}
    selections = fitter.select(draws, best)
    shown = selections[min(selections)]
    # No plane stands for spectra alone, for heads that can learn from them.
    singles: list[Planes] = [*(((),) if "plane" not in head_class(head).needs else ()), *((name,) for name in names)]
    prefixes = {seed: [tuple(planes[: n + 1]) for n in range(len(planes))] for seed, planes in selections.items()}
    fits = [
        PlaneFit(planes, seed, keys[seed]) for seed in draws for planes in dict.fromkeys([*singles, *prefixes[seed]])
    ]
    oa = fitter.accuracies(fits, "planes on test pixels")

    def over_seeds(planes: Mapping[int, Planes]) -> NDArray[np.float64]:
        return np.array([oa[PlaneFit(planes[seed], seed, keys[seed])] for seed in draws])

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
    )


def _check_head(head: str) -> None:
    """Raise `HeadError` for a head that can't learn from a plane, with or without spectra."""
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
    """Describe a plane by accuracies over seeds, (seeds,) float64, and those that it is compared with.

    A plane costs no time if its timestep is in `extracted`.
    """
    (plane,) = features.select([name])
    return PlaneScore(
        t=name.t,
        layer=name.layer,
        oa=Estimate.from_values(oa),
        size_bytes=features.size_bytes(plane),
        seconds=0.0 if name.t in extracted else features.seconds([name.t]),
        gain=None if before is None else Estimate.from_values(oa - before),
    )
