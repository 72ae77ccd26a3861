"""The SQLite file of a label database: its tables, transactions and errors."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hsifeat.errors import SceneError

_VERSION = 1
# Another process holds the write lock only while it writes one edit.
_PATIENCE_S = 30
_SCHEMA = """
CREATE TABLE label_sets (
    id INTEGER PRIMARY KEY, scene TEXT NOT NULL, name TEXT NOT NULL, person TEXT, rows INTEGER NOT NULL, cols INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX one_set ON label_sets (scene, name, coalesce(person, ''));
CREATE TABLE classes (
    set_id INTEGER NOT NULL REFERENCES label_sets, number INTEGER NOT NULL, name TEXT NOT NULL, colour TEXT NOT NULL,
    key TEXT NOT NULL, PRIMARY KEY (set_id, number)
) STRICT;
CREATE TABLE log (
    id INTEGER PRIMARY KEY AUTOINCREMENT, set_id INTEGER NOT NULL REFERENCES label_sets, person TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('paint', 'undo', 'redo')), target INTEGER REFERENCES log,
    kind TEXT, pixels BLOB, classes BLOB, made REAL NOT NULL, checksum INTEGER NOT NULL
) STRICT;
CREATE INDEX log_of_set ON log (set_id, id);
CREATE INDEX log_of_target ON log (target) WHERE target IS NOT NULL;
CREATE VIEW active AS SELECT * FROM log WHERE action = 'paint' AND coalesce(
    (SELECT action FROM log AS later WHERE later.target = log.id ORDER BY later.id DESC LIMIT 1), 'redo') = 'redo';
"""


class LabelFile:
    """An open SQLite file with the tables of a label database. Threads take turns.

    Parameters
    ----------
    path : Path
        The file, which is created if it does not exist.

    Attributes
    ----------
    lock : RLock
        Held during each call.

    Raises
    ------
    SceneError
        If the file is not a label database, was written by a later version of hsifeat, or can't be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.RLock()
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False)
            try:
                self._connection.row_factory = sqlite3.Row
                self.execute("PRAGMA journal_mode = WAL")
                # A commit waits for the disk, so that not even a power failure loses an acknowledged edit.
                self.execute("PRAGMA synchronous = FULL")
                self.execute("PRAGMA foreign_keys = ON")
                self._create_tables()
            except BaseException:
                self._connection.close()
                raise

    def _create_tables(self) -> None:
        with self.transaction():
            (version,) = self.execute("PRAGMA user_version").fetchone()
            (tables,) = self.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if not version and not tables:
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self.execute(statement)
                self.execute(f"PRAGMA user_version = {_VERSION}")
            elif version != _VERSION:
                raise SceneError(
                    f"{self.path} is not a label database of this version of hsifeat: move the file away, or use the version that "
                    "wrote it"
                )

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._connection.close()

    def execute(self, query: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        """Run a statement within a transaction."""
        return self._connection.execute(query, values)

    def select(self, query: str, *values: Any) -> list[Any]:
        """Return the rows of a query."""
        with self._errors():
            return self.execute(query, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the write lock of the file, and commit at the end of the block unless it raises."""
        with self._errors():
            self.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self.execute("ROLLBACK")
                raise
            self.execute("COMMIT")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with self.lock:
            try:
                yield
            except (sqlite3.Error, OSError) as error:
                raise SceneError(
                    f"the label database {self.path} can't be used ({error}): check the disk and the permissions, or restore the "
                    "file from a backup"
                ) from error
