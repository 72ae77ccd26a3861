"""FiLM: the spectrum of a pixel modulates the diffusion features of the pixel, as in GeoDiffNet-F."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from classifiers.heads.column_scale import whitening_gain
from classifiers.heads.group_reducer import CONTEXT_COMPONENTS, ReducingHead, moments
from classifiers.heads.parameters import Components, Members, NotNegative, Share, Strength, Vote, Widths
from classifiers.heads.torch.batches import NetworkInputs
from classifiers.heads.torch.film_networks import FUSIONS
from classifiers.heads.torch.head import TorchHead
from classifiers.heads.torch.losses import MixUp
from classifiers.heads.torch.training import TrainingOptions
from hsifeat.errors import HeadError

if TYPE_CHECKING:
    import torch


@dataclass(eq=False, repr=False, kw_only=True)
class FiLMClassifier(ReducingHead, TorchHead):
    """Feature-wise linear modulation of spatial features by the spectrum, then a small classifier.

    The modulation is ``fhat = gamma(s) * f + beta(s)``, element-wise (Hu, Banerjee and Prasad 2025, arXiv 2512.03430,
    fig. 1; FiLM: Perez et al., AAAI 2018, eq. 2). `s` is the spectrum. `f` are features, which are context features or
    planes. An encoder of `s` computes one `gamma` and one `beta` for each channel of `f`. The size of the published
    encoder is unknown. Training starts at the identity (gamma 1, beta 0). The default weight decay is large, and pulls
    the modulation towards the identity.

    With ``fusion="gated"``, the head computes a gated sum instead: ``z = sigmoid(alpha) * p + sigmoid(beta) * q``. The
    formula comes from the code that the authors published in 2024. `p` is ``BN(W_f f + b_f)`` and `q` is
    ``BN(W_s E(s) + b_s)``, with 256 channels each. `E` is the encoder of the spectrum. Here, `beta` is not a function of
    `s`. `alpha` and `beta` are vectors of one learned number per channel. The numbers start at 1.

    Spectra are standardised band by band. Context and planes are standardised and reduced to principal components. The
    variances of the components are partly equalised. With few labels, the result of a single network depends strongly
    on its initial weights. By default, the head therefore averages five networks. Without a layout, all columns are
    used as `s` and also as `f`.

    Parameters
    ----------
    layout : Layout or None
        Description of the columns. The spectral groups are `s`, and the groups of context and planes are `f`. Positions are
        not used.
    fusion : {"film", "gated"}
        Formula that combines spectrum and features.
    encoder : {"mlp", "conv"}
        Encoder of spectra. "mlp" is a linear layer of width 128, ReLU and batch norm. "conv" is GeoSpecNet by the same
        authors: two blocks with 16 and 32 channels. A block consists of Conv1d with kernel size 3, batch norm, ReLU and
        max pooling by 2. "conv" is about ten times slower than "mlp", and was not more accurate in a test.
    spectral_components, context_components, plane_components : int or None
        Number of principal components of each spectral group, each family of context features, and all planes together.
        None keeps the standardised columns. See `GroupReducer`.
    whitening : float
        Exponent from 0 to 1. Each component is divided by ``deviation ** whitening``, where ``deviation`` is its
        standard deviation. 0 keeps the ratios of the variances, and 1 equalises the variances. `s` and `f` are then
        scaled to a mean variance of 1 per column.
    hidden : tuple of int or None
        Widths of the classifier's hidden layers. [default: (128, 32) for "film", and the published (128,) for "gated"]
    members : int
        Number of networks in the ensemble.
    vote : {"mean", "majority"}
        How members are combined: "mean" averages their probabilities; with "majority", each member votes for a class.
    mixup_spectra, mixup_planes : float
        Mix-up strength `a` of the spectra and of the features, with ``lambda ~ Beta(a, a)`` (Zhang et al. 2018). 0
        disables mix-up. The code of 2024 uses 0.2 or 0.25 for both. With few labels, mix-up lowers the accuracy.
    mixup_plane_share : float
        Weight w, from 0 to 1. The labels are mixed with ``lambda = w * lambda_planes + (1 - w) * lambda_spectra``.
    focal_gamma : float
        Exponent of the focal loss (Lin et al. 2017, eq. 4); 0 is cross-entropy. The code of 2024 uses 1.
    epochs, batch_size, learning_rate, weight_decay, patience, validation_fraction, class_weight, device, random_state
        Options of the training, see `TorchHead`.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(40, 6))
    >>> y = np.arange(40) % 2
    >>> film = FiLMClassifier(epochs=20, device="cpu").fit(X + 5 * y[:, None], y)
    >>> film.predict([[0.0] * 6, [5.0] * 6]).tolist()
    [0, 1]
    """

    advice = "a network on spectra with context or planes; takes seconds where lda takes a fraction of one"

    needs = frozenset({"spectra"})
    needs_one = frozenset({"context", "plane"})
    ignores = frozenset({"spectral-patch"})
    search_space: ClassVar[dict[str, list[Any]]] = {"plane_components": [64, 32], "weight_decay": [1.0, 0.1]}

    fusion: Literal["film", "gated"] = "film"
    encoder: Literal["mlp", "conv"] = "mlp"
    spectral_components: Components = None
    context_components: Components = CONTEXT_COMPONENTS
    plane_components: Components = 64
    whitening: Share = 0.5
    hidden: Widths | None = None
    members: Members = 5
    vote: Vote = "mean"
    mixup_spectra: Strength = 0.0
    mixup_planes: Strength = 0.0
    mixup_plane_share: Share = 0.5
    focal_gamma: NotNegative = 0.0
    weight_decay: NotNegative = 1.0

    def _training(self) -> TrainingOptions:
        mixup = None
        if self.mixup_spectra or self.mixup_planes:
            strengths = self.mixup_spectra, self.mixup_planes
            mixup = MixUp(strengths, (1 - self.mixup_plane_share, self.mixup_plane_share))
        return replace(super()._training(), focal_gamma=self.focal_gamma, mixup=mixup)

    def _fit_reduction(self, rows: NDArray[np.floating], weight: NDArray[np.float64] | None) -> None:  # noqa: ARG002
        table_columns = self._table_columns(rows.shape[1])
        super()._fit_reduction(rows, None)  # weights affect the loss alone, see `TorchHead`
        # Each reduced column comes from one group of table columns.
        first = np.repeat([group[0] for group in self.reducer_.columns_], self.reducer_.group_widths)
        self.spectrum_, self.features_ = (np.flatnonzero(np.isin(first, columns)) for columns in table_columns)
        reduced = self.reducer_.transform(rows)
        self.spectrum_gain_, self.features_gain_ = (
            _unit_gain(reduced[:, columns], self.whitening) for columns in (self.spectrum_, self.features_)
        )

    def _inputs(self, X: NDArray[np.floating]) -> NetworkInputs:
        reduced = self.reducer_.transform(X)
        return reduced[:, self.spectrum_] * self.spectrum_gain_, reduced[:, self.features_] * self.features_gain_

    def _network(self) -> torch.nn.Module:
        build, hidden = FUSIONS[self.fusion]
        widths = hidden if self.hidden is None else self.hidden
        return build(self.encoder, len(self.spectrum_), len(self.features_), widths, len(self.classes_))

    def _table_columns(self, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the table columns of the spectrum `s` and of the features `f`, as two (k,) intp arrays of indices."""
        if self.layout is None:
            return np.arange(width), np.arange(width)
        spectral, stored = self.layout.spectral, self.layout.stored
        if not spectral or not stored:
            groups = ", ".join(dict.fromkeys(map(str, self.layout))) or "no columns"
            raise HeadError(
                f"film needs spectra, and planes or context; the table has {groups}: build it with an input such as "
                "spectra+planes"
            )
        return self.layout.columns(*spectral), self.layout.columns(*stored)


def _unit_gain(columns: NDArray[np.floating], whitening: float) -> NDArray[np.float64]:
    """Return the factors (k,) of `whitening_gain`, scaled so that the mean variance of the columns is 1."""
    gain = whitening_gain(columns, whitening)
    total = (moments(columns)[1] * gain**2).sum()
    return gain * np.sqrt(len(gain) / total) if total > 0 else gain
