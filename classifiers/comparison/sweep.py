"""The sweep: every plane of a store on its own, and the best few together, chosen within training pixels alone.

Planes are chosen by greedy forward selection: beginning with none, the plane that raises the accuracy most is added. That
accuracy is a mean over spatial folds of the training pixels, so the choice never sees the class of a test pixel; each
seed, with training pixels of its own, chooses for itself. The accuracies that are reported are those on test pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from classifiers.comparison.draws import SPLITS
from classifiers.comparison.record import Record, draw_key, run_key
from classifiers.comparison.results import PlaneScore, Sweep
from classifiers.comparison.shared import SharedTable
from classifiers.comparison.tasks import one_thread, predict, seeded
from classifiers.comparison.workplace import workplace
from classifiers.heads.registry import head_class, make_head
from classifiers.splits import Draw, parse_split
from classifiers.table import PixelTable, pick_labels
from hsifeat.errors import HeadError, SplitError, StoreError
from hsifeat.features import Features, PlaneLike, open_features
from hsifeat.scenes import Labels
from hsifeat.types import PlaneId
from hsifeat.work.events import Advanced, Finished, Listener, Note, Started, silent
from hsifeat.work.executors import Executor, executor

# A linear head: what it can read from a plane lies open there.
HEAD = "lda"
BEST = 3
# Half of the training pixels in small blocks: their pixels lie apart, and few classes are lost.
FOLDS = "blocks:6+1:0.5"
DRAWS = 3


@dataclass(frozen=True)
class Trial:
    """Planes that a head is fitted on: a small value that workers are sent."""

    planes: tuple[PlaneId, ...]
    seed: int
    draw: str
    head: str
    table: SharedTable
    record: Record


def run_trial(trial: Trial) -> float:
    """Fit on the training pixels of a draw, and return the accuracy on its test pixels."""
    with one_thread():
        draw = trial.record.read_draw(trial.draw)
        table = trial.table.only(trial.planes, spectra="spectra" in head_class(trial.head).needs)
        head = seeded(make_head(trial.head, layout=table.layout), trial.seed)
        predicted, _ = predict(head.fit(*table.rows(draw["train"])), table, draw["test"])
        return float(np.mean(predicted == draw["truth"]))


def sweep(
    store: str | Path | Features | None = None,
    *,
    head: str = HEAD,
    split: str = SPLITS[1],
    best: int = BEST,
    seeds: int = 5,
    labels: str | None = None,
    planes: Sequence[PlaneLike] | None = None,
    jobs: int | None = 1,
    out: str | Path = "sweep",
    listen: Listener = silent,
) -> Sweep:
    """Try every plane of a store on its own, and the best few together.

    Parameters
    ----------
    store : str, Path or Features, optional
        As `open_features` takes it.
    head : str
        Name of a head; one that needs spectra gets them with each plane.
    split : str
        In the grammar of `parse_split`.
    best : int
        How many planes to choose; 0 chooses none.
    seeds : int
        Seeds 0 to ``seeds - 1``, each of the draw and of the head.
    labels : str, optional
        Name of a label map in the store.
    planes : sequence, optional
        As `Features.select` takes them; by default all.
    jobs : int, optional
        Fits side by side, as `compare` takes them.
    out : str or Path
        Folder of the record: a sweep that was finished there is not done again.
    listen : callable
        Gets the events of the run.

    Raises
    ------
    HsifeatError
        Anything unknown, no plane, or training pixels that can't be divided into folds.
    """
    check_sweeper(head)
    if seeds < 1 or best < 0:
        raise HeadError(f"a sweep takes at least one seed, and chooses 0 planes or more; found {seeds} and {best}")
    features = store if isinstance(store, Features) else open_features(store)
    listen(Note(f"store: {features.store.place}"))
    rule = parse_split(split, features.scene.labels)
    if not features.select(planes):
        raise StoreError(f"{features.name} has no plane to sweep: name some with --planes")
    spectra = "spectra" in head_class(head).needs
    table = PixelTable.from_store(features, labels=pick_labels(features, labels), planes=planes, spectra=spectra)
    draws = {seed: rule.draw(table.labels, seed) for seed in range(seeds)}
    with workplace(Path(out)) as (record, folder):
        shared = SharedTable.write(table, folder / "0")
        with executor(jobs, shared.fit_bytes(draws.values()), listen=listen) as runner:
            return sweep_planes(
                features, shared, table.labels, draws, record, head, rule.text, best=best, runner=runner, listen=listen
            )


def check_sweeper(head: str) -> None:
    """Raise `HeadError` for a head that can't learn from a plane, with spectra or without."""
    needs = head_class(head).needs - {"spectra", "plane"}
    if needs:
        raise HeadError(f"the head {head} needs {' and '.join(sorted(needs))}, which a plane alone does not have")


