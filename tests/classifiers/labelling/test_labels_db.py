"""The label database: edits, undo, several people and processes, kills, and damage."""

import inspect
import signal
import sqlite3
import subprocess
import sys
import textwrap
import weakref

import numpy as np
import pytest

from classifiers.labelling import class_maps
from classifiers.labelling.edit_log import LabelEdit
from classifiers.labelling.label_file import labels_path
from classifiers.labelling.label_set import LabelClass
from classifiers.labelling.labels_db import LabelDatabase
from hsifeat.errors import HsifeatError, SceneError

SHAPE = (6, 7)


@pytest.fixture
def database(tmp_path):
    with LabelDatabase(tmp_path / "labels.sqlite") as database:
        yield database


def open_shared(database, classes=3):
    """A set that everybody edits, with some classes."""
    shared = database.open_set("scene", SHAPE)
    for number in range(1, classes + 1):
        database.add_class(shared.id, "ada", f"class {number}")
    return shared.id


def method_parameters(method):
    return inspect.signature(method).parameters if inspect.isfunction(method) else {}


def pixel(at, number):
    return LabelEdit.of_class("pixel", np.array([at]), number)


def test_rows_and_columns_are_no_flat_indices():
    """Each row and each column of `np.argwhere` counted as the index of a pixel."""
    with pytest.raises(SceneError, match="flat indices.*rows \\* cols_of_the_scene"):
        LabelEdit.of_class("pixel", np.argwhere(np.eye(3)), 1)


def test_random_edits_by_three_people_equal_a_replay_in_plain_python(database, tmp_path):
    """Each person has a stack of done and one of undone edits; the map shows the done edits in the order of their making."""
    set_id, people = open_shared(database), ["ada", "bo", "cy"]
    rng = np.random.default_rng(0)
    done, undone, order = {p: [] for p in people}, {p: [] for p in people}, []
    with LabelDatabase(tmp_path / "labels.sqlite") as reader:
        for step in range(100):
            person = people[rng.integers(3)]
            action = rng.choice(["paint", "undo", "redo"], p=[0.5, 0.3, 0.2])
            if action == "paint":
                pixels = rng.integers(0, 42, rng.integers(1, 9))
                number = int(rng.integers(0, 4))
                database.paint(set_id, person, LabelEdit.of_class("brush", pixels, number))
                done[person].append(len(order))
                undone[person].clear()
                order.append((pixels, number))
            elif action == "undo":
                assert database.undo(set_id, person) == bool(done[person])
                if done[person]:
                    last = max(done[person])
                    done[person].remove(last)
                    undone[person].append(last)
            else:
                assert database.redo(set_id, person) == bool(undone[person])
                if undone[person]:
                    done[person].append(undone[person].pop())
            expected = np.zeros(42, int)
            for index in sorted(i for stack in done.values() for i in stack):
                expected[order[index][0]] = order[index][1]
            for view in (database, reader) if step % 10 == 0 else (database,):
                version, classes = view.class_map(set_id)
                assert version == view.version(set_id)
                np.testing.assert_array_equal(classes.ravel(), expected)


def test_imports_keep_the_class_of_each_pixel(database):
    set_id = open_shared(database)
    edit = LabelEdit("import", np.array([3, 9, 40]), np.array([2, 0, 3], np.uint16))
    database.paint(set_id, "ada", pixel(9, 1))
    database.paint(set_id, "ada", edit)
    classes = database.class_map(set_id)[1].ravel()
    assert {i: int(classes[i]) for i in np.flatnonzero(classes)} == {3: 2, 40: 3}
    assert not classes.flags.writeable


