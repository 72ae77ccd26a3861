"""The folder in which a comparison works: its record, which stays, and tables for workers, which do not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from classifiers.comparison.run_store import RunStore
from hsifeat.errors import HsifeatError
from hsifeat.files import disk_errors

RECORD = "record"


@contextmanager
def workplace(out: Path) -> Iterator[tuple[RunStore, Path]]:
    """Give the record in a report's folder, and a temporary folder for tables; to one comparison at a time.

    Raises
    ------
    HsifeatError
        Another comparison is at work in the folder, or it can't be written.
    """
    from filelock import FileLock, Timeout

    folder = out / RECORD
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise HsifeatError(f"another comparison is at work in {out}: wait for it, or give another folder") from error
    try:
        # What a comparison that was killed left half done.
        for left in [*folder.glob("tables-*"), *folder.glob("*/.*.part")]:
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        with TemporaryDirectory(prefix="tables-", dir=folder) as tables, disk_errors(folder):
            yield RunStore(folder), Path(tables)
    finally:
        lock.release()
