"""The noise policy ``none`` against a forward of the clean image."""

import numpy as np


def test_the_network_gets_the_clean_image(extract_plane, reference):
    plane = extract_plane(261, noise="none")
    np.testing.assert_allclose(plane, reference.features(reference.clean, 261)[0], rtol=1e-4, atol=1e-5)
