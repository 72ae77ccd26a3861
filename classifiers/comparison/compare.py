"""Function `compare`, which fits heads on cached features under several splits and seeds, and scores them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.comparison.baseline import Baseline
from classifiers.comparison.bench_job import BenchJob, BenchOutcome, run_bench
from classifiers.comparison.bench_sources import (
    bench_provenance,
    joint_summary,
    scene_summaries,
    store_locations,
    store_summaries,
)
from classifiers.comparison.config import ALL_HEADS, DEFAULT_INPUTS, SPLITS, BenchConfig
from classifiers.comparison.entry_plan import plan_entries
from classifiers.comparison.plane_clusters import MAX_CLUSTERS, cluster_planes
from classifiers.comparison.report.report_record import digest_inputs, find_report
from classifiers.comparison.results.base_records import BenchEntry
from classifiers.comparison.results.bench_results import BenchResults, Provenance, SceneSummary, StoreSummary
from classifiers.comparison.results.comparison import BenchImages, Comparison, SceneImage
from classifiers.comparison.results.plane_scores import EntryWeights
from classifiers.comparison.results.scores import RunResult
from classifiers.comparison.results.summary import split_gaps, summarise
from classifiers.comparison.row_counts import trainable_heads
from classifiers.comparison.run_records import RunRecords, note_reuse, recorded_maps
from classifiers.comparison.sampling import add_counterpart, draw_all, fixed_draws, limit_seeds
from classifiers.comparison.scene_mosaic import SceneMosaic
from classifiers.comparison.stores import match_scenes, open_alternatives
from classifiers.comparison.workdir import RECORD
from classifiers.distance_bins import DISTANCE_ENDS, distance_bins
from classifiers.multi_scene import (
    check_classes,
    common_label_maps,
    join_label_maps,
    select_scene_labels,
    smoothing_of_scenes,
)
from classifiers.reduction import DEFAULT_REDUCTION, check_reduction
from classifiers.splits import OfficialSplit, make_split_map, parse_split
from hsifeat.errors import HeadError, HsifeatError
from hsifeat.features.features import Features, PlaneLike
from hsifeat.features.scene_set import single_stores
from hsifeat.features.selection import plane_names
from hsifeat.files import check_utf8
from hsifeat.formatting import format_value, list_some
from hsifeat.runtime.events import Listener, Note, silent
from hsifeat.runtime.executor import Executor
from hsifeat.runtime.executor_plugins import check_executor
from hsifeat.scenes.band_matching import names_of_bands
from hsifeat.scenes.colours import false_colour
from hsifeat.types import as_int, check_path


def compare(
    stores: str | Path | Features | Sequence[str | Path | Features] | None = None,
    *,
    heads: Sequence[str] = ALL_HEADS,
    splits: Sequence[str] = SPLITS,
    seeds: int = 5,
    inputs: Sequence[str] = DEFAULT_INPUTS,
    reduction: str = DEFAULT_REDUCTION,
    labels: str | None = None,
    planes: Sequence[PlaneLike] | None = None,
    params: Mapping[str, Mapping[str, Any]] | None = None,
    curve: Sequence[int] | None = None,
    distances: Sequence[int] = DISTANCE_ENDS,
    smooth: str | None = None,
    sweep: bool = True,
    jobs: int | None = 1,
    executor: Executor | str | None = None,
    out: str | Path = "report",
    baseline: str | Path | None = None,
    command: str = "",
    listen: Listener = silent,
) -> Comparison:
    """Compare heads and inputs on cached features.

    Parameters
    ----------
    stores : str, Path, Features or a sequence of them, optional
        Stores of one or several scenes. All stores of a scene except context stores are compared with each other. Context
        stores are combined with each compared store; see `open_alternatives`. [default: the store that was completed last]
    heads : sequence of str
        Names of heads. ``["all"]`` selects every head that can learn from at least one of the inputs, and for which every
        split has enough training pixels.
    splits : sequence of str
        Splits in the grammar of `parse_split`. If all splits are random, a disjoint split is added. If all splits are
        disjoint, a random split is added. Splits that train on a fraction of the labels are thinned: for each seed, all
        of them get the same number of training pixels. Other splits, such as ``per-class:5``, keep all their training
        pixels.
    seeds : int
        Number of seeds, starting with seed 0. A seed determines the training pixels, the test pixels and the random
        state of the heads. All heads and inputs have the same seeds, so their scores can be compared in pairs. With
        ``scenes:leave-one-out``, there are at most as many seeds as scenes.
    inputs : sequence of str
        Names of input sets, such as ``spectra+planes``; see `classifiers.input_sets.InputSet`. ``suited`` selects the input
        that suits each head. If `inputs` has its default, inputs whose planes the stores lack are omitted.
    reduction : {"train", "scene"}
        Pixels on which a `ReducingHead` fits the reduction of column groups. ``train``: the training pixels. ``scene``: a
        sample of all pixels of the scene, including test pixels, without their labels.
    labels : str, optional
        Name of a label map in the stores. [default: the only map; if there are only the maps ``train`` and ``test``, both
        are merged]
    planes : sequence, optional
        Planes (one timestep and layer each) to use, such as ``["t50/*"]``; see `Features.select`. Planes of context
        stores are not affected. [default: all]
    params : mapping of str to mapping, optional
        Maps names of heads to dicts of their parameters, such as ``{"svm": {"C": 10}}``. All other parameters have
        their defaults. The scores of single planes (`sweep`) always use the defaults.
    curve : sequence of int, optional
        Numbers of training pixels per class at which learning curves are measured, under the first disjoint split. If
        `splits` contains ``per-class:N``, there are also curves for training pixels that are drawn at random from each
        class. [default: no curves]
    distances : sequence of int
        Upper ends of distance bins in pixels. Test pixels are divided into bins by their distance to the nearest
        training pixel, and each bin is scored.
    smooth : str, optional
        Rule that smooths the class probabilities over the scene, such as ``guided:2,0.001``; see
        `classifiers.parse_smoothing`. Every run is then scored twice on the same test pixels, without smoothing and
        with smoothing. [default: no smoothing]
    sweep : bool
        Whether to score each plane of the first store separately, under the first disjoint split.
    jobs : int, optional
        Number of worker processes. If None, as many processes run as the cores and the memory allow. Results are
        bit-identical for any number of processes. A script that uses several processes needs ``if __name__ ==
        "__main__":``.
    executor : Executor or str, optional
        Executor that runs the fits, for example on a cluster, or a text that selects an executor, such as
        ``dask:local:2``. The workers must have access to the stores and to the folder `out`. [default: `jobs` processes
        on this machine]
    out : str or Path
        Folder of the report. Its subfolder ``record`` stores finished runs, which are not repeated. `write_report` writes the
        report itself.
    baseline : str or Path, optional
        ``results.json`` of an earlier report on the same scene and labels. The new report lists the changes.
    command : str
        Command line that the report shows. If empty, the report shows a command that repeats this benchmark.
    listen : callable
        Callback for progress events.

    Returns
    -------
    Comparison
        Results of the benchmark. A notebook displays the summary, and `Comparison.frame` has one row per run.

    Raises
    ------
    HsifeatError
        If a head, parameter, input, split or store is unknown. If the scenes differ in the number or the recipes of
        their stores. If stores of one scene count as two scenes, see
        `hsifeat.features.distinct_scenes.check_distinct`. If the bands of the scenes can't be matched. If the labels can't
        be split. If the baseline has another scene or other labels. If another benchmark is running in the same folder.

    Examples
    --------
    >>> from classifiers import compare
    >>> comparison = compare("fields.zarr", heads=["lda"], inputs=["spectra"], splits=["blocks:12+4:0.1"], seeds=2, sweep=False)
    >>> sorted(comparison.frame.split.unique())
    ['blocks:12+4:0.1', 'random:0.1']
    """
    check_executor(executor, listen)
    _check_report_options(jobs, out, baseline, command, stores)
    planes = plane_names(planes)
    given = _checked(curve, heads=heads, splits=splits, seeds=seeds, inputs=inputs, distances=distances, sweep=sweep)
    heads, splits, inputs, seeds = given.heads, given.splits, given.inputs, given.seeds
    earlier = None if baseline is None else Baseline.read(Path(baseline))
    if earlier is not None and earlier.path.resolve().parent == Path(out).resolve():
        raise HsifeatError(
            f"the new report would replace its baseline {earlier.path}: choose another folder with `out`"
        )
    fitted_on = check_reduction(reduction)
    alternatives = open_alternatives(stores)
    listen(Note(f"stores: {list_some(store_locations(alternatives), 8)}"))
    scenes = next(iter(alternatives.values()))
    maps = common_label_maps(scenes) if OfficialSplit.text in splits else {}
    rules = add_counterpart([parse_split(text, maps) for text in dict.fromkeys(splits)], listen)
    summaries = store_summaries(alternatives, planes)  # reports unknown planes before anything runs
    first = {name: one.first for name, one in alternatives.items()}
    plan = plan_entries(first, heads, inputs, params, planes, splits)
    alternatives = match_scenes(alternatives, plan.input_sets, planes, listen, sweep=sweep)
    scenes = next(iter(alternatives.values()))
    truth = join_label_maps(select_scene_labels(scenes, labels), scenes.aliases)
    check_classes(truth, "add 1 to all classes of the label map")
    seeds = limit_seeds(rules, truth, seeds, listen)
    make_draws = cache(lambda: draw_all(rules, truth, seeds, listen))
    if tuple(heads) == ALL_HEADS:
        trainable = trainable_heads(plan.heads, plan.params, make_draws(), truth, listen)
        params = {name: values for name, values in plan.params.items() if name in trainable}
        plan = plan_entries(first, trainable, inputs, params or None, planes, splits)
    if planes and not plan.uses_planes:
        listen(
            Note(f"`planes` has no effect: {list_some(sorted(map(str, plan.input_sets)))} have no planes of a model")
        )
    for line in (*(f"planned contrast: {contrast}" for contrast in plan.contrasts), *map(str, plan.missing_contrasts)):
        listen(Note(line))
    smoothing = smoothing_of_scenes(smooth, scenes, len(truth.counts))
    if earlier is not None:
        earlier.check(scenes, truth)
    config = BenchConfig(
        heads=plan.heads,
        splits=tuple(rule.text for rule in rules),
        seeds=seeds,
        inputs=plan.inputs,
        reduction=fitted_on,
        labels=labels,
        planes=planes or None,
        params=plan.params or None,
        curve=given.curve,
        distances=given.distances,
        smooth=None if smoothing is None else smoothing.text,
        sweep=sweep,
    )
    folder = Path(out)
    provenance = bench_provenance(config, alternatives, command, folder)
    described = scene_summaries(scenes, truth)
    metadata = [
        (
            one.georeference,
            one.bands,
            None if one.scene.wavelengths_nm is None else one.scene.wavelengths_nm.tolist(),
            names_of_bands(one.scene),
        )
        for alternative in alternatives.values()
        for one in alternative.scenes
    ]
    inputs = digest_inputs(
        provenance,
        described,
        summaries,
        truth,
        fixed_draws(rules, truth),
        metadata,
        None if earlier is None else earlier.path,
    )

    @cache
    def make_job() -> BenchJob:
        return BenchJob(alternatives, planes, truth, rules, make_draws(), plan, smoothing, earlier, config)

    results = find_report(folder, inputs)
    if results is None:
        outcome = run_bench(make_job(), folder, jobs, listen, executor)
        results = _results(make_job(), outcome, described, summaries, provenance)
    else:
        _note_report(folder, config, listen)
    runs = results.runs
    return Comparison(
        **dict(results),
        inputs=inputs,
        draw_images=lambda: _draw_images(make_job(), runs, RunRecords(folder / RECORD)),
        georeference=scenes.first.georeference if len(scenes) == 1 else None,
    )


def _note_report(folder: Path, config: BenchConfig, listen: Listener) -> None:
    listen(Note(f"the report in {folder} is of these options, stores and recorded runs: its results are read"))
    note_reuse(config.heads, listen, config.smooth or "")


def _checked(curve: Any, **options: Any) -> BenchConfig:
    """Return checked options. An empty `curve` stands for no learning curves."""
    config = BenchConfig(curve=curve if curve is None or np.size(curve) else None, **options)
    if any(limit < 1 for limit in config.curve or ()):
        raise HeadError(
            f"a learning curve takes numbers of pixels from 1; found {', '.join(map(str, config.curve or ()))}"
        )
    distance_bins(config.distances)
    return config


def _check_report_options(jobs: object, out: object, baseline: object, command: object, stores: object) -> None:
    """Raise `HsifeatError` if an option that is not a field of `BenchConfig` has a wrong type."""
    if baseline is not None:
        check_path("the baseline", baseline)
    if not isinstance(command, str):
        raise HsifeatError(f"the command of a report is a text; found {format_value(command)}")
    if jobs is not None and as_int(jobs) is None:
        raise HsifeatError(f"jobs is a number of processes, or None; found {format_value(jobs)}")
    check_path("the folder of a report", out)
    if out == "":
        raise HsifeatError("out is a folder, such as report; found an empty text")
    for path in (
        out,
        *([stores] if isinstance(stores, str | Path) else stores if isinstance(stores, list | tuple) else []),
    ):
        if isinstance(path, str | Path):
            check_utf8(Path(path))


def _results(
    job: BenchJob,
    outcome: BenchOutcome,
    scenes: tuple[SceneSummary, ...],
    stores: tuple[StoreSummary, ...],
    provenance: Provenance,
) -> BenchResults:
    summary = summarise(outcome.runs, outcome.assessment.intervals)
    return BenchResults(
        scene=joint_summary(scenes),
        scenes=scenes if len(scenes) > 1 else (),
        class_names=job.labels.class_names,
        class_colours=job.labels.class_colours,
        stores=stores,
        runs=tuple(outcome.runs),
        summary=summary,
        splits=outcome.splits,
        distances=outcome.distances,
        contrasts=tuple(outcome.assessment.contrasts),
        missing_contrasts=job.plan.missing_contrasts,
        pairs=tuple(outcome.assessment.pairs),
        verdicts=outcome.assessment.verdicts,
        gaps=split_gaps(summary, outcome.assessment.gap_intervals),
        curves=tuple(outcome.curves),
        mixing=_learned_weights(outcome.runs, job.reference),
        sweep=outcome.sweep,
        changes=outcome.changes,
        provenance=provenance,
    )


def _draw_images(job: BenchJob, runs: Sequence[RunResult], run_records: RunRecords) -> BenchImages:
    scenes = next(iter(job.stores.values()))
    mosaic = SceneMosaic.arrange(job.labels.windows)
    first = single_stores(scenes.first)[0]
    clusters = min(len(job.labels.counts), MAX_CLUSTERS)
    maps, confidence = (recorded_maps(runs, run_records, confidence=one) for one in (False, True))
    colours = [false_colour(one.scene.cube, one.scene.wavelengths_nm, one.valid) for one in scenes.scenes]
    draws = {text: draw for (text, seed), draw in job.draws.items() if seed == 0}
    return BenchImages(
        truth=mosaic.assemble(job.labels.classes),
        false_colour=mosaic.join(colours),
        splits={text: mosaic.assemble(make_split_map(draw, job.labels)) for text, draw in draws.items()},
        maps={key: mosaic.assemble(values) for key, values in maps.items()},
        confidence={key: mosaic.assemble(values) for key, values in confidence.items()},
        panels=cluster_planes(first, job.planes, clusters=clusters) if job.plan.uses_planes else (),
        scenes=tuple(
            SceneImage(name, place, features.georeference)
            for name, place, features in zip(scenes.scene_names, mosaic.places, scenes.scenes, strict=True)
        ),
    )


def _learned_weights(runs: Sequence[RunResult], split: str) -> tuple[EntryWeights, ...]:
    weights: dict[BenchEntry, Any] = {
        run.entry: run.mixing for run in runs if run.mixing and run.seed == 0 and run.split == split
    }
    return tuple(EntryWeights(entry=entry, weights=learned) for entry, learned in weights.items())
