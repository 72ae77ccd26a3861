"""A new store holds the scene, its projection and its metadata."""

from dataclasses import replace

import numpy as np
from pyproj import CRS

import hsifeat
from hsifeat.extraction.new_store import updated_facts
from hsifeat.scenes.georeference import Georeference


def test_the_store_holds_the_scene(scene, store_path):
    kept = hsifeat.open_features(store_path).scene
    np.testing.assert_array_equal(np.asarray(kept.cube[:]), scene.cube)
    np.testing.assert_array_equal(kept.labels["fields"].classes, scene.labels["fields"].classes)
    assert kept.labels["fields"].class_names == scene.labels["fields"].class_names
    assert kept.digest == scene.digest
    np.testing.assert_array_equal(kept.wavelengths_nm, scene.wavelengths_nm)


def test_a_crs_that_is_no_wkt_is_replaced(scene, store_path):
    georeference = Georeference(CRS.from_epsg(32616).to_wkt(), (20.0, 0.0, 5e5, 0.0, -20.0, 4e6))
    stored = hsifeat.Store.open(store_path).manifest.scene.model_copy(update={"crs": "PROJCS[nonsense"})
    assert updated_facts(stored, replace(scene, georeference=georeference)).crs == georeference.crs
