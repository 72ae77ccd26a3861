"""What backbones from files have in common: weights that were trained, or fresh ones as a control, and class labels."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING

from hsifeat.backbones.network import NetworkBackbone, use_mean_embedding
from hsifeat.backbones.options import MEAN_LABEL, UNTRAINED, Asked
from hsifeat.backbones.weights import digest_tensors

if TYPE_CHECKING:
    import torch


class CheckpointBackbone(NetworkBackbone):
    """A backbone whose weights lie in a file, or are drawn afresh in its place.

    Parameters
    ----------
    name : str
        What people call the trained network.
    source : str
        What opens it again.
    asked : Asked
        The seed of fresh weights.
    """

    class_label: int | str | None = None

    def __init__(self, name: str, source: str, asked: Asked) -> None:
        self._untrained_seed = asked.untrained_seed
        self.name = name if asked.untrained_seed is None else f"{name}-untrained"
        self.source = source if asked.untrained_seed is None else f"{UNTRAINED}{source}"

    @abstractmethod
    def digest_trained(self) -> str:
        """Return the digest of the trained weights, without loading them into a network."""

    @abstractmethod
    def load_trained(self) -> torch.nn.Module:
        """Return the network with its trained weights, in float32 on the CPU."""

    @cached_property
    def weights_digest(self) -> str:
        """Digest of the weights that are computed with."""
        if self._untrained_seed is None:
            return self.digest_trained()
        return digest_tensors(self.network.state_dict().items())

    def load(self) -> torch.nn.Module:
        """Load the trained weights, or draw fresh ones."""
        import torch

        if self._untrained_seed is None:
            network = self.load_trained()
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self._untrained_seed)
                network = self.build()
        if self.class_label == MEAN_LABEL:
            use_mean_embedding(network.get_submodule("class_embedding"))
        return network

    def labels(self, noised: torch.Tensor) -> torch.Tensor | None:
        """Return the class label (n,) int64 of each image; None for a network that takes none."""
        import torch

        if self.class_label is None:
            return None
        label = 0 if isinstance(self.class_label, str) else self.class_label
        return torch.full((len(noised),), label, device=noised.device)