def test_the_maps_of_the_sets_that_were_used_last_stay_in_memory(database, monkeypatch):
    monkeypatch.setattr(class_maps, "MAPS_BYTES", 200)  # two maps of 84 bytes
    sets = [database.open_set("scene", SHAPE, name=name).id for name in "abc"]
    maps = {}
    for set_id in (sets[0], sets[1], sets[0], sets[2]):
        classes = database.class_map(set_id)[1]
        assert not classes.flags.writeable
        maps[set_id] = weakref.ref(classes)
        del classes
    assert [maps[set_id]() is None for set_id in sets] == [False, True, False]
    database.add_class(sets[1], "ada", "oak")
    database.paint(sets[1], "ada", pixel(9, 1))
    with database.transaction():
        assert database.class_map(sets[1])[1] is database.class_map(sets[1])[1]
    for set_id in (*sets, *sets):
        assert np.flatnonzero(database.class_map(set_id)[1]).tolist() == ([9] if set_id == sets[1] else [])


def test_sets_belong_to_their_owner_or_to_everybody(database):
    shared = open_shared(database)
    own = database.open_set("scene", SHAPE, person="ada")
    other = database.open_set("scene", SHAPE, name="second try", person="ada")
    database.open_set("another scene", SHAPE, person="ada")
    assert len({shared, own.id, other.id}) == 3
    assert database.open_set("scene", SHAPE, person="ada") == own
    assert [one.id for one in database.sets("scene", "ada")] == [shared, own.id, other.id]
    assert [one.id for one in database.sets("scene", "bo")] == [shared]
    database.add_class(own.id, "ada", "oak")
    for change in (
        lambda: database.paint(own.id, "bo", pixel(0, 1)),
        lambda: database.undo(own.id, "bo"),
        lambda: database.redo(own.id, "bo"),
        lambda: database.add_class(own.id, "bo", "birch"),
        lambda: database.change_class(own.id, "bo", LabelClass(1, "birch", "#000000")),
    ):
        with pytest.raises(SceneError, match="belongs to ada: make a set of your own"):
            change()
    with pytest.raises(SceneError, match="6 x 7 pixels; found 6 x 8"):
        database.open_set("scene", (6, 8), person="ada")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (pixel(42, 1), "outside of the scene of 6 x 7 pixels"),
        (pixel(-1, 1), "outside of the scene"),
        (pixel(0, 9), "has no class 9: add it first"),
        (LabelEdit.of_class("pixel", np.array([], int), 1), "found none: click"),
        (LabelEdit("import", np.array([5, 3, 4]), np.array([1, 2, 1])), r"are ascending .* np\.unique\(pixels"),
        (LabelEdit("import", np.array([5, 3], np.uint64), np.array([1, 2])), "are ascending"),
        (LabelEdit("import", np.array([10, 10]), np.array([1, 2])), "without duplicates"),
        (LabelEdit("import", np.array([1.7, 3]), np.array([1, 2])), "the pixels of an edit are a 1-D integer array"),
        (LabelEdit("import", np.array([[1, 3]]), np.array([1])), "the pixels of an edit are a 1-D integer array"),
        (LabelEdit("import", [1, 3], np.array([1, 2])), "the pixels of an edit are a 1-D integer array"),
        (LabelEdit("import", np.ma.masked_equal([1, 3], 3), np.array([1, 2])), "integer array without a mask"),
        (LabelEdit("import", np.array([1, 3]), np.array([1.0, 2.0])), "the classes of an edit are a 1-D integer array"),
        (LabelEdit("import", np.array([1, 3]), np.array([1])), "one class per pixel; found 1 classes for 2 pixels"),
        (LabelEdit("pen", np.array([1]), np.array([1])), "one of pixel, brush, .*; found 'pen'"),
    ],
)
def test_impossible_edits_are_refused_and_change_nothing(database, edit, message):
    set_id = open_shared(database)
    with pytest.raises(SceneError, match=message):
        database.paint(set_id, "ada", edit)
    assert database.version(set_id) == 3  # the classes
    assert not database.class_map(set_id)[1].any()


