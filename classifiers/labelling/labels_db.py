"""Database of label sets: an append-only log of edits in SQLite, which several people and processes can use at once.

A method that makes a change returns only after the change is on the disk.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from classifiers.labelling.class_log import IMPORT, classes_of_undone_imports, encode_class, logged_classes
from classifiers.labelling.class_maps import ClassMaps
from classifiers.labelling.edit_log import EditKind, LabelEdit, check_edit, check_kinds, decode_edits, paint_edits
from classifiers.labelling.label_file import LabelFile, labels_path
from classifiers.labelling.label_set import LabelClass, LabelSet, check_class, check_shape, check_text, new_class
from hsifeat.errors import SceneError
from hsifeat.formatting import format_value
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.label_map import Labels, safe_label_name
from hsifeat.scenes.scene_checks import check_type
from hsifeat.types import as_int, check_integers, check_switches


class LabelDatabase:
    """Label sets of scenes. Each set has classes and an edit log.

    People can undo and redo only their own edits. The latest edit of a pixel determines the class of the pixel. The
    methods are thread-safe, and several processes can use one file. The file must be on a local disk, because SQLite's
    write-ahead log needs memory that all processes share.

    Parameters
    ----------
    path : str or Path, optional
        File of the database, which is created if it does not exist. [default: `labels_path`]

    Raises
    ------
    SceneError
        If the file is damaged, is not a label database, was written by another version of hsifeat, or can't be opened.

    Examples
    --------
    >>> import numpy as np
    >>> database = LabelDatabase(Path("labels.sqlite"))
    >>> labels = database.open_set("digest of a scene", (4, 5), person="ada")
    >>> oak = database.add_class(labels.id, "ada", "oak")
    >>> _ = database.paint(labels.id, "ada", LabelEdit.of_class("pixel", np.array([7]), oak.number))
    >>> database.labels(labels.id).counts
    {1: 1}
    >>> database.undo(labels.id, "ada")
    True
    >>> database.labels(labels.id).counts
    {}
    >>> database.close()
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = labels_path() if path is None else Path(path)
        self._maps = ClassMaps()
        self._file = LabelFile(self.path)

    def __repr__(self) -> str:
        return f"<LabelDatabase {self.path}>"

    def close(self) -> None:
        """Close the file. The object can't be used afterwards."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def transaction(self) -> AbstractContextManager[None]:
        """Return a context manager that keeps other threads and processes from changing labels.

        If the ``with`` block raises an error, all changes of the block are undone.
        """
        return self._file.transaction()

    # Sets and classes -------------------------------------------------------------------------------------------------

    def open_set(
        self, scene: str, shape: tuple[int, int], *, name: str = "labels", person: str | None = None
    ) -> LabelSet:
        """Return a label set, and create it if it does not exist.

        Parameters
        ----------
        scene : str
            Digest of the scene, ``features.recipe["scene"]``.
        shape : tuple of int
            Rows and columns of the scene.
        name : str
            Name of the label set.
        person : str, optional
            Owner of the label set. [default: a set that everybody can edit]

        Raises
        ------
        SceneError
            If `name` or `person` is invalid, see `check_text`. If `shape` is not two whole numbers from 1. If the set exists
            with another shape.
        """
        shape = check_shape(shape)
        name = safe_label_name(check_text(name, "the name of a label set"))
        person = None if person is None else check_text(person, "the name of a person")
        with self._file.transaction():
            query = "SELECT * FROM label_sets WHERE scene = ? AND name = ? AND person IS ?"
            row = self._file.execute(query, (scene, name, person)).fetchone()
            if row is None:
                self._file.append("label_sets", scene, name, person, *shape)
                row = self._file.execute(query, (scene, name, person)).fetchone()
        label_set = LabelSet.from_row(row)
        if label_set.shape != shape:
            raise SceneError(
                f"the label set {name!r} of this scene has {label_set.rows} x {label_set.cols} pixels; found {shape[0]} x {shape[1]}"
            )
        return label_set

    def label_set(self, set_id: int) -> LabelSet:
        """Return a label set by its number.

        Raises
        ------
        SceneError
            If there is no label set with this number.
        """
        if (number := as_int(set_id)) is None:
            raise SceneError(f"a label set is given by its number, LabelSet.id; found {format_value(set_id)}")
        rows = self._file.select("SELECT * FROM label_sets WHERE id = ?", number)
        if not rows:
            raise SceneError(f"there is no label set {set_id}: open one by its name")
        return LabelSet.from_row(rows[0])

    def sets(self, scene: str, person: str | None = None) -> list[LabelSet]:
        """Return the label sets of a scene: first the shared sets, then the sets that `person` owns."""
        query = "SELECT * FROM label_sets WHERE scene = ? AND (person IS NULL OR person IS ?) ORDER BY person, name"
        return [LabelSet.from_row(row) for row in self._file.select(query, scene, person)]

    def classes(self, set_id: int) -> list[LabelClass]:
        """Return the classes of a label set, in the order of their numbers.

        If an import was undone, the classes that it added are left out. Such a class is listed nevertheless if it was
        changed after the import, or if it is the class of a label or an answer (see `record_answer`).
        """
        unused = self._unused(set_id)
        return [entry for entry in logged_classes(self._file, set_id) if entry.number not in unused]

    def add_class(
        self,
        set_id: int,
        person: str,
        name: str,
        *,
        colour: str | None = None,
        key: str | None = None,
        number: int | None = None,
        imported: bool = False,
    ) -> LabelClass:
        """Add a class to a label set.

        Parameters
        ----------
        set_id : int
            Number of the label set.
        person : str
            Name of the person who adds the class.
        name : str
            Name that no other class of the set has.
        colour : str, optional
            Colour as ``#rrggbb``. [default: the default colour of the class number, or a default colour that no other class has]
        key : str, optional
            Keyboard key, see `LabelClass`. [default: the first free digit]
        number : int, optional
            Class number. [default: one more than the highest number of a class in the set]
        imported : bool
            Whether an import adds the class. If True, the caller must paint the imported labels in the same
            transaction. Undoing the import removes the class.

        Raises
        ------
        SceneError
            If the label set belongs to another person. If a value is invalid, or in use by another class.
        """
        check_switches(imported=imported)
        with self._file.transaction():
            self._editable(set_id, person)
            unused = self._unused(set_id)
            others = self._others(set_id, unused)
            entry = new_class(name, others, unused, number=number, colour=colour, key=key)
            return self._write_class(set_id, person, entry, IMPORT if imported else None)

    def change_class(self, set_id: int, person: str, entry: LabelClass) -> LabelClass:
        """Change the name, the colour and the key of a class.

        Parameters
        ----------
        set_id : int
            Number of the label set.
        person : str
            Name of the person who changes the class.
        entry : LabelClass
            The number of the class to change, with the new name, colour and key.

        Raises
        ------
        SceneError
            If the label set belongs to another person. If the class does not exist. If a value is invalid, or in use by
            another class.
        """
        with self._file.transaction():
            self._editable(set_id, person)
            check_type(entry, LabelClass, "a class is a LabelClass")
            unused = self._unused(set_id)
            others = self._others(set_id, unused)
            numbers = [other.number for other in others if other.number not in unused]
            if entry.number not in numbers:
                raise SceneError(
                    f"there is no class {entry.number}; the set has {', '.join(map(str, numbers)) or 'none'}"
                )
            return self._write_class(set_id, person, check_class(entry, others), None)

    def _write_class(self, set_id: int, person: str, entry: LabelClass, kind: str | None) -> LabelClass:
        self._append(set_id, person, "class", None, kind, None, encode_class(entry))
        return entry

    def _unused(self, set_id: int) -> set[int]:
        """Return the numbers of classes that came with undone imports, and that neither a label nor a check answer has."""
        undone = classes_of_undone_imports(self._file, set_id)
        if undone:
            undone -= set(np.unique(self.class_map(set_id)[1]).tolist())
            undone -= {number for edit in self.edits(set_id, "check") for number in edit.classes.tolist()}
        return undone

    def _others(self, set_id: int, unused: set[int]) -> list[LabelClass]:
        """Return the classes whose names and keys a new class can't take. `unused` classes reserve only their names."""
        entries = logged_classes(self._file, set_id)
        return [replace(entry, key="") if entry.number in unused else entry for entry in entries]

    # Edits ------------------------------------------------------------------------------------------------------------

    def paint(self, set_id: int, person: str, edit: LabelEdit, *, request: str | None = None) -> int:
        """Append an edit to the log of a label set, and return the version of the label set after the edit.

        Parameters
        ----------
        set_id : int
            Number of the label set.
        person : str
            Name of the person who makes the edit.
        edit : LabelEdit
            The pixels and their classes.
        request : str, optional
            Name of this call, chosen by the client. A client that received no answer can repeat the call with the same
            name. If the first call succeeded, the second call changes nothing.

        Raises
        ------
        SceneError
            If the label set belongs to another person. If the edit is invalid, see `LabelEdit`, for example because a pixel lies
            outside of the scene. If the label set lacks a class of the edit.
        """
        with self._file.transaction():
            label_set = self._editable(set_id, person)
            if self._file.is_repeated(set_id, person, request):
                return self.version(set_id)
            check_edit(edit, label_set.shape)
            numbers = {entry.number for entry in self.classes(set_id)}
            if unknown := sorted(set(np.unique(edit.classes).tolist()) - numbers - {0}):
                raise SceneError(f"the label set {label_set.name!r} has no class {unknown[0]}: add it first")
            self._file.record_request(set_id, person, request)
            return self._append(set_id, person, "paint", None, edit.kind, *edit.content)

    def undo(self, set_id: int, person: str, *, request: str | None = None) -> bool:
        """Undo a person's latest edit that is still in effect. Return False if there is no such edit.

        See `paint` for `request`.
        """
        query = "SELECT id FROM active WHERE set_id = ? AND person = ? AND kind != 'check' ORDER BY id DESC LIMIT 1"
        return self._mark(set_id, person, "undo", query, (set_id, person), request)

    def redo(self, set_id: int, person: str, *, request: str | None = None) -> bool:
        """Redo the edit that a person undid last.

        Return False if there is no such edit, or if the person has made another edit since the undo. See `paint` for
        `request`.
        """
        query = """
            SELECT target FROM log AS mark WHERE set_id = ? AND person = ? AND action = 'undo'
            AND NOT EXISTS (SELECT 1 FROM log AS later WHERE later.target = mark.target AND later.id > mark.id)
            AND id > (SELECT max(id) FROM log WHERE set_id = ? AND person = ? AND action = 'paint' AND kind != 'check')
            ORDER BY id DESC LIMIT 1"""
        return self._mark(set_id, person, "redo", query, (set_id, person, set_id, person), request)

    def version(self, set_id: int) -> int:
        """Return the version of a label set. Every change of labels or classes increases the version."""
        return int(self._file.select("SELECT coalesce(max(id), 0) FROM log WHERE set_id = ?", set_id)[0][0])

    def class_map(self, set_id: int) -> tuple[int, NDArray[np.uint16]]:
        """Return the version of a label set, and the class of each pixel as a read-only (rows, cols) uint16 array.

        Raises
        ------
        SceneError
            If an edit in the database is damaged.
        """
        with self._file.lock:
            label_set = self.label_set(set_id)
            set_id = label_set.id
            version, classes = self._maps.get(set_id, (0, np.zeros(label_set.shape, np.uint16)))
            entries = self._file.select("SELECT * FROM log WHERE set_id = ? AND id > ? ORDER BY id", set_id, version)
            if entries:
                version = int(entries[-1]["id"])
                if any(entry["action"] in {"undo", "redo"} for entry in entries):
                    classes = self.class_map_at(set_id, version)
                else:
                    classes = classes.copy()
                    paint_edits(
                        classes, self._decode(set_id, (entry for entry in entries if entry["action"] == "paint"))
                    )
            classes.flags.writeable = False
            if not self._file.has_uncommitted_rows:  # after a rollback, another edit gets the same version
                self._maps.keep(set_id, version, classes)
            return version, classes

    def versions(self, set_id: int) -> list[int]:
        """Return the version of a label set after each edit, undo and redo, in ascending order."""
        query = "SELECT id FROM log WHERE set_id = ? AND action != 'class' AND kind IS NOT 'check' ORDER BY id"
        return [int(row["id"]) for row in self._file.select(query, set_id)]

    def class_map_at(self, set_id: int, version: int) -> NDArray[np.uint16]:
        """Return the class of each pixel at a version of a label set, as a (rows, cols) uint16 array.

        Undone edits are ignored, even if they were undone after `version`.
        """
        check_integers(0, version=version)
        classes = np.zeros(self.label_set(set_id).shape, np.uint16)
        query = "SELECT * FROM active WHERE set_id = ? AND id <= ? ORDER BY id"
        paint_edits(classes, self._decode(set_id, self._file.select(query, set_id, version)))
        return classes

    def edits(self, set_id: int, *kinds: EditKind) -> list[LabelEdit]:
        """Return all edits of the given `kinds` in a label set, oldest first. Undone edits are left out.

        Raises
        ------
        SceneError
            If a kind is unknown. If an edit in the database is damaged.
        """
        check_kinds(*kinds)
        query = f"SELECT * FROM active WHERE set_id = ? AND kind IN ({', '.join('?' * len(kinds))}) ORDER BY id"  # noqa: S608
        return list(self._decode(set_id, self._file.select(query, set_id, *kinds)))

    def labels(self, set_id: int, georeference: Georeference | None = None) -> Labels:
        """Return the labels of a label set as a label map, with class names, class colours and the georeference of the scene."""
        classes = self.class_map(set_id)[1]
        entries = self.classes(set_id)
        return Labels(
            self.label_set(set_id).name,
            classes,
            {entry.number: entry.name for entry in entries},
            {entry.number: entry.colour for entry in entries},
            georeference=georeference,
        )

    def _editable(self, set_id: int, person: str) -> LabelSet:
        label_set = self.label_set(set_id)
        if label_set.person not in {None, check_text(person, "the name of a person")}:
            raise SceneError(
                f"the label set {label_set.name!r} belongs to {label_set.person}: make a set of your own, or use a shared one"
            )
        return label_set

    def _mark(
        self, set_id: int, person: str, action: str, query: str, values: tuple[Any, ...], request: str | None
    ) -> bool:
        with self._file.transaction():
            self._editable(set_id, person)
            if self._file.is_repeated(set_id, person, request):
                return True
            row = self._file.execute(query, values).fetchone()
            if row is not None:
                self._file.record_request(set_id, person, request)
                self._append(set_id, person, action, row[0], None, None, None)
            return row is not None

    def _append(self, *values: Any) -> int:
        return self._file.append("log", *values, time.time())

    def _decode(self, set_id: int, entries: Iterable[Mapping[str, Any]]) -> Iterator[LabelEdit]:
        return decode_edits(entries, self.label_set(set_id).shape, self.path)
