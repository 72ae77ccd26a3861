"""Each rule against an independent computation: scipy, the formulas of the papers pixel by pixel, scikit-image, enumeration."""

from itertools import product

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, label
from skimage.segmentation import slic

from classifiers.smoothing import ProbabilityTile, parse_smoothing, smooth_blocks
from classifiers.smoothing.mrf import MarkovSmoothing
from classifiers.smoothing.superpixel import connected_parts
from hsifeat.runtime.events import Note
from hsifeat.types import Window


def tile_of(shape, classes=3, share=1.0, channels=2, seed=0):
    rng = np.random.default_rng(seed)
    valid = rng.random(shape) < share
    p = rng.dirichlet(np.ones(classes), size=shape) * valid[..., None]
    return ProbabilityTile(p, valid, rng.normal(size=(*shape, channels)) * valid[..., None])


@pytest.mark.parametrize("sigma", [0.7, 2.0])
def test_gaussian_is_the_normalised_convolution_of_scipy(sigma):
    tile = tile_of((31, 40), share=0.7)
    result = parse_smoothing(f"gaussian:{sigma}").smooth(tile)
    weight = gaussian_filter(tile.valid.astype(float), sigma, mode="constant")
    for c in range(3):
        expected = gaussian_filter(tile.probabilities[..., c], sigma, mode="constant") / weight
        np.testing.assert_allclose(result[..., c][tile.valid], expected[tile.valid], rtol=1e-9)


def guided_by_the_paper(tile, radius, epsilon):
    """He et al. 2010, equations 5, 6 and 8, with the ridge regression of a colour guide, window by window."""
    rows, cols = tile.valid.shape
    predictions = [[[] for _ in range(cols)] for _ in range(rows)]
    for i, j in zip(*np.nonzero(tile.valid), strict=True):
        window = (slice(max(i - radius, 0), i + radius + 1), slice(max(j - radius, 0), j + radius + 1))
        inside = tile.valid[window]
        guide, p = tile.guide[window][inside], tile.probabilities[window][inside]
        deviation = guide - guide.mean(axis=0)
        covariance = deviation.T @ deviation / len(guide)
        slope = np.linalg.inv(covariance + epsilon * np.eye(guide.shape[1])) @ (deviation.T @ p / len(guide))
        intercept = p.mean(axis=0) - guide.mean(axis=0) @ slope
        for k, m in np.argwhere(inside):
            row, col = window[0].start + k, window[1].start + m
            predictions[row][col].append((slope, intercept))
    result = np.zeros_like(tile.probabilities)
    for i, j in zip(*np.nonzero(tile.valid), strict=True):
        slope, intercept = (np.mean(part, axis=0) for part in zip(*predictions[i][j], strict=True))
        result[i, j] = tile.guide[i, j] @ slope + intercept
    result = np.maximum(result, 0)
    return result / np.maximum(result.sum(axis=-1, keepdims=True), 1e-300)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("share", [1.0, 0.6])
def test_the_guided_filter_is_the_formula_of_the_paper(channels, share):
    tile = tile_of((13, 16), share=share, channels=channels)
    result = parse_smoothing("guided:2,0.05").smooth(tile)
    expected = guided_by_the_paper(tile, 2, 0.05)
    np.testing.assert_allclose(result[tile.valid], expected[tile.valid], atol=1e-9)


def test_the_guided_filter_keeps_an_edge_of_the_image_that_a_gaussian_blurs():
    rng = np.random.default_rng(3)
    truth = np.zeros((40, 40), int)
    truth[:, 17:] = 1
    noisy = np.clip(np.eye(2)[truth] * 0.6 + 0.2 + rng.normal(0, 0.25, (40, 40, 1)) * [1, -1], 0.01, 0.99)
    noisy /= noisy.sum(axis=-1, keepdims=True)
    tile = ProbabilityTile(noisy, np.ones((40, 40), bool), truth[..., None] * 2.0 - 1)
    edge = np.s_[:, 16:18]
    contrast = {
        rule: np.abs(np.diff(parse_smoothing(rule).smooth(tile)[edge][..., 1], axis=1)).mean()
        for rule in ("guided:3", "gaussian:2")
    }
    assert contrast["guided:3"] > 0.5 > 2 * contrast["gaussian:2"]


def test_superpixels_are_those_of_scikit_image_and_take_their_mean():
    tile = tile_of((30, 34), channels=3)
    rule = parse_smoothing("superpixel:20")
    segments = slic(tile.guide, n_segments=51, compactness=0.1, convert2lab=False, channel_axis=-1)
    result = rule.smooth(tile)
    for number in np.unique(segments):
        parts, count = label(segments == number)
        for part in range(1, count + 1):
            inside = parts == part
            np.testing.assert_allclose(
                result[inside], np.tile(tile.probabilities[inside].mean(axis=0), (inside.sum(), 1))
            )


