"""Projections in files, and the check against an image."""

import numpy as np
import pytest

from hsifeat.errors import ProjectionError
from hsifeat.projection import Projection, fit_projection
from hsifeat.projection.image import ArrayImage
from hsifeat.scenes import Scene


def test_a_projection_survives_a_file_and_other_files_are_refused(tmp_path, scene):
    fitted = fit_projection("pca:3", scene)
    fitted.save(tmp_path / "p.safetensors")
    again = Projection.load(tmp_path / "p.safetensors")
    assert again.digest == fitted.digest and again.spec == "pca:3"
    np.testing.assert_array_equal(again.apply(scene.cube), fitted.apply(scene.cube))
    content = (tmp_path / "p.safetensors").read_bytes()
    for _ in range(20):
        fitted.save(tmp_path / "same.safetensors")
        assert (tmp_path / "same.safetensors").read_bytes() == content
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


def test_the_order_in_memory_does_not_change_a_bit():
    cube = np.random.default_rng(0).integers(0, 9000, (33, 20, 200)).astype(np.uint16)
    fitted = fit_projection("pca:3", Scene("rows", cube))
    again = fit_projection("pca:3", Scene("columns", np.asfortranarray(cube)))
    assert again.digest == fitted.digest
    wanted = np.stack([fitted.apply(row) for row in cube])
    for order in (cube, np.asfortranarray(cube), cube.transpose(2, 0, 1).copy().transpose(1, 2, 0)):
        np.testing.assert_array_equal(fitted.apply(order), fitted.apply(cube))
        np.testing.assert_allclose(fitted.apply(order), wanted, atol=1e-4)


def test_values_beyond_float32_are_projected_without_a_warning():
    projection = Projection("bands:0", np.ones((1, 1), np.float32), np.zeros(1, np.float32), clip=True)
    np.testing.assert_array_equal(projection.apply(np.array([[1e300], [-1e300], [0.5]])), [[1], [-1], [0.5]])
