"""The sweep: every plane of a store on its own, and the best few together, chosen within training pixels alone.

Planes are chosen by greedy forward selection: beginning with none, the plane that raises the accuracy most is added. That
accuracy is a mean over spatial folds of the training pixels, so the choice never sees the class of a test pixel; each
seed, with training pixels of its own, chooses for itself. The accuracies that are reported are those on test pixels, beside
that of spectra alone. Each fit is recorded as soon as it is done, so none is done twice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.results.model import PlaneScore, Sweep
from classifiers.comparison.results.run import mean_sd
from classifiers.comparison.run_store import RunStore, draw_key, run_key
from classifiers.comparison.sampling import SPLITS
from classifiers.comparison.shared_table import SharedTable
from classifiers.comparison.tasks import Trial, run_trial
from classifiers.comparison.workdir import workplace
from classifiers.heads.registry import head_class, make_head
from classifiers.splits import SplitDraw, parse_split
from classifiers.table import PixelTable, select_labels
from hsifeat.errors import HeadError, SplitError, StoreError
from hsifeat.features.features import Features, PlaneLike, open_features
from hsifeat.runtime.events import Advanced, Finished, Listener, Note, Started, silent
from hsifeat.runtime.executor import Executor
from hsifeat.runtime.local import local_executor
from hsifeat.scenes import Labels
from hsifeat.types import PlaneId

# A linear head: what it can read from a plane lies open there.
HEAD = "lda"
BEST = 3
# Half of the training pixels in small blocks: their pixels lie apart, and few classes are lost.
FOLDS = "blocks:6+1:0.5"
DRAWS = 3

Planes = tuple[PlaneId, ...]


class Fit(NamedTuple):
    """Planes, none for spectra alone, a seed, and the name of the draw that the head is fitted under."""

    planes: Planes
    seed: int
    draw: str


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
        Folder of the record: fits that were finished there are not done again.
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
    listen(Note(f"store: {features.store.location}"))
    rule = parse_split(split, features.scene.labels)
    if not features.select(planes):
        raise StoreError(f"{features.name} has no plane to sweep: name some with --planes")
    table = PixelTable.from_store(features, labels=select_labels(features, labels), planes=planes)
    draws = {seed: rule.draw(table.labels, seed) for seed in range(seeds)}
    with workplace(Path(out)) as (record, folder):
        shared = SharedTable.write(table, folder / "0")
        with local_executor(jobs, shared.fit_bytes(draws.values()), listen=listen) as runner:
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
    draws: Mapping[int, SplitDraw],
    record: RunStore,
    head: str,
    split: str,
    *,
    runner: Executor,
    best: int = BEST,
    listen: Listener = silent,
) -> Sweep:
    """Sweep the planes of a shared table under the draws of a split, by seed; see `sweep`."""
    names = tuple(dict.fromkeys(PlaneId(g.t, g.layer) for g in table.groups if g.kind == "plane" and g.t is not None and g.layer))  # fmt: skip
    bench = _Sweeper(features, table, labels, record, head, names, runner, listen)
    keys = {seed: bench.keep(draw) for seed, draw in draws.items()}
    choices = bench.choose(draws, best)
    shown = choices[min(choices)]
    # None of the planes: spectra alone, of the heads that can take them.
    alone: list[Planes] = [*(((),) if "plane" not in head_class(head).needs else ()), *((name,) for name in names)]
    together = {seed: [tuple(chosen[: n + 1]) for n in range(len(chosen))] for seed, chosen in choices.items()}
    fits = [Fit(planes, seed, keys[seed]) for seed in draws for planes in dict.fromkeys([*alone, *together[seed]])]
    oa = bench.run(fits, "planes on test pixels")

    def values(planes: Mapping[int, Planes]) -> NDArray[np.float64]:
        return np.array([oa[Fit(planes[seed], seed, keys[seed])] for seed in draws])

    of_alone = {planes: values(dict.fromkeys(draws, planes)) for planes in alone}
    of_chosen = [values({seed: steps[n] for seed, steps in together.items()}) for n in range(len(shown))]
    baseline = of_alone.pop((), None)
    before = [baseline, *of_chosen]
    return Sweep(
        head=head,
        split=split,
        alone=[_score(features, name, found, baseline) for (name,), found in of_alone.items()],
        chosen=[
            _score(features, name, of_chosen[n], before[n], paid={one.t for one in shown[:n]})
            for n, name in enumerate(shown)
        ],
        choices=[[str(plane) for plane in choices[seed]] for seed in draws],
        seeds=len(draws),
        store=features.name,
        baseline=None if baseline is None else mean_sd(baseline),
    )


def _score(
    features: Features,
    name: PlaneId,
    oa: NDArray[np.float64],
    before: NDArray[np.float64] | None,
    paid: Collection[int] = (),
) -> PlaneScore:
    """Score a plane by accuracies (seeds,), and by those of what it is compared with; timesteps may be paid for already."""
    (plane,) = features.select([name])
    return PlaneScore(
        name.t,
        name.layer,
        mean_sd(oa),
        features.size_bytes(plane),
        0.0 if name.t in paid else features.seconds([name.t]),
        None if before is None else mean_sd(oa - before),
    )


@dataclass(frozen=True)
class _Sweeper:
    """Fits a head on sets of planes."""

    features: Features
    table: SharedTable
    labels: Labels
    record: RunStore
    head: str
    names: tuple[PlaneId, ...]
    runner: Executor
    listen: Listener

    def choose(self, draws: Mapping[int, SplitDraw], best: int) -> dict[int, list[PlaneId]]:
        """Choose planes for each seed by greedy forward selection over folds of its training pixels."""
        chosen: dict[int, list[PlaneId]] = {seed: [] for seed in draws}
        count = min(best, len(self.names))
        folds = {seed: [self.keep(fold) for fold in self._folds(draw, seed)] for seed, draw in draws.items() if count}
        for place in range(count):
            left = {seed: [plane for plane in self.names if plane not in chosen[seed]] for seed in draws}
            fits = {
                (seed, plane): [Fit((*chosen[seed], plane), seed, fold) for fold in folds[seed]]
                for seed in draws
                for plane in left[seed]
            }
            oa = self.run([fit for several in fits.values() for fit in several], f"plane {place + 1} of {count}")
            means = {at: np.mean([oa[fit] for fit in several]) for at, several in fits.items()}
            for seed in draws:
                chosen[seed].append(max(left[seed], key=lambda plane: means[seed, plane]))
        return chosen

    def keep(self, draw: SplitDraw) -> str:
        """Keep the pixels of a draw, and return its name."""
        key = draw_key(draw, self.labels)
        self.record.add_draw(key, draw, self.labels)
        return key

    def run(self, fits: Sequence[Fit], task: str) -> dict[Fit, float]:
        """Return the accuracy of each fit; what the record holds is not done again."""
        trials = {fit: self._trial(fit) for fit in fits}
        found = {trial: oa for trial in trials.values() if (oa := self.record.find_trial(trial.key)) is not None}
        self.listen(Started(task, len(trials), "fits", len(found)))
        for trial, accuracy in self.runner.run(run_trial, [one for one in trials.values() if one not in found]):
            found[trial] = accuracy
            self.listen(Advanced(task, len(found)))
        self.listen(Finished(task))
        return {fit: found[trial] for fit, trial in trials.items()}

    def _trial(self, fit: Fit) -> Trial:
        spectra = not fit.planes or "spectra" in head_class(self.head).needs
        table = self.table.only(fit.planes, spectra=spectra)
        # Spectra are the same in every store of the scene.
        origin = self.features.key if fit.planes else str(self.features.recipe["scene"])
        params = {"name": self.head, **make_head(self.head).get_params(deep=False)}
        return Trial(
            run_key(origin, table.layout, params, fit.draw, fit.seed), fit.draw, self.head, fit.seed, table, self.record
        )

    def _folds(self, draw: SplitDraw, seed: int) -> list[SplitDraw]:
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
