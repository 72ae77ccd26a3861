"""Runs the entries of a benchmark under its draws; what the run store holds is not repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.results.model import BenchEntry, CurvePoint, Estimate, RunResult
from classifiers.comparison.run_records import RunRecords, run_key
from classifiers.comparison.sampling import Draws, limit_per_class
from classifiers.comparison.shared_table import SharedTable
from classifiers.comparison.tasks import RunTask, do_run
from classifiers.heads.registry import make_head
from classifiers.splits import Footprint, layout_footprints
from hsifeat.features.features import Features
from hsifeat.runtime.events import Advanced, Finished, Listener, Note, Started
from hsifeat.runtime.executor import Executor
from hsifeat.scenes import Labels


@dataclass(frozen=True)
class BenchRunner:
    """Runs entries on stores of one scene.

    Attributes
    ----------
    stores : dict of str to Features
        Stores by name.
    tables : dict of str to SharedTable
        The labelled pixels of each store, with all columns that any entry takes.
    labels : Labels
        True classes.
    run_records : RunRecords
        Where finished runs are recorded.
    executor : Executor
        Does the runs.
    listen : callable
        Receives the events.
    """

    stores: dict[str, Features]
    tables: dict[str, SharedTable]
    labels: Labels
    run_records: RunRecords
    executor: Executor
    listen: Listener

    def run_all(self, entries: Sequence[BenchEntry], draws: Draws, *, maps: bool = True) -> list[RunResult]:
        """Run every entry under every draw.

        Parameters
        ----------
        entries : sequence of BenchEntry
            What to run.
        draws : dict of (str, int) to SplitDraw
            By split and seed.
        maps : bool
            Whether runs of seed 0 also map the scene.

        Returns
        -------
        list of RunResult
            Entry by entry, in the order of the draws.
        """
        keys = {name: self.run_records.add_draw(draw, self.labels) for name, draw in draws.items()}
        tasks = [
            self._task(entry, split, seed, keys[split, seed], draw.left_out, mapped=maps and seed == 0)
            for entry in entries
            for (split, seed), draw in draws.items()
        ]
        results: dict[RunTask, RunResult] = {}
        for task in tasks:
            recorded = self.run_records.find(task.key, mapped=task.mapped_store is not None)
            if recorded is not None:
                results[task] = recorded
        if results:
            self.listen(Note(f"{len(results)} of {len(tasks)} runs are recorded already"))
        self.listen(Started("bench", len(tasks), "runs", len(results)))
        for task, run in self.executor.run(do_run, [task for task in tasks if task not in results]):
            results[task] = run
            self.listen(Advanced("bench", len(results), str(task.entry)))
        self.listen(Finished("bench"))
        # A store that was renamed keeps its recorded runs, under its new name.
        return [results[task].model_copy(update={"entry": task.entry, "split": task.split}) for task in tasks]

    def learning_curves(
        self, entries: Sequence[BenchEntry], draws: Draws, limits: Sequence[int]
    ) -> tuple[CurvePoint, ...]:
        """Run every entry on at most so many training pixels of each class, for each of `limits`.

        Parameters
        ----------
        entries : sequence of BenchEntry
            What to run.
        draws : dict of (str, int) to SplitDraw
            The draws of one split.
        limits : sequence of int
            Training pixels per class.
        """
        points = []
        for per_class in limits:
            limited = {
                (split, seed): limit_per_class(draw, self.labels, per_class, seed)
                for (split, seed), draw in draws.items()
            }
            runs = self.run_all(entries, limited, maps=False)
            for entry in entries:
                of_entry = [run for run in runs if run.entry == entry]
                points.append(
                    CurvePoint(
                        entry=entry,
                        split=of_entry[0].split,
                        per_class=per_class,
                        oa=Estimate.from_values([run.oa for run in of_entry]),
                        seeds=len(of_entry),
                        train_pixels=float(np.mean([run.train_pixels for run in of_entry])),
                    )
                )
        return tuple(points)

    def footprints(self, entries: Sequence[BenchEntry]) -> dict[str, frozenset[Footprint]]:
        """Return which pixels features depend on, by `BenchEntry.columns`."""
        footprints = {}
        for entry in entries:
            store = self._store_name(entry)
            layout = self.tables[store].take(entry.features).layout
            footprints[entry.columns] = layout_footprints(self.stores[store], layout)
        return footprints

    def maps(
        self, runs: Sequence[RunResult], *, confidence: bool = False
    ) -> dict[tuple[BenchEntry, str], NDArray[Any]]:
        """Return the memory-mapped maps of seed 0 by entry and split: (rows, cols) integer; confidences are uint8."""
        file = self.run_records.confidence if confidence else self.run_records.map
        maps = {(run.entry, run.split): self.run_records.read_map(file(run.key)) for run in runs if run.seed == 0}
        return {name: array for name, array in maps.items() if array is not None}

    def _store_name(self, entry: BenchEntry) -> str:
        """Return the store that an entry's columns come from; spectra are in every store."""
        return entry.store or next(iter(self.stores))

    def _task(
        self, entry: BenchEntry, split: str, seed: int, draw: str, left_out: tuple[int, ...], *, mapped: bool
    ) -> RunTask:
        store = self._store_name(entry)
        features, table = self.stores[store], self.tables[store].take(entry.features)
        head = {"name": entry.head, **make_head(entry.head).get_params(deep=False)}
        # Spectra are the same in every store of a scene, so runs on them belong to the scene.
        origin = features.key if entry.store else str(features.recipe["scene"])
        return RunTask(
            entry=entry,
            split=split,
            seed=seed,
            key=run_key(origin, table.layout, head, draw, seed),
            draw=draw,
            left_out=left_out,
            table=table,
            run_records=self.run_records,
            mapped_store=str(features.store.location) if mapped else None,
        )
