"""The noise schedule of a model that predicts from noised images: how much of the image is left at timestep t."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsifeat.backbones.quiet_imports import load_diffusers
from hsifeat.errors import BackboneError, error_summary

if TYPE_CHECKING:
    import torch

_PREDICTIONS = ("epsilon", "sample", "v_prediction")


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """Cumulative products of a variance-preserving schedule (Ho et al. 2020, eq. 4).

    Attributes
    ----------
    alphas_cumprod : (T,) float32 array, or what becomes one
        ``abar_t`` of the training timesteps, descending; t = 0 is almost clean, but not noise-free.
    prediction : str
        What the model was trained to give: ``epsilon``, ``sample`` or ``v_prediction``.
    """

    alphas_cumprod: NDArray[np.float32]
    prediction: str = "epsilon"

    def __post_init__(self) -> None:
        kept = np.asarray(self.alphas_cumprod, np.float32)
        if kept.ndim != 1 or not len(kept) or not ((kept >= 0) & (kept <= 1)).all() or (np.diff(kept) > 0).any():
            raise BackboneError(
                f"cumulative alphas are one row of numbers that descend from 1 to 0; found an array of shape {kept.shape}"
                f"{f' from {kept.flat[0]:.6g} to {kept.flat[-1]:.6g}' if kept.size else ''}; NoiseSchedule.from_betas takes betas"
            )
        if self.prediction not in _PREDICTIONS:
            raise BackboneError(f"a model predicts {', '.join(_PREDICTIONS)}; found {self.prediction!r}")
        object.__setattr__(self, "alphas_cumprod", kept)

    @classmethod
    def from_betas(cls, betas: ArrayLike, prediction: str = "epsilon") -> Self:
        """Take the variances of the noise added from step to step: ``abar_t = prod(1 - beta_s, s <= t)``.

        Parameters
        ----------
        betas : (T,) array
            Each above 0 and at most 1; multiplied in float64.
        prediction : str
            As `prediction` above.
        """
        return cls(np.cumprod(1 - np.asarray(betas, np.float64)).astype(np.float32), prediction)

    @property
    def timesteps(self) -> int:
        """T: training timesteps run from 0 to T - 1."""
        return len(self.alphas_cumprod)

    @cached_property
    def digest(self) -> str:
        """sha256 of the schedule's numbers."""
        return hashlib.sha256(np.ascontiguousarray(self.alphas_cumprod, "<f4").data).hexdigest()

    def check(self, timesteps: tuple[int, ...]) -> None:
        """Raise `BackboneError` for a timestep that is none of the training timesteps."""
        wrong = [t for t in timesteps if not 0 <= t < self.timesteps]
        if wrong:
            raise BackboneError(
                f"timestep {wrong[0]} is out of range: this backbone has the training timesteps 0 to {self.timesteps - 1}"
            )

    def add_noise(self, clean: torch.Tensor, noise: torch.Tensor, t: int) -> torch.Tensor:
        """Noise an image: ``x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps`` (Ho et al. 2020, eq. 4).

        Parameters
        ----------
        clean, noise : (n, channels, height, width) float32 tensors
            ``x_0`` and ``eps``.
        t : int
            Training timestep.
        """
        import torch

        # Taken in float32 throughout, as diffusers does, so that both agree to the bit.
        kept = torch.tensor(self.alphas_cumprod[t])
        return kept.sqrt().to(clean.device) * clean + (1 - kept).sqrt().to(clean.device) * noise

    def separate(self, noised: torch.Tensor, output: torch.Tensor, t: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Take a noised image apart by what the model gave for it.

        Parameters
        ----------
        noised, output : tensors of one shape
            ``x_t``, and what the model predicts for it, as `prediction` says.
        t : int
            Training timestep.

        Returns
        -------
        clean, noise : tensors
            The model's estimates of ``x_0`` and ``eps``; not finite where they don't follow, such as ``x_0`` from noise
            alone.

        Notes
        -----
        Both belong together by ``x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps`` (Ho et al. 2020, eq. 4). A model gives
        ``eps`` (`epsilon`), ``x_0`` (`sample`) or ``v = sqrt(abar_t) eps - sqrt(1 - abar_t) x_0`` (`v_prediction`,
        Salimans & Ho 2022, appendix D).
        """
        import torch

        kept = torch.tensor(self.alphas_cumprod[t])
        image, noise = (part.sqrt().to(noised.device) for part in (kept, 1 - kept))
        if self.prediction == "epsilon":
            return (noised - noise * output) / image, output
        if self.prediction == "sample":
            return output, (noised - image * output) / noise
        return image * noised - noise * output, image * output + noise * noised


def schedule_from_config(config: dict[str, Any]) -> NoiseSchedule:
    """Build the schedule that a diffusers ``scheduler_config.json`` describes, by diffusers itself."""
    load_diffusers()
    from diffusers import DDPMScheduler

    if not {"beta_schedule", "trained_betas"} & set(config):
        raise BackboneError(
            f"the schedule is a {config.get('_class_name', 'scheduler without a class name')}, which names no betas; one of "
            "the DDPM family is wanted (DDPM, DDIM, PNDM, DPM-Solver, …)"
        )
    known = {
        "beta_start",
        "beta_end",
        "beta_schedule",
        "num_train_timesteps",
        "trained_betas",
        "rescale_betas_zero_snr",
    }
    try:
        scheduler = DDPMScheduler(**{k: v for k, v in config.items() if k in known})
    except (TypeError, ValueError, NotImplementedError, RuntimeError) as error:
        raise BackboneError(
            f"the noise schedule can't be built from its configuration: {error_summary(error)}"
        ) from error
    return NoiseSchedule(
        scheduler.alphas_cumprod.numpy().astype(np.float32), str(config.get("prediction_type", "epsilon"))
    )
