"""Measure the time to read a plane of 256 channels at full resolution, by hsifeat, by Zarr and from a NumPy file."""

from __future__ import annotations

import inspect
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from cache_bench import (
    PIPELINES,
    Bench,
    digits,
    indian_pines,
    interleaved,
    medians,
    pipeline,
    pipeline_of,
    save_network,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hsifeat.features.features import Features
    from hsifeat.scenes import Scene

CHANNELS = 256
_LAYER = "up_blocks.1"
_SIDE_PX = 512


def points(bench: Bench) -> dict[str, Any]:
    """Measure reading all labelled pixels of Indian Pines from one plane of 256 channels at stride 1."""
    from hsifeat.features.features import Features

    scene = indian_pines()
    path = _extract(bench, scene)
    rows, cols = np.nonzero(next(iter(scene.labels.values())).classes)
    by_pipeline = {name: _open(path, name) for name in _installed()}
    features = by_pipeline["zarr"]
    array = features.store.plane(features.planes[0].id)
    plain = bench.folder / "points.npy"
    np.save(plain, np.asarray(array[:]))

    index = rows[:, None], cols[:, None], np.arange(CHANNELS)[None]
    ways: dict[str, Callable[[], NDArray[np.float32]]] = {
        "zarr vindex": lambda: array.vindex[index].astype(np.float32),
        "zarr whole plane, then NumPy": lambda: array[:][rows, cols].astype(np.float32),
        **{f"Features.sample ({name})": partial(f.sample, rows, cols) for name, f in by_pipeline.items()},
        "np.load(mmap_mode='r')": lambda: np.load(plain, mmap_mode="r")[rows, cols].astype(np.float32),
    }
    if "keep" in inspect.signature(Features.sample).parameters:
        keeping: dict[str, Any] = {"keep": True}
        # The first, untimed call of `interleaved` writes the file of cached samples.
        ways["Features.sample(keep=True), again"] = partial(features.sample, rows, cols, **keeping)
        ways["open_features and sample(keep=True), again"] = lambda: _open(path, "zarr").sample(rows, cols, **keeping)
    expected = ways["zarr vindex"]()
    repetitions = bench.repetitions(5)
    return {
        "what": "all labelled pixels of Indian Pines from one plane of stride 1, as float32; warm page cache",
        "pixels": len(rows),
        "plane": list(array.shape),
        "repetitions": repetitions,
        "pipelines": {name: _pipeline_name(f) for name, f in by_pipeline.items()},
        "ways": medians(interleaved(repetitions, ways), "zarr vindex"),
        "values_equal": all(np.array_equal(way(), expected) for way in ways.values()),
    }


def dense(bench: Bench) -> dict[str, Any]:
    """Measure reading a whole plane of 256 channels at stride 1 over 512 x 512 pixels."""
    from hsifeat.scenes import Scene

    scene = indian_pines()
    side = 160 if bench.quick else _SIDE_PX
    repeats = -(-side // scene.rows)
    cube = np.tile(np.asarray(scene.cube[:])[:, :, ::10], (repeats, repeats, 1))[:side, :side]
    path = _extract(bench, Scene("tiled", cube))
    opened = {name: _open(path, name) for name in _installed()}
    arrays = {name: f.store.plane(f.planes[0].id) for name, f in opened.items()}
    values = np.asarray(arrays["zarr"][:])
    plain = bench.folder / "dense.npy"
    np.save(plain, values)

    ways: dict[str, Callable[[], NDArray[np.float16]]] = {
        "plain file (np.load)": lambda: np.load(plain),
        **{f"array[:] ({name})": partial(np.asarray, a) for name, a in arrays.items()},
        **{f"to_dask().compute() ({n})": f.to_dask(f.planes[0].id).compute for n, f in opened.items()},
    }
    repetitions = bench.repetitions(5)
    rows = medians(interleaved(repetitions, ways), "plain file (np.load)")
    stored = sum(file.stat().st_size for file in (path / "planes").rglob("c/**/*") if file.is_file())
    return {
        "what": "one plane of stride 1 read whole; warm page cache",
        "plane": list(values.shape),
        "decoded_bytes": values.nbytes,
        "compression": digits(values.nbytes / stored),
        "repetitions": repetitions,
        "pipelines": {name: _pipeline_name(f) for name, f in opened.items()},
        "ways": {name: row | {"gb_s": digits(values.nbytes / 1e9 / row["seconds"])} for name, row in rows.items()},
        "values_equal": all(np.array_equal(way(), values) for way in ways.values()),
    }


def _extract(bench: Bench, scene: Scene) -> Path:
    """Extract one plane of 256 channels at stride 1 with a network of random weights, and return the store's path."""
    from hsifeat.extraction.extract import extract

    folder = bench.folder / "wide"
    if not folder.exists():
        save_network(
            folder,
            sample_size=64,
            in_channels=8,
            out_channels=8,
            block_out_channels=(CHANNELS, 64),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
        )
    out = bench.folder / f"{scene.name}-wide.zarr"
    extract(scene, backbone=folder, timesteps=(50,), layers=[_LAYER], tile=64, halo=0, out=out)
    return out


def _open(path: Path, name: str) -> Features:
    """Open the features of a store with one of `PIPELINES`."""
    from hsifeat.features.open_features import open_features

    with pipeline(name):
        features = open_features(path)
        return _bound(features, name)


def _bound(features: Features, name: str) -> Features:
    """Make the features use a pipeline for all arrays, because Zarr reads this setting whenever it opens an array."""
    open_array = features.store.files.array

    def open_with_pipeline(path: str) -> Any:
        with pipeline(name):
            return open_array(path)

    features.store.files.array = open_with_pipeline  # type: ignore[method-assign]
    features.store.files._arrays.clear()  # noqa: SLF001
    return features


def _pipeline_name(features: Features) -> str:
    return pipeline_of(features.store.plane(features.planes[0].id))


def _installed() -> list[str]:
    """List the names of the installed pipelines."""
    from importlib.util import find_spec

    return [name for name, path in PIPELINES.items() if find_spec(path.split(".")[0])]
