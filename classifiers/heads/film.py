"""FiLM: the spectrum of a pixel modulates the diffusion features of the pixel, as in GeoDiffNet-F."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from classifiers.heads.group_reducer import GroupReducer
from classifiers.heads.parameters import NotNegative, Widths
from classifiers.heads.torch.batches import NetworkInputs
from classifiers.heads.torch.film_networks import ENCODERS, FUSIONS
from classifiers.heads.torch.head import TorchHead
from classifiers.heads.torch.losses import MixUp
from classifiers.heads.torch.training import TrainingOptions
from hsifeat.errors import HeadError

if TYPE_CHECKING:
    import torch


@dataclass(eq=False, repr=False, kw_only=True)
class FiLMClassifier(TorchHead):
    """Feature-wise linear modulation of diffusion features by the spectrum, then a small classifier.

    The modulation is ``fhat = gamma(s) * f + beta(s)``, element-wise (Hu, Banerjee and Prasad 2025, arXiv 2512.03430, fig. 1;
    FiLM: Perez et al., AAAI 2018, eq. 2). An encoder of the spectrum `s` regresses `gamma` and `beta` for each channel of the
    diffusion features `f`. The size of the published encoder is unknown. Training starts at the identity (gamma 1, beta 0).
    Weight decay pulls the modulation towards the identity, so the default weight decay is large.

    With ``fusion="gated"``, the head computes the gated sum ``z = sigmoid(alpha) * p + sigmoid(beta) * q`` instead. The
    sum is taken from the code that the same authors published in 2024. The addends are ``p = BN(W_f f + b)`` and
    ``q = BN(W_s E(s) + b)``. `E` is the encoder of the spectrum. `p` and `q` have 256 channels. The
    learned gates `alpha` and `beta` start at 1.

    Spectra are standardised band by band. Planes are standardised and reduced to principal components to make the head
    faster. A trial on Indian Pines compared principal components with all channels. The trial used window means instead
    of planes. With components, the accuracy did not clearly change under a disjoint split, and fell slightly under a
    random split. Without a layout all columns are both `s` and `f`.

    Parameters
    ----------
    layout : Layout or None
        Description of the columns. The spectral groups are `s`, and the groups of planes are `f`; positions are not used.
    fusion : {"film", "gated"}
        Formula that combines spectrum and features.
    encoder : {"mlp", "conv"}
        Encoder of spectra. "mlp" is a linear layer of width 128, ReLU and batch norm. "conv" is the GeoSpecNet stack of the
        same authors: twice Conv1d of width 3 (16, then 32 channels), batch norm, ReLU and pooling by 2. "conv" is about ten
        times slower, and was no better in the trial.
    plane_components : int or None
        Number of principal components of the planes; None keeps all channels.
    hidden : tuple of int or None
        Widths of the classifier's hidden layers. [default: (128, 32) for "film", and the published (128,) for "gated"]
    mixup_spectra, mixup_planes : float
        Mix-up strength `a` of spectra and of planes, with ``lambda ~ Beta(a, a)`` (Zhang et al. 2018); 0 disables mix-up. The
        code of 2024 uses 0.2 or 0.25 for both. Mix-up costs accuracy if there are few labels.
    mixup_plane_share : float
        Weight w of the planes in the lambda of the labels, ``w * lambda_planes + (1 - w) * lambda_spectra``.
    focal_gamma : float
        Exponent of the focal loss (Lin et al. 2017, eq. 4); 0 is cross-entropy. The code of 2024 uses 1.
    epochs, batch_size, learning_rate, weight_decay, patience, validation_fraction, class_weight, device, random_state
        See `TorchHead`.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(40, 6))
    >>> y = np.arange(40) % 2
    >>> film = FiLMClassifier(epochs=20, device="cpu").fit(X + 5 * y[:, None], y)
    >>> film.predict([[0.0] * 6, [5.0] * 6]).tolist()
    [0, 1]
    """

    advice = "spectra and planes together, if classes have many labels; take lda for few"

    needs = frozenset({"spectra", "plane"})
    ignores = frozenset({"context"})
    search_space: ClassVar[dict[str, list[Any]]] = {"plane_components": [64, 32], "weight_decay": [1.0, 0.1]}

    fusion: str = "film"
    encoder: str = "mlp"
    plane_components: int | None = 64
    hidden: Widths | None = None
    mixup_spectra: float = 0.0
    mixup_planes: float = 0.0
    mixup_plane_share: float = 0.5
    focal_gamma: float = 0.0
    weight_decay: NotNegative = 1.0

    def _training(self) -> TrainingOptions:
        mixup = None
        if self.mixup_spectra or self.mixup_planes:
            strengths = self.mixup_spectra, self.mixup_planes
            mixup = MixUp(strengths, (1 - self.mixup_plane_share, self.mixup_plane_share))
        return replace(super()._training(), focal_gamma=self.focal_gamma, mixup=mixup)

    def _prepare(self, X: NDArray[np.floating], codes: NDArray[np.int64]) -> None:  # noqa: ARG002 - unsupervised
        for kind, name, allowed in (("encoder", self.encoder, ENCODERS), ("fusion", self.fusion, FUSIONS)):
            if name not in allowed:
                raise HeadError(f"no {kind} is named {name!r}; allowed: {', '.join(allowed)}")
        spectra, planes = self._columns(X.shape[1])
        self.spectra_ = _standardiser(len(spectra), None).fit(X[:, spectra])
        components = self.plane_components
        channels = len(planes) if components is None else min(components, len(planes), len(X))
        self.planes_ = _standardiser(channels, components).fit(X[:, planes])

    def _inputs(self, X: NDArray[np.floating]) -> NetworkInputs:
        spectra, planes = self._columns(X.shape[1])
        return self.spectra_.transform(X[:, spectra]), self.planes_.transform(X[:, planes])

    def _network(self) -> torch.nn.Module:
        bands, channels = self.spectra_.n_features_out, self.planes_.n_features_out
        build, hidden = FUSIONS[self.fusion]
        return build(self.encoder, bands, channels, hidden if self.hidden is None else self.hidden, len(self.classes_))

    def _columns(self, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        if self.layout is None:
            return np.arange(width), np.arange(width)
        spectral, learned = self.layout.spectral, self.layout.learned
        if not spectral or not learned:
            groups = ", ".join(dict.fromkeys(map(str, self.layout))) or "no columns"
            raise HeadError(f"film needs spectra and planes, the table has {groups}; build it with spectra and planes")
        return self.layout.columns(*spectral), self.layout.columns(*learned)


def _standardiser(width: int, components: int | None) -> GroupReducer:
    """Return a reducer with `width` output columns that have unit variance on average."""
    return GroupReducer(spectral_components=components, spectral_weight=float(np.sqrt(width)))
