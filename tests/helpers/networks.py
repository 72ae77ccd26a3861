"""Reference implementations of network layers in NumPy with float64. They process a single row with the weights of a fitted head."""

from __future__ import annotations

import numpy as np


def linear(x: np.ndarray, weights: dict, name: str) -> np.ndarray:
    return weights[f"{name}.weight"].astype(np.float64) @ x + weights[f"{name}.bias"]


def batch_norm(x: np.ndarray, weights: dict, name: str) -> np.ndarray:
    w = {k: weights[f"{name}.{k}"].astype(np.float64) for k in ("weight", "bias", "running_mean", "running_var")}
    return (x - w["running_mean"]) / np.sqrt(w["running_var"] + 1e-5) * w["weight"] + w["bias"]


def softmax(x: np.ndarray, axis: int = 0) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True)


def classify(x: np.ndarray, weights: dict) -> np.ndarray:
    """Apply the two hidden layers and the output layer named ``classifier``, and return class probabilities."""
    x = batch_norm(np.maximum(linear(x, weights, "classifier.0"), 0), weights, "classifier.2")
    x = batch_norm(np.maximum(linear(x, weights, "classifier.3"), 0), weights, "classifier.5")
    return softmax(linear(x, weights, "classifier.6"))
