"""The files of a report: numbers, tables for papers, the page, figures, maps; and last results.json, which vouches for the others."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.report import context as facts
from classifiers.comparison.report import figures, findings
from classifiers.comparison.report import plane_plots as planes
from classifiers.comparison.report.page import write_report
from classifiers.comparison.report.summary_tables import to_latex, to_markdown
from classifiers.comparison.results.model import Comparison, Sweep
from classifiers.comparison.results.results_io import read_json, to_json, write_csv, write_json
from classifiers.comparison.results.run import Entry
from classifiers.comparison.sweep_table import to_document, to_rows
from classifiers.comparison.workdir import RECORD
from hsifeat.errors import HsifeatError, SceneError
from hsifeat.files import write_file
from hsifeat.runtime.events import Listener, Note, silent
from hsifeat.scenes.blocks import count_values
from hsifeat.scenes.maps import Legend, check_map_fits, write_map, write_probabilities
from hsifeat.types import Window, windows

CSV, JSON, PAGE, LATEX, MARKDOWN = "results.csv", "results.json", "report.html", "results.tex", "results.md"
FIGURES, MAPS = "figures", "maps"

# The legend of a map that has one band, and side of the blocks in which it is written.
_SURE, _BLOCK_PX = Legend((1,), ("largest probability",), ("#000000",)), 1024

# Within the record: which files the report wrote, so that those of entries that are gone can be deleted.
_LISTING = Path(RECORD) / "files.json"

Draw = Callable[[figures.Medium], bytes]
# Writes a file, and returns what a reader of it should know.
Writer = Callable[[Path], Iterable[str]]


def write_files(comparison: Comparison, folder: Path, *, listen: Listener = silent) -> bool:
    """Write a comparison's files, unless those that are there say the same already; then only those that are missing.

    Files that an earlier report wrote into the folder and that have no place in this one are deleted; nothing else is.

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
        Whether anything was written or deleted.
    """
    files, notes = plan_files(comparison, folder)
    listed = _listed(folder)
    same = _says_the_same(comparison, folder / JSON)
    wanted = {name: write for name, write in files.items() if not (same and (folder / name).exists())}
    stale = [name for name in listed if name not in files]
    if listed != sorted(files):
        write_file(folder / _LISTING, json.dumps(sorted({*listed, *files}), indent=0))
    if not same:
        (folder / JSON).unlink(missing_ok=True)
    for name, write in wanted.items():
        notes |= dict.fromkeys(write(folder / name))
    for name in stale:
        for file in (folder / name, folder / f"{name}.aux.xml"):
            file.unlink(missing_ok=True)
    if stale:
        write_file(folder / _LISTING, json.dumps(sorted(files), indent=0))
    if not same:
        write_json(comparison, folder / JSON)
        for note in notes:
            listen(Note(note))
    return bool(wanted or stale or not same)


def plan_files(comparison: Comparison, folder: Path) -> tuple[dict[str, Writer], dict[str, None]]:
    """Return what writes each file of a report but ``results.json``, by its name in the folder; and why some are left out."""
    names = file_names((cell.entry, cell.split) for cell in comparison.summary)
    maps, notes = _plan_maps(comparison, folder, names)
    files: dict[str, Writer] = {
        CSV: _writer(lambda path: write_csv(comparison, path)),
        LATEX: _writer(lambda path: write_file(path, to_latex(comparison))),
        MARKDOWN: _writer(lambda path: write_file(path, to_markdown(comparison))),
        **_plan_drawings(_drawings(comparison, names), f"{FIGURES}/"),
        **maps,
        PAGE: _writer(lambda path: write_report(comparison, path)),
    }
    return files, notes


def _writer(write: Callable[[Path], object]) -> Writer:
    def written(path: Path) -> Iterable[str]:
        write(path)
        return ()

    return written


def _drawings(comparison: Comparison, names: Mapping[tuple[Entry, str], str]) -> dict[str, Draw]:
    """Return the page's plots, on white; of the confusions those of the best entry of each split."""
    of = facts.facts_of(comparison)
    drawings: dict[str, Draw] = {"overall-accuracy": lambda medium: findings.dot_plot(of, medium)}
    best = {cell.split: cell for cell in sorted(comparison.summary, key=lambda cell: cell.oa[0])}
    for cell in best.values():
        classes = [of.class_names[c] for c in cell.classes]
        drawings[f"confusion-{names[cell.entry, cell.split]}"] = lambda medium, cell=cell, classes=classes: (  # type: ignore[misc]
            figures.confusion_matrix(cell.confusion, classes, medium)
        )
    for split in dict.fromkeys(point.split for point in comparison.curves):
        points = [point for point in comparison.curves if point.split == split]
        drawings[_free(f"learning-curves-{_plain(split)}", drawings)] = lambda medium, points=points: (  # type: ignore[misc]
            figures.learning_curves(
                planes.curve_lines(points), "overall accuracy, %", planes.curve_pixels(points), medium
            )
        )
    for entry, weights in comparison.mixing.items():
        drawings[_free(f"weights-{file_name(entry)}", drawings)] = lambda medium, weights=weights: (  # type: ignore[misc]
            planes.weight_map(weights, medium)
        )
    if comparison.panels:
        clusters = {(panel.t, panel.layer): panel.classes for panel in comparison.panels}
        colours = planes.cluster_colours(comparison.panels)
        drawings["panels"] = lambda medium: figures.panels(clusters, colours, medium)
    if comparison.sweep is not None:
        scores = comparison.sweep.alone
        drawings["planes"] = lambda medium: planes.sweep_map(scores, medium)
    return drawings


