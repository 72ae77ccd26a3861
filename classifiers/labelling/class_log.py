"""Classes in the log of a label set, and which of them were added by undone imports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import astuple
from functools import lru_cache
from typing import Any

from classifiers.labelling.label_file import LabelFile
from classifiers.labelling.label_set import LabelClass

# Kind of the entry of a class that an import added. The next edit of the set is the one of the import.
IMPORT = "import"


def encode_class(entry: LabelClass) -> bytes:
    """Encode a class for the log of its label set."""
    return json.dumps(astuple(entry)).encode()


def logged_classes(file: LabelFile, set_id: int) -> list[LabelClass]:
    """Return all classes in the log of a label set, in the order of their numbers. Classes of undone imports are included."""
    entries = {entry.number: entry for _, entry in _entries(file, set_id)}
    return [entries[number] for number in sorted(entries)]


def classes_of_undone_imports(file: LabelFile, set_id: int) -> set[int]:
    """Return the class numbers of all classes that an undone import added, and that were not changed later."""
    imported: dict[int, int] = {}
    for row, entry in _entries(file, set_id):
        imported.pop(entry.number, None)
        if row["kind"] == IMPORT:
            imported[entry.number] = row["id"]
    edit_of = "SELECT min(id) FROM log WHERE set_id = ? AND action = 'paint' AND id > ?"
    undone: set[int] = set()
    edit, is_undone = 0, False
    for number, row_id in imported.items():  # in the order of the log, so that one import needs one query
        if edit < row_id:
            edit = file.select(edit_of, set_id, row_id)[0][0]
            if edit is None:  # the import is being made
                break
            is_undone = not file.select("SELECT 1 FROM active WHERE id = ?", edit)
        if is_undone:
            undone.add(number)
    return undone


def _entries(file: LabelFile, set_id: int) -> Iterator[tuple[Any, LabelClass]]:
    query = "SELECT id, kind, classes FROM log WHERE set_id = ? AND action = 'class' ORDER BY id"
    for row in file.select(query, set_id):
        yield row, _decode_class(row["classes"])


# An import of many classes reads the log once for each class.
@lru_cache(maxsize=2**14)
def _decode_class(content: bytes) -> LabelClass:
    return LabelClass(*json.loads(content))
