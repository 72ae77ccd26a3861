"""Function `compare`, which fits heads on cached features under several splits and seeds, and scores them."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from classifiers.comparison.baseline import Baseline
from classifiers.comparison.bench_runs import BenchRunner
from classifiers.comparison.changes import detect_changes
from classifiers.comparison.config import (
    ALL_HEADS,
    DEFAULT_INPUTS,
    SPLITS,
    SWEEP_HEAD,
    BenchConfig,
    bench_command,
)
from classifiers.comparison.contrasts import StoreOrigin, missing_contrasts, plan_contrasts
from classifiers.comparison.entries import check_head_params, fitting_heads, make_entries, possible_inputs
from classifiers.comparison.plane_clusters import MAX_CLUSTERS, cluster_planes
from classifiers.comparison.results.base_records import BenchEntry
from classifiers.comparison.results.comparison import BenchImages, Comparison
from classifiers.comparison.results.model import PlaneSummary, Provenance, SceneSummary, StoreSummary
from classifiers.comparison.results.plane_scores import EntryWeights
from classifiers.comparison.results.scores import RunResult
from classifiers.comparison.results.summary import split_gaps, summarise
from classifiers.comparison.run_records import versions
from classifiers.comparison.sampling import add_counterpart, curve_draws, draw_all, reference_split, summarise_splits
from classifiers.comparison.shared_table import SharedTable
from classifiers.comparison.stats.distance import assess_distances
from classifiers.comparison.stats.significance import assess_entries
from classifiers.comparison.stores import open_alternatives, single_stores
from classifiers.comparison.sweep import sweep_planes
from classifiers.comparison.workdir import open_workdir
from classifiers.distance_bins import DISTANCE_ENDS, distance_bins
from classifiers.heads.registry import make_head
from classifiers.input_sets import InputSet, layout_options
from classifiers.reduction import DEFAULT_REDUCTION, Reduction, check_reduction
from classifiers.smoothing import parse_scene_smoothing
from classifiers.splits import make_split_map, parse_split
from classifiers.table import PixelTable, select_labels
from hsifeat.errors import HeadError, StoreError
from hsifeat.features.features import Features, PlaneLike
from hsifeat.runtime.events import Listener, Note, silent
from hsifeat.runtime.local import local_executor
from hsifeat.scenes import Labels
from hsifeat.scenes.colours import false_colour


def compare(  # noqa: PLR0915 - one step after another
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
    out: str | Path = "report",
    baseline: str | Path | None = None,
    command: str = "",
    listen: Listener = silent,
) -> Comparison:
    """Compare heads and inputs on cached features.

    Parameters
    ----------
    stores : str, Path, Features or a sequence of them, optional
        Stores of the same scene, which are compared with each other. Context stores are not compared, but combined with
        each of the other stores; see `open_alternatives`. The default is the most recently completed store.
    heads : sequence of str
        Names of heads. ``["all"]`` selects every head that can learn from at least one of the inputs.
    splits : sequence of str
        Splits in the grammar of `parse_split`. If all splits are random, a disjoint split is added. If all are disjoint, a
        random split is added. The report thus has results for both kinds. For a given seed, all splits that train on a
        fraction of the labels are thinned to the same number of training pixels. Other splits, such as ``per-class:5``,
        keep all their training pixels.
    seeds : int
        Number of seeds, starting with seed 0. A seed determines the training and test pixels and initialises the head,
        so heads and inputs are compared in pairs.
    inputs : sequence of str
        Names of input sets, such as ``spectra+planes``; see `classifiers.input_sets.InputSet`. ``suited`` selects the input
        that suits each head. Default inputs whose planes the stores lack are left out.
    reduction : {"train", "scene"}
        Pixels on which a `ReducingHead` fits the reduction of column groups. ``train``: the training pixels. ``scene``: a
        sample of all pixels of the scene, including test pixels, without their labels.
    labels : str, optional
        Name of a label map in the first store. The default is the first label map.
    planes : sequence, optional
        Planes (one timestep and layer each) to use from all stores except context stores, in any form that
        `Features.select` accepts. The default is all.
    params : mapping of str to mapping, optional
        Parameters of heads, such as ``{"svm": {"C": 10}}``, by head and name. Other parameters have their defaults. The
        sweep always uses the defaults.
    curve : sequence of int, optional
        Numbers of training pixels per class at which learning curves are measured. The curves are for the first disjoint
        split. If `splits` contains ``per-class:N``, there are also curves for training pixels that are drawn at random from
        each class.
    distances : sequence of int
        Upper ends of distance bins in pixels. Scores are reported for each bin of the distance from a test pixel to the
        nearest training pixel.
    smooth : str, optional
        Rule that smooths the class probabilities over the scene, see `classifiers.parse_smoothing`. Every run is then
        scored twice on the same test pixels, without smoothing and with smoothing. The default is no smoothing.
    sweep : bool
        Whether to score each plane of the first store separately, under the disjoint split.
    jobs : int, optional
        Number of worker processes. None uses as many as cores and memory allow. Results are bit-identical for any number. A
        script that sets more than one needs ``if __name__ == "__main__":``.
    out : str or Path
        Folder of the report. Its subfolder ``record`` stores finished runs, which are not repeated.
    baseline : str or Path, optional
        ``results.json`` of an earlier report on the same scene and labels. The new report lists the changes.
    command : str
        Command line that the report shows. The default is a command that repeats this benchmark.
    listen : callable
        Receives progress events.

    Returns
    -------
    Comparison
        Results of the benchmark. A notebook displays the summary, and `Comparison.frame` has one row per run.

    Raises
    ------
    HsifeatError
        A head, parameter, input, split or store is unknown. The stores are of different scenes. The labels can't be
        split. The baseline is of another scene or has other labels. Another benchmark is running in the same folder.

    Examples
    --------
    >>> from classifiers import compare
    >>> comparison = compare("fields.zarr", heads=["lda"], inputs=["spectra"], splits=["blocks:12+4:0.1"], seeds=2, sweep=False)
    >>> sorted(comparison.frame.split.unique())
    ['blocks:12+4:0.1', 'random:0.1']
    """
    if seeds < 1:
        raise HeadError(f"a benchmark needs at least one seed; found {seeds}")
    if any(limit < 1 for limit in curve or ()):
        raise HeadError(f"a learning curve takes numbers of pixels from 1; found {', '.join(map(str, curve or ()))}")
    distance_bins(distances)  # reports wrong ends before anything is read
    earlier = None if baseline is None else Baseline.read(Path(baseline))
    fitted_on = check_reduction(reduction)
    features = open_alternatives(stores)
    listen(Note(f"stores: {', '.join(_locations(features))}"))
    first = next(iter(features.values()))
    inputs = possible_inputs(features, inputs) if tuple(inputs) == DEFAULT_INPUTS else inputs
    rules = add_counterpart([parse_split(text, first.scene.labels) for text in dict.fromkeys(splits)], listen)
    heads = fitting_heads(inputs) if tuple(heads) == ALL_HEADS else heads
    head_params = {} if params is None else BenchConfig.from_options({"params": params}).params or {}
    check_head_params(head_params, heads)
    entries = make_entries(features, heads, inputs)
    input_sets = {InputSet.parse(entry.features) for entry in entries}
    with_planes = any(one.uses_planes for one in input_sets)
    if with_planes and not all(store.select(planes, context=False) for store in features.values()):
        raise StoreError("no plane to learn from: select planes with --planes, or omit the inputs that contain planes")
    origins = {
        name: StoreOrigin.of_store(single_stores(store)[0], planes) for name, store in features.items() if with_planes
    }
    contrasts, missing = plan_contrasts(entries, origins), missing_contrasts(entries, origins)
    for line in (*(f"planned contrast: {contrast}" for contrast in contrasts), *map(str, missing)):
        listen(Note(line))
    truth = first.valid_labels(select_labels(first, labels))
    smoothing = parse_scene_smoothing(smooth, first.shape[:2], len(truth.counts))
    if earlier is not None:
        earlier.check(first, truth)
    # A sweep compares each plane with spectra, so the table needs their columns.
    input_sets |= {InputSet.parse("spectra")} if sweep else set()
    draws = draw_all(rules, truth, seeds, listen)
    reference = reference_split(rules).text
    reference_draws = {seed: draw for (split, seed), draw in draws.items() if split == reference}
    with open_workdir(Path(out)) as (run_records, folder):
        tables = _share_tables(features, truth, planes if with_planes else [], input_sets, fitted_on, folder)
        memory_bytes = max(table.fit_bytes(draws.values()) for table in tables.values())
        with local_executor(jobs, memory_bytes, listen=listen) as pool:
            runner = BenchRunner(features, tables, truth, run_records, pool, listen, head_params, smoothing)
            runs = runner.run_all(entries, draws)
            curves = [
                point
                for split_draws in curve_draws(rules, draws, truth, curve or ())
                for point in runner.learning_curves(entries, split_draws, curve or ())
            ]
            swept = None
            if sweep and any(one.uses_planes or one.uses_context for one in input_sets):
                swept = sweep_planes(
                    first,
                    tables[next(iter(features))],
                    truth,
                    reference_draws,
                    run_records,
                    SWEEP_HEAD,
                    reference,
                    executor=pool,
                    listen=listen,
                )
        footprints = runner.footprints(entries)
        runs, by_distance = assess_distances(runs, run_records, truth, draws, footprints, distances, listen=listen)
        assessment = assess_entries(runs, run_records, truth, contrasts)
        changes = () if earlier is None else detect_changes(runs, run_records, truth, earlier)
        maps, confidence = runner.maps(runs), runner.maps(runs, confidence=True)
    clusters = min(len(truth.counts), MAX_CLUSTERS)
    images = BenchImages(
        truth=truth.classes,
        false_colour=false_colour(first.scene.cube, first.scene.wavelengths_nm, first.valid),
        splits={text: make_split_map(draw, truth) for (text, seed), draw in draws.items() if seed == 0},
        maps=maps,
        confidence=confidence,
        panels=cluster_planes(single_stores(first)[0], planes, clusters=clusters) if with_planes else (),
    )
    config = BenchConfig(
        heads=tuple(heads),
        splits=tuple(rule.text for rule in rules),
        seeds=seeds,
        inputs=tuple(inputs),
        reduction=fitted_on,
        labels=labels,
        planes=None if planes is None else tuple(str(getattr(plane, "id", plane)) for plane in planes) or None,
        params=head_params or None,
        curve=tuple(curve) if curve else None,
        distances=tuple(distances),
        smooth=None if smoothing is None else smoothing.text,
        sweep=sweep,
    )
    summary = summarise(runs, assessment.intervals)
    return Comparison(
        scene=_scene_summary(first, truth),
        class_names=truth.class_names,
        class_colours=truth.class_colours,
        stores=_store_summaries(features, planes),
        runs=tuple(runs),
        summary=summary,
        splits=summarise_splits(draws, footprints),
        distances=by_distance,
        contrasts=tuple(assessment.contrasts),
        missing_contrasts=missing,
        pairs=tuple(assessment.pairs),
        verdicts=assessment.verdicts,
        gaps=split_gaps(summary, assessment.gap_intervals),
        curves=tuple(curves),
        mixing=_learned_weights(runs, reference),
        sweep=swept,
        changes=changes,
        provenance=_provenance(config, features, command, Path(out)),
        images=images,
        georeference=first.georeference,
    )


def _share_tables(
    stores: Mapping[str, Features],
    labels: Labels,
    planes: Sequence[PlaneLike] | None,
    inputs: set[InputSet],
    reduction: Reduction,
    folder: Path,
) -> dict[str, SharedTable]:
    """Write one table of labelled pixels per store to `folder`. Each table has all columns that the inputs need."""
    return {
        name: SharedTable.write(
            PixelTable.from_store(
                features,
                labels=labels,
                planes=planes,
                sample=reduction == "scene",
                **layout_options(inputs, features),
            ),
            folder / str(index),
        )
        for index, (name, features) in enumerate(stores.items())
    }


def _scene_summary(features: Features, labels: Labels) -> SceneSummary:
    scene = features.scene
    return SceneSummary(
        name=scene.name,
        rows=scene.rows,
        cols=scene.cols,
        bands=scene.bands,
        labels=labels.name,
        labelled_pixels=sum(labels.counts.values()),
        licence=scene.licence,
        citation=scene.citation,
        pixel_size_m=None if features.georeference is None else features.georeference.pixel_size_m,
    )


def _store_summaries(
    alternatives: Mapping[str, Features], planes: Sequence[PlaneLike] | None
) -> tuple[StoreSummary, ...]:
    """Summarise the stores that are compared, followed by the context stores."""
    summaries = [
        _store_summary(name, single_stores(store)[0], None if store.is_context else planes)
        for name, store in alternatives.items()
    ]
    joined = single_stores(next(iter(alternatives.values())))[1:]
    return (*summaries, *(_store_summary(store.name, store, None) for store in joined))


def _locations(alternatives: Mapping[str, Features]) -> list[str]:
    stores = (store for features in alternatives.values() for store in single_stores(features))
    return list(dict.fromkeys(str(store.store.location) for store in stores))


def _store_summary(name: str, features: Features, planes: Sequence[PlaneLike] | None) -> StoreSummary:
    location = features.store.location
    selection = features.select(planes)
    return StoreSummary(
        name=name,
        key=features.key,
        path=str(location),
        recipe=features.recipe,
        planes=tuple(
            PlaneSummary(
                t=plane.id.t,
                layer=plane.id.layer,
                stride=plane.stride,
                channels=plane.channels,
                size_bytes=features.size_bytes(plane),
            )
            for plane in selection
        ),
        bytes_on_disk=None if location.read_only else sum(location.files().values()),
        extraction_seconds=features.seconds({None, *(plane.id.t for plane in selection)}),
        devices=tuple(features.devices),
    )


def _learned_weights(runs: Sequence[RunResult], split: str) -> tuple[EntryWeights, ...]:
    weights: dict[BenchEntry, Any] = {
        run.entry: run.mixing for run in runs if run.mixing and run.seed == 0 and run.split == split
    }
    return tuple(EntryWeights(entry=entry, weights=learned) for entry, learned in weights.items())


def _provenance(config: BenchConfig, stores: Mapping[str, Features], command: str, out: Path) -> Provenance:
    # Each run sets these two parameters.
    run_parameters = {"layout", "random_state"}
    return Provenance(
        command=command or bench_command(config, _locations(stores), out),
        config=config,
        head_parameters={
            head: {
                name: value
                for name, value in make_head(head, **(config.params or {}).get(head, {})).get_params(deep=False).items()
                if name not in run_parameters
            }
            for head in config.heads
        },
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        versions={"python": platform.python_version(), **versions()},
        machine={"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
    )
