"""SpectralDiff: self-attention among the pixels of a patch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from classifiers.heads.base import ProbabilisticHead
from classifiers.heads.layer_reducer import LayerReducer, feature_maps, layout_or_one_plane
from classifiers.heads.parameters import Components, Depth, NotNegative, Positive, Rounds, Share, Units
from classifiers.heads.torch.batches import NetworkInputs
from classifiers.heads.torch.head import TorchHead
from classifiers.heads.torch.transformer import encoder_of

if TYPE_CHECKING:
    import torch

POSITION_SCALE = 0.01


@dataclass(eq=False, repr=False, kw_only=True)
class SpectralDiffClassifier(TorchHead):
    """SpectralDiff: a transformer over the 13 x 13 pixels around a pixel, then a small classifier.

    This is the classifier of Chen et al. (TGRS 2023, arXiv 2304.05961), as in the published code. The features of a
    plane are whitened principal components. A 3x3 convolution with batch norm and ReLU maps them to `width` channels.
    The tokens are the pixels of the patch and a class token. Position embeddings are multiplied by a learned factor,
    which starts at 0.01. The output of the class token passes through a hidden layer with ``2 * width`` units, batch
    norm, dropout of 0.1 and ReLU.

    This head differs from the paper:

    - The channels of the patches of all planes are used together. The published code uses a single plane.
    - The channels are standardised, and the components are fitted on the patches of the training rows. The published
      code scales the channels to the range 0 to 1, and fits the components on all pixels.
    - The defaults are smaller: 64 components instead of 600 to 1,200, and 4 attention heads of 16 channels instead of
      20 of 64.

    The head uses only the patches of planes. If the table has no patches of planes, the head uses each plane as a patch of
    one pixel. Without a layout, all columns together are a patch of one pixel.

    Parameters
    ----------
    layout : Layout or None
        Description of the columns. All patches must have the same size, 13 x 13 in the paper.
    components : int or None
        Number of principal components of each layer. All timesteps share them. None keeps all channels. The paper uses
        1,200 (Indian Pines), 600 (Pavia University) or 900 (Salinas).
    depth, width, heads, head_width, mlp_width : int
        Numbers of transformer layers, channels of a token, attention heads, channels of an attention head, and hidden
        units of the perceptron in a transformer layer. The paper uses 2, 64, 20, 64 and 8.
    dropout : float
        Probability of dropout in the transformer; 0 in the paper.
    epochs, batch_size, learning_rate, weight_decay, patience, validation_fraction, class_weight, device, random_state
        Options of the training, see `TorchHead`.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(40, 6))
    >>> y = np.arange(40) % 2
    >>> head = SpectralDiffClassifier(epochs=20, device="cpu").fit(X + 5 * y[:, None], y)
    >>> head.predict([[0.0] * 6, [5.0] * 6]).tolist()
    [0, 1]
    """

    advice = "large neighbourhoods of one plane; slow without a GPU"

    needs = frozenset({"patch"})
    ignores = frozenset({"context", "spectra", "plane", "mean", "spectral-patch"})
    patch_px: ClassVar[int] = 13
    persisted_types = ProbabilisticHead.persisted_types | {"classifiers.heads.layer_reducer.LayerReducer"}
    search_space: ClassVar[dict[str, list[Any]]] = {"components": [64, 32], "learning_rate": [1e-3, 3e-4]}

    components: Components = 64
    depth: Depth = 2
    width: Units = 64
    heads: Units = 4
    head_width: Units = 16
    mlp_width: Units = 8
    dropout: Share = 0.0
    epochs: Rounds = 30
    learning_rate: Positive = 1e-3
    weight_decay: NotNegative = 0.0

    def _prepare(self, X: NDArray[np.floating], codes: NDArray[np.int64]) -> None:  # noqa: ARG002 - unsupervised
        layout = layout_or_one_plane(self.layout, X.shape[1])
        groups = feature_maps(layout, "spectraldiff")
        self.columns_ = layout.columns(*groups)
        self.reducer_ = LayerReducer(
            layout.select_groups(lambda group: group in groups), components=self.components, whiten=True
        ).fit(X[:, self.columns_])

    def _inputs(self, X: NDArray[np.floating]) -> NetworkInputs:
        rows = self.reducer_.transform(X[:, self.columns_])
        groups = self.reducer_.layout_.groups
        side = round(groups[0].patch_pixels ** 0.5)
        maps = [rows[:, group.start : group.stop].reshape(len(X), side, side, -1) for group in groups]
        return (np.concatenate(maps, axis=3).transpose(0, 3, 1, 2),)

    def _network(self) -> torch.nn.Module:
        groups = self.reducer_.layout_.groups
        return neighbourhood_network(
            sum(group.channels for group in groups),
            groups[0].patch_pixels,
            len(self.classes_),
            encoder_of(self),
            self.width,
        )


def neighbourhood_network(
    channels: int,
    pixels: int,
    classes: int,
    encoder: torch.nn.Module,
    width: int,
) -> torch.nn.Module:
    """Build the network of `SpectralDiffClassifier`.

    Parameters
    ----------
    channels, pixels, classes : int
        Number of channels of a patch, number of its pixels, and number C of classes.
    encoder : torch.nn.Module
        Transformer that maps tokens (b, n, width) to tokens of the same shape, see `transformer_encoder`.
    width : int
        Number of channels of a token inside the transformer.

    Returns
    -------
    torch.nn.Module
        ``forward(x)`` returns logits (b, C) for patches (b, channels, side, side).
    """
    import torch
    from torch import nn

    class Neighbourhood(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
            self.class_token = nn.Parameter(torch.randn(1, 1, width))
            self.positions = nn.Parameter(torch.randn(1, pixels + 1, width))
            self.position_scale = nn.Parameter(torch.full((1,), POSITION_SCALE))
            self.encoder = encoder
            self.classifier = nn.Sequential(
                nn.Linear(width, 2 * width),
                nn.BatchNorm1d(2 * width),
                nn.Dropout(0.1),
                nn.ReLU(),
                nn.Linear(2 * width, classes),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            tokens = self.convolution(x).flatten(2).transpose(1, 2)  # (b, pixels, channels)
            tokens = torch.cat([self.class_token.expand(len(x), -1, -1), tokens], dim=1)
            encoded = self.encoder(tokens + self.position_scale * self.positions)
            logits: torch.Tensor = self.classifier(encoded[:, 0])
            return logits

    return Neighbourhood()
