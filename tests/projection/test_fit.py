"""Fitted projections against scikit-learn and NumPy."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import minmax_scale

from hsifeat.errors import ProjectionError
from hsifeat.projection import fit_projection
from hsifeat.projection.fit import fit_band_ranges, fit_components, fit_leading_components
from hsifeat.scenes import Scene


@pytest.fixture
def holed(scene):
    cube = scene.cube.astype(np.float32)
    cube[3:9, 4:8] = np.nan
    return Scene("holed", cube, scene.wavelengths_nm)


def test_pca_equals_scikit_learns_on_valid_pixels(holed):
    fitted = fit_projection("pca:5", holed)
    pixels = holed.cube[holed.valid].astype(np.float64)
    oracle = PCA(5, svd_solver="full", whiten=True).fit(pixels)
    wanted = oracle.transform(pixels) * np.sqrt(len(pixels) / (len(pixels) - 1))
    signs = np.sign(oracle.components_[range(5), np.abs(oracle.components_).argmax(axis=1)])
    np.testing.assert_allclose(fitted.apply(pixels), wanted * signs, atol=2e-3)
    assert fitted.weights.max(axis=0).min() > 0


def test_pca_of_several_scenes_equals_that_of_their_stacked_pixels(holed, scene):
    fitted = fit_components(4, [holed, Scene("half", scene.cube[:30] * 2.0)])
    pixels = np.concatenate([holed.cube[holed.valid], scene.cube[:30].reshape(-1, 12) * 2.0]).astype(np.float64)
    oracle = PCA(4, svd_solver="full", whiten=True).fit(pixels)
    np.testing.assert_allclose(np.abs(fitted.apply(pixels)), np.abs(oracle.transform(pixels)), atol=2e-3)
    assert fit_components(4, [holed]).digest == fit_projection("pca:4", holed).digest


def test_ranges_of_bands_of_several_scenes_are_those_of_their_stacked_pixels(holed, scene):
    other = Scene("half", scene.cube[:30] * 2.0)
    fitted = fit_band_ranges(4, [holed, other])
    assert fitted.spec == "bands:0,4,7,11:percentiles=0-100"
    pixels = np.concatenate([holed.cube[holed.valid], other.cube.reshape(-1, 12)]).astype(np.float64)
    expected = minmax_scale(pixels[:, [0, 4, 7, 11]], (-1, 1))
    np.testing.assert_allclose(fitted.apply(pixels), expected, atol=1e-5)
    assert fit_band_ranges(4, [holed]).digest == fit_projection(fitted.spec, holed).digest
    with pytest.raises(ProjectionError, match="holed has 12 bands, fewer than the 13 bands of the network"):
        fit_band_ranges(13, [holed])


def test_insignificant_components_are_refused(scene):
    two = Scene("two", scene.cube[..., :2] @ np.arange(24.0).reshape(2, 12))
    assert fit_components(2, [two]).channels == 2
    with pytest.raises(ProjectionError, match="pca:3 can.t be fitted.* 2 significant components"):
        fit_components(3, [two])
    assert fit_projection("pca:2", two).channels == 2
    with pytest.raises(ProjectionError, match="two: pca:3 can.t be fitted.* use at most pca:2"):
        fit_projection("pca:3", two)


def test_stretch_by_percentiles(holed):
    fitted = fit_projection("rgb", holed)
    pixels = holed.cube[holed.valid].astype(np.float64)
    for channel, nm in enumerate((640, 550, 460)):
        band = np.abs(holed.wavelengths_nm - nm).argmin()
        low, high = np.percentile(pixels[:, band], [2, 98])
        wanted = np.clip(2 * (pixels[:, band] - low) / (high - low) - 1, -1, 1)
        np.testing.assert_allclose(fitted.apply(pixels)[:, channel], wanted, atol=1e-5)
    assert fit_projection("bands:2,0", holed).channels == 2


def test_all_bands_are_standardised(holed):
    pixels = holed.cube[holed.valid].astype(np.float64)
    wanted = (pixels - pixels.mean(axis=0)) / pixels.std(axis=0)
    np.testing.assert_allclose(fit_projection("all", holed).apply(pixels), wanted, atol=1e-3)


def test_the_digest_follows_the_fitted_numbers(scene):
    other = Scene("other", scene.cube[:40], scene.wavelengths_nm)
    assert fit_projection("pca:3", scene).digest == fit_projection("pca:3", scene).digest
    assert fit_projection("pca:3", scene).digest != fit_projection("pca:3", other).digest


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("pca:13", "at most 12 components"),
        ("bands:0,12", "bands 0 to 11; found 12"),
        ("pca", "unknown projection 'pca'; allowed: rgb, pca:N"),
    ],
)
def test_wrong_specs_are_refused(scene, spec, message):
    with pytest.raises(ProjectionError, match=message):
        fit_projection(spec, scene)


def test_a_scene_without_valid_pixels_is_refused():
    with pytest.raises(ProjectionError, match="no valid pixel"):
        fit_projection("rgb", Scene("dark", np.zeros((4, 4, 4))))


def test_joint_stretch_of_the_extremes_with_gamma(holed):
    """The image of GeoDiffNet has one minimum and one maximum for all bands, and a gamma of 0.4."""
    fitted = fit_projection("bands:7,2,0:stretch=joint:percentiles=0-100:gamma=0.4", holed)
    pixels = holed.cube[holed.valid][:, [7, 2, 0]].astype(np.float64)
    unit = (pixels - pixels.min()) / (pixels.max() - pixels.min())
    np.testing.assert_allclose(fitted.apply(holed.cube[holed.valid]), 2 * unit**0.4 - 1, atol=1e-4)
    assert fitted.digest != fit_projection("bands:7,2,0:stretch=joint:percentiles=0-100", holed).digest


def test_the_fit_sees_only_the_mask(tmp_path, holed):
    mask = np.zeros(holed.valid.shape, np.uint8)
    mask[:20, :9] = 3
    np.save(tmp_path / "train.npy", mask)
    fitted = fit_projection(f"pca:2:mask={tmp_path / 'train.npy'}", holed)
    pixels = holed.cube[(mask > 0) & holed.valid].astype(np.float64)
    oracle = PCA(2, svd_solver="full", whiten=True).fit(pixels)
    wanted = oracle.transform(pixels) * np.sqrt(len(pixels) / (len(pixels) - 1))
    signs = np.sign(oracle.components_[range(2), np.abs(oracle.components_).argmax(axis=1)])
    np.testing.assert_allclose(fitted.apply(pixels), wanted * signs, atol=2e-3)
    np.save(tmp_path / "copy.npy", mask)
    again = fit_projection(f"pca:2:mask={tmp_path / 'copy.npy'}", holed)
    assert again.spec == fitted.spec and "train" not in fitted.spec
    assert fitted.spec.startswith("pca:2:mask=") and again.digest == fitted.digest
    np.save(tmp_path / "none.npy", np.zeros_like(mask))
    with pytest.raises(ProjectionError, match=r"no valid pixel in the mask .*none\.npy"):
        fit_projection(f"rgb:mask={tmp_path / 'none.npy'}", holed)


@pytest.mark.parametrize("spec", ["pca:3", "all"])
def test_a_clip_maps_standard_deviations_to_one(scene, spec):
    plain, clipped = fit_projection(spec, scene), fit_projection(f"{spec}:clip=1.5", scene)
    expected = np.clip(plain.apply(scene.cube) / 1.5, -1, 1)
    np.testing.assert_allclose(clipped.apply(scene.cube), expected, atol=1e-5)
    assert (np.abs(expected) == 1).any() and clipped.digest != plain.digest and clipped.black == plain.black == 0


def striped(constant, nm=None):
    """A scene of 9 bands. The bands in `constant` have one value, except that odd bands differ at one pixel."""
    cube = np.random.default_rng(0).random((20, 20, 9)) + 1
    for band in constant:
        cube[..., band] = 7
        cube[0, 0, band] = 8 if band % 2 else 7
    return Scene("striped", cube, nm)


@pytest.mark.parametrize(
    ("constant", "bands"),
    [((), (6, 4, 2)), ((4,), (6, 3, 2)), ((6, 5, 7), (8, 4, 2)), ((0, 1, 2, 3, 4, 5, 6, 7), (8, 8, 8))],
)
def test_rgb_without_wavelengths_is_a_guess_that_avoids_constant_bands(constant, bands):
    projection = fit_projection("rgb", striped(constant))
    assert tuple(np.argmax(np.abs(projection.weights), axis=0)) == bands
    assert np.abs(projection.weights).max() < 100
    told = " ".join(projection.notes)
    assert f"no wavelengths; assumed the bands {', '.join(map(str, bands))}" in told
    assert ("are constant" in told) == bool(set(constant) & {6, 4, 2})


def test_rgb_avoids_the_constant_band_nearest_to_a_colour():
    nm = np.array([460, 470, 540, 550, 560, 630, 640, 650, 900.0])
    projection = fit_projection("rgb", striped((6, 0), nm))
    assert tuple(np.argmax(np.abs(projection.weights), axis=0)) == (5, 3, 1)
    assert "the bands 0,6 (counted from 0 as in bands:i,j,k) are constant" in " ".join(projection.notes)
    assert not fit_projection("rgb", striped((), nm)).notes


def test_rgb_outside_of_the_visible_range_is_said():
    projection = fit_projection("rgb", striped((), np.linspace(1000, 2400, 9)))
    assert "are those at 1000, 1000, 1000 nm" in " ".join(projection.notes)


def test_constant_bands_that_are_named_are_refused():
    with pytest.raises(ProjectionError, match=r"the bands 3-4 .* are constant between their percentiles 2 and 98"):
        fit_projection("bands:3,4,5", striped((3, 4)))
    flat = fit_projection("rgb", striped(range(9)))
    assert not flat.weights.any() and not flat.offset.any() and "every band is constant" in " ".join(flat.notes)
    assert fit_projection("bands:3,5:stretch=joint", striped((3,))).channels == 2


@pytest.mark.parametrize("spec", ["pca:3", "all", "pca:3:clip=2.5"])
@pytest.mark.parametrize("unit", [1e-12, 1e-7, 1e6])
def test_channels_do_not_depend_on_the_unit_of_the_scene(scene, spec, unit):
    cube = scene.cube.astype(np.float64)
    channels = fit_projection(spec, Scene("unit", cube * unit)).apply(cube * unit)
    wanted = fit_projection(spec, Scene("plain", cube)).apply(cube)
    np.testing.assert_allclose(channels, wanted, atol=2e-3)
    if "clip" not in spec:
        np.testing.assert_allclose(channels.reshape(-1, channels.shape[-1]).std(axis=0), 1, atol=1e-3)


def test_constant_bands_are_noted_and_give_no_channel(scene):
    cube = scene.cube.astype(np.float64)
    cube[..., [2, 3, 7]] = 1e5, 0, -3
    for spec in ("all", "pca:3"):
        (note,) = fit_projection(spec, Scene("dull", cube)).notes
        assert (
            "dull: bands that are equal at all valid pixels, up to the rounding of float32: 2-3,7 (counted from 0"
            in note
        )
    channels = fit_projection("all", Scene("dull", cube)).apply(cube)
    assert not channels[..., [2, 3, 7]].any()
    assert fit_projection("all", scene).notes == fit_projection("pca:3", scene).notes == ()
    (note,) = fit_leading_components(60, Scene("far", 1e9 + scene.cube / scene.cube.max())).notes
    assert ": 0-11 (counted" in note


def test_one_pixel_with_most_of_the_variance_is_noted(scene):
    cube = scene.cube.astype(np.float64)
    cube[3, 4, 5] = 1e20
    (note,) = fit_leading_components(60, Scene("wild", cube)).notes
    assert (
        "wild: one pixel has most of the variance of the bands 5 (counted from 0 as in `bad_bands`); in band 5, it is 1e+20 away"
        in note
    )
    with pytest.raises(ProjectionError, match="use at most pca:1; wild: one pixel has most of the variance"):
        fit_projection("pca:3", Scene("wild", cube))


@pytest.mark.parametrize("spec", ["pca:2", "all"])
def test_values_that_float32_can_not_scale_are_refused(spec):
    """Weights of 1e39 would be infinite in float32."""
    cube = np.random.default_rng(0).normal(10, 1, (6, 7, 4))
    assert np.isfinite(fit_projection(spec, Scene("x", cube * 1e-30)).weights).all()
    with pytest.raises(ProjectionError, match="vary by too little for numbers of float32: multiply them"):
        fit_projection(spec, Scene("x", cube * 1e-39))
    with pytest.raises(ProjectionError, match=r"x has 1 band and so at most 1 component"):
        fit_projection("pca:2", Scene("x", cube[..., :1]))
