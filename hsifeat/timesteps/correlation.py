"""Comparison of the features of one layer between timesteps. The features are read from a store."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import StoreError, suggest_names
from hsifeat.features.features import Features


def linear_cka(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Return the linear centred kernel alignment (CKA) between two sets of features of the same pixels.

    Parameters
    ----------
    one, other : (n, channels) float arrays
        Features X (`one`) and Y (`other`) of n pixels. The numbers of channels may differ.

    Returns
    -------
    float
        Alignment from 0 to 1. It is 1 if the two sets are equal after a rotation, a scaling and a shift. It is 0 if one set
        has equal features at all pixels.

    Notes
    -----
    CKA is ``|Y^T X|_F^2 / (|X^T X|_F |Y^T Y|_F)``, where the columns of X and Y are shifted to mean 0 (Kornblith et
    al., "Similarity of neural network representations revisited", ICML 2019). If there are fewer pixels than channels,
    CKA is close to 1 for any features.

    Examples
    --------
    >>> features = np.array([[0.0, 1.0], [2.0, 0.0], [1.0, 5.0]])
    >>> round(linear_cka(features, 3 * features[:, ::-1] + 1), 6)
    1.0
    """
    x, y = (np.asarray(a, np.float64) - np.mean(a, axis=0, dtype=np.float64) for a in (one, other))
    norms = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.linalg.norm(y.T @ x) ** 2 / norms) if norms > 0 else 0.0


@dataclass(frozen=True)
class PlaneSimilarity:
    """Similarity of the features of one layer between n timesteps.

    Attributes
    ----------
    layer : str
        Name of the layer.
    timesteps : tuple of n ints
        Timesteps in ascending order.
    similarity : (n, n) float64 array
        Linear CKA between each pair of timesteps, from 0 to 1.
    """

    layer: str
    timesteps: tuple[int, ...]
    similarity: NDArray[np.float64]


def correlate_planes(
    features: Features, layer: str | None = None, *, pixels: int = 2000, seed: int = 0
) -> PlaneSimilarity:
    """Compare the features of one layer between timesteps by linear CKA, on a random sample of pixels.

    Parameters
    ----------
    features : Features
        Features of an open store.
    layer : str, optional
        Name of the layer. If None, the last layer of the store is used. In a U-Net, this layer has the finest resolution.
    pixels : int
        Maximum number of pixels in the sample.
    seed : int
        Seed of the sample.

    Returns
    -------
    PlaneSimilarity
        Linear CKA between all timesteps at which the plane of the layer is complete.

    Raises
    ------
    StoreError
        If the store has no layer named `layer`. If fewer than two timesteps of the layer are complete.
    """
    layers = list(dict.fromkeys(plane.id.layer for plane in features.planes))
    if layer is not None and layer not in layers:
        raise StoreError(f"{features.name} has no complete planes of a layer {layer!r}; {suggest_names(layer, layers)}")
    if not layers:
        raise StoreError(f"{features.name} has no complete plane: run the extract command again")
    layer = layer or layers[-1]
    planes = sorted((p for p in features.planes if p.id.layer == layer), key=lambda plane: plane.id.t)
    timesteps = tuple(plane.id.t for plane in planes)
    if len(planes) < 2:
        raise StoreError(
            f"{features.name} has the layer {layer} at one timestep only ({timesteps[0]}), so there is nothing to compare: "
            "extract more timesteps, or name another layer"
        )
    candidates = np.flatnonzero(features.readable)
    sample = np.sort(np.random.default_rng(seed).choice(candidates, min(pixels, len(candidates)), replace=False))
    rows, cols = np.divmod(sample, features.shape[1])
    values = [features.sample(rows, cols, [plane]) for plane in planes]
    similarity = np.eye(len(planes))
    for a, one in enumerate(values):
        for b in range(a):
            similarity[a, b] = similarity[b, a] = linear_cka(one, values[b])
    return PlaneSimilarity(layer, timesteps, similarity)
