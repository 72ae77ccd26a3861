"""Measure how many bytes planes with fewer bits would save, and how much accuracy they would cost.

``.venv/bin/python benchmarks/compact.py`` extracts planes of `natural32` and context features of three scenes. The planes
are written again in several variants, with the codecs of a store:

- ``float16``: as stored;
- ``int8``: whole numbers from -127 to 127, with a scale and an offset for each channel of a plane;
- ``bits-N``: float16 of which N of 10 bits of the mantissa are kept (`numcodecs.BitRound`).

Heads learn from each variant, with the same training pixels. ``benchmarks/results/compact.json`` has the bytes, the overall
accuracy of each draw, and the differences from ``float16``. The differences are paired by draw and have 95 % intervals of
Student's t. Finished fits are kept, so that an interrupted run continues. At most `TEST_PIXELS` test pixels of a draw are
scored. All scores are without smoothing.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import zarr
from cache_bench import file_bytes
from numcodecs import BitRound
from numpy.typing import NDArray
from scoring import RESULTS, ROOT, PrintingListener, about_run, mean_sd
from study_columns import gain
from study_scenes import SCENES

import hsifeat
from classifiers import PixelTable, make_head, parse_split
from classifiers.input_sets import InputSet
from hsifeat.store.plane_layout import codec
from hsifeat.store.store import Store
from hsifeat.types import PlaneId, Window

RESULT = RESULTS / "compact.json"
FOLDER = ROOT / "build" / "compact"
SPLITS = ("per-class:5", "per-class:20", "far:12+16:0.1")
# Reduced Pavia University is too small for pixels far from all labels.
STUDIED = {"indian-pines": SPLITS, "pavia-reduced": SPLITS[:2], "houston": SPLITS}
HEADS = ("lda", "mlp")
# Input of each source of planes. The input has no spectra, which would hide the loss.
SOURCES = {"natural32": "planes", "context": "context"}
VARIANTS = ("float16", "int8", "bits-6", "bits-4")
TEST_PIXELS = 3000
# The option is worth having if it saves more than this share of the bytes at less than this cost in points.
WORTH_BYTES, WORTH_POINTS = 1 / 3, 0.2


def main() -> None:
    """Parse the command line, and measure scenes, sources and variants."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=10)
    options = parser.parse_args()
    result: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {"bytes": {}, "oa": {}}
    for scene_name, splits in STUDIED.items():
        scene = SCENES[scene_name]()
        for source in SOURCES:
            original = FOLDER / scene_name / f"{source}.zarr"
            origin = {"backbone": source} if source == "context" else {"preset": source}
            hsifeat.extract(scene, out=original, listen=PrintingListener(), **origin)
            for variant in VARIANTS:
                by_source = result["bytes"].setdefault(scene_name, {}).setdefault(source, {})
                by_source[variant] = plane_bytes(hsifeat.open_features(original).store, variant)
                table = table_of(original, source, variant)
                for head in HEADS:
                    for split in splits:
                        name = f"{scene_name}, {source}, {head}, {split}"
                        known = result["oa"].setdefault(name, {}).setdefault(variant, [])
                        known += [accuracy(table, head, split, seed) for seed in range(len(known), options.draws)]
                        print(name, variant, np.mean(known).round(4), flush=True)
                        save(result)


def plane_bytes(store: Store, variant: str) -> dict[str, Any]:
    """Write all planes of a store in a variant, and return the bytes and the share that the variant saves compared with ``float16``."""
    written = {}
    for name in ("float16", variant):
        with tempfile.TemporaryDirectory() as folder:
            for plane in store.planes:
                array = store.plane(plane.id)
                options = {"shards": array.shards, "chunks": array.chunks, "compressors": codec()}
                zarr.create_array(Path(folder) / str(plane.id), data=encoded(np.asarray(array[:]), name), **options)
            written[name] = file_bytes(Path(folder))
    return {"bytes": written[variant], "saved": round(1 - written[variant] / written["float16"], 4)}


def encoded(values: NDArray[np.float16], variant: str) -> NDArray[Any]:
    """Return the array that is written for the (rows, cols, channels) values of a plane."""
    if variant == "int8":
        return to_int8(values)[0]
    return values if variant == "float16" else round_bits(values, int(variant.rpartition("-")[2]))


