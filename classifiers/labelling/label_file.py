"""The SQLite file of a label database: its tables, transactions and errors."""

from __future__ import annotations

import os
import sqlite3
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hsifeat.errors import SceneError
from hsifeat.files import cache_folder
from hsifeat.types import as_int

_VERSION = 1
# Maximum time to wait for the write lock, in seconds. A process holds the lock only while it writes one entry.
_PATIENCE_S = 30
_SCHEMA = """
CREATE TABLE label_sets (
    id INTEGER PRIMARY KEY AUTOINCREMENT, scene TEXT NOT NULL, name TEXT NOT NULL, person TEXT, rows INTEGER NOT NULL,
    cols INTEGER NOT NULL, checksum INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX one_set ON label_sets (scene, name, coalesce(person, ''));
CREATE TABLE log (
    id INTEGER PRIMARY KEY AUTOINCREMENT, set_id INTEGER NOT NULL REFERENCES label_sets, person TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('class', 'paint', 'undo', 'redo')), target INTEGER REFERENCES log,
    kind TEXT, pixels BLOB, classes BLOB, made REAL NOT NULL, checksum INTEGER NOT NULL
) STRICT;
CREATE INDEX log_of_set ON log (set_id, id);
CREATE INDEX log_of_target ON log (target) WHERE target IS NOT NULL;
CREATE VIEW active AS SELECT * FROM log WHERE action = 'paint' AND coalesce(
    (SELECT action FROM log AS later WHERE later.target = log.id ORDER BY later.id DESC LIMIT 1), 'redo') = 'redo';
CREATE TABLE requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT, set_id INTEGER NOT NULL REFERENCES label_sets, name TEXT NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX one_request ON requests (set_id, name);
"""
_INSERT = {
    "label_sets": "INSERT INTO label_sets VALUES (?, ?, ?, ?, ?, ?, ?)",
    "log": "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "requests": "INSERT INTO requests VALUES (?, ?, ?, ?)",
}
_ROWS = {
    "label_sets": "SELECT * FROM label_sets ORDER BY id",
    "log": "SELECT * FROM log ORDER BY id",
    "requests": "SELECT * FROM requests ORDER BY id",
}


def labels_path() -> Path:
    """Return the path of the label database of the user.

    The database is in the folder for user data, because labels can't be computed again. If the environment variable
    ``HSIFEAT_CACHE`` names a folder, the database is in that folder instead.
    """
    from platformdirs import user_data_path

    folder = cache_folder() if os.environ.get("HSIFEAT_CACHE") else user_data_path("hsifeat")
    return folder / "labels.sqlite"