def _plan_drawings(drawings: Mapping[str, Draw], folder: str = "") -> dict[str, Writer]:
    media: tuple[figures.Medium, ...] = ("svg", "png")
    return {
        f"{folder}{name}.{medium}": _writer(lambda path, draw=draw, medium=medium: write_file(path, draw(medium)))  # type: ignore[misc]
        for name, draw in drawings.items()
        for medium in media
    }


def _plan_maps(
    comparison: Comparison, folder: Path, names: Mapping[tuple[Entry, str], str]
) -> tuple[dict[str, Writer], dict[str, None]]:
    """Plan the truth and every map as GeoTIFF; beside that of a head that knows probabilities the largest of them."""
    pictures, where = comparison.pictures, comparison.georeference
    numbers = [c for c in comparison.class_names if c]
    legend = Legend.from_mappings(
        {*numbers, *count_values(pictures.truth)}, comparison.class_names, comparison.class_colours
    )
    (folder / MAPS).mkdir(parents=True, exist_ok=True)
    try:
        check_map_fits(folder / MAPS / "truth.tif", pictures.truth.shape, legend)
    except SceneError as error:
        return {}, {f"no map is written as GeoTIFF: {error}": None}

    def classes(found: NDArray[np.integer]) -> Writer:
        def write(path: Path) -> Iterable[str]:
            return [note.replace(path.name, f"{MAPS}/*.tif") for note in write_map(path, found, legend, where)]

        return write

    def confidence(sure: NDArray[np.uint8], found: NDArray[np.integer]) -> Writer:
        return _writer(lambda path: write_probabilities(path, _shares(sure, found), sure.shape, _SURE, where))

    files = {f"{MAPS}/truth.tif": classes(pictures.truth)}
    files |= {f"{MAPS}/{names[at]}.tif": classes(found) for at, found in pictures.maps.items()}
    for at, sure in pictures.confidence.items():
        files[f"{MAPS}/{names[at]}-confidence.tif"] = confidence(sure, pictures.maps[at])
    return files, {}


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
    write_file(folder / "sweep.csv", text.getvalue())
    write_file(folder / "sweep.json", json.dumps(to_document(found), indent=1) + "\n")
    drawings = {"planes": lambda medium: planes.sweep_map(found.alone, medium)}
    for name, write in _plan_drawings(drawings).items():
        write(folder / name)


def file_names(wanted: Iterable[tuple[Entry, str]]) -> dict[tuple[Entry, str], str]:
    """Name a file after each entry and split, all of them different, also where a disk takes A for a."""
    names: dict[tuple[Entry, str], str] = {}
    for at in dict.fromkeys(wanted):
        names[at] = _free(file_name(*at), names.values())
    return names


def file_name(entry: Entry, split: str = "") -> str:
    """Name a file after an entry and a split.

    >>> file_name(Entry("ip", "spectra+planes", "film"), "blocks:12+4:0.1")
    'film-spectra+planes-ip-blocks_12+4_0.1'
    """
    return "-".join(_plain(part) for part in (entry.head, entry.features, entry.store, split) if part)


def _free(name: str, taken: Iterable[str]) -> str:
    """Return a name, with a number behind it where it is taken."""
    there = {one.casefold() for one in taken}
    tries = (name, *(f"{name}-{n}" for n in range(2, len(there) + 3)))
    return next(one for one in tries if one.casefold() not in there)


def _plain(text: str) -> str:
    return re.sub(r"[^\w.+-]", "_", text)


def _listed(folder: Path) -> list[str]:
    """Return which files a report wrote into a folder; none where no list can be read."""
    try:
        names = [Path(name) for name in json.loads((folder / _LISTING).read_bytes())]
    except (OSError, ValueError, TypeError):
        return []
    # Whatever a list says, nothing is deleted elsewhere.
    tops, inside = {CSV, LATEX, MARKDOWN, PAGE}, {Path(FIGURES), Path(MAPS)}
    return [str(name) for name in names if str(name) in tops or (name.parent in inside and name.name != "..")]


def _says_the_same(comparison: Comparison, path: Path) -> bool:
    try:
        there = read_json(path)
    except HsifeatError:
        return False
    return _timeless(there) == _timeless(json.loads(to_json(comparison)))


def _timeless(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "provenance": {k: v for k, v in document["provenance"].items() if k != "created"}}
