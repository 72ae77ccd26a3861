"""Base class of backbones with weights in files. The class loads trained or random weights, and checks class labels."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from hsifeat.backbones.exclusive import exclusive_property
from hsifeat.backbones.network import NetworkBackbone, use_mean_embedding
from hsifeat.backbones.options import MEAN_LABEL, UNTRAINED
from hsifeat.backbones.weights import digest_tensors
from hsifeat.errors import BackboneError
from hsifeat.torch_state import own_random_state
from hsifeat.types import as_int

if TYPE_CHECKING:
    import torch

# Maximum number of parameters of a network with random weights. Each parameter takes 4 bytes.
_MAX_UNTRAINED = 2**32


class CheckpointBackbone(NetworkBackbone):
    """A network with trained weights from a file or folder, or with random weights.

    Parameters
    ----------
    path : Path
        Absolute path of the file or folder.
    untrained_seed : int, optional
        Seed of random weights. By default, the trained weights are used.
    hub_model : str, optional
        Name and commit of the model on a model hub, ``owner/model@commit``, if `path` is a downloaded copy.
    """

    class_label: int | str | None = None

    def __init__(self, path: Path, untrained_seed: int | None = None, hub_model: str | None = None) -> None:
        name = path.stem if path.is_file() else path.name
        source = str(path)
        if hub_model is not None:
            name, source = hub_model.partition("@")[0].replace("/", "-"), hub_model
        self._untrained_seed = untrained_seed
        self.name = name if untrained_seed is None else f"{name}-untrained"
        self.source = source if untrained_seed is None else f"{UNTRAINED}{source}"

    @abstractmethod
    def digest_trained(self) -> str:
        """Return the digest of the trained weights without building a network."""

    @abstractmethod
    def load_trained(self) -> torch.nn.Module:
        """Return the network with its trained weights, in float32 on the CPU."""

    @exclusive_property
    def weights_digest(self) -> str:
        """Digest of the weights that this backbone uses, whether trained or random."""
        if self._untrained_seed is None:
            return self.digest_trained()
        return digest_tensors(self.network.state_dict().items())

    def load(self) -> torch.nn.Module:
        """Return the network with its trained weights, or with random weights if `untrained_seed` is set.

        Raises
        ------
        BackboneError
            If the weights can't be read. If a network with random weights would have too many parameters.
        """
        import torch

        if self._untrained_seed is None:
            network = self.load_trained()
        else:
            with torch.device("meta"):
                count = sum(tensor.numel() for tensor in self.build().parameters())
            if count > _MAX_UNTRAINED:
                raise BackboneError(
                    f"{self.name} would have {count} parameters; allowed are {_MAX_UNTRAINED} without training"
                )
            with own_random_state(self._untrained_seed):
                network = self.build()
        if self.class_label == MEAN_LABEL:
            use_mean_embedding(network.get_submodule("class_embedding"))
        return network

    def check_label(
        self, label: int | str | None, count: int | None, *, any_label: bool, mean: bool = True
    ) -> int | str | None:
        """Validate a class label, and return the label for all forward passes.

        Parameters
        ----------
        label : int, str or None
            Class number or ``"mean"``; None if the user set no label.
        count : int or None
            Number of labels of the model; None for a model without labels.
        any_label : bool
            Whether label 0 is used if the model has labels and `label` is None.
        mean : bool
            Whether the label ``"mean"`` is allowed. If True, the model must have a table of label embeddings.

        Returns
        -------
        int, str or None
            A number, ``"mean"``, or None for a model without labels.

        Raises
        ------
        BackboneError
            If the model has no labels, but `label` is set. If a number is not from 0 to `count` - 1. If `label` is
            ``"mean"``, but `mean` is False. If the model has labels, but `label` is None and `any_label` is False.
        """
        if count is None:
            if label is not None:
                raise BackboneError(f"{self.name} takes no class label; leave out {label}")
            return None
        if label is None and any_label:
            return 0
        if label == MEAN_LABEL and mean:
            return label
        number = as_int(label)
        if number is not None and 0 <= number < count:
            return number
        or_mean = f", or {MEAN_LABEL!r} for the mean of all label embeddings" if mean else ""
        raise BackboneError(
            f"{self.name} is class-conditional: give one label, 0 to {count - 1}{or_mean}; found {label!r}"
        )

    def labels(self, noisy: torch.Tensor) -> torch.Tensor | None:
        """Return an (n,) int64 tensor with the class label of each image, or None for a network without labels."""
        import torch

        if self.class_label is None:
            return None
        # If the embedding is the mean of the whole table, the label has no effect.
        label = 0 if isinstance(self.class_label, str) else self.class_label
        return torch.full((len(noisy),), label, device=noisy.device)
