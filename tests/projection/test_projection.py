"""Projections in files, and the check against an image."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from hsifeat import Window, extract, open_features
from hsifeat.errors import HsifeatError, ProjectionError, SceneError
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


ARRAYS = {"weights": np.ones((4, 3), np.float32), "offset": np.zeros(3, np.float32)}
FACTS = {"spec": "pca:3", "clip": True, "gamma": 1.0}


@pytest.mark.parametrize(
    ("arrays", "facts"),
    [
        ({"weights": np.full((4, 3), np.nan, np.float32)}, {}),
        ({"offset": np.full(3, np.inf, np.float32)}, {}),
        ({"weights": np.ones((4, 3))}, {}),
        ({"weights": np.ones(4, np.float32)}, {}),
        ({"offset": np.zeros(2, np.float32)}, {}),
        ({"wavelengths_nm": np.linspace(400, 900, 5)}, {}),
        ({"wavelengths_nm": np.full(4, np.nan)}, {}),
        ({}, {"gamma": float("nan")}),
        ({}, {"gamma": -1.0}),
        ({}, {"gamma": "1e400"}),
        ({}, {"clip": 1}),
        ({}, {"spec": ["pca:3"]}),
        ({}, None),
    ],
)
def test_a_forged_projection_is_refused(tmp_path, arrays, facts):
    def write(arrays, facts):
        metadata = {} if facts is None else {"projection": json.dumps(facts)}
        save_file({**ARRAYS, **arrays}, tmp_path / "p.safetensors", metadata)

    write({}, FACTS)
    np.testing.assert_array_equal(Projection.load(tmp_path / "p.safetensors").weights, ARRAYS["weights"])
    write(arrays, facts if facts is None else {**FACTS, **facts})
    with pytest.raises(ProjectionError, match="is not a projection that hsifeat wrote") as error:
        Projection.load(tmp_path / "p.safetensors")
    assert "\n" not in str(error.value)


def test_projections_that_give_other_values_have_other_digests():
    one = Projection("pca:3", ARRAYS["weights"], ARRAYS["offset"], clip=True)
    others = [
        replace(one, weights=one.weights * 0.5),
        replace(one, offset=one.offset - 1),
        replace(one, clip=False),
        replace(one, gamma=0.5),
    ]
    spectra = np.repeat([[0.1], [0.4]], 4, axis=1)
    assert len({str(other.apply(spectra)) for other in (one, *others)}) == 5
    assert len({other.digest for other in (one, *others)}) == 5


def test_arrays_are_copied_and_keep_their_digest():
    weights, offset, nm = np.ones((4, 3)), [0, 0, 0.0], [450, 550, 650, 800]
    projection = Projection("own", weights, offset, clip=np.False_, gamma=np.float32(1), wavelengths_nm=nm)
    weights[:] = 2
    nm[0] = 400
    for array in (projection.weights, projection.offset, projection.wavelengths_nm):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 3
    assert projection.apply(np.array([1, 2, 3, 4])).tolist() == [10.0, 10.0, 10.0]
    assert (
        projection.digest == Projection("own", np.ones((4, 3), np.float32), np.zeros(3, np.float32), clip=False).digest
    )
    assert projection.wavelengths_nm.tolist() == [450, 550, 650, 800]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weights": np.ones(4)}, "weights must be an array of numbers with 2 axes"),
        ({"weights": np.ones((4, 3), complex)}, "weights must be an array of numbers"),
        ({"weights": np.ones((4, 3)) * 1e300}, "weights must be finite"),
        ({"weights": [[1, 2], [3]]}, "weights must be an array"),
        ({"offset": 0}, "offset must be an array of numbers with 1 axis"),
        ({"offset": np.zeros(2)}, r"need an offset of shape \(3,\); found \(2,\)"),
        ({"spec": 5}, "spec is a text"),
        ({"clip": "no"}, "clip True or False"),
        ({"gamma": "2"}, "gamma is a positive number; found '2'"),
        ({"gamma": -1}, "gamma is a positive number"),
        ({"wavelengths_nm": [1, 2]}, "wavelengths_nm: 2 values for 4 bands"),
    ],
)
def test_values_of_another_type_or_shape_are_refused(changed, message):
    with pytest.raises(HsifeatError, match=message):
        Projection(**{"spec": "own", **ARRAYS, "clip": False, **changed})


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


@pytest.mark.parametrize("spec", ["pca:2", "all", "rgb", "bands:0,2,4"])
def test_a_fitted_projection_takes_the_bands_of_other_scenes_by_wavelength(spec, tmp_path):
    """It had no wavelengths, so that bands were taken in their order."""
    values, nm = np.random.default_rng(0).normal(size=(20, 16, 6)).astype(np.float32), np.linspace(450, 900, 6)
    first, turned = Scene("first", values, nm), Scene("turned", values[..., ::-1].copy(), nm[::-1])
    projection = fit_projection(spec, first)
    options = {"backbone": "context", "layers": ["mean-3"], "projection": projection}
    stores = [extract(scene, **options, out=tmp_path / f"{scene.name}.zarr") for scene in (first, turned)]
    planes = [open_features(store).read(Window(0, 0, 20, 16)) for store in stores]
    np.testing.assert_array_equal(*planes)
    with pytest.raises(SceneError, match="no band within 5 nm"):
        extract(Scene("other", values, nm + 1000), **options, out=tmp_path / "other.zarr")


def test_spectra_of_other_bands_are_refused(scene):
    with pytest.raises(ProjectionError, match=r"pca:3 takes spectra of 12 bands; found an array of shape \(2, 3\)"):
        fit_projection("pca:3", scene).apply(np.ones((2, 3)))
    with pytest.raises(ProjectionError, match="masked spectra would be projected like all others"):
        fit_projection("pca:3", scene).apply(np.ma.masked_less(np.r_[-9999, np.ones(11)], 0))


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
