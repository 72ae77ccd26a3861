"""GeoPackages with a write-ahead log."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from hsifeat.scenes import open_labels
from tests.helpers.georeferenced import blank_scene
from tests.helpers.vector_files import NORTH_UP, box, saved


@pytest.mark.parametrize("kept", [("", "-wal", "-shm"), ("", "-wal"), ("",)], ids=["whole", "log", "file"])
def test_changes_in_the_log_of_a_geopackage_are_read_and_stay_there(tmp_path, kept):
    """A process has changed the file in WAL mode, and has not closed the file."""
    saved(tmp_path / "x.gpkg", {"crop": ["rye"]}, [box(0, 0, 2, 2)], SPATIAL_INDEX="NO")
    folder = tmp_path / "folder"
    folder.mkdir()
    with closing(sqlite3.connect(tmp_path / "x.gpkg")) as database:
        database.execute("pragma journal_mode = wal")
        database.execute("update x set crop = 'oat'")
        database.commit()
        for suffix in kept:
            (folder / f"x.gpkg{suffix}").write_bytes((tmp_path / f"x.gpkg{suffix}").read_bytes())
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    labels = open_labels(folder / "x.gpkg", blank_scene(4, 4, NORTH_UP))
    assert labels.class_names == {1: "oat" if "-wal" in kept else "rye"} and labels.notes == ()
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
