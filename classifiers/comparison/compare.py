"""The comparison: every head on every input, under every split, for several seeds, from cached features alone."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.entries import make_entries
from classifiers.comparison.record import Record, run_key, versions
from classifiers.comparison.results import Comparison, DrawnSplit, Entry, Pictures, Run, RunResult
from classifiers.heads.registry import make_head
from classifiers.inputs import COMPARED, columns_of, has_planes, picks
from classifiers.mapping import predict_maps
from classifiers.metrics import score
from classifiers.splits import GRAMMAR, Draw, Split, contexts_of, draw_sides, leakage, parse_split, thin
from classifiers.table import PixelTable, pick_labels
from hsifeat.errors import HeadError, SplitError, StoreError
from hsifeat.features import Features, PlaneLike, open_features
from hsifeat.scenes.colours import false_colour
from hsifeat.work.events import Advanced, Finished, Listener, Note, Started, silent

if TYPE_CHECKING:
    from classifiers.heads.base import Head

HEADS = ("film", "mlp", "svm", "lightgbm")
SPLITS = ("random:0.1", "blocks:12+4:0.1")


def compare(
    stores: str | Path | Features | Sequence[str | Path | Features] | None = None,
    *,
    heads: Sequence[str] = HEADS,
    splits: Sequence[str] = SPLITS,
    seeds: int = 5,
    inputs: Sequence[str] = COMPARED,
    labels: str | None = None,
    planes: Sequence[PlaneLike] | None = None,
    out: str | Path,
    command: str = "",
    listen: Listener = silent,
) -> Comparison:
    """Compare heads and inputs.

    Parameters
    ----------
    stores : str, Path, Features or a sequence of them, optional
        Stores of one scene; left out, the store completed last.
    heads : sequence of str
        Names of heads.
    splits : sequence of str
        In the grammar of `parse_split`. Where only random or only disjoint ones are named, the other kind is added, since
        neither can be read without the other. For each seed all splits get the same number of training pixels: the smallest
        that any of them draws.
    seeds : int
        Seeds 0 to ``seeds - 1``; each decides both the draw and the head, so entries are paired.
    inputs : sequence of str
        Of `classifiers.inputs.INPUTS`.
    labels : str, optional
        Name of a label map in the first store.
    planes : sequence, optional
        As `Features.select` takes them; by default all.
    out : str or Path
        Folder of the record: finished runs found there are not run again.
    command : str
        What was typed, for the report.
    listen : callable
        Gets the events of the run.

    Returns
    -------
    Comparison

    Raises
    ------
    HsifeatError
        Unknown heads, inputs, splits or stores, stores of different scenes, or labels that can't be split so.
    """
    if seeds < 1:
        raise HeadError(f"a comparison takes at least one seed; found {seeds}")
    given = [stores] if stores is None or isinstance(stores, str | Path | Features) else list(stores)
    opened = _named([store if isinstance(store, Features) else open_features(store) for store in given])
    listen(Note(f"stores: {', '.join(str(features.store.place) for features in opened.values())}"))
    first = next(iter(opened.values()))
    rules = _side_by_side([parse_split(text, first.scene.labels) for text in dict.fromkeys(splits)], listen)
    entries = make_entries(list(opened), heads, inputs)
    if not all(features.select(planes) for features in opened.values()) and any(
        has_planes(e.features) for e in entries
    ):
        raise StoreError("no plane to learn from: name some with --planes, or leave the inputs with planes out")
    tables = {
        name: PixelTable.from_store(
            features,
            labels=pick_labels(first, labels),
            planes=planes if any(has_planes(e.features) for e in entries) else [],
            **columns_of({e.features for e in entries}, features),
        )
        for name, features in opened.items()
    }
    bench = _Bench(opened, tables, Record(Path(out)), listen, {})
    draws = bench.draw(rules, seeds)
    results = bench.run_all(entries, draws)
    maps = bench.map_all(entries, draws)
    truth = next(iter(tables.values())).labels
    scene = first.scene
    return Comparison(
        scene={
            "name": scene.name,
            "rows": scene.rows,
            "cols": scene.cols,
            "bands": scene.bands,
            "labels": truth.name,
            "licence": scene.licence,
            "citation": scene.citation,
        },
        class_names=truth.class_names,
        class_colours=truth.class_colours,
        stores=[_facts(name, features, planes) for name, features in opened.items()],
        results=results,
        pictures=Pictures(
            truth=truth.classes,
            false_colour=false_colour(scene.cube, scene.wavelengths_nm, first.valid),
            splits={text: draw_sides(draw, truth) for (text, seed), draw in draws.items() if seed == 0},
            maps=maps,
        ),
        provenance={
            "command": command,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "versions": {"python": platform.python_version(), **versions()},
            "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
        },
        drawn=bench.measure(entries, draws),
    )


@dataclass(frozen=True)
class _Bench:
    """The stores and tables of a comparison, the record of what is done, and heads just fitted that maps will need."""

    stores: dict[str, Features]
    tables: dict[str, PixelTable]
    record: Record
    listen: Listener
    fitted: dict[Run, Head]

    def draw(self, rules: Sequence[Split], seeds: int) -> dict[tuple[str, int], Draw]:
        """Draw every split for every seed, thinned to the smallest number of training pixels of that seed."""
        labels = next(iter(self.tables.values())).labels
        draws: dict[tuple[str, int], Draw] = {}
        for seed in range(seeds):
            drawn = {rule.text: rule.draw(labels, seed) for rule in rules}
            fewest = min(int(draw.train.sum()) for draw in drawn.values())
            thinned = {text: thin(draw, labels, fewest, seed) for text, draw in drawn.items()}
            counts = {text: int(draw.train.sum()) for text, draw in thinned.items()}
            if len(set(counts.values())) > 1:
                said = ", ".join(f"{count} under {text}" for text, count in counts.items())
                self.listen(Note(f"seed {seed}: every class keeps a training pixel, so their numbers differ: {said}"))
            draws |= {(text, seed): draw for text, draw in thinned.items()}
        return draws

    def measure(self, entries: Sequence[Entry], draws: dict[tuple[str, int], Draw]) -> list[DrawnSplit]:
        """Measure what every split leaks to what heads are given."""
        contexts = {}
        for entry in entries:
            store = self._store(entry)
            layout = self.tables[store].layout.take(picks(entry.features))
            contexts[entry.columns] = contexts_of(self.stores[store], layout)
        measured = []
        for text in dict.fromkeys(text for text, _ in draws):
            mine = [draw for (split, _), draw in draws.items() if split == text]
            # Several inputs see the same pixels.
            found = {seen: [leakage(draw, seen) for draw in mine] for seen in set(contexts.values())}
            distances = next(iter(found.values()))
            measured.append(
                DrawnSplit(
                    split=text,
                    seen={of: float(np.mean([one.seen for one in found[seen]])) for of, seen in contexts.items()},
                    context={of: " and ".join(sorted({str(one) for one in seen})) for of, seen in contexts.items()},
                    median_px=float(np.mean([one.median_px for one in distances])),
                    least_px=min(one.least_px for one in distances),
                    notes=draws[text, 0].notes,
                )
            )
        return measured

    def run_all(self, entries: Sequence[Entry], draws: dict[tuple[str, int], Draw]) -> list[RunResult]:
        """Fit, predict and score what the record does not hold yet."""
        runs = [Run(entry, text, seed) for entry in entries for text, seed in draws]
        keys = {run: self._key(run, draws[run.split, run.seed]) for run in runs}
        found = {run: result for run in runs if (result := self.record.find(keys[run]))}
        if found:
            self.listen(Note(f"{len(found)} of {len(runs)} runs are recorded already"))
        self.listen(Started("bench", len(runs), "runs", len(found)))
        results = []
        for run in runs:
            result = found.get(run)
            if result is None:
                result, head = self._run(run, draws[run.split, run.seed])
                self.record.add(keys[run], result)
                if run.seed == 0:
                    self.fitted[run] = head
                found[run] = result
                self.listen(Advanced("bench", len(found), str(run.entry)))
            # Names are for people: a store that was renamed keeps its recorded runs.
            results.append(replace(result, run=run))
        self.listen(Finished("bench"))
        return results

    def map_all(
        self, entries: Sequence[Entry], draws: dict[tuple[str, int], Draw]
    ) -> dict[tuple[Entry, str], NDArray[np.integer]]:
        """Map the scene by every entry under every split, with seed 0; what is recorded is not done again."""
        maps: dict[tuple[Entry, str], NDArray[np.integer]] = {}
        wanted: dict[str, list[Run]] = {}
        for run in (Run(entry, text, seed) for entry in entries for text, seed in draws if seed == 0):
            there = self.record.find_map(self._key(run, draws[run.split, 0]))
            if there is not None:
                maps[run.entry, run.split] = there
            else:
                wanted.setdefault(self._store(run.entry), []).append(run)
        for store, runs in wanted.items():
            table = self.tables[store]
            heads = {
                str(i): (
                    self.fitted.get(run) or self._run(run, draws[run.split, 0])[1],
                    table.layout.columns(*filter(picks(run.entry.features), table.layout)),
                )
                for i, run in enumerate(runs)
            }
            drawn = predict_maps(self.stores[store], table.layout, heads, listen=self.listen)
            for i, run in enumerate(runs):
                self.record.add_map(self._key(run, draws[run.split, 0]), drawn[str(i)])
                maps[run.entry, run.split] = drawn[str(i)]
        return maps

    def _store(self, entry: Entry) -> str:
        """Name the store that an entry's columns come from: any will do for spectra."""
        return entry.store or next(iter(self.stores))

    def _head(self, run: Run, table: PixelTable) -> Head:
        head = make_head(run.entry.head, layout=table.layout)
        return head.set_params(random_state=run.seed) if "random_state" in head.get_params() else head

    def _key(self, run: Run, draw: Draw) -> str:
        store = self._store(run.entry)
        layout = self.tables[store].layout.take(picks(run.entry.features))
        params = make_head(run.entry.head).get_params(deep=False)
        # Spectra are the same in every store of the scene: their runs belong to the scene.
        features = self.stores[store]
        origin = features.key if run.entry.store else str(features.recipe["scene"])
        return run_key(origin, layout, {"name": run.entry.head, **params}, self.tables[store].labels, draw, run.seed)

    def _run(self, run: Run, draw: Draw) -> tuple[RunResult, Head]:
        """Fit on the training pixels, predict and score the test pixels."""
        table = self.tables[self._store(run.entry)].take(picks(run.entry.features))
        train, test = table[draw.train[table.rows, table.cols]], table[draw.test[table.rows, table.cols]]
        head = self._head(run, table)
        start = time.perf_counter()
        head.fit(train.X, train.y)
        fitted = time.perf_counter()
        predicted = head.predict(test.X)
        done = time.perf_counter()
        result = RunResult(
            run, score(test.y, predicted), len(train), len(test), draw.left_out, fitted - start, done - fitted
        )
        return result, head


