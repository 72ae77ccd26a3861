"""Correlation of cached planes, against the definition of HSIC with a centring matrix."""

import numpy as np
import pytest

from hsifeat import extract, open_features
from hsifeat.errors import StoreError
from hsifeat.timesteps.correlation import correlate_planes, linear_cka


def hsic(k, other):
    centre = np.eye(len(k)) - 1 / len(k)
    return np.trace(k @ centre @ other @ centre) / (len(k) - 1) ** 2


def defined(x, y):
    k, other = x @ x.T, y @ y.T
    return hsic(k, other) / np.sqrt(hsic(k, k) * hsic(other, other))


def test_cka_equals_its_definition_by_kernels():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(40, 5)) + 3, random.normal(size=(40, 8)) - 1
    y[:, :3] += x[:, :3]
    assert linear_cka(x, y) == pytest.approx(defined(x, y), rel=1e-10)
    turn, _ = np.linalg.qr(random.normal(size=(5, 5)))
    assert linear_cka(x, 7 * x @ turn + 2) == pytest.approx(1, abs=1e-12)
    assert linear_cka(x, np.ones((40, 2))) == 0


@pytest.mark.parametrize("layer", [None, "mid_block"])
def test_planes_of_a_store(features, layer):
    result = correlate_planes(features, layer, pixels=300, seed=1)
    assert result.timesteps == (0, 300)
    assert result.layer == (layer or features.planes[-1].id.layer)
    # All pixels of the small scene are valid, so the draw is of the whole grid.
    drawn = np.sort(np.random.default_rng(1).choice(np.arange(75 * 53), 300, replace=False))
    x, y = (features.sample(drawn // 53, drawn % 53, [f"t{t}/{result.layer}"]).astype(float) for t in (0, 300))
    np.testing.assert_allclose(result.similarity, [[1, defined(x, y)], [defined(x, y), 1]], rtol=1e-6)
    assert 0 < result.similarity[0, 1] < 1


def test_planes_of_listed_pixels(scene, backbone_folder, tmp_path):
    """Only the pixels that such a store holds can be compared."""
    rows, cols = np.array([3, 40, 70, 12, 5, 9]), np.array([4, 30, 50, 7, 8, 44])
    extract(
        scene, backbone=backbone_folder, timesteps=[0, 300], layers=["mid_block"], tile=16, pixels=(rows, cols),
        out=tmp_path / "p.zarr",
    )  # fmt: skip
    features = open_features(tmp_path / "p.zarr")
    x, y = (features.sample(rows, cols, [f"t{t}/mid_block"]).astype(float) for t in (0, 300))
    assert correlate_planes(features).similarity[0, 1] == pytest.approx(defined(x, y), rel=1e-6)


def test_stores_without_two_planes_of_a_layer_are_refused(features, scene, backbone_folder, tmp_path):
    with pytest.raises(StoreError, match="no complete planes of a layer 'mid_blok'; nearest: mid_block"):
        correlate_planes(features, "mid_blok")
    extract(
        scene,
        backbone=backbone_folder,
        timesteps=[50],
        layers=["mid_block"],
        tile=32,
        halo=8,
        out=tmp_path / "o.zarr",
    )
    with pytest.raises(StoreError, match=r"mid_block at one timestep only \(50\), so there is nothing to compare"):
        correlate_planes(open_features(tmp_path / "o.zarr"))