def decoded(values: NDArray[np.float16], variant: str) -> NDArray[np.float32]:
    """Return the values of a plane after encoding and decoding, as float32."""
    if variant == "int8":
        codes, scale, offset = to_int8(values)
        return codes * scale + offset
    return encoded(values, variant).astype(np.float32)


@contextmanager
def reading(variant: str) -> Iterator[None]:
    """Make all stores return the values of a variant, for a ``with`` block."""

    def read(store: Store, plane: PlaneId, cells: Window) -> NDArray[np.float32]:
        return decoded(np.asarray(store.plane(plane)[:]), variant)[cells.slices]

    with mock.patch.object(Store, "read", read):
        yield


def to_int8(values: NDArray[np.float16]) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.float32]]:
    """Return the (rows, cols, channels) values of a plane as numbers from -127 to 127, and the scale and the offset of each channel."""
    low, high = (reduce(values, axis=(0, 1)).astype(np.float32) for reduce in (np.min, np.max))
    offset, scale = (low + high) / 2, np.maximum(high - low, 1e-6) / 254
    return np.rint((values.astype(np.float32) - offset) / scale).astype(np.int8), scale, offset


def round_bits(values: NDArray[np.float16], kept: int) -> NDArray[np.float16]:
    """Return values rounded to `kept` bits of the mantissa."""
    rounding = BitRound(keepbits=kept)
    return np.asarray(rounding.decode(rounding.encode(values))).view(np.float16).reshape(values.shape)


def table_of(path: Path, source: str, variant: str) -> PixelTable:
    """Return the table of the labelled pixels, with the values of a variant.

    Each variant has its own cache folder, because cached samples are found by the key of the store, which all variants
    share.
    """
    os.environ["HSIFEAT_CACHE"] = str(path.with_name(f"{path.stem}-{variant}.cache"))
    with reading(variant):
        table = PixelTable.from_store(hsifeat.open_features(path), sample=True)
    return table.select_groups(InputSet.parse(SOURCES[source]).includes)


def accuracy(table: PixelTable, name: str, split: str, seed: int) -> float:
    """Fit a head on a draw, and return the overall accuracy on its test pixels."""
    draw = parse_split(split).draw(table.labels, seed)
    train, test = (table[side[table.rows, table.cols]] for side in (draw.train, draw.test))
    test = test[np.random.default_rng(seed).permutation(len(test))[:TEST_PIXELS]]
    head = make_head(name, layout=table.layout)
    if "random_state" in head.get_params():
        head.set_params(random_state=seed)
    head.fit(train.X, train.y, unlabelled=table.unlabelled, positions=train.positions)
    return round(float(np.mean(head.predict(test.X) == test.y)), 5)


def save(result: dict[str, Any]) -> None:
    """Write the results with means and paired differences, and state for each variant whether it is worth having."""
    summary = {
        name: {one: mean_sd(values) for one, values in by.items() if len(values) > 1}
        for name, by in result["oa"].items()
    }
    differences = {
        name: {
            one: gain(values[:shared], by["float16"][:shared])
            for one, values in by.items()
            if one != "float16" and (shared := min(len(values), len(by["float16"]))) >= 3
        }
        for name, by in result["oa"].items()
    }
    worth = {}
    for variant in VARIANTS[1:]:
        saved = [
            by[variant]["saved"] for sources in result["bytes"].values() for by in sources.values() if variant in by
        ]
        changes = [by[variant]["mean"] for by in differences.values() if variant in by]
        if saved and changes:
            worth[variant] = {
                "least_saved": min(saved),
                "mean_change": round(float(np.mean(changes)), 2),
                "worst_change": min(changes),
                "worth": min(saved) > WORTH_BYTES and min(changes) > -WORTH_POINTS,
            }
    content = {
        **about_run(("numpy", "numcodecs", "zarr", "scikit-learn", "torch")),
        "bytes": result["bytes"],
        "worth": worth,
        "differences": differences,
        "summary": summary,
        "oa": result["oa"],
    }
    RESULT.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