def _side_by_side(rules: list[Split], listen: Listener) -> list[Split]:
    """Add a disjoint split where only random ones are asked for, and the other way round; given ones stand alone."""
    if not rules:
        raise SplitError(f"no split to compare under; allowed: {GRAMMAR}")
    kinds = {rule.kind for rule in rules} - {"given"}
    for text, kind in zip(SPLITS, ("random", "disjoint"), strict=True):
        if kinds and kind not in kinds:
            listen(Note(f"{text} is added: a random and a disjoint split are shown side by side"))
            rules = [*rules, parse_split(text)]
    return rules


def _named(stores: Sequence[Features]) -> dict[str, Features]:
    """Name the stores, and refuse those of another scene than the first."""
    named: dict[str, Features] = {}
    for features in stores:
        if features.recipe["scene"] != stores[0].recipe["scene"]:
            raise StoreError(
                f"{features.name} is of another scene ({features.scene.name}) than {stores[0].name} "
                f"({stores[0].scene.name}): compare stores of one scene"
            )
        name = features.name
        while name in named:
            name += "'"
        named[name] = features
    return named


def _facts(name: str, features: Features, planes: Sequence[PlaneLike] | None) -> dict[str, Any]:
    return {
        "name": name,
        "key": features.key,
        "path": str(features.store.place),
        "recipe": features.recipe,
        "planes": [
            {
                "t": plane.id.t,
                "layer": plane.id.layer,
                "stride": plane.stride,
                "channels": plane.channels,
                "size_bytes": features.size_bytes(plane),
            }
            for plane in features.select(planes)
        ],
    }
