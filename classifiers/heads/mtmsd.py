"""MTMSD: channel purification, then a fusion of timesteps guided by window means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from classifiers.heads.base import ProbabilisticHead
from classifiers.heads.layer_reducer import LayerReducer, layout_or_one_plane, require_planes
from classifiers.heads.parameters import Members, NotNegative, Share, Units, Vote, Widths
from classifiers.heads.purification import Purifier, timestep_columns
from classifiers.heads.torch.batches import NetworkInputs
from classifiers.heads.torch.head import TorchHead, dense_layers
from hsifeat.errors import HeadError

if TYPE_CHECKING:
    import torch


@dataclass(eq=False, repr=False, kw_only=True)
class MTMSDClassifier(TorchHead):
    """MTMSD: channel purification, selective fusion of timesteps guided by window means, then a small classifier.

    This is the method of Zhou et al. (TGRS 2024, arXiv 2306.08964, sec. III). Purification selects the channels that
    best discriminate classes and timesteps (see `Purifier`). The same channels are selected at every timestep. `x_t`
    has the selected channels of the planes at timestep t. `g_t` has the selected channels of the window means of these
    planes. The fusion has these steps:

    - ``u = sum_t x_t`` is the sum over timesteps.
    - ``z = W2 BN(ReLU(W1 u))`` has half as many channels as `x_t`.
    - ``h_t = V_t z`` and ``a_t = G_t [h_t; g_t]``, where ``[h_t; g_t]`` is a concatenation.
    - ``w = softmax(a)`` over t for each channel.
    - ``v = sum_t w_t x_t`` is the result.

    Without window means, ``z = W u`` and ``a_t = V_t z``, as in the unguided fusion of the paper. `W`, `W1`, `W2`, `V_t`
    and `G_t` are learned linear maps.

    This head differs from the paper:

    - The window means of the layout replace the mean over a 48 px patch around each pixel.
    - Purified channels are standardised.
    - Spectra and their window means, if the table has them, are appended to `v`. Positions and patches are not used.
    - The defaults are smaller: 256 channels instead of 768, and one network instead of a majority vote of five.

    Without a layout, all columns count as one timestep, and `v` equals `x_t`.

    Parameters
    ----------
    layout : Layout or None
        Description of the columns. Planes and window means must have the same layers at each timestep.
    channels, balance
        Number of channels to select, and lambda of the selection criterion, see `Purifier`.
    hidden : tuple of int
        Widths of the classifier's hidden layers.
    members, vote
        Number of networks, and how they are combined, see `MLPClassifier`; 5 and "majority" in the paper.
    epochs, batch_size, learning_rate, weight_decay, patience, validation_fraction, class_weight, device, random_state
        Options of the training, see `TorchHead`.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(40, 6))
    >>> y = np.arange(40) % 2
    >>> head = MTMSDClassifier(channels=4, epochs=20, device="cpu").fit(X + 5 * y[:, None], y)
    >>> head.predict([[0.0] * 6, [5.0] * 6]).tolist()
    [0, 1]
    """

    advice = "several timesteps of the same layers, with their surroundings"

    needs = frozenset({"plane"})
    wants = frozenset({"mean"})
    persisted_types = ProbabilisticHead.persisted_types | {
        "classifiers.heads.layer_reducer.LayerReducer",
        "classifiers.heads.purification.Purifier",
    }
    ignores = frozenset({"context", "spectral-patch"})
    search_space: ClassVar[dict[str, list[Any]]] = {"channels": [256, 128], "learning_rate": [3e-3, 1e-3]}

    channels: Units = 256
    balance: Share = 0.8
    hidden: Widths = (128, 32)
    members: Members = 1
    vote: Vote = "mean"
    weight_decay: NotNegative = 1.0

    def _prepare(self, X: NDArray[np.floating], codes: NDArray[np.int64]) -> None:
        layout = layout_or_one_plane(self.layout, X.shape[1])
        times = {kind: [g.t for g in layout.learned if g.kind == kind] for kind in ("plane", "mean")}
        require_planes(times["plane"], layout, "mtmsd")
        if times["mean"] and set(times["mean"]) != set(times["plane"]):
            raise HeadError(
                "mtmsd needs window means of planes at all timesteps or at none: planes are at t "
                f"{_format_times(times['plane'])}, window means at {_format_times(times['mean'])}"
            )
        self.purifier_ = Purifier(layout, channels=self.channels, balance=self.balance).fit(X, codes)
        self.scaler_ = LayerReducer(self.purifier_.layout_, components=None).fit(self.purifier_.transform(X))

    def _inputs(self, X: NDArray[np.floating]) -> NetworkInputs:
        layout, rows = self.scaler_.layout_, self.scaler_.transform(self.purifier_.transform(X))
        local, surroundings = (rows[:, timestep_columns(layout, kind)] for kind in ("plane", "mean"))
        return local, surroundings, rows[:, layout.columns(*layout.spectral)]

    def _network(self) -> torch.nn.Module:
        layout = self.scaler_.layout_
        (timesteps, channels), guides = timestep_columns(layout, "plane").shape, timestep_columns(layout, "mean").shape
        bands = len(layout.columns(*layout.spectral))
        return selective_fusion_network(timesteps, channels, guides[1], bands, self.hidden, len(self.classes_))


def _format_times(times: list[int | None]) -> str:
    return ", ".join(dict.fromkeys(map(str, times)))


def selective_fusion_network(
    timesteps: int, channels: int, guides: int, bands: int, hidden: tuple[int, ...], classes: int
) -> torch.nn.Module:
    """Build the network of `MTMSDClassifier`, whose docstring defines `x_t`, `g_t` and `v`.

    Parameters
    ----------
    timesteps, channels, guides, bands : int
        Number of timesteps T, number of channels of `x_t`, number of channels of `g_t` (0 without window means), and
        number of columns that are appended to `v`.
    hidden : tuple of int
        Widths of the classifier's hidden layers.
    classes : int
        Number of logits.

    Returns
    -------
    torch.nn.Module
        ``forward(x, g, s)`` returns logits (b, classes) for b rows. ``x`` (b, T, channels) has all `x_t`, ``g`` (b, T,
        guides) has all `g_t`, and ``s`` (b, bands) has the columns that are appended to `v`. ``fuse(x, g)`` returns `v`
        (b, channels).
    """
    import torch
    from torch import nn

    half = max(1, channels // 2)

    class SelectiveFusion(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            if guides:
                self.squeeze: nn.Module = nn.Sequential(
                    nn.Linear(channels, half), nn.ReLU(), nn.BatchNorm1d(half), nn.Linear(half, half)
                )
                self.select = nn.ModuleList(nn.Linear(half, half) for _ in range(timesteps))
                self.guide = nn.ModuleList(nn.Linear(half + guides, channels) for _ in range(timesteps))
            else:
                self.squeeze = nn.Linear(channels, half)
                self.select = nn.ModuleList(nn.Linear(half, channels) for _ in range(timesteps))
            self.classifier = nn.Sequential(*dense_layers([channels + bands, *hidden, classes]))

        def fuse(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
            z = self.squeeze(x.sum(dim=1))
            a = torch.stack([select(z) for select in self.select], dim=1)  # (b, T, half or channels)
            if guides:
                guided = torch.cat([a, g], dim=2)
                a = torch.stack([guide(guided[:, t]) for t, guide in enumerate(self.guide)], dim=1)
            return (torch.softmax(a, dim=1) * x).sum(dim=1)

        def forward(self, x: torch.Tensor, g: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.classifier(torch.cat([self.fuse(x, g), s], dim=1))
            return logits

    return SelectiveFusion()
