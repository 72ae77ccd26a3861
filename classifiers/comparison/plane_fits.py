"""Fits of one head on sets of planes, and greedy forward selection of planes by accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from classifiers.comparison.row_counts import check_row_counts
from classifiers.comparison.run_records import FitAccuracy, RunRecords, note_reuse, run_key
from classifiers.comparison.shared_table import SharedTable
from classifiers.comparison.stores import origin_of
from classifiers.comparison.tasks import AccuracyTask, measure_accuracy
from classifiers.heads.group_reducer import ReducingHead
from classifiers.heads.registry import head_class, make_head
from classifiers.reduction import Reduction
from classifiers.splits import SplitDraw, parse_split
from hsifeat.errors import HeadError, SplitError
from hsifeat.features.scene_set import SceneSet
from hsifeat.runtime.events import Advanced, Finished, Listener, Started
from hsifeat.runtime.executor import Executor
from hsifeat.scenes import Labels
from hsifeat.types import PlaneId

# Each fold trains on half of the pixels. Small blocks keep training and test pixels apart, and few classes are lost.
FOLDS = "blocks:6+1:0.5"
FOLD_COUNT = 3

Planes = tuple[PlaneId, ...]


class PlaneFit(NamedTuple):
    """One fit: the planes, the seed of the head, and the key of the draw (training and test pixels).

    If `planes` is empty, the head learns from spectra alone.
    """

    planes: Planes
    seed: int
    draw: str


@dataclass(frozen=True)
class PlaneFitter:
    """Fits a head on sets of planes, and reuses recorded accuracies.

    Attributes
    ----------
    scenes : SceneSet
        Stores of the planes.
    table : SharedTable
        Labelled pixels, with columns of spectra and planes.
    labels : Labels
        True classes.
    run_records : RunRecords
        Files in which accuracies are recorded.
    head : str
        Name of the head.
    planes : tuple of PlaneId
        Candidate planes.
    executor : Executor
        Executor that runs the fits.
    listen : callable
        Callback for progress events.
    """

    scenes: SceneSet
    table: SharedTable
    labels: Labels
    run_records: RunRecords
    head: str
    planes: Planes
    executor: Executor
    listen: Listener
    _noted: set[str] = field(default_factory=set, init=False)  # heads whose reuse was noted

    def select(self, draws: Mapping[int, SplitDraw], count: int) -> dict[int, list[PlaneId]]:
        """Select planes for each seed by greedy forward selection.

        Each round adds the plane that raises the accuracy most. Accuracy is averaged over spatial folds of the training
        pixels.

        Parameters
        ----------
        draws : mapping of int to SplitDraw
            Training and test pixels of each seed.
        count : int
            Number of planes to select.

        Returns
        -------
        dict of int to list of PlaneId
            Planes of each seed, in the order of selection.
        """
        selections: dict[int, list[PlaneId]] = {seed: [] for seed in draws}
        count = min(count, len(self.planes))
        folds = {
            seed: [self.run_records.add_draw(fold, self.labels, listen=self.listen) for fold in self._folds(draw, seed)]
            for seed, draw in draws.items()
            if count
        }
        for place in range(count):
            candidates = {seed: [plane for plane in self.planes if plane not in selections[seed]] for seed in draws}
            fits = {
                (seed, plane): [PlaneFit((*selections[seed], plane), seed, fold) for fold in folds[seed]]
                for seed in draws
                for plane in candidates[seed]
            }
            accuracies = self.accuracies(
                [fit for plane_fits in fits.values() for fit in plane_fits], f"plane {place + 1} of {count}"
            )
            means = {key: np.mean([accuracies[fit].oa for fit in plane_fits]) for key, plane_fits in fits.items()}
            for seed in draws:
                selections[seed].append(max(candidates[seed], key=lambda plane: means[seed, plane]))
        return selections

    def accuracies(self, fits: Sequence[PlaneFit], name: str) -> dict[PlaneFit, FitAccuracy]:
        """Return the accuracy of each fit. Recorded accuracies are reused.

        Progress events have the name `name`.
        """
        tasks = {fit: self._task(fit) for fit in fits}
        accuracies: dict[AccuracyTask, FitAccuracy] = {}
        for task in tasks.values():
            recorded = self.run_records.find_accuracy(task.key, listen=self.listen)
            if recorded is not None:
                accuracies[task] = recorded
        if accuracies:
            note_reuse({self.head} - self._noted, self.listen)
            self._noted.add(self.head)
        self.listen(Started(name, len(tasks), "fits", len(accuracies)))
        waiting = [task for task in tasks.values() if task not in accuracies]
        for task, accuracy in self.executor.run(measure_accuracy, waiting):
            accuracies[task] = accuracy
            self.listen(Advanced(name, len(accuracies)))
        self.listen(Finished(name))
        return {fit: accuracies[task] for fit, task in tasks.items()}

    @property
    def reduction(self) -> Reduction:
        """Pixels on which the head fits its reduction of columns: ``train`` or ``scene``.

        The value is ``train`` for a head that does not reduce columns.
        """
        return self.table.reduction if issubclass(head_class(self.head), ReducingHead) else "train"

    def _task(self, fit: PlaneFit) -> AccuracyTask:
        spectra = not fit.planes or "spectra" in head_class(self.head).needs
        table = self.table.only(fit.planes, spectra=spectra)
        table = replace(table, reduction=self.reduction)
        origin = origin_of(self.scenes, table.groups)
        key = run_key(origin, table.layout, self._head, fit.draw, fit.seed, table.reduction)
        return AccuracyTask(key, fit.draw, self.head, fit.seed, table, self.run_records)

    @cached_property
    def _head(self) -> dict[str, Any]:
        """Name and parameters of the head, for `run_key`."""
        return {"name": self.head, **make_head(self.head).get_params(deep=False)}

    def _folds(self, draw: SplitDraw, seed: int) -> list[SplitDraw]:
        """Divide the training pixels of `draw` into training and test pixels, once for each spatial fold."""
        labels = replace(self.labels, classes=np.where(draw.train, self.labels.classes, 0))
        split = parse_split(FOLDS)
        try:
            folds = {(FOLDS, fold): split.draw(labels, seed + fold) for fold in range(FOLD_COUNT)}
            check_row_counts([self.head], {}, folds, self.labels)
            return list(folds.values())
        except (HeadError, SplitError) as error:
            raise SplitError(
                f"the training pixels can't be divided into folds by {FOLDS} ({error}): skip the selection of planes with "
                "`best=0`, or use a split with more training pixels"
            ) from error
