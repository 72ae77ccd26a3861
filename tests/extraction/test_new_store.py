"""A new store holds the scene, its projection and its metadata."""

import numpy as np

import hsifeat


def test_the_store_holds_the_scene(scene, store_path):
    kept = hsifeat.open_features(store_path).scene
    np.testing.assert_array_equal(np.asarray(kept.cube[:]), scene.cube)
    np.testing.assert_array_equal(kept.labels["fields"].classes, scene.labels["fields"].classes)
    assert kept.labels["fields"].class_names == scene.labels["fields"].class_names
    assert kept.digest == scene.digest
    np.testing.assert_array_equal(kept.wavelengths_nm, scene.wavelengths_nm)
