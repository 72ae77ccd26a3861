"""The default projection of a backbone, and the images that a projection can be fitted on."""

import numpy as np
import pytest

from hsifeat.errors import ProjectionError
from hsifeat.projection import fit_projection
from hsifeat.projection.default import default_projection
from hsifeat.projection.image import ArrayImage


def default(image, projection=None, channels=3, file=None):
    return default_projection(image, projection, backbone="net", channels=channels, projection_file=file)


def test_the_default_follows_the_channels(scene):
    assert default(scene).spec == "rgb"
    assert default(scene, channels=5).spec == "pca:5:clip=2.5"
    assert default(scene, "pca:3").spec == "pca:3:clip=2.5"
    assert default(scene, "pca:3:clip=none").digest == fit_projection("pca:3", scene).digest
    assert default(scene, "bands:1,2,3").spec == "bands:1,2,3"


def test_the_projection_that_the_backbone_was_trained_with_comes_first(scene, tmp_path):
    trained = fit_projection("pca:3", scene)
    trained.save(tmp_path / "projection.safetensors")
    assert default(scene, file=tmp_path / "projection.safetensors").digest == trained.digest
    assert default(scene, "rgb", file=tmp_path / "projection.safetensors").spec == "rgb"
    other = fit_projection("all", ArrayImage("other", scene.cube[:9, :, :3], scene.valid[:9]))
    with pytest.raises(ProjectionError, match="all was fitted for 3 bands; small has 12"):
        default(scene, other)


def test_a_projection_with_other_channels_is_refused(scene):
    with pytest.raises(
        ProjectionError,
        match="pca:2:clip=2.5 gives 2 channels, but net takes 3: choose another projection with `projection`",
    ):
        default(scene, "pca:2")


def test_an_array_with_a_mask_is_fitted_like_a_scene(scene):
    image = ArrayImage("array", scene.cube, scene.valid, scene.wavelengths_nm)
    for spec in ("rgb", "pca:3", "all"):
        assert fit_projection(spec, image).digest == fit_projection(spec, scene).digest


def test_a_mask_for_an_array_lies_on_its_grid(scene, tmp_path):
    image = ArrayImage("array", scene.cube, scene.valid)
    mask = np.zeros(scene.valid.shape, np.uint8)
    mask[:20] = 1
    np.save(tmp_path / "mask.npy", mask)
    fitted = fit_projection(f"pca:2:mask={tmp_path / 'mask.npy'}", image)
    assert fitted.digest == fit_projection("pca:2", ArrayImage("part", scene.cube[:20], scene.valid[:20])).digest
    np.save(tmp_path / "mask.npy", mask[:9])
    with pytest.raises(ProjectionError, match=r"the mask has the shape \(9, 53\), but array has \(75, 53\)"):
        fit_projection(f"pca:2:mask={tmp_path / 'mask.npy'}", image)
