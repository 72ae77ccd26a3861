"""Runs of a benchmark: each entry (a head on an input) is fitted and scored for each split and seed.

A run that was recorded earlier is read from its files instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from classifiers.comparison.results.base_records import BenchEntry, Estimate
from classifiers.comparison.results.scores import CurvePoint, RunResult
from classifiers.comparison.results.summary_text import constant_points_text
from classifiers.comparison.row_counts import find_row_shortages
from classifiers.comparison.run_records import RunRecords, note_reuse, run_key
from classifiers.comparison.sampling import Draws, limit_per_class
from classifiers.comparison.shared_table import SharedTable
from classifiers.comparison.stores import origin_of
from classifiers.comparison.tasks import MappedScene, RunTask, do_run
from classifiers.heads.group_reducer import ReducingHead
from classifiers.heads.registry import head_class, make_head
from classifiers.input_sets import InputSet
from classifiers.smoothing import SmoothingRule
from classifiers.splits import Footprint, scene_footprints
from hsifeat.features.scene_set import SceneSet
from hsifeat.features.stack import StackSource
from hsifeat.runtime.events import Advanced, Finished, Listener, Note, Started
from hsifeat.runtime.executor import Executor
from hsifeat.scenes import Labels


@dataclass(frozen=True)
class BenchRunner:
    """Runs entries, each a head on an input of a store, and reuses recorded runs. A run uses one or several scenes.

    Attributes
    ----------
    stores : dict of str to SceneSet
        Stores to compare, by name, as returned by `open_alternatives`.
    tables : dict of str to SharedTable
        Labelled pixels of each store, with the columns of all entries.
    labels : Labels
        True classes.
    run_records : RunRecords
        Files in which finished runs are recorded.
    executor : Executor
        Executor of the runs.
    listen : callable
        Callback for progress events.
    params : mapping of str to mapping
        Maps names of heads to dicts of their parameters. All other parameters have their defaults.
    rule : SmoothingRule or None
        Rule that smooths the class probabilities for a second score of every run.
    """

    stores: dict[str, SceneSet]
    tables: dict[str, SharedTable]
    labels: Labels
    run_records: RunRecords
    executor: Executor
    listen: Listener
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rule: SmoothingRule | None = None

    def run_all(self, entries: Sequence[BenchEntry], draws: Draws) -> list[RunResult]:
        """Fit and score every entry (a head on an input) with the training and test pixels of every draw.

        Parameters
        ----------
        entries : sequence of BenchEntry
            Entries to run.
        draws : dict of (str, int) to SplitDraw
            Training and test pixels for each split and seed.

        Returns
        -------
        list of RunResult
            Results in the order of `entries`, and for each entry in the order of `draws`. The runs of seed 0 have also classified
            the whole scene. If `rule` is set, all runs have a second score, after smoothing.
        """
        runs = self._run(entries, draws, maps=True)
        self._note_constant(runs)
        return runs

    def _run(self, entries: Sequence[BenchEntry], draws: Draws, *, maps: bool) -> list[RunResult]:
        """Do the work of `run_all`. If `maps` is false, the runs have neither maps nor second scores."""
        keys = {name: self.run_records.add_draw(draw, self.labels, listen=self.listen) for name, draw in draws.items()}
        tasks = [
            self._task(entry, split, seed, keys[split, seed], draw.left_out, maps=maps)
            for entry in entries
            for (split, seed), draw in draws.items()
        ]
        results: dict[RunTask, RunResult] = {}
        for task in tasks:
            recorded = self.run_records.find(task.key, mapped=task.is_mapped, listen=self.listen)
            if recorded is not None:
                results[task] = recorded
        if results:
            self.listen(Note(f"{len(results)} of {len(tasks)} runs are recorded already"))
            if maps:  # one note for all runs, and none for each learning curve
                note_reuse(
                    (task.entry.head for task in results), self.listen, "" if self.rule is None else self.rule.text
                )
        self.listen(Started("bench", len(tasks), "runs", len(results)))
        for task, run in self.executor.run(do_run, [task for task in tasks if task not in results]):
            results[task] = run
            self.listen(Advanced("bench", len(results), str(task.entry)))
        self.listen(Finished("bench"))
        # A recorded run may contain a former name of the store.
        return [results[task].model_copy(update={"entry": task.entry, "split": task.split}) for task in tasks]

    def _note_constant(self, runs: Sequence[RunResult]) -> None:
        seeds: dict[tuple[BenchEntry, str], dict[int, str]] = {}
        for run in runs:
            if run.constant:
                seeds.setdefault((run.entry, run.split), {})[run.seed] = run.constant
        for (entry, split), reasons in seeds.items():
            first = min(reasons)
            self.listen(
                Note(
                    f"{entry} under {split}: the most frequent class of the training pixels is scored with the seeds "
                    f"{', '.join(map(str, sorted(reasons)))}; with seed {first}, {reasons[first]}"
                )
            )

    def learning_curves(
        self, entries: Sequence[BenchEntry], draws: Draws, limits: Sequence[int]
    ) -> tuple[CurvePoint, ...]:
        """Run every entry (a head on an input) with limited numbers of training pixels per class.

        Parameters
        ----------
        entries : sequence of BenchEntry
            Entries to run.
        draws : dict of (str, int) to SplitDraw
            Training and test pixels for each split and seed. All keys have the same split.
        limits : sequence of int
            Maximum numbers of training pixels per class. Each limit yields one point of a learning curve. If several limits
            are high enough to keep all training pixels, only the smallest of them is used. If a head needs more training
            pixels than a limit leaves, its curve lacks this point. In both cases, there is a note.
        """
        points: list[CurvePoint] = []
        for per_class in self._distinct_limits(draws, limits):
            limited = {
                (split, seed): limit_per_class(draw, self.labels, per_class, seed)
                for (split, seed), draw in draws.items()
            }
            shortages = find_row_shortages([entry.head for entry in entries], self.params, limited, self.labels)
            for reason in shortages.values():
                self.listen(Note(f"no point of the learning curve at {per_class} per class: {reason}"))
            fitting = [entry for entry in entries if entry.head not in shortages]
            runs = self._run(fitting, limited, maps=False) if fitting else []
            for entry in fitting:
                entry_runs = [run for run in runs if run.entry == entry]
                points.append(
                    CurvePoint(
                        entry=entry,
                        split=entry_runs[0].split,
                        per_class=per_class,
                        oa=Estimate.from_values([run.oa for run in entry_runs]),
                        seeds=len(entry_runs),
                        train_pixels=float(np.mean([run.train_pixels for run in entry_runs])),
                        constant=tuple(run.seed for run in entry_runs if run.constant),
                    )
                )
        if constant := constant_points_text(points):
            self.listen(Note(constant))
        return tuple(points)

    def _distinct_limits(self, draws: Draws, limits: Sequence[int]) -> list[int]:
        """Return the limits without those for which a smaller limit already includes all training pixels."""
        largest = max(int(np.bincount(self.labels.classes[draw.train]).max()) for draw in draws.values())
        sufficient = [limit for limit in limits if limit >= largest]
        repeated = [limit for limit in sufficient if limit > min(sufficient)]
        if repeated:
            split = next(iter(draws))[0]
            self.listen(
                Note(
                    f"no point of the learning curve at {', '.join(map(str, repeated))} per class: a class has at most {largest} "
                    f"training pixels under {split}, and {min(sufficient)} per class already includes them all"
                )
            )
        return [limit for limit in limits if limit not in repeated]

    def footprints(self, entries: Sequence[BenchEntry]) -> dict[str, tuple[frozenset[Footprint], ...]]:
        """Return the footprints, in each scene, of the columns that the entries learn from.

        A footprint is the set of pixels that a feature depends on. The result maps `BenchEntry.columns`, such as
        ``planes of ip``, to the footprints.
        """
        footprints = {}
        for entry in entries:
            store = self._store_name(entry)
            layout = self.tables[store].take(InputSet.parse(entry.inputs)).layout
            footprints[entry.columns] = scene_footprints(self.stores[store].scenes, layout)
        return footprints

    def _store_name(self, entry: BenchEntry) -> str:
        """Return the name of a store that has the columns of `entry`.

        If the entry names no store, its columns are the same in all stores, and the name of the first store is
        returned.
        """
        return entry.store or next(iter(self.stores))

    def _task(
        self, entry: BenchEntry, split: str, seed: int, draw: str, left_out: tuple[int, ...], *, maps: bool
    ) -> RunTask:
        store = self._store_name(entry)
        scenes, table = self.stores[store], self.tables[store].take(InputSet.parse(entry.inputs))
        if not issubclass(head_class(entry.head), ReducingHead):
            table = replace(table, reduction="train")  # these heads ignore the sample, so it must not affect the key
        params = dict(self.params.get(entry.head, {}))
        head = {"name": entry.head, **make_head(entry.head, **params).get_params(deep=False)}
        # Learning curves need neither maps nor smoothed scores.
        rule = self.rule if maps else None
        return RunTask(
            entry=entry,
            split=split,
            seed=seed,
            key=run_key(
                origin_of(scenes, table.groups),
                table.layout,
                head,
                draw,
                seed,
                table.reduction,
                "" if rule is None else rule.text,
            ),
            draw=draw,
            left_out=left_out,
            table=table,
            run_records=self.run_records,
            scenes=tuple(
                MappedScene(StackSource.of_features(features), window)
                for features, window in zip(scenes.scenes, self.labels.windows, strict=True)
            ),
            grid=(self.labels.rows, self.labels.cols),
            is_mapped=maps and seed == 0,
            params=params,
            smoothing=rule,
        )
