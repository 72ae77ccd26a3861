"""The run of one store: what workers read and write, and the store after an error."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from pyproj import CRS

import hsifeat
from hsifeat.errors import HsifeatError
from hsifeat.extraction.store_run import StoreRun
from hsifeat.extraction.unit_task import UnitResult
from hsifeat.runtime.events import Note, silent
from hsifeat.scenes.georeference import Georeference
from hsifeat.store.location import as_location
from hsifeat.store.store import Store
from hsifeat.store.verify import verify
from tests.helpers.executors import InThisProcess
from tests.helpers.extraction import prepare

OPTIONS = {"timesteps": [0, 300], "tile": 32, "halo": 8}


@pytest.fixture
def options(backbone_folder, tmp_path):
    return {**OPTIONS, "backbone": str(backbone_folder), "out": tmp_path / "s.zarr"}


def test_workers_restore_a_unit_whose_record_was_lost(scene, store_path, options, tmp_path):
    shutil.copytree(store_path, tmp_path / "s.zarr")
    next((tmp_path / "s.zarr" / "progress" / "t0300" / "mid_block").rglob("c/0/0/0")).unlink()
    assert verify(as_location(tmp_path / "s.zarr")).damages, "the plane was complete"
    (tmp_path / "s.zarr" / "writer.token").write_text("of-a-killed-run 0")
    store = hsifeat.extract(scene, **options, executor=InThisProcess())
    assert not verify(store.location).damages and store.has_record_checksums
    assert not (tmp_path / "s.zarr" / "writer.token").exists()
    assert [store.fingerprint(plane.id) for plane in store.planes] == [
        Store.open(store_path).fingerprint(plane.id) for plane in store.planes
    ]


def test_a_run_whose_workers_wrote_nothing_fails(scene, options):
    run = StoreRun(prepare(scene, **options), silent, executor=InThisProcess())
    with run:
        for task in run.tasks():
            run.add(task, UnitResult(2, ()))
        assert not run.units
        with pytest.raises(HsifeatError, match=r"s\.zarr still lacks 8 blocks of features: run the command again"):
            run.finish()


def test_a_complete_store_has_no_tasks_and_is_not_locked(scene, store_path, options, tmp_path):
    shutil.copytree(store_path, tmp_path / "s.zarr")
    with StoreRun(prepare(scene, **options), silent, executor=InThisProcess()) as run:
        assert run.was_complete and list(run.tasks()) == [] and not (tmp_path / ".s.zarr.lock").exists()
        assert run.finish().key == Store.open(store_path).key


def test_corrected_metadata_of_a_scene_replace_those_in_its_store(scene, store_path, options, tmp_path):
    """The values stay, so the key stays: georeference and bandwidths are updated, and what a scene lacks is kept."""
    shutil.copytree(store_path, tmp_path / "s.zarr")
    utm = CRS.from_epsg(32616)
    first = Georeference(utm.to_wkt(), (20.0, 0.0, 5e5, 0.0, -20.0, 4e6))
    moved = Georeference(utm.to_wkt("WKT1_GDAL"), (20.0, 5.0, 6e5, 5.0, -20.0, 4e6))
    before, notes, fwhm = Store.open(store_path), [], np.full(scene.bands, 12.5)
    assert before.manifest.scene.crs is None
    for georeference, fwhm_nm, changed in (
        (first, None, "georeference"),
        (moved, fwhm, "bandwidths and georeference"),
        (moved, fwhm, ""),
        (None, None, ""),
    ):
        notes.clear()
        corrected = replace(scene, georeference=georeference, fwhm_nm=fwhm_nm)
        store = hsifeat.extract(corrected, **options, listen=notes.append)
        texts = [event.message for event in notes if isinstance(event, Note)]
        assert sum("nothing to compute" in text for text in texts) == 1
        assert sum(text.endswith(f": updated from the scene: {changed}") for text in texts) == bool(changed)
        assert ("keeps its georeference, although the scene has none" in " ".join(texts)) == (georeference is None)
        assert not verify(store.location).damages and store.key == before.key
    kept = hsifeat.open_features(tmp_path / "s.zarr").scene
    assert kept.georeference == Georeference(utm.to_wkt(), moved.transform)
    np.testing.assert_array_equal(kept.fwhm_nm, fwhm)
    assert store.fingerprint(store.planes[0].id) == before.fingerprint(before.planes[0].id)


def test_label_maps_that_stay_where_a_georeference_moves_are_noted(scene, store_path, options, tmp_path):
    shutil.copytree(store_path, tmp_path / "s.zarr")
    places = [Georeference("EPSG:32616", (20.0, 0.0, easting, 0.0, -20.0, 4e6)) for easting in (5e5, 6e5, 7e5)]
    bare = replace(scene, labels={})
    cases = ((bare, places[0], False), (bare, places[1], True), (bare, places[1], False), (scene, places[2], False))
    for with_labels, georeference, noted in cases:
        notes = []
        hsifeat.extract(replace(with_labels, georeference=georeference), **options, listen=notes.append)
        message = (
            f"{tmp_path / 's.zarr'}: its label maps (fields) stay at the same pixels: attach them again with `labels` if the former "
            "georeference placed them"
        )
        assert (Note(message) in notes) == noted


def test_a_replaced_label_map_is_noted(scene, store_path, options, tmp_path):
    shutil.copytree(store_path, tmp_path / "s.zarr")
    fields = scene.labels["fields"]
    corrected = replace(scene, labels={"fields": replace(fields, classes=np.roll(fields.classes, 1))})
    for labelled, replaced in ((scene, False), (corrected, True), (corrected, False)):
        notes = []
        hsifeat.extract(labelled, **options, listen=notes.append)
        message = f"{tmp_path / 's.zarr'}: the label map 'fields' replaces the map of this name in the store"
        assert (Note(message) in notes) == replaced