def test_classes_have_unique_names_and_keys(database):
    set_id = open_shared(database, 2)
    assert database.classes(set_id) == [
        LabelClass(1, "class 1", "#ffffa5", "1"), LabelClass(2, "class 2", "#9d35ff", "2")
    ]  # fmt: skip
    database.change_class(set_id, "ada", LabelClass(2, " birch ", "#00ff00", "b"))
    assert database.labels(set_id).class_names == {}
    database.paint(set_id, "ada", pixel(0, 2))
    labels = database.labels(set_id)
    assert (labels.class_names, labels.class_colours[2]) == ({2: "birch"}, "#00ff00")
    for name, options, message in (
        ("birch", {}, "class 2 is named 'birch' already"),
        ("x", {"key": "b"}, "selects 'birch' already"),
        ("x", {"key": "B"}, "one of 1-9 and a-z"),
        ("x", {"colour": "red"}, "form #rrggbb"),
        ("x", {"number": 2}, "exists already"),
        ("x", {"number": 70_000}, "from 1 to 65535; found 70000"),
        ("a\nb", {}, "printable characters"),
        ("12", {}, "is not a number.* found '12': add a word, such as 'class 12'"),
        (" NaN ", {}, "is not a number"),
        ("", {}, "1 to 100 printable characters"),
    ):
        with pytest.raises(SceneError, match=message):
            database.add_class(set_id, "ada", name, **options)
    with pytest.raises(SceneError, match="no class 7; the set has 1, 2"):
        database.change_class(set_id, "ada", LabelClass(7, "x", "#000000"))


WRITER = textwrap.dedent("""
    import sys
    import time
    from pathlib import Path
    import numpy as np
    from classifiers.labelling.edit_log import LabelEdit
    from classifiers.labelling.labels_db import LabelDatabase

    path, person, first, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    database = LabelDatabase(path)
    set_id = database.open_set("scene", (100, 100)).id
    for at in range(first, first + count):
        database.paint(set_id, person, LabelEdit.of_class("pixel", np.array([at]), 1))
        print(at, flush=True)
        time.sleep(0.005)  # SQLite does not queue writers: one that never rests can keep the other out.
""")


