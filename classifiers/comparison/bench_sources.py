"""Provenance of a benchmark: scene, stores, options, package versions, and the command that repeats the benchmark."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from classifiers.comparison.config import BenchConfig, bench_command
from classifiers.comparison.results.bench_results import PlaneSummary, Provenance, SceneSummary, StoreSummary
from classifiers.comparison.run_records import versions
from classifiers.heads.registry import make_head
from hsifeat.features.features import Features, PlaneLike
from hsifeat.features.scene_set import SceneSet, single_stores
from hsifeat.formatting import list_some
from hsifeat.scenes import Labels

# Each run sets these parameters of a head.
_RUN_PARAMETERS = {"layout", "random_state"}


def scene_summaries(scenes: SceneSet, labels: Labels) -> tuple[SceneSummary, ...]:
    """Summarise each scene and its part of the label map."""
    return tuple(
        _scene_summary(features, name, replace(labels, classes=labels.classes[window.slices], parts=()))
        for features, name, window in zip(scenes.scenes, scenes.scene_names, labels.windows, strict=True)
    )


def joint_summary(summaries: Sequence[SceneSummary]) -> SceneSummary:
    """Summarise several scenes as one scene.

    The joint scene has the rows of all scenes, the columns of the widest scene, and the bands of the first scene. If
    there is only one summary, it is returned unchanged.
    """
    first = summaries[0]
    if len(summaries) == 1:
        return first
    sizes = {one.pixel_size_m for one in summaries}

    def distinct(values: Iterable[str]) -> str:
        return "; ".join(dict.fromkeys(filter(None, values)))

    return SceneSummary(
        name=list_some([one.name for one in summaries]),
        rows=sum(one.rows for one in summaries),
        cols=max(one.cols for one in summaries),
        bands=first.bands,
        labels=first.labels,
        labelled_pixels=sum(one.labelled_pixels for one in summaries),
        licence=distinct(one.licence for one in summaries),
        citation=distinct(one.citation for one in summaries),
        pixel_size_m=sizes.pop() if len(sizes) == 1 else None,
    )


def _scene_summary(features: Features, name: str, labels: Labels) -> SceneSummary:
    scene = features.scene
    return SceneSummary(
        name=name,
        rows=scene.rows,
        cols=scene.cols,
        bands=scene.bands,
        labels=labels.name,
        labelled_pixels=sum(labels.counts.values()),
        licence=scene.licence,
        citation=scene.citation,
        pixel_size_m=None if features.georeference is None else features.georeference.pixel_size_m,
    )


def store_summaries(
    alternatives: Mapping[str, SceneSet], planes: Sequence[PlaneLike] | None
) -> tuple[StoreSummary, ...]:
    """Summarise the stores that are compared, followed by the context stores that are combined with them."""
    summaries = [
        _store_summary(
            name if len(scenes) == 1 else f"{name}: {single_stores(store)[0].name}",
            single_stores(store)[0],
            None if store.is_context else planes,
        )
        for name, scenes in alternatives.items()
        for store in scenes.scenes
    ]
    joined = [store for features in next(iter(alternatives.values())).scenes for store in single_stores(features)[1:]]
    return (*summaries, *(_store_summary(store.name, store, None) for store in joined))


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


def store_locations(alternatives: Mapping[str, SceneSet]) -> list[str]:
    """Return the path or URL of every store in `alternatives`, each once."""
    stores = (
        store for scenes in alternatives.values() for features in scenes.scenes for store in single_stores(features)
    )
    return list(dict.fromkeys(str(store.store.location) for store in stores))


def bench_provenance(config: BenchConfig, stores: Mapping[str, SceneSet], command: str, out: Path) -> Provenance:
    """Return the options, command, package versions and machine of a benchmark.

    Parameters
    ----------
    config : BenchConfig
        Options of the benchmark.
    stores : mapping of str to SceneSet
        Stores to compare, by name, as returned by `open_alternatives`.
    command : str
        Command line that the report shows. If empty, the report shows a command that repeats the benchmark.
    out : Path
        Folder of the report.
    """
    return Provenance(
        command=command or bench_command(config, store_locations(stores), out),
        config=config,
        head_parameters={
            head: {
                name: value
                for name, value in make_head(head, **(config.params or {}).get(head, {})).get_params(deep=False).items()
                if name not in _RUN_PARAMETERS
            }
            for head in config.heads
        },
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        versions={"python": platform.python_version(), **versions()},
        machine={"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
    )
