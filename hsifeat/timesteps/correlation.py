"""How alike the cached planes of a layer are over timesteps. Needs no model and no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import StoreError, suggest_names
from hsifeat.features.features import Features


def linear_cka(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Return the linear centred kernel alignment of two sets of features of the same pixels.

    Parameters
    ----------
    one, other : (n, channels) arrays
        Rows are pixels; the numbers of channels may differ.

    Returns
    -------
    float
        0 to 1. 1: the same up to a rotation, a common scale and a shift, to none of which a linear head minds. Where one
        is constant, there is nothing to align and it is 0.

    Notes
    -----
    ``|Y^T X|_F^2 / (|X^T X|_F |Y^T Y|_F)`` of columns with mean 0 (Kornblith et al., "Similarity of neural network
    representations revisited", ICML 2019). With fewer pixels than channels it is near 1 for anything.
    """
    x, y = (np.asarray(a, np.float64) - np.mean(a, axis=0, dtype=np.float64) for a in (one, other))
    own = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.linalg.norm(y.T @ x) ** 2 / own) if own > 0 else 0.0


@dataclass(frozen=True)
class Correlation:
    """How alike the planes of a layer are.

    Attributes
    ----------
    layer : str
        Which layer.
    timesteps : tuple of int
        Of its planes, ascending.
    similarity : (n, n) float64 array
        Linear CKA of each pair.
    """

    layer: str
    timesteps: tuple[int, ...]
    similarity: NDArray[np.float64]


def correlate_planes(features: Features, layer: str | None = None, *, pixels: int = 2000, seed: int = 0) -> Correlation:
    """Compare the complete planes of a layer at sampled pixels.

    Parameters
    ----------
    features : Features
        A store that is open.
    layer : str, optional
        Which; by default the one whose planes lie last, which of a U-Net is the finest.
    pixels : int
        How many at most.
    seed : int
        Seed of their draw.

    Raises
    ------
    StoreError
        No such layer, or fewer than two of its timesteps are complete.
    """
    there = list(dict.fromkeys(plane.id.layer for plane in features.planes))
    if layer is not None and layer not in there:
        raise StoreError(f"{features.name} has no complete planes of a layer {layer!r}; {suggest_names(layer, there)}")
    if not there:
        raise StoreError(f"{features.name} has no complete plane: give the extract command again")
    chosen = layer or there[-1]
    planes = sorted((p for p in features.planes if p.id.layer == chosen), key=lambda plane: plane.id.t)
    timesteps = tuple(plane.id.t for plane in planes)
    if len(planes) < 2:
        raise StoreError(
            f"{features.name} has the layer {chosen} at one timestep only ({timesteps[0]}): there is nothing to compare; "
            "extract more timesteps, or name another layer"
        )
    places = np.flatnonzero(features.readable)
    drawn = np.sort(np.random.default_rng(seed).choice(places, min(pixels, len(places)), replace=False))
    rows, cols = np.divmod(drawn, features.shape[1])
    values = [features.sample(rows, cols, [plane]) for plane in planes]
    similarity = np.eye(len(planes))
    for a, one in enumerate(values):
        for b in range(a):
            similarity[a, b] = similarity[b, a] = linear_cka(one, values[b])
    return Correlation(chosen, timesteps, similarity)
