"""Projections in files, and the check against an image."""

import numpy as np
import pytest

from hsifeat.errors import ProjectionError
from hsifeat.projection import Projection, fit_projection
from hsifeat.projection.image import ArrayImage


def test_a_projection_survives_a_file_and_other_files_are_refused(tmp_path, scene):
    fitted = fit_projection("pca:3", scene)
    fitted.save(tmp_path / "p.safetensors")
    again = Projection.load(tmp_path / "p.safetensors")
    assert again.digest == fitted.digest and again.spec == "pca:3"
    np.testing.assert_array_equal(again.apply(scene.cube), fitted.apply(scene.cube))
    content = (tmp_path / "p.safetensors").read_bytes()
    (tmp_path / "p.safetensors").write_bytes(content[:-9])
    with pytest.raises(ProjectionError, match="is not a projection"):
        Projection.load(tmp_path / "p.safetensors")


def test_a_gamma_survives_a_file(tmp_path, scene):
    fitted = fit_projection("rgb:gamma=0.4", scene)
    fitted.save(tmp_path / "p.safetensors")
    again = Projection.load(tmp_path / "p.safetensors")
    assert (again.digest, again.gamma) == (fitted.digest, 0.4)
    np.testing.assert_array_equal(again.apply(scene.cube), fitted.apply(scene.cube))


def test_an_image_with_other_bands_is_refused(scene):
    image = ArrayImage("photograph", np.ones((4, 5, 3), np.uint8), np.ones((4, 5), bool))
    with pytest.raises(ProjectionError, match="pca:3 was fitted for 12 bands; photograph has 3"):
        fit_projection("pca:3", scene).check(image)
