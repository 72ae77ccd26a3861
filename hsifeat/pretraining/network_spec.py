"""Specification of a trainable network: its architecture and its training settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from hsifeat.backbones.networks import network_type
from hsifeat.errors import PretrainingError
from hsifeat.pretraining.network_arguments import without_attention
from hsifeat.pretraining.timestep_sampling import TimestepSampling

if TYPE_CHECKING:
    from hsifeat.pretraining.objectives import Objective


_SCHEDULE_NAMES = {"squaredcos_cap_v2": "cosine", "linear": "linear, beta 0.0001 to 0.02"}
# Normalisation of a U-Net: over groups of channels of a whole map, or over the channels of each pixel.
Norm = Literal["group", "pixel-rms"]


@dataclass(frozen=True)
class ImageOptions:
    """Settings of a network that learns from natural images.

    Attributes
    ----------
    max_held_out : int
        Maximum number of held-out images; see `hsifeat.pretraining.image_sampler.ImageSampler`.
    sample_count : int
        Number of generated images in the model card. 0 for a network that can't generate images, because it is not trained
        on high noise levels.
    crops_px : tuple of int
        Possible sides of the patches, in pixels; see `hsifeat.pretraining.image_sampler.ImageSampler`.
    mixes_channels : bool
        Whether random mixtures of red, green and blue replace the channels of half of the images.
    """

    max_held_out: int
    sample_count: int
    crops_px: tuple[int, ...] = ()
    mixes_channels: bool = False


@dataclass(frozen=True)
class NetworkSpec:
    """A network architecture and its training settings.

    Attributes
    ----------
    class_name : str
        Name of the network class, one of `hsifeat.backbones.networks.NETWORKS`.
    arguments : callable
        Function that takes the number of channels and returns the constructor arguments of the class.
    components : int or None
        Default number of channels of the network: principal components or bands of scenes, or the three channels of an
        image. None stands for all bands.
    patch_px : int
        Side of a training patch, in pixels.
    batch : int
        Number of patches per optimizer step.
    learning_rate : float
        Learning rate of AdamW.
    ema_decay : float
        Decay of the exponential moving average of the weights. The average is saved at the end.
    steps : int
        Default number of optimizer steps. It applies if the user sets neither `steps` nor `minutes`.
    evaluation_steps : int
        Number of optimizer steps between two evaluations on held-out data.
    objective : str
        Name of a class in `hsifeat.pretraining.objectives`.
    timesteps : TimestepSampling
        Distribution of the timesteps of a batch.
    images : ImageOptions or None
        Settings of a network that learns from images; None for a network that learns from scenes.
    projection : {"pca", "bands"}
        Projection of scenes to the channels of the network. ``pca``: principal components. ``bands``: evenly spaced
        bands, each scaled so that its smallest and largest values become -1 and 1.
    beta_schedule : str
        Name of the noise schedule in diffusers. The number of timesteps is `timesteps.count`.
    decoders : int
        Number of decoders, each for one interval of timesteps; 1 for a network with one decoder for all timesteps.
    """

    class_name: str
    arguments: Callable[[int], dict[str, Any]]
    components: int | None
    patch_px: int
    batch: int
    learning_rate: float
    ema_decay: float
    steps: int
    evaluation_steps: int
    objective: str = "NoisePrediction"
    timesteps: TimestepSampling = field(default_factory=TimestepSampling)
    images: ImageOptions | None = None
    projection: Literal["pca", "bands"] = "pca"
    beta_schedule: str = "squaredcos_cap_v2"
    decoders: int = 1

    def settings(self) -> dict[str, Any]:
        """Return the settings that determine the weights, as plain JSON values, for the training record and the model card."""
        augmentation = "mirrored at random" if self.images else "mirrored and rotated at random"
        boundaries = ", ".join(map(str, self.timesteps.boundaries))
        sides = " or ".join(map(str, self.images.crops_px)) if self.images and self.images.crops_px else self.patch_px
        mixing = self.images is not None and self.images.mixes_channels
        low, high = self.timesteps.sigmas or (None, None)
        return {
            "class": self.class_name,
            "objective": self.objective,
            "patch": f"{sides} px, {augmentation}",
            **({"channels": "half of the images: random mixtures of red, green and blue"} if mixing else {}),
            "batch": self.batch,
            "schedule": f"{_SCHEDULE_NAMES[self.beta_schedule]}, T = {self.timesteps.count}",
            **({"noise levels": f"log-normal, sigma {low} to {high} within one standard deviation"} if low else {}),
            **({"timesteps of a batch": f"in one interval between {boundaries}"} if boundaries else {}),
            "optimizer": f"AdamW, learning rate {self.learning_rate}, gradient norm clipped at 1",
            "moving average": self.ema_decay,
        }

    def with_norm(self, norm: Norm) -> NetworkSpec:
        """Return the specification with the normalisation `norm`. Raise `PretrainingError` if the network is not a U-Net."""
        if norm == "group":
            return self
        if self.class_name != "UNet2DModel":
            raise PretrainingError(
                f"a {self.class_name} has no norm {norm!r}: leave out `norm`, or train mtmsd or natural32"
            )
        return replace(self, class_name="RMSNormUNet2DModel", arguments=partial(without_attention, self.arguments))

    def with_boundaries(self, boundaries: Sequence[int]) -> NetworkSpec:
        """Return the specification with `boundaries`, the first timesteps of all decoders except the first decoder.

        Raises
        ------
        PretrainingError
            If the network has one decoder. If the number of boundaries is not the number of decoders minus 1. If the
            boundaries are not ascending.
        """
        count, stops = self.decoders - 1, (0, *boundaries, self.timesteps.count)
        if not count:
            raise PretrainingError(f"a {self.class_name} has one decoder: leave out `boundaries`, or train multistage")
        if len(boundaries) != count or any(first >= second for first, second in pairwise(stops)):
            raise PretrainingError(
                f"the boundaries of {self.decoders} decoders are {count} ascending timesteps from 1 to "
                f"{self.timesteps.count - 1}; found {', '.join(map(str, boundaries))}"
            )
        with_any_keyword: Callable[..., dict[str, Any]] = self.arguments
        arguments = partial(with_any_keyword, boundaries=tuple(boundaries))
        return replace(self, arguments=arguments, timesteps=replace(self.timesteps, boundaries=tuple(boundaries)))

    def build(self, channels: int) -> Any:
        """Build the network. Initial weights are drawn from torch's global random generator."""
        return network_type(self.class_name)(**self.arguments(channels))

    def build_objective(self, network: Any) -> Objective:
        """Build the objective of a network. Initial parameters are drawn from torch's global random generator."""
        from hsifeat.pretraining import objectives

        objective: Objective = getattr(objectives, self.objective)(network)
        return objective
