"""Spectral angles of a model's estimate, against SciPy and NumPy in float64."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cosine

from hsifeat import NoiseSchedule
from hsifeat.projection import fit_projection
from hsifeat.scenes import Scene
from hsifeat.timesteps.angles import channels_to_bands, measure_angles, spectral_angle
from hsifeat.timesteps.scene_patches import sample_tiles
from hsifeat.types import Tap
from tests.helpers.small import small_cube

ABAR = np.linspace(0.99, 0.02, 10).astype(np.float32)
TIMESTEPS = (0, 4, 9)


class Rule:
    """A backbone in pixel space that predicts by a rule of a few lines."""

    name, projection_file, cell_px, taps = "rule", None, Fraction(1), [Tap("all", "", 1, 4, 1.0)]

    def __init__(self, rule, prediction="epsilon", encode=lambda images: images):
        self.predict, self.encode, self.schedule = rule, encode, NoiseSchedule(ABAR, prediction)

    def to(self, device):
        assert device == "cpu"


def degrees(one, other):
    return np.array([np.degrees(np.arccos(np.clip(1 - cosine(u, v), -1, 1))) for u, v in zip(one, other, strict=True)])


@pytest.fixture(scope="module")
def scene():
    cube = small_cube(24, 20, 5).astype(np.float32)
    cube[3:9, 2:7] = np.nan
    return Scene("masked", cube)


def tiles_of(scene, spec, count=2):
    projection = fit_projection(spec, scene)
    return projection, sample_tiles(scene, projection, 16, count, seed=0)


def drawn(tiles, channels):
    random = np.random.default_rng(3)
    return [random.standard_normal((1, channels, 16, 16), dtype=np.float32) for _ in tiles]


def test_the_angle_equals_scipys():
    random = np.random.default_rng(0)
    u, v = random.normal(size=(2, 30, 7))
    np.testing.assert_allclose(spectral_angle(u, v), degrees(u, v), atol=1e-6)
    assert spectral_angle(np.array([np.inf, 1.0]), np.ones(2)) == spectral_angle(np.zeros(2), np.ones(2)) == 90


def test_estimates_are_mapped_back_to_bands(scene):
    """A model that sees no noise estimates x_t / sqrt(abar_t); five components of five bands are undone exactly."""
    projection, tiles = tiles_of(scene, "pca:5")
    result = measure_angles(Rule(lambda x, _: torch.zeros_like(x)), projection, tiles, TIMESTEPS, seed=3)
    every = np.concatenate([tile.spectra[tile.valid] for tile in tiles]).astype(float)
    for t, got in zip(TIMESTEPS, result.degrees, strict=True):
        estimates = []
        for tile, noise in zip(tiles, drawn(tiles, 5), strict=True):
            channels = tile.image.astype(float) + np.sqrt(1 / ABAR[t].astype(float) - 1) * noise[0]
            bands = np.linalg.solve(
                projection.weights.T.astype(float), (channels - projection.offset[:, None, None]).reshape(5, -1)
            )
            estimates.append(bands.T[tile.valid.ravel()])
        assert got == pytest.approx(degrees(every, np.concatenate(estimates)).mean(), rel=1e-3)
    assert result.mean_pixel_degrees == pytest.approx(
        degrees(every, np.tile(every.mean(0), (len(every), 1))).mean(), rel=1e-6
    )
    assert result.space == "bands" and (np.diff(result.degrees) > 0).all()


def test_all_parameterisations_give_the_same_angles(scene):
    projection, tiles = tiles_of(scene, "pca:3")

    def shrink(kind):
        def predict(x, t):
            kept = float(ABAR[t])
            s, n = kept**0.5, (1 - kept) ** 0.5
            clean = 0.7 * x
            eps = (x - s * clean) / n
            return {"sample": clean, "epsilon": eps, "v_prediction": s * eps - n * clean}[kind]

        return Rule(predict, kind)

    result = [
        measure_angles(shrink(k), projection, tiles, TIMESTEPS).degrees for k in ("sample", "epsilon", "v_prediction")
    ]
    np.testing.assert_allclose(result[1:], [result[0]] * 2, rtol=1e-3)
    assert (result[0] > 0.1).all()


@pytest.mark.parametrize(
    ("spec", "space"), [("pca:2", "bands"), ("all", "bands"), ("rgb", "channels"), ("bands:0,2:gamma=0.5", "channels")]
)
def test_a_perfect_estimate_has_no_angle(scene, spec, space):
    """The angle does not include the part of the spectra that the projection drops."""
    projection, tiles = tiles_of(scene, spec, count=1)
    image = torch.from_numpy(tiles[0].image[None])
    result = measure_angles(Rule(lambda *_: image, "sample"), projection, tiles, TIMESTEPS)
    np.testing.assert_allclose(result.degrees, 0, atol=1e-3)
    assert result.space == space and result.mean_pixel_degrees > 0.1
    assert (channels_to_bands(projection) is not None) == (space == "bands")


def test_the_result_names_latents(scene):
    projection, tiles = tiles_of(scene, "pca:3")
    pool = torch.nn.AvgPool2d(2)
    seen = []

    def predict(x, _):
        seen.append(x.shape)
        return torch.zeros_like(x)

    result = measure_angles(Rule(predict, encode=pool), projection, tiles, TIMESTEPS)
    assert result.space == "latents" and set(seen) == {(1, 3, 8, 8)} and np.isfinite(result.degrees).all()


def test_pure_noise_gives_no_estimate(scene):
    projection, tiles = tiles_of(scene, "pca:3", count=1)
    blind = Rule(lambda x, _: torch.zeros_like(x))
    blind.schedule = NoiseSchedule(np.array([0.9, 0.0]))
    assert measure_angles(blind, projection, tiles, (0, 1)).degrees[1] == 90