def start_writer(path, person, first, count):
    command = [sys.executable, "-c", WRITER, str(path), person, str(first), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_edit_one_set_and_a_kill_loses_nothing_acknowledged(tmp_path):
    path = tmp_path / "labels.sqlite"
    with LabelDatabase(path) as database:
        set_id = database.open_set("scene", (100, 100)).id
        database.add_class(set_id, "ada", "oak")
        with start_writer(path, "ada", 0, 15) as first, start_writer(path, "bo", 5000, 4000) as second:
            acknowledged = [int(second.stdout.readline()) for _ in range(8)]
            done = [int(line) for line in first.stdout]
            second.send_signal(signal.SIGKILL)
            acknowledged += [int(line) for line in second.stdout if line.endswith("\n")]
        assert (first.returncode, second.returncode) == (0, -signal.SIGKILL)
        assert done == list(range(15))
        labelled = np.flatnonzero(database.class_map(set_id)[1].ravel())
        assert set(labelled) >= {*done, *acknowledged}
        # At most the edit that was being written when the process died.
        assert len(labelled) <= len(done) + len(acknowledged) + 1
        assert len(labelled) + 1 == database.version(set_id)
        assert database.undo(set_id, "bo")
        assert len(np.flatnonzero(database.class_map(set_id)[1])) == len(labelled) - 1
    with sqlite3.connect(path) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    plain.close()


def test_a_repeated_request_changes_nothing(database):
    set_id = open_shared(database)
    versions = []
    for _ in range(3):  # the answers were lost
        database.paint(set_id, "ada", pixel(3, 1), request="page 1")
        versions.append(database.version(set_id))
    assert len(set(versions)) == 1
    database.paint(set_id, "ada", pixel(4, 1), request="page 2")
    database.paint(set_id, "bo", pixel(5, 1), request="page 2")
    for _ in range(3):
        assert database.undo(set_id, "ada", request="page 3")
    assert np.flatnonzero(database.class_map(set_id)[1]).tolist() == [3, 5]
    for _ in range(3):
        assert database.redo(set_id, "ada", request="page 4")
    assert np.flatnonzero(database.class_map(set_id)[1]).tolist() == [3, 4, 5]
    for _ in range(3):
        assert not database.redo(set_id, "ada", request="nothing to redo")
        assert not database.undo(set_id, "cy", request="nothing to undo")
    with pytest.raises(SceneError, match="no class 9"):
        database.paint(set_id, "ada", pixel(6, 9), request="page 5")
    database.paint(set_id, "ada", pixel(6, 1), request="page 5")  # the first call did not succeed
    assert database.class_map(set_id)[1].ravel()[6] == 1


CALLS = [
    ("label_set",),
    ("add_class", "ada", "oak"),
    ("change_class", "ada", LabelClass(4, "elm", "#00ff00", "e")),
    ("paint", "ada", pixel(3, 1)),
    ("paint", "bo", pixel(9, 4)),
    ("undo", "bo"),
    ("undo", "ada"),
    ("redo", "ada"),
    ("classes",),
    ("version",),
    ("versions",),
    ("edits", "pixel"),
    ("class_map",),
    ("labels",),
    ("class_map_at", 4),
    ("class_map_at", 6),
]


def results_of_each_method(path, convert):
    """Call all methods with the number of a set, and return the results and the log; `convert` converts the numbers."""
    results = []
    with LabelDatabase(path) as database:
        set_id = convert(open_shared(database))
        for name, *values in CALLS:
            converted = [convert(value) if isinstance(value, int) else value for value in values]
            request = {"request": str(len(results))} if name in {"paint", "undo", "redo"} else {}
            results.append(getattr(database, name)(set_id, *converted, **request))
    with sqlite3.connect(path) as plain:
        results += plain.execute("SELECT set_id, person, action, target, kind, pixels, classes FROM log").fetchall()
        results += plain.execute("SELECT * FROM requests").fetchall()
    plain.close()
    return results


@pytest.mark.parametrize("convert", [np.int64, np.uint8, np.array])
def test_a_set_number_of_numpy_gives_what_the_int_gives(tmp_path, convert):
    """SQLite took a number of NumPy as its bytes: an empty class map, no classes, and nothing to undo."""
    methods = {name for name, method in vars(LabelDatabase).items() if "set_id" in method_parameters(method)}
    assert {name for name in methods if name[0] != "_"} == {name for name, *_ in CALLS}
    expected = results_of_each_method(tmp_path / "int.sqlite", int)
    assert [classes.sum() for classes in expected[14:16]] == [0, 1]
    assert repr(results_of_each_method(tmp_path / "numpy.sqlite", convert)) == repr(expected)


@pytest.mark.parametrize("version", ["3", 2.5, None, True, -1])
def test_the_version_of_a_class_map_is_a_number(database, version):
    """Every number is less than a text in SQLite, so that "3" was the last version."""
    with pytest.raises(HsifeatError, match="version is an integer from 0"):
        database.class_map_at(open_shared(database), version)


def test_damage_and_foreign_files_are_reported(tmp_path, database):
    set_id = open_shared(database)
    database.paint(set_id, "ada", pixel(3, 1))
    database.close()
    path = tmp_path / "labels.sqlite"
    with sqlite3.connect(path) as plain:
        plain.execute("UPDATE log SET person = 'bo'")
    plain.close()
    with pytest.raises(SceneError, match="labels.sqlite is damaged: restore the file from a backup"):
        LabelDatabase(path)
    with sqlite3.connect(tmp_path / "other.sqlite") as plain:
        plain.execute("CREATE TABLE x (y)")
    plain.close()
    with pytest.raises(SceneError, match="not a label database of this version"):
        LabelDatabase(tmp_path / "other.sqlite")
    (tmp_path / "text.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(SceneError, match="file is not a database"):
        LabelDatabase(tmp_path / "text.sqlite")


def test_labels_are_kept_apart_from_the_cache_that_may_be_deleted(monkeypatch, tmp_path):
    monkeypatch.delenv("HSIFEAT_CACHE")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert labels_path().is_relative_to(tmp_path / "data")
    monkeypatch.setenv("HSIFEAT_CACHE", str(tmp_path / "moved"))
    assert labels_path() == tmp_path / "moved" / "labels.sqlite"


@pytest.mark.parametrize(
    ("pixels", "number", "message"),
    [
        (np.array([[True, False], [False, True]]), 1, r"give np\.flatnonzero\(mask\)"),
        (np.array([1.5]), 1, "flat indices"),
        (np.array(["1"]), 1, "flat indices"),
        (np.ma.masked_equal([1, 2], 2), 1, "without a mask"),
        (np.array([1]), -1, "a number from 1 to 65535"),
        (np.array([1]), 65536, "a number from 1 to 65535"),
        (np.array([1]), None, "a number from 1 to 65535"),
        (np.array([1]), 1.0, "a number from 1 to 65535"),
    ],
)
def test_an_edit_of_other_values_than_indices_and_a_class_number_is_refused(pixels, number, message):
    """A bool mask labelled the pixels 0 and 1."""
    with pytest.raises(SceneError, match=message):
        LabelEdit.of_class("pixel", pixels, number)
    mask = np.array([[True, False], [False, True]])
    assert LabelEdit.of_class("pixel", np.flatnonzero(mask), np.int64(3)).pixels.tolist() == [0, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda db, set_id: db.open_set("b", (4.0, 5.0)), "numbers of rows and columns, such as"),
        (lambda db, set_id: db.open_set("b", (0, 5)), "numbers of rows and columns"),
        (lambda db, set_id: db.open_set("b", (4, 5, 6)), "numbers of rows and columns"),
        (lambda db, set_id: db.open_set(5, SHAPE), "numbers in a label database are ints, and names are texts"),
        (lambda db, set_id: db.open_set("b", SHAPE, person=5), "the name of a person must be a text; found int"),
        (lambda db, set_id: db.add_class(True, "ada", "elm"), "by its number, LabelSet.id; found True"),
        (lambda db, set_id: db.add_class(set_id, "ada", "elm", number=True), "class numbers are whole numbers"),
        (lambda db, set_id: db.add_class(set_id, "ada", "elm", number=7.5), "class numbers are whole numbers"),
        (lambda db, set_id: db.add_class(set_id, "ada", 7), "the name of a class must be a text; found int"),
        (lambda db, set_id: db.add_class(set_id, "ada", "elm", colour=7), "the colour of a class must be a text"),
        (lambda db, set_id: db.add_class(set_id, "ada", "elm", key=7), "the key of a class must be a text"),
        (lambda db, set_id: db.paint(str(set_id), "ada", pixel(3, 1)), "LabelSet.id; found '1'"),
        (lambda db, set_id: db.paint(set_id, "ada", 5), "an edit is a LabelEdit; found int"),
        (lambda db, set_id: db.change_class(set_id, "ada", "elm"), "a class is a LabelClass; found str"),
    ],
)
def test_a_value_that_the_file_can_not_hold_is_refused_and_the_file_opens_again(database, change, message):
    """SQLite stored 4.0 as 4 and True as 1, so that the rows had other checksums, and the file could never be opened again."""
    set_id = open_shared(database)
    database.paint(set_id, "ada", pixel(9, 1))
    with pytest.raises(SceneError, match=message):
        change(database, set_id)
    with LabelDatabase(str(database.path)) as again:
        assert np.flatnonzero(again.class_map(set_id)[1]).tolist() == [9]
        assert again.add_class(set_id, "ada", "elm", number=np.int64(7)).number == 7
        assert again.open_set("scene", list(SHAPE)).id == set_id
