"""Execution of a benchmark: runs, learning curves, scores of single planes, and the statistics of the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from classifiers.comparison.baseline import Baseline
from classifiers.comparison.bench_runs import BenchRunner
from classifiers.comparison.changes import detect_changes
from classifiers.comparison.config import SWEEP_HEAD, BenchConfig
from classifiers.comparison.entry_plan import EntryPlan
from classifiers.comparison.results.differences import EntryChange
from classifiers.comparison.results.plane_scores import SweepResult
from classifiers.comparison.results.scores import CurvePoint, EntryDistances, RunResult, SplitSummary
from classifiers.comparison.row_counts import check_row_counts, find_row_shortages
from classifiers.comparison.run_records import RunRecords
from classifiers.comparison.sampling import Draws, curve_draws, reference_split
from classifiers.comparison.shared_table import SharedTable
from classifiers.comparison.stats.distance import assess_distances
from classifiers.comparison.stats.scene_accuracy import score_by_scene
from classifiers.comparison.stats.significance import Assessment, assess_entries
from classifiers.comparison.sweep import sweep_planes
from classifiers.comparison.workdir import open_workdir
from classifiers.input_sets import InputSet, layout_options
from classifiers.smoothing import SmoothingRule, smoothing_bytes
from classifiers.splits import Split
from classifiers.table import PixelTable
from hsifeat.errors import HeadError, SplitError
from hsifeat.features.features import PlaneLike
from hsifeat.features.scene_set import SceneSet
from hsifeat.runtime.events import Listener, Note
from hsifeat.runtime.executor import Executor
from hsifeat.runtime.executor_plugins import open_executor
from hsifeat.runtime.local import local_executor
from hsifeat.runtime.worker import check_folder
from hsifeat.scenes import Labels


@dataclass(frozen=True)
class BenchJob:
    """Everything that determines the results of a benchmark.

    Attributes
    ----------
    stores : dict of str to SceneSet
        Stores to compare, by name, as returned by `open_alternatives`.
    planes : sequence or None
        Planes to learn from, in any form that `Features.select` accepts; None for all.
    labels : Labels
        True classes.
    splits : list of Split
        Splits under which all entries are scored.
    draws : dict of (str, int) to SplitDraw
        Training and test pixels for each split and seed.
    plan : EntryPlan
        The entries, each a head on an input, and the planned contrasts between them.
    smoothing : SmoothingRule or None
        Rule that smooths class probabilities for a second score of every run.
    baseline : Baseline or None
        Earlier report that the scores are compared with.
    config : BenchConfig
        Options of the benchmark.
    """

    stores: dict[str, SceneSet]
    planes: Sequence[PlaneLike] | None
    labels: Labels
    splits: list[Split]
    draws: Draws
    plan: EntryPlan
    smoothing: SmoothingRule | None
    baseline: Baseline | None
    config: BenchConfig

    @property
    def reference(self) -> str:
        """First disjoint split, or first split if none is disjoint.

        Single planes are scored, and learned weights are reported, under this split.
        """
        return reference_split(self.splits).text

    @property
    def input_sets(self) -> set[InputSet]:
        """Input sets that the tables of labelled pixels must contain.

        If single planes are scored, the tables also need spectra, because each plane is compared with spectra.
        """
        return self.plan.input_sets | ({InputSet.parse("spectra")} if self.config.sweep else set())

    @property
    def smoothing_bytes(self) -> int:
        """Peak memory in bytes of smoothing the largest scene; 0 without smoothing."""
        if self.smoothing is None:
            return 0
        shapes = {features.shape[:2] for scenes in self.stores.values() for features in scenes.scenes}
        return max(smoothing_bytes(self.smoothing, shape, len(self.labels.counts)) for shape in shapes)


@dataclass(frozen=True)
class BenchOutcome:
    """Results of a `BenchJob`, with one field for each step of the benchmark.

    Attributes
    ----------
    runs : list of RunResult
        Scores of every entry (a head on an input) for every split and seed.
    curves : list of CurvePoint
        Learning curves.
    sweep : SweepResult or None
        Scores of single planes. None if single planes were not scored.
    splits : tuple of SplitSummary
        Leakage of each split.
    distances : tuple of EntryDistances
        Scores by distance to the nearest training pixel.
    assessment : Assessment
        Intervals and tests.
    changes : tuple of EntryChange
        Changes from the baseline report.
    """

    runs: list[RunResult]
    curves: list[CurvePoint]
    sweep: SweepResult | None
    splits: tuple[SplitSummary, ...]
    distances: tuple[EntryDistances, ...]
    assessment: Assessment
    changes: tuple[EntryChange, ...]


def run_bench(
    job: BenchJob, out: Path, jobs: int | None, listen: Listener, executor: Executor | str | None = None
) -> BenchOutcome:
    """Fit and score all entries, each a head on an input, and compute the statistics of their scores.

    Parameters
    ----------
    job : BenchJob
        The benchmark.
    out : Path
        Folder of the report. Runs that are recorded in this folder are not repeated.
    jobs : int or None
        Number of worker processes. If None, as many processes run as the cores and the memory allow.
    listen : callable
        Callback for progress events.
    executor : Executor or str, optional
        Executor that runs the fits. [default: `jobs` processes on this machine]

    Returns
    -------
    BenchOutcome
        Scores of all entries, and the statistics of the scores.

    Raises
    ------
    HsifeatError
        If a head can't be fitted. If a split has too few training pixels for a head; this is checked before the first
        fit. If another benchmark is running in the same folder.
    """
    check_row_counts(job.plan.heads, job.plan.params, job.draws, job.labels)
    # An absolute path, because a worker of an executor may have another working folder.
    with open_executor(executor, listen) as opened, open_workdir(out.absolute()) as (run_records, folder):
        tables = _write_tables(job, folder)
        if opened is not None:
            opened.check_workers(check_folder, str(folder))
        memory_bytes = max(table.fit_bytes(job.draws.values()) for table in tables.values()) + job.smoothing_bytes
        with nullcontext(opened) if opened else local_executor(jobs, memory_bytes, listen=listen) as pool:
            runner = BenchRunner(
                job.stores, tables, job.labels, run_records, pool, listen, job.plan.params, job.smoothing
            )
            runs = runner.run_all(job.plan.entries, job.draws)
            if all(run.constant for run in runs):
                raise HeadError(f"{runs[0].entry} under {runs[0].split}, seed {runs[0].seed}: {runs[0].constant}")
            curves = _learning_curves(job, runner)
            sweep = _sweep(job, tables, run_records, pool, listen)
        footprints = runner.footprints(job.plan.entries)
        runs, distances, splits = assess_distances(
            runs, run_records, job.labels, job.draws, footprints, job.config.distances, listen=listen
        )
        runs = score_by_scene(runs, run_records, job.labels, job.draws)
        return BenchOutcome(
            runs=runs,
            curves=curves,
            sweep=sweep,
            splits=splits,
            distances=distances,
            assessment=assess_entries(runs, run_records, job.labels, job.plan.contrasts),
            changes=() if job.baseline is None else tuple(detect_changes(runs, run_records, job.labels, job.baseline)),
        )


def _write_tables(job: BenchJob, folder: Path) -> dict[str, SharedTable]:
    """Write one table of labelled pixels per store to `folder`. Each table has all columns that the entries need."""
    return {
        name: SharedTable.write(
            PixelTable.from_store(
                scenes,
                labels=job.labels,
                planes=job.planes if job.plan.uses_planes else [],
                sample=job.config.reduction == "scene",
                **layout_options(job.input_sets, scenes.first),
            ),
            folder / str(index),
        )
        for index, (name, scenes) in enumerate(job.stores.items())
    }


def _learning_curves(job: BenchJob, runner: BenchRunner) -> list[CurvePoint]:
    limits = job.config.curve or ()
    return [
        point
        for draws in curve_draws(job.splits, job.draws, job.labels, limits)
        for point in runner.learning_curves(job.plan.entries, draws, limits)
    ]


def _sweep(
    job: BenchJob,
    tables: Mapping[str, SharedTable],
    run_records: RunRecords,
    executor: Executor,
    listen: Listener,
) -> SweepResult | None:
    """Score the planes of the first store separately.

    The result is None if no sweep is requested, if no entry uses planes, or if there are too few training pixels. If the
    training pixels can't be divided into folds, no planes are selected.
    """
    if not job.config.sweep or not any(one.uses_planes or one.uses_context for one in job.input_sets):
        return None
    name, scenes = next(iter(job.stores.items()))
    reference = job.reference
    draws = {(split, seed): draw for (split, seed), draw in job.draws.items() if split == reference}
    if shortages := find_row_shortages([SWEEP_HEAD], {}, draws, job.labels):
        listen(Note(f"planes are not scored separately: {shortages[SWEEP_HEAD]}"))
        return None
    score_planes = partial(
        sweep_planes,
        scenes,
        tables[name],
        job.labels,
        {seed: draw for (_, seed), draw in draws.items()},
        run_records,
        SWEEP_HEAD,
        reference,
        executor=executor,
        listen=listen,
    )
    try:
        return score_planes()
    except SplitError as error:  # before the first fit
        listen(Note(f"the best planes are not selected: {error.__cause__}"))
        return score_planes(best=0)
