"""Working folder of a benchmark. It has the recorded runs, which persist, and temporary tables for worker processes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from classifiers.comparison.results.plane_scores import SweepResult
from classifiers.comparison.results.results_io import read_json
from classifiers.comparison.run_records import RunRecords
from hsifeat.errors import HsifeatError
from hsifeat.files import check_output, check_utf8, disk_errors, resumable

RECORD = "record"
# Files of a report.
JSON, CSV, LATEX, MARKDOWN, PAGE = "results.json", "results.csv", "results.tex", "results.md", "report.html"
# Files of a sweep. The plot has two files, which end in .svg and .png.
SWEEP_JSON, SWEEP_CSV, SWEEP_PLOT = "sweep.json", "sweep.csv", "planes"
# The first file has the results.
_FILES = {
    "report": (JSON, CSV, LATEX, MARKDOWN, PAGE),
    "sweep": (SWEEP_JSON, SWEEP_CSV, f"{SWEEP_PLOT}.svg", f"{SWEEP_PLOT}.png"),
}
_LOCK = ".lock"


@contextmanager
def open_workdir(out: Path, kind: Literal["report", "sweep"] = "report") -> Iterator[tuple[RunRecords, Path]]:
    """Lock the folder of a report, and yield its recorded runs and a temporary folder for tables.

    If a benchmark fails before its first run, the folders that it created are removed.

    Parameters
    ----------
    out : Path
        The folder.
    kind : {"report", "sweep"}
        Whether the folder gets the files of a report or of a sweep.

    Raises
    ------
    HsifeatError
        If another benchmark is running in the folder. If the folder is not writable, or lies in a store or a model. If the
        folder has no report or sweep, but a file with a name such as ``report.html`` or ``sweep.csv``.
    """
    from filelock import FileLock, Timeout

    check_output(out)
    check_utf8(out)
    folder = out / RECORD
    _check_own_files(out, kind)
    new_folders = [path for path in (folder, out) if not path.exists()]
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise HsifeatError(f"another benchmark is running in {out}: wait for it, or choose another folder") from error
    try:
        # Delete temporary files of a benchmark that was killed.
        for path in [*folder.glob("tables-*"), *folder.glob("*/.*.part")]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        with TemporaryDirectory(prefix="tables-", dir=folder) as tables, resumable(), disk_errors(folder):
            yield RunRecords(folder), Path(tables)
    finally:
        if folder in new_folders and {path.name for path in folder.iterdir()} <= {_LOCK}:
            (folder / _LOCK).unlink(missing_ok=True)
            for path in new_folders:
                path.rmdir()
        lock.release()


def _check_own_files(out: Path, kind: Literal["report", "sweep"]) -> None:
    """Raise `HsifeatError` if a report or a sweep would replace files of another program."""
    files = _FILES[kind]
    if (out / RECORD).is_dir() or not (found := [name for name in files if (out / name).exists()]):
        return
    with suppress(HsifeatError, OSError, ValueError):
        if kind == "sweep":
            SweepResult.model_validate_json((out / files[0]).read_bytes())
        else:
            read_json(out / files[0])
        return
    raise HsifeatError(f"{out} has a file {found[0]}, but no {kind} of hsifeat: choose another folder")