class LabelFile:
    """An open SQLite file with the tables of a label database. The methods are thread-safe.

    Rows are appended and never changed. Each row has a checksum, and row numbers have no gaps. Checksums and row numbers are
    checked when the file is opened, to find damage that SQLite does not detect.

    Parameters
    ----------
    path : Path
        The file, which is created if it does not exist.

    Attributes
    ----------
    lock : RLock
        Lock that each transaction and each query holds while it runs.

    Raises
    ------
    SceneError
        If the file is damaged, is not a label database, was written by another version of hsifeat, or can't be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.RLock()
        self._changes_before = 0  # changes of the connection before the current transaction
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
                self._check_rows()
            except BaseException:
                self._connection.close()
                raise

    def _create_tables(self) -> None:
        with self.transaction():
            (version,) = self.execute("PRAGMA user_version").fetchone()
            (tables,) = self.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if not version and not tables:
                for statement in _statements():
                    self.execute(statement)
                self.execute(f"PRAGMA user_version = {_VERSION}")
            elif version != _VERSION:
                raise SceneError(
                    f"{self.path} is not a label database of this version of hsifeat: move the file away, or use the version that "
                    "wrote it"
                )

    def _check_rows(self) -> None:
        """Raise `SceneError` if tables or rows are damaged or missing."""
        self.execute("BEGIN")  # another process may write at the same time
        try:
            sound = self.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok"
            sound &= self.execute("PRAGMA foreign_key_check").fetchone() is None
            schema = self.execute("SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite%' ORDER BY rowid")
            sound &= [row["sql"] for row in schema] == _statements()
            counts = dict(self.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
            for table, query in _ROWS.items():
                rows = self.execute(query)
                count = 0
                for count, row in enumerate(rows, 1):
                    sound &= row["id"] == count and row["checksum"] == row_checksum(table, tuple(row)[:-1])
                sound &= count == counts.get(table, 0)
        finally:
            self.execute("ROLLBACK")
        if not sound:
            raise SceneError(f"the label database {self.path} is damaged: restore the file from a backup")

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._connection.close()

    def execute(self, query: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        """Run an SQL statement. Statements that write must run inside a `transaction`."""
        return self._connection.execute(query, _without_numpy_integers(values))

    def append(self, table: str, *values: Any) -> int:
        """Append a row to a table, and return the row number. Call this method inside a `transaction`.

        `values` has the values of all columns except the row number and the checksum. `SceneError` is raised if a value has
        another type than its column.
        """
        query = "SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = ?"
        number = int(self.execute(query, (table,)).fetchone()[0])
        row = (number, *_without_numpy_integers(values))
        checksum = row_checksum(table, row)
        self.execute(_INSERT[table], (*row, checksum))
        # SQLite converts values to the types of the columns, for example True to 1. The checksum would then not match the row.
        stored = tuple(self.execute(f"SELECT * FROM {table} WHERE id = ?", (number,)).fetchone())  # noqa: S608
        if row_checksum(table, stored[:-1]) != checksum:
            raise SceneError(f"numbers in a label database are ints, and names are texts; found {values!r:.200}")
        return number

    def is_repeated(self, set_id: int, person: str, request: str | None) -> bool:
        """Return whether this request of `person` has been recorded, see `record_request`; False if `request` is None."""
        query = "SELECT 1 FROM requests WHERE set_id = ? AND name = ?"
        return request is not None and self.execute(query, (set_id, f"{person}: {request}")).fetchone() is not None

    def record_request(self, set_id: int, person: str, request: str | None) -> None:
        """Record that a request has changed a label set. Call this method inside a `transaction`.

        Parameters
        ----------
        set_id : int
            Number of the label set.
        person : str
            Name of the person who made the request.
        request : str or None
            Name of the request. For None, nothing is recorded.
        """
        if request is not None:
            self.append("requests", set_id, f"{person}: {request}")

    def select(self, query: str, *values: Any) -> list[Any]:
        """Run an SQL query with `values` for its placeholders, and return the rows of the result."""
        with self._errors():
            return self.execute(query, values).fetchall()

    @property
    def has_uncommitted_rows(self) -> bool:
        """Whether the current transaction has appended rows.

        A rollback removes these rows. Rows that are appended later then get the numbers of the removed rows.
        """
        return self._connection.in_transaction and self._connection.total_changes > self._changes_before

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the write lock of the file, and commit at the end of the ``with`` block. An error rolls back the transaction.

        A nested transaction is part of the outer transaction.
        """
        with self._errors():
            if self._connection.in_transaction:
                yield
                return
            self.execute("BEGIN IMMEDIATE")
            self._changes_before = self._connection.total_changes
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


def row_checksum(table: str, values: tuple[Any, ...]) -> int:
    """Return the CRC-32 of a table name and of the `values` of a row; `values` does not contain the checksum."""
    return zlib.crc32(repr((table, values)).encode("utf-8", "surrogateescape"))


def _without_numpy_integers(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Convert NumPy integers to int. SQLite would store a NumPy scalar as bytes, which are not equal to any number."""
    return tuple(value if (number := as_int(value)) is None else number for value in values)


def _statements() -> list[str]:
    return [statement.strip() for statement in _SCHEMA.split(";") if statement.strip()]