def sweep_planes(
    features: Features,
    table: SharedTable,
    labels: Labels,
    draws: Mapping[int, Draw],
    record: Record,
    head: str,
    split: str,
    *,
    runner: Executor,
    best: int = BEST,
    listen: Listener = silent,
) -> Sweep:
    """Sweep the planes of a shared table under the draws of a split, by seed; see `sweep`."""
    names = tuple(dict.fromkeys(PlaneId(g.t, g.layer) for g in table.groups if g.kind == "plane" and g.t is not None and g.layer))  # fmt: skip
    bench = _Sweeper(table, labels, record, head, names, runner, listen)
    keys = {seed: bench.keep(draw) for seed, draw in draws.items()}
    facts = {"name": head, **make_head(head).get_params(deep=False), "best": best, "draws": keys}
    key = run_key(features.key, table.only(names, spectra=True).layout, facts, FOLDS, DRAWS)
    known = record.find_sweep(key)
    if known is not None:
        listen(Note("the sweep is recorded already"))
        return _costed(replace(known, store=features.name, split=split), features)
    choices = bench.choose(draws, best)
    sets = [(name,) for name in names] + [
        tuple(chosen[:n]) for chosen in choices.values() for n in range(2, len(chosen) + 1)
    ]
    wanted = [(planes, seed) for planes in dict.fromkeys(sets) for seed in draws if len(planes) == 1 or choices[seed][: len(planes)] == list(planes)]  # fmt: skip
    found = bench.run([bench.trial(planes, seed, keys[seed]) for planes, seed in wanted], "planes on test pixels")
    oa = {(trial.planes, trial.seed): accuracy for trial, accuracy in found.items()}

    def scored(plane: PlaneId, values: list[float]) -> PlaneScore:
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        return PlaneScore(plane.t, plane.layer, (float(np.mean(values)), sd))

    shown = choices[min(choices)]
    swept = Sweep(
        head=head,
        split=split,
        alone=[scored(name, [oa[(name,), seed] for seed in draws]) for name in names],
        chosen=[
            scored(plane, [oa[tuple(choices[seed][: n + 1]), seed] for seed in draws]) for n, plane in enumerate(shown)
        ],
        choices=[[str(plane) for plane in choices[seed]] for seed in draws],
        seeds=len(draws),
        store=features.name,
    )
    record.add_sweep(key, swept)
    return _costed(swept, features)


def _costed(swept: Sweep, features: Features) -> Sweep:
    """Return a sweep with what its planes cost: a record of accuracies does not know, and a store can be extracted anew."""
    sizes = {plane.id: features.size_bytes(plane) for plane in features.planes}
    seconds = {plane.t: features.seconds([plane.t]) for plane in sizes}

    def costed(scores: Sequence[PlaneScore]) -> list[PlaneScore]:
        return [replace(s, bytes=sizes[PlaneId(s.t, s.layer)], seconds=seconds[s.t]) for s in scores]

    return replace(swept, alone=costed(swept.alone), chosen=costed(swept.chosen))


@dataclass(frozen=True)
class _Sweeper:
    """Fits a head on sets of planes."""

    table: SharedTable
    labels: Labels
    record: Record
    head: str
    names: tuple[PlaneId, ...]
    runner: Executor
    listen: Listener

    def choose(self, draws: Mapping[int, Draw], best: int) -> dict[int, list[PlaneId]]:
        """Choose planes for each seed by greedy forward selection over folds of its training pixels."""
        chosen: dict[int, list[PlaneId]] = {seed: [] for seed in draws}
        count = min(best, len(self.names))
        folds = {seed: [self.keep(fold) for fold in self._folds(draw, seed)] for seed, draw in draws.items() if count}
        for place in range(count):
            trials = [
                self.trial((*chosen[seed], plane), seed, fold)
                for seed in draws
                for plane in self.names
                if plane not in chosen[seed]
                for fold in folds[seed]
            ]
            found = self.run(trials, f"plane {place + 1} of {count}")
            for seed in draws:
                means = {
                    plane: np.mean([a for t, a in found.items() if t.seed == seed and t.planes[-1] == plane])
                    for plane in self.names
                    if plane not in chosen[seed]
                }
                chosen[seed].append(max(means, key=lambda plane: means[plane]))
        return chosen

    def trial(self, planes: tuple[PlaneId, ...], seed: int, draw: str) -> Trial:
        return Trial(planes, seed, draw, self.head, self.table, self.record)

    def keep(self, draw: Draw) -> str:
        """Keep the pixels of a draw, and return its name."""
        key = draw_key(draw, self.labels)
        self.record.add_draw(key, draw, self.labels)
        return key

    def run(self, trials: Sequence[Trial], task: str) -> dict[Trial, float]:
        """Fit all, and return the accuracy of each in the order in which they are given."""
        found: dict[Trial, float] = {}
        self.listen(Started(task, len(trials), "fits"))
        for trial, accuracy in self.runner.run(run_trial, trials):
            found[trial] = accuracy
            self.listen(Advanced(task, len(found)))
        self.listen(Finished(task))
        return {trial: found[trial] for trial in trials}

    def _folds(self, draw: Draw, seed: int) -> list[Draw]:
        """Divide the training pixels, and nothing else, into blocks."""
        mine = replace(self.labels, classes=np.where(draw.train, self.labels.classes, 0))
        rule = parse_split(FOLDS)
        try:
            return [rule.draw(mine, seed + k) for k in range(DRAWS)]
        except SplitError as error:
            raise SplitError(
                f"the training pixels can't be divided by {FOLDS} to choose planes ({error}): choose none by --best 0, or "
                "take a split with more of them"
            ) from error


def to_rows(found: Sweep) -> list[dict[str, object]]:
    """Return a row a plane, best first: its accuracy alone, what it costs, and its place among the chosen."""
    places = {(s.t, s.layer): (n, s) for n, s in enumerate(found.chosen, 1)}
    rows = []
    for score in sorted(found.alone, key=lambda s: -s.oa[0]):
        place, together = places.get((score.t, score.layer), (None, None))
        rows.append(
            {
                "t": score.t,
                "layer": score.layer,
                "oa": score.oa[0],
                "sd": score.oa[1],
                "bytes": score.bytes,
                "seconds": score.seconds,
                "chosen": place,
                "oa_together": None if together is None else together.oa[0],
                "sd_together": None if together is None else together.oa[1],
            }
        )
    return rows


def to_document(found: Sweep) -> dict[str, object]:
    """Return all of a sweep as plain JSON values, as ``sweep`` stands in results.json."""
    return asdict(found)
