"""The bench: stores and tables that runs draw on, which of them are recorded already, and running the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.results.model import Curve
from classifiers.comparison.results.run import Entry, Run, RunResult, mean_sd
from classifiers.comparison.run_store import RunStore, draw_key, run_key
from classifiers.comparison.sampling import Draws, few
from classifiers.comparison.shared_table import SharedTable
from classifiers.comparison.tasks import Task, run_task
from classifiers.heads.registry import make_head
from classifiers.splits import Footprint, layout_footprints
from hsifeat.features.features import Features
from hsifeat.runtime.events import Advanced, Finished, Listener, Note, Started
from hsifeat.runtime.executor import Executor
from hsifeat.scenes import Labels


@dataclass(frozen=True)
class Bench:
    """What runs draw on.

    Attributes
    ----------
    stores : dict of str to Features
        By their names.
    tables : dict of str to SharedTable
        The labelled pixels of each, with all columns that any entry takes.
    labels : Labels
        True classes.
    record : Record
        Of finished runs.
    runner : Executor
        Does the runs.
    listen : callable
        Gets the events.
    """

    stores: dict[str, Features]
    tables: dict[str, SharedTable]
    labels: Labels
    record: RunStore
    runner: Executor
    listen: Listener

    def run_all(self, entries: Sequence[Entry], draws: Draws, *, maps: bool = True) -> list[RunResult]:
        """Run every entry under every draw; what the record holds is not run again. Maps are those of seed 0."""
        keys = {at: self._keep(draw_key(draw, self.labels), draws, at) for at, draw in draws.items()}
        tasks = [
            self._task(Run(entry, split, seed), keys[split, seed], draw.left_out, maps=maps and seed == 0)
            for entry in entries
            for (split, seed), draw in draws.items()
        ]
        found = {t: result for t in tasks if (result := self.record.find(t.key, mapped=t.maps is not None))}
        wanted = [task for task in tasks if task not in found]
        if found:
            self.listen(Note(f"{len(found)} of {len(tasks)} runs are recorded already"))
        self.listen(Started("bench", len(tasks), "runs", len(found)))
        for task, result in self.runner.run(run_task, wanted):
            found[task] = result
            self.listen(Advanced("bench", len(found), str(task.run.entry)))
        self.listen(Finished("bench"))
        # Names are for people: a store that was renamed keeps its recorded runs.
        return [replace(found[task], run=task.run) for task in tasks]

    def curves(self, entries: Sequence[Entry], draws: Draws, counts: Sequence[int]) -> list[Curve]:
        """Run every entry on at most so many training pixels of each class, within those of draws of one split."""
        points = []
        for per_class in counts:
            fewer = {(split, k): few(draw, self.labels, per_class, k) for (split, k), draw in draws.items()}
            results = self.run_all(entries, fewer, maps=False)
            for entry in entries:
                mine = [r for r in results if r.run.entry == entry]
                oa = mean_sd([r.scores.oa for r in mine])
                pixels = float(np.mean([r.train_pixels for r in mine]))
                points.append(Curve(entry, mine[0].run.split, per_class, oa, len(mine), pixels))
        return points

    def contexts(self, entries: Sequence[Entry]) -> dict[str, frozenset[Footprint]]:
        """Return which pixels the features of each `Entry.columns` see."""
        found = {}
        for entry in entries:
            store = self.store_of(entry)
            found[entry.columns] = layout_footprints(self.stores[store], self.tables[store].take(entry.features).layout)
        return found

    def maps(self, results: Sequence[RunResult], *, confidence: bool = False) -> dict[tuple[Entry, str], NDArray[Any]]:
        """Return the maps of seed 0, which stay on disk until they are looked at."""
        file = self.record.confidence if confidence else self.record.map
        read = {(r.run.entry, r.run.split): self.record.read_map(file(r.key)) for r in results if r.run.seed == 0}
        return {at: found for at, found in read.items() if found is not None}

    def store_of(self, entry: Entry) -> str:
        """Name the store that an entry's columns come from: any will do for spectra."""
        return entry.store or next(iter(self.stores))

    def _keep(self, key: str, draws: Draws, at: tuple[str, int]) -> str:
        self.record.add_draw(key, draws[at], self.labels)
        return key

    def _task(self, run: Run, draw: str, left_out: tuple[int, ...], *, maps: bool) -> Task:
        store = self.store_of(run.entry)
        table = self.tables[store].take(run.entry.features)
        params = make_head(run.entry.head).get_params(deep=False)
        # Spectra are the same in every store of the scene: their runs belong to the scene.
        features = self.stores[store]
        origin = features.key if run.entry.store else str(features.recipe["scene"])
        key = run_key(origin, table.layout, {"name": run.entry.head, **params}, draw, run.seed)
        return Task(run, key, draw, left_out, table, self.record, str(features.store.location) if maps else None)
