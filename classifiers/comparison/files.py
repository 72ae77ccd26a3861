"""The files of a report: numbers, tables for papers, the page, figures, maps; and last results.json, which vouches for the others."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison import figures
from classifiers.comparison.page import facts, findings, planes
from classifiers.comparison.report import write_report
from classifiers.comparison.results import Comparison, Sweep
from classifiers.comparison.runs import Entry
from classifiers.comparison.sweep_rows import to_document, to_rows
from classifiers.comparison.tables import read_json, to_json, write_csv, write_json
from classifiers.comparison.texts import to_latex, to_markdown
from hsifeat.errors import HsifeatError, SceneError
from hsifeat.files import write_whole
from hsifeat.scenes.blocks import count_values
from hsifeat.scenes.maps import Legend, write_map, write_probabilities
from hsifeat.types import Window, windows
from hsifeat.work.events import Listener, Note, silent

CSV, JSON, PAGE, LATEX, MARKDOWN = "results.csv", "results.json", "report.html", "results.tex", "results.md"
FIGURES, MAPS = "figures", "maps"

# The legend of a map that has one band, and side of the blocks in which it is written.
_SURE, _BLOCK_PX = Legend((1,), ("largest probability",), ("#000000",)), 1024

Draw = Callable[[figures.Medium], bytes]


def write_files(comparison: Comparison, folder: Path, *, listen: Listener = silent) -> bool:
    """Write a comparison's files, unless those that are there say the same already.

    Parameters
    ----------
    comparison : Comparison
        At least one result.
    folder : Path
        Gets ``results.csv``, ``results.json``, ``results.tex``, ``results.md``, ``report.html``, ``figures/`` (each as SVG
        and PNG) and ``maps/`` (the truth, and GeoTIFFs of classes and confidence for each entry and split, of seed 0).
    listen : callable
        Is told what a reader of the maps should know.

    Returns
    -------
    bool
        Whether anything was written.
    """
    there = all((folder / name).exists() for name in (CSV, PAGE, LATEX, MARKDOWN))
    if there and _says_the_same(comparison, folder / JSON):
        return False
    (folder / JSON).unlink(missing_ok=True)
    write_csv(comparison, folder / CSV)
    write_whole(folder / LATEX, to_latex(comparison))
    write_whole(folder / MARKDOWN, to_markdown(comparison))
    write_figures(comparison, folder / FIGURES)
    for note in write_maps(comparison, folder / MAPS):
        listen(Note(note))
    write_report(comparison, folder / PAGE)
    write_json(comparison, folder / JSON)
    return True


def write_figures(comparison: Comparison, folder: Path) -> None:
    """Write the page's plots as SVG and PNG, on white; of the confusions those of the best entry of each split."""
    of = facts.facts_of(comparison)
    drawings: dict[str, Draw] = {"overall-accuracy": lambda medium: findings.dot_plot(of, medium)}
    best = {cell.split: cell for cell in sorted(comparison.summary, key=lambda cell: cell.oa[0])}
    for cell in best.values():
        names = [of.class_names[c] for c in cell.classes]
        drawings[f"confusion-{file_name(cell.entry, cell.split)}"] = lambda medium, cell=cell, names=names: (  # type: ignore[misc]
            figures.confusion_matrix(cell.confusion, names, medium)
        )
    for split in dict.fromkeys(point.split for point in comparison.curves):
        lines = planes.curve_lines([point for point in comparison.curves if point.split == split])
        drawings[f"learning-curves-{_plain(split)}"] = lambda medium, lines=lines: (  # type: ignore[misc]
            figures.learning_curves(lines, "overall accuracy, %", medium)
        )
    for entry, weights in comparison.mixing.items():
        drawings[f"weights-{file_name(entry)}"] = lambda medium, weights=weights: planes.weight_map(weights, medium)  # type: ignore[misc]
    if comparison.panels:
        clusters = {(panel.t, panel.layer): panel.classes for panel in comparison.panels}
        colours = planes.cluster_colours(comparison.panels)
        drawings["panels"] = lambda medium: figures.panels(clusters, colours, medium)
    if comparison.sweep is not None:
        scores = comparison.sweep.alone
        drawings["planes"] = lambda medium: planes.sweep_map(scores, medium)
    _write_drawings(drawings, folder)


def write_maps(comparison: Comparison, folder: Path) -> tuple[str, ...]:
    """Write the truth and every map as GeoTIFF, one after the other; return what a reader of the files should know.

    Beside the map of a head that gives probabilities is one of its confidence, the largest of them.
    """
    pictures = comparison.pictures
    wanted: dict[str, NDArray[np.integer]] = {"truth": pictures.truth}
    wanted |= {file_name(entry, split): classes for (entry, split), classes in pictures.maps.items()}
    numbers = [c for c in comparison.class_names if c]
    legend = Legend.of({*numbers, *count_values(pictures.truth)}, comparison.class_names, comparison.class_colours)
    folder.mkdir(parents=True, exist_ok=True)
    notes: dict[str, None] = {}
    for name, classes in wanted.items():
        try:
            said = write_map(folder / f"{name}.tif", classes, legend, comparison.georeference)
        except SceneError as error:
            # A palette has 255 colours: other maps of these classes can't be written either.
            return (f"no map is written as GeoTIFF: {error}",)
        notes |= dict.fromkeys(note.replace(f"{name}.tif", f"{MAPS}/*.tif") for note in said)
    for (entry, split), sure in pictures.confidence.items():
        path = folder / f"{file_name(entry, split)}-confidence.tif"
        write_probabilities(
            path, _shares(sure, pictures.maps[entry, split]), sure.shape, _SURE, comparison.georeference
        )
    return tuple(notes)


def _shares(sure: NDArray[np.uint8], classes: NDArray[np.integer]) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    """Give the largest probabilities of a map block by block; NaN where nothing was predicted."""
    rows, cols = sure.shape
    for window in windows(rows, cols, _BLOCK_PX):
        values = np.where(classes[window.slices] > 0, sure[window.slices] / np.float32(255), np.float32(np.nan))
        yield window, values[..., None]


def write_sweep(found: Sweep, folder: Path) -> None:
    """Write ``sweep.csv``, a row a plane; ``sweep.json``; and the heat map ``planes``, timesteps by layers, as SVG and PNG."""
    rows = to_rows(found)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(folder / "sweep.csv", text.getvalue())
    write_whole(folder / "sweep.json", json.dumps(to_document(found), indent=1) + "\n")
    _write_drawings({"planes": lambda medium: planes.sweep_map(found.alone, medium)}, folder)


def file_name(entry: Entry, split: str = "") -> str:
    """Name a file after an entry and a split.

    >>> file_name(Entry("ip", "spectra+planes", "film"), "blocks:12+4:0.1")
    'film-spectra+planes-ip-blocks_12+4_0.1'
    """
    return "-".join(_plain(part) for part in (entry.head, entry.features, entry.store, split) if part)


def _plain(text: str) -> str:
    return re.sub(r"[^\w.+-]", "_", text)


def _write_drawings(drawings: dict[str, Draw], folder: Path) -> None:
    media: tuple[figures.Medium, ...] = ("svg", "png")
    for name, draw in drawings.items():
        for medium in media:
            write_whole(folder / f"{name}.{medium}", draw(medium))


def _says_the_same(comparison: Comparison, path: Path) -> bool:
    try:
        there = read_json(path)
    except HsifeatError:
        return False
    return _timeless(there) == _timeless(json.loads(to_json(comparison)))


def _timeless(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "provenance": {k: v for k, v in document["provenance"].items() if k != "created"}}
