"""Vector files of labels that two threads read."""

from __future__ import annotations

import warnings

import pyogrio

from hsifeat.scenes import open_labels
from hsifeat.scenes.labels import vectors
from tests.helpers.georeferenced import blank_scene
from tests.helpers.two_threads import Meeting, run_together
from tests.helpers.vector_files import NORTH_UP, box, saved

TWO = [box(0, 0, 3, 2), box(1, 3, 6, 5)]


def test_files_that_two_threads_read_have_their_own_notes_and_options(tmp_path, monkeypatch):
    """Options are those of all threads, so that the threads do not read at the same time."""
    met, meeting, read, option = [], Meeting(), vectors._read_features, "GML_DOWNLOAD_SCHEMA"
    before, filters = pyogrio.get_gdal_config_option(option), list(warnings.filters)

    def read_together(file, selection):
        met.append(meeting.wait())
        warnings.warn(f"a warning of {file.name}", RuntimeWarning, stacklevel=1)
        result = read(file, selection)
        assert pyogrio.get_gdal_config_option(option) == "NO"
        return result

    monkeypatch.setattr(vectors, "_read_features", read_together)
    paths = [saved(tmp_path / f"{name}.geojson", {"crop": [2, 1]}, TWO) for name in ("one", "two")]
    found = run_together(*(lambda path=path: open_labels(path, blank_scene(6, 7, NORTH_UP)) for path in paths))
    assert [[note for note in labels.notes if "warning" in note] for labels in found] == [
        [f"{name}.geojson: a warning of {name}.geojson"] for name in ("one", "two")
    ]
    assert pyogrio.get_gdal_config_option(option) == before and warnings.filters == filters
    assert met == [False, False]
