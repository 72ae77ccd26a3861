"""DSTC: clusters of similar pixels as tokens, class proportions as soft labels, and a transformer over the tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from classifiers.heads.base import ProbabilisticHead
from classifiers.heads.column_scale import varying_columns
from classifiers.heads.layer_reducer import LayerReducer
from classifiers.heads.parameters import Components, Count, Depth, Positive, Rounds, Share, Units
from classifiers.heads.supertokens import Tokens, class_proportions, cluster
from classifiers.heads.torch.batches import NetworkInputs
from classifiers.heads.torch.head import TorchHead
from classifiers.heads.torch.transformer import encoder_of
from classifiers.layout import ColumnGroup, Layout
from hsifeat.errors import HeadError

if TYPE_CHECKING:
    import torch

_BLOCK_ROWS = 256


@dataclass(eq=False, repr=False, kw_only=True)
class SupertokenClassifier(TorchHead):
    """DSTC: clustering of pixels into tokens, guided by spectral derivatives, then a transformer over the tokens.

    DSTC (ECCV 2024, arXiv 2407.07307) divides an image into windows, clusters the pixels of each window into tokens,
    and classifies the tokens with a vision transformer. The predicted class of a pixel is that of its token. The label
    of a token in training is the proportion of each class among its labelled pixels. The formulas are those of the
    published code.

    - Derivative: ``SDF_i = x_{i+1} - x_i`` for the bands i of a spectrum x. The published code has this formula for
      bands of unknown wavelengths.
    - Clustering: `classifiers.heads.supertokens.cluster` clusters the pixels. Its `guides` are ``f(x) + f_sdf(SDF)``,
      where `f` and `f_sdf` are random linear maps. The published code never trains these maps: they receive no gradient.
    - Transformer: a linear embedding with layer normalisation, position embeddings, a class token whose output is unused,
      and a transformer encoder with a final layer normalisation.

    These parts differ from the paper:

    - The window is centred on the classified pixel, so a map has no window borders. The transformer attends to the tokens
      of this window. The published windows have 32 x 32 pixels and 2 x 2 tokens, and lie side by side. The published
      transformer attends to the tokens of all windows of an image.
    - In the published code, the features that are clustered come from a trained image encoder. Here, they are the
      patches of planes, reduced to principal components. If the table has no patches of planes, they are principal
      components of the spectra. All features are standardised; the published code instead normalises the features
      before the embedding.
    - The loss is cross-entropy with the class proportions, as in the text of the paper. The published code uses the
      number of pixels of each class, which gives large tokens more weight. Only the token of the window's central pixel
      has a loss.
    - Class proportions need `positions` in `fit`, which the commands pass. Without positions, the label of a token is the
      class of the window's centre.
    - The defaults are smaller than the published sizes.

    If the table has no spectral patches, the window has one pixel, with its spectrum and planes. Without a layout, all
    columns are the spectrum of a window of one pixel.

    Parameters
    ----------
    layout : Layout or None
        Description of the columns, with spectral patches and, optionally, patches of planes of the same size.
    components : int or None
        Number of principal components of each layer, or of the spectra if there are no planes. The features of the paper have
        96 channels.
    grid : int
        Number of tokens along each side of a window.
    iterations : int
        Number of iterations of the clustering; 2 in the paper.
    depth, width, heads, head_width, mlp_width : int
        Numbers of transformer layers, channels of a token, attention heads, channels of an attention head, and hidden
        units of the perceptron in a transformer layer. The paper uses 4, 256, 4, 64 and 1024.
    dropout : float
        Probability of dropout; 0.1 in the paper.
    epochs, batch_size, learning_rate, weight_decay, patience, validation_fraction, class_weight, device, random_state
        Options of the training, see `TorchHead`.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(40, 6))
    >>> y = np.arange(40) % 2
    >>> head = SupertokenClassifier(epochs=20, device="cpu").fit(X + 5 * np.outer(y, [1, 0, 1, 0, 1, 0]), y)
    >>> head.predict([[0.0] * 6, [5.0, 0.0] * 3]).tolist()
    [0, 1]
    """

    advice = "many labels on scenes of large areas; classifies groups of similar pixels"

    needs = frozenset({"spectral-patch"})
    wants = frozenset({"patch"})
    ignores = frozenset({"context", "spectra", "plane", "mean"})
    patch_px: ClassVar[int] = 9
    persisted_types = ProbabilisticHead.persisted_types | {"classifiers.heads.layer_reducer.LayerReducer"}
    search_space: ClassVar[dict[str, list[Any]]] = {"grid": [3, 5], "learning_rate": [1e-3, 3e-3]}

    components: Components = 32
    grid: Count = 3
    iterations: Rounds = 2
    depth: Depth = 2
    width: Units = 64
    heads: Units = 4
    head_width: Units = 16
    mlp_width: Units = 128
    dropout: Share = 0.1
    learning_rate: Positive = 1e-3

    def _place(self, positions: NDArray[np.int64] | None) -> None:
        self._positions = positions

    def _prepare(self, X: NDArray[np.floating], codes: NDArray[np.int64]) -> None:  # noqa: ARG002 - unsupervised
        layout = self.layout or Layout((ColumnGroup("patch", 0, X.shape[1], size=1),))
        spectra, planes = _patch_groups(layout)
        self.spectral_columns_ = layout.columns(spectra)
        self.spectral_reducer_ = LayerReducer(
            layout.select_groups(lambda group: group == spectra), components=None
        ).fit(X[:, self.spectral_columns_])
        self.feature_columns_ = layout.columns(*(planes or [spectra]))
        self.feature_reducer_ = LayerReducer(
            layout.select_groups(lambda group: group in (planes or [spectra])),
            components=self.components,
            spectral_components=self.components,
        ).fit(X[:, self.feature_columns_])
        pixels, bands = spectra.patch_pixels, spectra.channels
        gain = self.spectral_reducer_.gain_.reshape(pixels, bands).max(axis=0).astype(np.float64)
        self.spread_ = np.divide(1.0, gain, out=np.zeros(bands), where=gain > 0)
        steps = self._derivatives(self._standard_spectra(X))
        deviation = steps.std(axis=(0, 1))
        self.derivative_gain_ = np.divide(
            1.0, deviation, out=np.zeros(len(deviation)), where=varying_columns(deviation, X.dtype)
        )
        features = sum(group.channels for group in self.feature_reducer_.layout_)
        random = np.random.default_rng(check_random_state(self.random_state).randint(2**31 - 1))
        # Random weights as in a convolution with the initial values of He et al. (ICCV 2015, eq. 10).
        self.spectral_map_ = random.normal(scale=np.sqrt(2 / bands), size=(bands, features))
        self.derivative_map_ = random.normal(scale=np.sqrt(2 / max(bands - 1, 1)), size=(len(deviation), features))

    def _standard_spectra(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return standardised spectra (n, P, bands) of the windows."""
        standard = self.spectral_reducer_.transform(X[:, self.spectral_columns_]).astype(np.float64)
        return standard.reshape(len(X), -1, len(self.spread_))

    def _derivatives(self, standard: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return spectral derivatives (n, P, bands - 1), without their means, from standardised spectra."""
        return np.diff(standard * self.spread_, axis=2)

    def _block_tokens(self, X: NDArray[np.floating]) -> Tokens:
        """Cluster the windows of a few rows (n, D)."""
        spectra = self._standard_spectra(X)
        pixels = spectra.shape[1]
        parts = np.split(
            self.feature_reducer_.transform(X[:, self.feature_columns_]).astype(np.float64),
            [group.stop for group in self.feature_reducer_.layout_][:-1],
            axis=1,
        )
        features = np.concatenate([part.reshape(len(X), pixels, -1) for part in parts], axis=2)
        guides = spectra @ self.spectral_map_
        guides += (self._derivatives(spectra) * self.derivative_gain_) @ self.derivative_map_
        return cluster(features, guides, min(self.grid, round(pixels**0.5)), self.iterations)

    def _tokens(self, X: NDArray[np.floating]) -> Tokens:
        """Cluster the windows of rows (n, D), block by block to limit memory."""
        blocks = [self._block_tokens(X[start : start + _BLOCK_ROWS]) for start in range(0, len(X), _BLOCK_ROWS)]
        return Tokens(np.concatenate([b.values for b in blocks]), np.concatenate([b.assignment for b in blocks]))

    def _inputs(self, X: NDArray[np.floating]) -> NetworkInputs:
        return _network_inputs(self._tokens(X))

    def _training_inputs(
        self, X: NDArray[np.floating], codes: NDArray[np.int64]
    ) -> tuple[NetworkInputs, NDArray[np.float32] | None]:
        tokens, positions = self._tokens(X), self._positions
        del self._positions  # models save all attributes
        soft = None if positions is None else class_proportions(tokens, positions, codes, len(self.classes_))
        return _network_inputs(tokens), soft

    def _network(self) -> torch.nn.Module:
        side = round((len(self.spectral_columns_) / len(self.spread_)) ** 0.5)
        return token_network(
            min(self.grid, side) ** 2,
            self.spectral_map_.shape[1],
            len(self.classes_),
            encoder_of(self),
            self.width,
        )


def _network_inputs(tokens: Tokens) -> NetworkInputs:
    """Return the values of the tokens (n, K, d), and a mark (n, K) of the token of the central pixel."""
    return tokens.values, np.eye(tokens.values.shape[1])[tokens.centre]


def token_network(
    tokens: int,
    channels: int,
    classes: int,
    encoder: torch.nn.Module,
    width: int,
) -> torch.nn.Module:
    """Build the transformer of `SupertokenClassifier`.

    Parameters
    ----------
    tokens, channels, classes : int
        Number K of tokens in a window, number of channels of a token, and number C of classes.
    encoder : torch.nn.Module
        Transformer that maps tokens (b, n, width) to tokens of the same shape, see `transformer_encoder`.
    width : int
        Number of channels of a token inside the transformer.

    Returns
    -------
    torch.nn.Module
        ``forward(tokens, centre)`` returns the logits (b, C) of one token in each of b windows. ``tokens`` is (b, K,
        channels). ``centre`` (b, K) is 1 for this token and 0 for the other tokens. ``classify(tokens)`` returns the
        logits (b, K, C) of all tokens.
    """
    import torch
    from torch import nn

    class TokenTransformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Sequential(nn.Linear(channels, width), nn.LayerNorm(width))
            self.class_token = nn.Parameter(torch.randn(1, 1, width))
            self.positions = nn.Parameter(torch.randn(1, tokens + 1, width))
            self.encoder, self.norm = encoder, nn.LayerNorm(width)
            self.classifier = nn.Linear(width, classes)

        def classify(self, values: torch.Tensor) -> torch.Tensor:
            embedded = torch.cat([self.class_token.expand(len(values), -1, -1), self.embedding(values)], dim=1)
            encoded = self.norm(self.encoder(embedded + self.positions))
            logits: torch.Tensor = self.classifier(encoded[:, 1:])
            return logits

        def forward(self, values: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
            return (self.classify(values) * centre[:, :, None]).sum(dim=1)

    return TokenTransformer()


def _patch_groups(layout: Layout) -> tuple[ColumnGroup, list[ColumnGroup]]:
    """Return the groups of the spectral input and of the planes: patches if the layout has a spectral patch, else single pixels.

    Raises
    ------
    HeadError
        If the layout has no spectral input, or more than one. If patches have several sides.
    """
    spectra = [group for group in layout if group.input_kind == "spectral-patch"]
    kind = "patch" if spectra else "plane"
    spectra = spectra or [group for group in layout if group.kind == "spectra"]
    planes = [group for group in layout.learned if group.kind == kind]
    sides = sorted({group.size or 1 for group in (*spectra, *planes)})
    if len(spectra) != 1 or len(sides) > 1:
        groups = ", ".join(dict.fromkeys(map(str, layout))) or "no columns"
        raise HeadError(
            f"supertoken needs spectral patches, and patches of planes of the same side if there are any; the table has {groups}; "
            "build it with spectral-patches:9+patches:9"
        )
    return spectra[0], planes
