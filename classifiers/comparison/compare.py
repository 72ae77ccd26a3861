"""The comparison: every head on every input, under every split, for several seeds, from cached features alone."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from classifiers.comparison.baseline import Baseline
from classifiers.comparison.bench import Bench
from classifiers.comparison.changes import since
from classifiers.comparison.config import command_of, settled
from classifiers.comparison.entries import make_entries
from classifiers.comparison.plane_clusters import MAX_CLUSTERS, draw_panels
from classifiers.comparison.results.model import Comparison, Pictures
from classifiers.comparison.results.run import Entry, RunResult
from classifiers.comparison.run_store import versions
from classifiers.comparison.sampling import SPLITS, draw_all, measure, side_by_side, telling
from classifiers.comparison.shared_table import SharedTable
from classifiers.comparison.stats.significance import judge
from classifiers.comparison.sweep import check_sweeper, sweep_planes
from classifiers.comparison.workdir import workplace
from classifiers.feature_sets import DEFAULT_INPUTS, layout_options, uses_planes
from classifiers.splits import make_split_map, parse_split
from classifiers.table import PixelTable, select_labels
from hsifeat.errors import HeadError, StoreError
from hsifeat.features.features import Features, PlaneLike, open_features
from hsifeat.runtime.events import Listener, Note, silent
from hsifeat.runtime.local import local_executor
from hsifeat.scenes.colours import false_colour

HEADS = ("film", "mlp", "svm", "lightgbm")


def compare(
    stores: str | Path | Features | Sequence[str | Path | Features] | None = None,
    *,
    heads: Sequence[str] = HEADS,
    splits: Sequence[str] = SPLITS,
    seeds: int = 5,
    inputs: Sequence[str] = DEFAULT_INPUTS,
    labels: str | None = None,
    planes: Sequence[PlaneLike] | None = None,
    curve: Sequence[int] = (),
    sweep: str | None = None,
    jobs: int | None = 1,
    out: str | Path = "report",
    older: str | Path | None = None,
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
        Of `classifiers.feature_sets.INPUTS`; ``suited`` stands for what suits a head.
    labels : str, optional
        Name of a label map in the first store.
    planes : sequence, optional
        As `Features.select` takes them; by default all.
    curve : sequence of int
        Also learn from at most so many training pixels of each class of the disjoint split, one learning curve an entry.
    sweep : str, optional
        Also try every plane of the first store on its own under the disjoint split, by this head; see
        `classifiers.comparison.sweep`.
    jobs : int, optional
        Runs side by side, each in a process of its own; None takes as many as cores and memory allow. Numbers are the same
        bit for bit. A script that asks for more than 1 needs ``if __name__ == "__main__":``.
    out : str or Path
        Folder of the report; finished runs are recorded in its folder ``record``, and those found there are not run again.
    older : str or Path, optional
        ``results.json`` of an older report of the same scene and labels: `Comparison.changes` tells what changed.
    command : str
        What was typed, for the report; by default the command that asks for the same, where there is one.
    listen : callable
        Gets the events of the run.

    Returns
    -------
    Comparison
        Shows its summary in a notebook; `Comparison.frame` has a row a run; `write_files` writes the report.

    Raises
    ------
    HsifeatError
        Unknown heads, inputs, splits or stores, stores of different scenes, labels that can't be split so, an older report
        of another scene or of other labels, or another comparison at work in the same folder.
    """
    if seeds < 1:
        raise HeadError(f"a comparison takes at least one seed; found {seeds}")
    if any(count < 1 for count in curve):
        raise HeadError(f"a learning curve takes numbers of pixels from 1; found {', '.join(map(str, curve))}")
    past = None if older is None else Baseline.read(Path(older))
    given = [stores] if stores is None or isinstance(stores, str | Path | Features) else list(stores)
    opened = _named([store if isinstance(store, Features) else open_features(store) for store in given])
    listen(Note(f"stores: {', '.join(str(features.store.location) for features in opened.values())}"))
    first = next(iter(opened.values()))
    rules = side_by_side([parse_split(text, first.scene.labels) for text in dict.fromkeys(splits)], listen)
    entries = make_entries(opened, heads, inputs)
    if sweep is not None:
        check_sweeper(sweep)
    with_planes = any(uses_planes(e.features) for e in entries)
    if with_planes and not all(features.select(planes) for features in opened.values()):
        raise StoreError("no plane to learn from: name some with --planes, or leave the inputs with planes out")
    truth = first.usable(select_labels(first, labels))
    if past is not None:
        past.check(first, truth)
    # A sweep compares planes with spectra.
    inputs_read = {*(e.features for e in entries), *(["spectra"] if sweep is not None else [])}
    tables = {
        name: PixelTable.from_store(
            features,
            labels=truth,
            planes=planes if with_planes else [],
            **layout_options(inputs_read, features),
        )
        for name, features in opened.items()
    }
    draws = draw_all(rules, truth, seeds, listen)
    asked = settled(
        opened,
        heads=heads,
        inputs=inputs,
        splits=[rule.text for rule in rules],
        seeds=seeds,
        curve=curve,
        sweep=sweep,
        labels=labels,
        planes=planes,
    )
    tells = telling(rules).text
    with workplace(Path(out)) as (record, folder):
        shared = {name: SharedTable.write(table, folder / str(i)) for i, (name, table) in enumerate(tables.items())}
        del tables
        most = max(table.fit_bytes(draws.values()) for table in shared.values())
        with local_executor(jobs, most, listen=listen) as runner:
            bench = Bench(opened, shared, truth, record, runner, listen)
            results = bench.run_all(entries, draws)
            mine = {seed: draw for (split, seed), draw in draws.items() if split == tells}
            points = bench.curves(entries, {(tells, seed): draw for seed, draw in mine.items()}, curve)
            swept = None
            if sweep is not None and with_planes:
                table = shared[next(iter(opened))]
                swept = sweep_planes(first, table, truth, mine, record, sweep, tells, runner=runner, listen=listen)
        drawn = measure(draws, bench.contexts(entries))
        told = judge(results, record, truth)
        changes = [] if past is None else since(results, record, truth, past)
        maps, confidence = bench.maps(results), bench.maps(results, confidence=True)
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
            splits={text: make_split_map(draw, truth) for (text, seed), draw in draws.items() if seed == 0},
            maps=maps,
            confidence=confidence,
        ),
        provenance={
            "command": command or command_of(asked, Path(out)),
            "arguments": asked,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "versions": {"python": platform.python_version(), **versions()},
            "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
        },
        drawn=drawn,
        pairs=told.pairs,
        verdicts=told.verdicts,
        intervals=told.intervals,
        gap_intervals=told.gap_intervals,
        curves=points,
        sweep=swept,
        mixing=_mixing(results, tells),
        panels=draw_panels(first, planes, clusters=min(len(truth.counts), MAX_CLUSTERS)) if with_planes else [],
        costs={"stores": [_costs(name, features, planes) for name, features in opened.items()]},
        georeference=first.georeference,
        changes=changes,
    )


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
        "path": str(features.store.location),
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


def _costs(name: str, features: Features, planes: Sequence[PlaneLike] | None) -> dict[str, Any]:
    """Return what a store costs: its planes before compression, on disk all that it holds, and what extraction took."""
    location = features.store.location
    return {
        "name": name,
        "bytes": sum(features.size_bytes(plane) for plane in features.select(planes)),
        "bytes_on_disk": None if location.read_only else sum(location.files().values()),
        "seconds": features.seconds({None, *(plane.id.t for plane in features.select(planes))}),
        "devices": list(features.devices),
    }


def _mixing(results: Sequence[RunResult], split: str) -> dict[Entry, list[dict[str, Any]]]:
    return {r.run.entry: list(r.mixing) for r in results if r.mixing and r.run.seed == 0 and r.run.split == split}
