"""The optimal denoiser: against the paper's formulas written out, and against closed forms."""

import numpy as np
import pytest

from hsifeat.timesteps.optimal_denoiser import OptimalDenoiser, agreement, similarity_map
from hsifeat.timesteps.stages import three_stages

ABAR = np.cos(np.linspace(0.05, 1.5, 30)) ** 2


def transcribed(x, patches, abar):
    """Proposition 1, eq. 4 of Zhang et al. (CVPR 2024) for one x, with the Gaussians as they are written."""
    s, sigma = np.sqrt(abar), np.sqrt((1 - abar) / abar)
    above, below = np.zeros_like(x), 0.0
    for y in patches:
        density = np.exp(-np.sum((x - s * y) ** 2) / (2 * s**2 * sigma**2))
        above, below = above + density * y, below + density
    return (x - s * above / below) / (s * sigma)


@pytest.fixture
def denoiser():
    return OptimalDenoiser(np.random.default_rng(0).normal(size=(40, 6)), ABAR)


@pytest.mark.parametrize("t", [3, 12, 20, 29])
def test_the_prediction_equals_proposition_1(denoiser, t):
    clean, noise = denoiser.draw(5, seed=1)
    x = denoiser.noise(clean, noise, t)
    np.testing.assert_array_equal(x, np.sqrt(ABAR[t]) * clean + np.sqrt(1 - ABAR[t]) * noise)
    expected = [transcribed(row, denoiser.patches, ABAR[t]) for row in x]
    np.testing.assert_allclose(denoiser.predict(x, t), expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(denoiser.posterior(x, t).sum(axis=1), 1)


def test_each_row_may_have_its_own_timestep(denoiser):
    clean, noise = denoiser.draw(4, seed=2)
    t = np.array([1, 9, 28, 9])
    x = denoiser.noise(clean, noise, t)
    together = denoiser.predict(x, t)
    for n in range(4):
        np.testing.assert_allclose(together[n : n + 1], denoiser.predict(x[n : n + 1], int(t[n])), rtol=1e-12)


def test_underflowing_exponents_do_no_harm():
    """With two distant patches and almost no noise, the plain sums are 0 / 0. The limit is the nearer patch."""
    denoiser = OptimalDenoiser(np.array([[0.0] * 4, [100.0] * 4]), np.array([1 - 1e-7, 0.5]))
    x = denoiser.noise(np.zeros((1, 4)), np.full((1, 4), 0.5), 0)
    np.testing.assert_allclose(denoiser.predict(x, 0), 0.5, rtol=1e-9)


def test_for_two_points_the_denoiser_is_a_hyperbolic_tangent():
    """For y = -1 and +1 in equal parts the posterior mean is tanh(s x / (1 - abar)): closed form."""
    denoiser = OptimalDenoiser(np.array([[-1.0], [1.0]]), ABAR)
    x = np.linspace(-2, 2, 9)[:, None]
    for t in (8, 15, 25):
        s, n2 = np.sqrt(ABAR[t]), 1 - ABAR[t]
        np.testing.assert_allclose(denoiser.predict(x, t), (x - s * np.tanh(s * x / n2)) / np.sqrt(n2), rtol=1e-10)


def test_for_gaussian_patches_the_denoiser_becomes_linear():
    """For y ~ N(mu, Sigma) the ideal denoiser is linear: E[y | x] = mu + s Sigma (s^2 Sigma + n^2 I)^-1 (x - s mu)."""
    random = np.random.default_rng(3)
    mean, root = np.array([1.0, -0.5]), np.array([[1.0, 0.0], [0.6, 0.5]])
    covariance = root @ root.T
    denoiser = OptimalDenoiser(mean + random.normal(size=(200_000, 2)) @ root.T, ABAR)
    for t in (10, 18, 26):
        s, n2 = np.sqrt(ABAR[t]), 1 - ABAR[t]
        x = s * (mean + random.normal(size=(20, 2)) @ root.T) + np.sqrt(n2) * random.normal(size=(20, 2))
        gain = s * covariance @ np.linalg.inv(s**2 * covariance + n2 * np.eye(2))
        ideal = (x - s * (mean + (x - s * mean) @ gain.T)) / np.sqrt(n2)
        np.testing.assert_allclose(denoiser.predict(x, t), ideal, atol=0.05)


def test_the_similarity_map_equals_eq_5(denoiser):
    timesteps, tolerance, draws = (0, 7, 14, 29), 0.1, 30
    result = similarity_map(denoiser, timesteps, tolerance=tolerance, draws=draws, seed=4)
    clean, noise = denoiser.draw(draws, seed=4)
    expected, entropy = np.zeros((4, 4)), np.zeros(4)
    for x0, eps in zip(clean, noise, strict=True):
        given = [
            transcribed(np.sqrt(ABAR[t]) * x0 + np.sqrt(1 - ABAR[t]) * eps, denoiser.patches, ABAR[t])
            for t in timesteps
        ]
        for a in range(4):
            for b in range(4):
                expected[a, b] += np.mean(np.abs(given[a] - given[b]) <= tolerance) / draws
    np.testing.assert_allclose(result.similarity, expected, atol=1e-12)
    np.testing.assert_array_equal(np.diag(result.similarity), 1)
    for n, t in enumerate(timesteps):
        weights = denoiser.posterior(denoiser.noise(clean, noise, t), t)
        logs = np.log(np.where(weights > 0, weights, 1))
        entropy[n] = -(weights * logs).sum(axis=1).mean()
    np.testing.assert_allclose(result.neighbours, np.exp(entropy))


def test_the_map_does_not_depend_on_blocks(denoiser, monkeypatch):
    whole = similarity_map(denoiser, (0, 15, 29), tolerance=0.1, draws=20)
    monkeypatch.setattr("hsifeat.timesteps.optimal_denoiser._WEIGHTS_PER_BLOCK", 3 * 40)
    events = []
    parts = similarity_map(denoiser, (0, 15, 29), tolerance=0.1, draws=20, listen=events.append)
    np.testing.assert_allclose(parts.similarity, whole.similarity, atol=1e-12)
    np.testing.assert_allclose(parts.neighbours, whole.neighbours)
    assert len(events) == 2 + 7 and events[-2].done == 20


def test_few_patches_of_many_values_collapse():
    random = np.random.default_rng(5)
    few = similarity_map(OptimalDenoiser(random.normal(size=(30, 300)), ABAR), (5, 15), tolerance=0.01, draws=20)
    many = similarity_map(OptimalDenoiser(random.normal(size=(3000, 1)), ABAR), (5, 15), tolerance=0.01, draws=20)
    np.testing.assert_allclose(few.neighbours, 1, atol=1e-6)
    assert few.similarity[0, 1] == 1
    assert (many.neighbours > 100).all() and many.similarity[0, 1] < 0.5


def test_agreement_counts_values():
    one, other = np.zeros((2, 4)), np.array([[0, 0.1, -0.1, 0.2], [1, 1, 1, 1]])
    assert agreement(one, other, 0.1).tolist() == [0.75, 0]


def test_stages_follow_algorithm_1(denoiser):
    draws, alpha, tolerance = 200, 0.7, 0.2
    clean, noise = denoiser.draw(draws, seed=6)
    t = np.random.default_rng([6, 1]).integers(30, size=draws)

    def at(k, when):
        x = np.sqrt(ABAR[when]) * clean[k] + np.sqrt(1 - ABAR[when]) * noise[k]
        return transcribed(x, denoiser.patches, ABAR[when])

    recorded = [[np.mean(np.abs(at(k, t[k]) - at(k, end)) <= tolerance) for end in (0, 29)] for k in range(draws)]
    first, last = np.array(recorded).T
    t1 = max((tau for tau in range(30) if (t <= tau).any() and first[t <= tau].mean() >= alpha), default=0)
    t2 = min((tau for tau in range(30) if (t >= tau).any() and last[t >= tau].mean() >= alpha), default=29)
    result = three_stages(denoiser, tolerance=tolerance, alpha=alpha, draws=draws, seed=6)
    # Between two of the drawn timesteps every tau selects the same triples; the drawn ones are named.
    assert result == (int(t[t <= t1].max()), int(t[t >= t2].min()))
    assert 0 < result[0] < 29 and 0 < result[1] < 29
