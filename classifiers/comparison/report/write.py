"""Writer of a report: tables, page, figures, maps and ``results.json``.

``results.json`` is written after all other files and marks the report as complete.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.report import plane_plots
from classifiers.comparison.report.latex import to_latex
from classifiers.comparison.report.markdown import to_markdown
from classifiers.comparison.report.page import write_page
from classifiers.comparison.report.plot import Plot
from classifiers.comparison.report.report_plots import PlotKey, ReportPlots
from classifiers.comparison.report.report_record import ReportRecord, file_digest, with_runs
from classifiers.comparison.results.base_records import BenchEntry
from classifiers.comparison.results.bench_results import BenchResults
from classifiers.comparison.results.comparison import Comparison, SceneImage
from classifiers.comparison.results.plane_scores import SweepResult
from classifiers.comparison.results.ranking import rank
from classifiers.comparison.results.results_io import read_json, write_csv, write_json
from classifiers.comparison.sweep_table import sweep_rows
from classifiers.comparison.workdir import CSV, JSON, LATEX, MARKDOWN, PAGE, SWEEP_CSV, SWEEP_JSON, SWEEP_PLOT
from hsifeat.errors import HsifeatError, SceneError
from hsifeat.files import check_output, check_utf8, write_file
from hsifeat.formatting import escape_formula, format_value
from hsifeat.runtime.events import Listener, Note, check_listener, silent
from hsifeat.scenes.maps import Legend, check_map_fits, write_map, write_probabilities
from hsifeat.scenes.scene_blocks import count_values
from hsifeat.types import Window, check_path, windows

FIGURES, MAPS = "figures", "maps"

_CONFIDENCE_LEGEND = Legend((1,), ("largest probability",), ("#000000",))
_BLOCK_PX = 1024
# File names have up to five parts, and at most 255 bytes in all.
_NAME_PART_BYTES = 40

# Function that writes a file and returns notes for the user.
FileWriter = Callable[[Path], Iterable[str]]


def write_report(comparison: Comparison, folder: str | Path, *, listen: Listener = silent) -> bool:
    """Write the files of a report.

    If the folder already has a report with these results, only missing, damaged and edited files are written. Files of
    an earlier report that this report does not contain are deleted. Other files in the folder are not modified.

    Parameters
    ----------
    comparison : Comparison
        Results with at least one run.
    folder : str or Path
        Folder of the report. The files are ``results.csv``, ``results.json``, ``results.tex``, ``results.md``,
        ``report.html``, ``figures/`` (SVG and PNG), and ``maps/`` (GeoTIFFs of the labels, and of classes and confidence for
        each run with seed 0).
    listen : callable
        Callback that receives notes about the maps and figures.

    Returns
    -------
    bool
        Whether any file was written or deleted.

    Raises
    ------
    StoreError
        If the folder is a store or a model, or lies in one. If it is not writable, or its path is not UTF-8.
    HsifeatError
        If an argument has a wrong type.

    Examples
    --------
    >>> from classifiers import compare, write_report
    >>> comparison = compare("fields.zarr", heads=["lda"], splits=["per-class:5", "blocks:12+4:0.3"], seeds=2)  # doctest: +SKIP
    >>> write_report(comparison, "report")  # doctest: +SKIP
    True
    """
    check_listener(listen)
    check_path("the folder of a report", folder)
    if not isinstance(comparison, Comparison):
        raise HsifeatError(f"write_report takes the Comparison that compare returns; found {format_value(comparison)}")
    folder = Path(folder)
    check_output(folder)
    check_utf8(folder)
    record = ReportRecord.read(folder)
    inputs = with_runs(comparison.inputs, folder)
    is_unchanged = record.is_intact(folder, JSON) and _same_results(comparison, folder / JSON)
    intact = {name for name in record.files if is_unchanged and record.is_intact(folder, name)}
    if record.inputs == inputs and len(intact) == len(record.files):
        return False
    files, notes = plan_files(comparison, folder)
    needed = {name: write for name, write in files.items() if name not in intact}
    # The list may be damaged, so names outside the folders of a report are ignored and never deleted.
    stale = [name for name in record.files if name not in files and _is_report_file(name)]
    known = {name: digest for name, digest in record.files.items() if name in intact}
    ReportRecord("", dict.fromkeys([*stale, *files, JSON], "") | known).write(folder)
    if not is_unchanged:
        (folder / JSON).unlink(missing_ok=True)
    for name, write in needed.items():
        notes |= dict.fromkeys(write(folder / name))
    for name in stale:
        for file in (folder / name, folder / f"{name}.aux.xml"):
            file.unlink(missing_ok=True)
    if not is_unchanged:
        write_json(comparison, folder / JSON)
        for note in notes:
            listen(Note(note))
    ReportRecord(inputs, known | {name: file_digest(folder / name) for name in (*needed, JSON)}).write(folder)
    return bool(needed or stale or not is_unchanged)


def plan_files(comparison: Comparison, folder: Path) -> tuple[dict[str, FileWriter], dict[str, None]]:
    """Return functions that write the files of a report, and notes on omitted files.

    The result is two dicts. The first maps the path of each file of the report except ``results.json``, relative to
    `folder`, to the function that writes the file. The keys of the second are the notes; its values are None.
    """
    names = file_names((summary.entry, summary.split) for summary in comparison.summary)
    maps, notes = _plan_maps(comparison, folder, names)
    plots = ReportPlots(comparison, rank(comparison))
    files: dict[str, FileWriter] = {
        CSV: _without_notes(lambda path: write_csv(comparison, path)),
        LATEX: _without_notes(lambda path: write_file(path, to_latex(comparison))),
        MARKDOWN: _without_notes(lambda path: write_file(path, to_markdown(comparison))),
        **_plan_figures(plots, names),
        **maps,
        PAGE: _without_notes(lambda path: write_page(comparison, path, plots)),
    }
    return files, notes


def _without_notes(write: Callable[[Path], object]) -> FileWriter:
    def write_file(path: Path) -> Iterable[str]:
        write(path)
        return ()

    return write_file


def _plan_figures(plots: ReportPlots, names: Mapping[tuple[BenchEntry, str], str]) -> dict[str, FileWriter]:
    """Return functions that write the plots of the page as SVG and PNG."""
    files: dict[str, PlotKey] = {}
    for kind, *subject in plots:
        match subject:
            case (BenchEntry() as entry, str() as split):
                name = f"{kind}-{names[entry, split]}"
            case (BenchEntry() as entry,):
                name = f"{kind}-{file_name(entry)}"
            case _:
                name = "-".join([str(kind), *(_safe(str(part)) for part in subject)])
        files[_unique(name, files)] = (kind, *subject)
    return {
        file: write
        for name, key in files.items()
        for file, write in _plot_writers(f"{FIGURES}/{name}", lambda key=key: plots[key]).items()  # type: ignore[misc]
    }


def _plot_writers(name: str, draw: Callable[[], Plot]) -> dict[str, FileWriter]:
    def write_png(path: Path) -> Iterable[str]:
        write_file(path, draw().png)
        return draw().png_notes

    return {f"{name}.svg": _without_notes(lambda path: write_file(path, draw().svg)), f"{name}.png": write_png}


def _plan_maps(
    comparison: Comparison, folder: Path, names: Mapping[tuple[BenchEntry, str], str]
) -> tuple[dict[str, FileWriter], dict[str, None]]:
    """Return functions that write the GeoTIFF maps, and notes on omitted files.

    The maps show the labels, the predicted classes and the confidence. The result is a pair of dictionaries, see
    `plan_files`.
    """
    images = comparison.images
    rows, cols = images.truth.shape
    scenes = images.scenes or (SceneImage("", Window(0, 0, rows, cols), comparison.georeference),)
    endings = {"": scenes[0]} if len(scenes) == 1 else dict(zip(_endings(scenes), scenes, strict=True))
    numbers = {number for number in comparison.class_names if number} | {*count_values(images.truth)}
    legend = Legend.from_mappings(numbers, comparison.class_names, comparison.class_colours)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for scene in scenes:
            check_map_fits(folder / "truth.tif", (scene.place.rows, scene.place.cols), legend)
    except SceneError as error:
        return {}, {f"no map is written as GeoTIFF: {error}": None}
    (folder / MAPS).mkdir(exist_ok=True)

    def classes_writer(classes: NDArray[np.integer], scene: SceneImage) -> FileWriter:
        def write(path: Path) -> Iterable[str]:
            notes = write_map(path, classes[scene.place.slices], legend, scene.georeference)
            return [note.replace(path.name, f"{MAPS}/*.tif") for note in notes]

        return write

    def confidence_writer(confidence: NDArray[np.uint8], classes: NDArray[np.integer], scene: SceneImage) -> FileWriter:
        part = scene.place.slices
        return _without_notes(
            lambda path: write_probabilities(
                path,
                _probability_blocks(confidence[part], classes[part]),
                confidence[part].shape,
                _CONFIDENCE_LEGEND,
                scene.georeference,
            )
        )

    files: dict[str, FileWriter] = {}
    for ending, scene in endings.items():
        files[f"{MAPS}/truth{ending}.tif"] = classes_writer(images.truth, scene)
        for key, classes in images.maps.items():
            files[f"{MAPS}/{names[key]}{ending}.tif"] = classes_writer(classes, scene)
        for key, confidence in images.confidence.items():
            files[f"{MAPS}/{names[key]}{ending}-confidence.tif"] = confidence_writer(
                confidence, images.maps[key], scene
            )
    return files, {}


def _endings(scenes: Sequence[SceneImage]) -> list[str]:
    """Return an ending of file names for each of several scenes, such as ``-north``."""
    endings: list[str] = []
    for scene in scenes:
        endings.append(_unique(f"-{_safe(scene.name)}", endings))
    return endings


def _probability_blocks(
    confidence: NDArray[np.uint8], classes: NDArray[np.integer]
) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    """Yield the window of each block and the largest class probability of each of its pixels.

    The probabilities are a (rows, cols, 1) float32 array, with NaN at pixels without a prediction.
    """
    rows, cols = confidence.shape
    for window in windows(rows, cols, _BLOCK_PX):
        values = confidence[window.slices] / np.float32(255)
        yield window, np.where(classes[window.slices] > 0, values, np.float32(np.nan))[..., None]


def write_sweep(sweep: SweepResult, folder: Path) -> None:
    """Write the scores of single planes to a folder.

    The files are ``sweep.csv`` (one row per plane), ``sweep.json``, ``planes.svg`` and ``planes.png``.
    """
    rows = sweep_rows(sweep)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: escape_formula(cell) if isinstance(cell, str) else cell for name, cell in row.items()} for row in rows
    )
    write_file(folder / SWEEP_CSV, text.getvalue())
    write_file(folder / SWEEP_JSON, sweep.model_dump_json(indent=1) + "\n")
    plot = plane_plots.sweep_map(sweep.planes)
    for name, write in _plot_writers(SWEEP_PLOT, lambda: plot).items():
        write(folder / name)


def file_names(keys: Iterable[tuple[BenchEntry, str]]) -> dict[tuple[BenchEntry, str], str]:
    """Return a file name for each pair of entry and split.

    The names are also unique in file systems that ignore upper and lower case.
    """
    names: dict[tuple[BenchEntry, str], str] = {}
    for key in dict.fromkeys(keys):
        names[key] = _unique(file_name(*key), names.values())
    return names


def file_name(entry: BenchEntry, split: str = "") -> str:
    """Return a file name for an entry and a split.

    >>> file_name(BenchEntry(store="ip", inputs="spectra+planes", head="film"), "blocks:12+4:0.1")
    'film-spectra+planes-ip-blocks_12+4_0.1'
    """
    return "-".join(_safe(part) for part in (entry.head, entry.inputs, entry.store, split) if part)


def _unique(name: str, names: Iterable[str]) -> str:
    """Return `name`, with a number appended if `names` already contains it."""
    existing = {other.casefold() for other in names}
    candidates = (name, *(f"{name}-{n}" for n in range(2, len(existing) + 3)))
    return next(candidate for candidate in candidates if candidate.casefold() not in existing)


def _safe(text: str) -> str:
    """Return a text as a part of a file name. Only the end of a long text is kept, because paths differ most at the end."""
    return re.sub(r"[^\w.+-]", "_", text).encode()[-_NAME_PART_BYTES:].decode(errors="ignore")


def _is_report_file(name: str) -> bool:
    path = Path(name)
    return name in {CSV, LATEX, MARKDOWN, PAGE} or (path.parent in {Path(FIGURES), Path(MAPS)} and path.name != "..")


def _same_results(comparison: Comparison, path: Path) -> bool:
    """Return whether the file `path` contains the results of `comparison`.

    The time of creation may differ.
    """
    try:
        existing = read_json(path)
    except HsifeatError:
        return False
    return _without_date(existing) == _without_date(comparison)


def _without_date(results: BenchResults) -> dict[str, Any]:
    document = json.loads(results.model_dump_json())
    document["provenance"]["created"] = ""
    return dict(document)