def test_the_number_of_a_superpixel_rule_is_the_size_of_the_cells_from_which_slic_starts():
    """A smooth image keeps one superpixel for each cell; pieces of a noisy one are joined, as scikit-image does by itself."""
    rows, cols = np.mgrid[:60, :45] / 10
    noise = np.random.default_rng(0).normal(size=(60, 45, 3))
    for guide, fewest, most in (
        (np.stack([np.sin(cols), np.cos(rows), np.sin(rows + cols)], axis=-1), 0.8, 1.3),
        (noise, 0.0, 0.5),
    ):
        segments = parse_smoothing("superpixel:20").superpixels(guide, np.ones((60, 45), bool))
        sizes = np.bincount(segments.ravel())[1:]
        expected = slic(guide, n_segments=60 * 45 // 20, compactness=0.1, convert2lab=False, channel_axis=-1)
        assert len(sizes) == len(np.unique(expected))
        assert fewest < len(sizes) / (60 * 45 / 20) < most
        assert sizes.min() >= 10


@pytest.mark.parametrize(("noise", "collapses"), [(0.01, False), (1.0, True)])
def test_a_note_says_that_a_noisy_scene_has_hardly_any_superpixels(noise, collapses):
    rows, cols = np.mgrid[:60, :45] / 10
    guide = np.stack([np.sin(cols), np.cos(rows), np.sin(rows + cols)], axis=-1)
    guide += np.random.default_rng(0).normal(0, noise, guide.shape)
    valid = np.ones((60, 45), bool)
    valid[40:, 20:] = False
    found = len(
        np.unique(
            slic(guide * valid[..., None], n_segments=27, compactness=0.1, convert2lab=False, channel_axis=-1)[valid]
        )
    )
    values = np.where(valid[..., None], np.float32(0.5), np.nan) * np.ones(2, np.float32)
    events = []
    list(
        smooth_blocks(
            [(Window(0, 0, 60, 45), values)], parse_smoothing("superpixel:100"), (60, 45), Image(guide), events.append
        )
    )
    notes = [event.message for event in events if isinstance(event, Note)]
    assert (found < 22 / 4) == collapses == len(notes)
    if collapses:  # 2200 valid pixels
        assert "superpixel:100: the scene is too noisy" in notes[0]
        assert f"SLIC found {found} where 22 were asked for; use another rule" in notes[0]


class Image:
    """A guide in memory."""

    def __init__(self, values):
        self.values = values

    def read(self, window):
        return self.values[window.slices]


def test_no_superpixel_bridges_invalid_pixels():
    tile = tile_of((30, 34), share=0.6, channels=3)
    segments = connected_parts(parse_smoothing("superpixel:25").superpixels(tile.guide, tile.valid))
    assert ((segments > 0) == tile.valid).all()
    assert all(label(segments == number)[1] == 1 for number in np.unique(segments[segments > 0]))


NEIGHBOURS = [
    (a, b) for a, b in product(range(9), repeat=2) if a < b and max(abs(a // 3 - b // 3), abs(a % 3 - b % 3)) == 1
]


def enumerate_field(p, beta):
    """Energy of every labelling of 3x3 pixels, and the exact marginals of the Potts field."""
    labels = np.array(list(product(range(p.shape[-1]), repeat=9)))
    energy = -np.log(p.reshape(9, -1))[np.arange(9), labels].sum(axis=1)
    for a, b in NEIGHBOURS:
        energy -= beta * (labels[:, a] == labels[:, b])
    weight = np.exp(-(energy - energy.min()))
    marginals = np.stack([[weight[labels[:, i] == c].sum() for c in range(p.shape[-1])] for i in range(9)])
    return labels, energy, marginals / weight.sum(), np.log(weight.sum()) - energy.min()


def evidence_bound(q, p, beta):
    """Lower bound of the log partition function by independent pixels with marginals `q`."""
    q, p = q.reshape(9, -1), p.reshape(9, -1)
    agreement = sum(float(q[a] @ q[b]) for a, b in NEIGHBOURS)
    return float((q * np.log(p)).sum()) + beta * agreement - float((q * np.log(np.maximum(q, 1e-300))).sum())


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_field_is_close_to_the_exact_marginals_of_a_weak_field(seed):
    p = np.random.default_rng(seed).dirichlet(np.full(3, 3.0), size=(3, 3))
    p = np.maximum(p, 0.02) / np.maximum(p, 0.02).sum(axis=-1, keepdims=True)
    q = MarkovSmoothing(0.1).smooth(ProbabilityTile(p, np.ones((3, 3), bool)))
    exact = enumerate_field(p, 0.1)[2]
    before = np.abs(p.reshape(9, 3) - exact).max()
    assert np.abs(q.reshape(9, 3) - exact).max() < min(0.02, before)


def test_the_mean_field_bounds_the_partition_function_and_finds_the_most_probable_classes():
    agreement = []
    for seed in range(30):
        p = np.random.default_rng(seed).dirichlet(np.ones(2), size=(3, 3))
        p = np.maximum(p, 0.02) / np.maximum(p, 0.02).sum(axis=-1, keepdims=True)
        labels, energy, exact, log_partition = enumerate_field(p, 0.7)
        q = MarkovSmoothing(0.7).smooth(ProbabilityTile(p, np.ones((3, 3), bool)))
        assert evidence_bound(p, p, 0.7) < evidence_bound(q, p, 0.7) <= log_partition
        energies = {
            name: energy[(labels == values.reshape(9, -1).argmax(axis=1)).all(axis=1)].item()
            for name, values in (("q", q), ("p", p))
        }
        assert energies["q"] <= energies["p"] + 1e-12
        agreement.append(q.reshape(9, -1).argmax(axis=1) == exact.argmax(axis=1))
    assert np.mean(agreement) > 0.95


def test_invalid_neighbours_add_nothing_to_the_field():
    p = np.random.default_rng(1).dirichlet(np.full(3, 3.0), size=(3, 3))
    valid = np.zeros((3, 3), bool)
    valid[1, 1] = True
    q = MarkovSmoothing(2).smooth(ProbabilityTile(p * valid[..., None], valid))
    np.testing.assert_allclose(q[1, 1], p[1, 1], atol=1e-6)
