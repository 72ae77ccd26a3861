"""Features of a scene without a store."""

import numpy as np
import pytest

from hsifeat.errors import StoreError
from hsifeat.features.scene_features import SceneFeatures
from hsifeat.features.stack import StackSource
from hsifeat.scenes import Scene
from hsifeat.types import Window

USES = {
    "key": lambda features: features.key,
    "fingerprint": lambda features: features.fingerprint(),
    "kept_folder": lambda features: features.kept_folder,
    "devices": lambda features: features.devices,
    "window_px": lambda features: features.window_px(3),
    "to_xarray": lambda features: features.to_xarray(),
    "other processes": StackSource.of_features,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_what_needs_a_store_is_refused_with_advice(use):
    features = SceneFeatures(Scene("field", np.ones((4, 5, 3), np.float32)))
    with pytest.raises(StoreError, match="^field is a scene without a store: extract it, and name its store$"):
        use(features)


def test_spectra_are_those_of_the_scene():
    cube = np.arange(1, 61, dtype=np.float32).reshape(4, 5, 3)
    features = SceneFeatures(Scene("field", cube))
    np.testing.assert_array_equal(features.spectra([3, 0], [1, 4]), cube[[3, 0], [1, 4]])
    np.testing.assert_array_equal(features.with_bands([2]).read_scene(Window(1, 2, 2, 3)), cube[1:3, 2:5, 2:])
    with pytest.raises(StoreError, match="reaches beyond the scene of 4 x 5"):
        features.read_scene(Window(-2, 0, 2, 2))
    assert features.planes == features.unfinished == () and features.covers_scene
