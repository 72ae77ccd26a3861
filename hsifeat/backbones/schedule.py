"""Noise schedules: the proportions of image and noise in ``x_t`` at each training timestep."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsifeat.backbones.locked_imports import load_diffusers
from hsifeat.errors import BackboneError, allowed_names, error_summary
from hsifeat.types import as_int

if TYPE_CHECKING:
    import torch

# Number of training timesteps of most diffusion models.
STANDARD_TIMESTEPS = 1000
# Maximum number of training timesteps of a schedule from a file. Published models have 1000 to 4000.
_MAX_TIMESTEPS = 100_000
_PREDICTIONS = ("epsilon", "sample", "v_prediction")


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """A variance-preserving noise schedule, given by the cumulative products of its alphas (Ho et al. 2020, eq. 4).

    Attributes
    ----------
    alphas_cumprod : (T,) float32 array
        Cumulative products ``abar_t`` by training timestep t, non-increasing and within [0, 1]. The array is copied, and the copy
        can't be changed.
    prediction : str
        Quantity that the model was trained to predict: ``epsilon``, ``sample`` or ``v_prediction``.

    Raises
    ------
    BackboneError
        If `alphas_cumprod` is not a one-dimensional array of non-increasing values within [0, 1], or has masked values. If
        `prediction` is unknown.

    Examples
    --------
    >>> schedule = NoiseSchedule.from_betas(np.linspace(1e-4, 0.02, 1000))
    >>> schedule.timesteps, round(float(schedule.alphas_cumprod[0]), 4)
    (1000, 0.9999)
    """

    alphas_cumprod: NDArray[np.float32]
    prediction: str = "epsilon"

    def __post_init__(self) -> None:
        if np.ma.is_masked(self.alphas_cumprod):
            raise BackboneError("the cumulative products of alphas are a 1D array without masked values")
        try:
            abar = np.array(self.alphas_cumprod, np.float32)
        except (TypeError, ValueError):
            abar = np.empty(0, np.float32)
        if abar.ndim != 1 or not len(abar) or not ((abar >= 0) & (abar <= 1)).all() or (np.diff(abar) > 0).any():
            raise BackboneError(
                "cumulative products of alphas must be a 1D array of numbers that descend within [0, 1]; found an array of shape "
                f"{abar.shape}{f' from {abar.flat[0]:.6g} to {abar.flat[-1]:.6g}' if abar.size else ''}; NoiseSchedule.from_betas "
                "takes betas"
            )
        if not isinstance(self.prediction, str) or self.prediction not in _PREDICTIONS:
            raise BackboneError(f"unknown prediction {self.prediction!r}; {allowed_names(_PREDICTIONS)}")
        abar.flags.writeable = False  # the digest is computed once
        object.__setattr__(self, "alphas_cumprod", abar)

    @classmethod
    def from_betas(cls, betas: ArrayLike, prediction: str = "epsilon") -> Self:
        """Build a schedule from the noise variances ``beta_t`` of the timesteps.

        Element t of `alphas_cumprod` is the product of ``1 - beta_s`` over all timesteps s <= t (Ho et al. 2020, eq.
        4).

        Parameters
        ----------
        betas : (T,) array-like of float
            Variances, above 0 and at most 1. The products are computed in float64.
        prediction : str
            Quantity that the model was trained to predict: ``epsilon``, ``sample`` or ``v_prediction``.

        Raises
        ------
        BackboneError
            If `betas` is not one-dimensional or has masked values. If an element is out of range.
        """
        if np.ndim(betas) != 1 or np.ma.is_masked(betas):
            raise BackboneError("the variances of a schedule are a 1D array without masked values")
        return cls(np.cumprod(1 - np.asarray(betas, np.float64)).astype(np.float32), prediction)

    @classmethod
    def clean(cls) -> Self:
        """Return the schedule of an image encoder: one timestep, at which images receive no noise."""
        return cls(np.ones(1, np.float32), "sample")

    @property
    def has_noise(self) -> bool:
        """Whether images receive noise at one timestep or more."""
        return bool((self.alphas_cumprod < 1).any())

    @property
    def timesteps(self) -> int:
        """T, the number of training timesteps. The timesteps run from 0 to T - 1."""
        return len(self.alphas_cumprod)

    @cached_property
    def digest(self) -> str:
        """Hexadecimal sha256 of the cumulative products as little-endian float32."""
        return hashlib.sha256(np.ascontiguousarray(self.alphas_cumprod, "<f4").data).hexdigest()

    def scale(self, timesteps: Sequence[int]) -> tuple[int, ...]:
        """Convert timesteps of a schedule with 1000 timesteps to the equivalent timesteps of this schedule.

        Converted timesteps are rounded down, sorted and unique.

        >>> NoiseSchedule.from_betas(np.linspace(1e-3, 0.06, 300)).scale([0, 50, 400])
        (0, 15, 120)
        """
        return tuple(sorted({t * self.timesteps // STANDARD_TIMESTEPS for t in timesteps}))

    def check(self, timesteps: tuple[int, ...]) -> None:
        """Raise `BackboneError` if a timestep is not an integer from 0 to the last timestep of the schedule."""
        outside = [t for t in timesteps if as_int(t) is None or not 0 <= t < self.timesteps]
        if outside:
            raise BackboneError(
                f"timestep {outside[0]} is out of range: this backbone has the training timesteps 0 to {self.timesteps - 1}"
            )

    def add_noise(self, clean: torch.Tensor, noise: torch.Tensor, t: int) -> torch.Tensor:
        """Add noise to images: ``x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps`` (Ho et al. 2020, eq. 4).

        ``abar_t`` is element t of `alphas_cumprod`.

        Parameters
        ----------
        clean, noise : (n, channels, height, width) float32 tensors
            Clean images ``x_0`` and standard normal noise ``eps``.
        t : int
            Training timestep.

        Returns
        -------
        (n, channels, height, width) float32 tensor
            Noised images ``x_t``.
        """
        import torch

        self.check((t,))
        # All steps are computed in float32, which gives the same bits as diffusers.
        abar = torch.tensor(self.alphas_cumprod[t])
        return abar.sqrt().to(clean.device) * clean + (1 - abar).sqrt().to(clean.device) * noise

    def separate(self, noisy: torch.Tensor, output: torch.Tensor, t: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Estimate the clean image and the noise in ``x_t`` from the output of the model.

        Parameters
        ----------
        noisy, output : (n, channels, height, width) float32 tensors
            Noised images ``x_t``, and the model's prediction for these images.
        t : int
            Training timestep.

        Returns
        -------
        clean, noise : (n, channels, height, width) float32 tensors
            Estimates of ``x_0`` and ``eps``. An estimate is not finite if `output` does not determine it. For example,
            predicted noise does not determine ``x_0`` if ``abar_t`` is 0.

        Notes
        -----
        The estimates satisfy ``x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps`` (Ho et al. 2020, eq. 4), where
        ``abar_t`` is element t of `alphas_cumprod`. With the prediction ``epsilon``, the model predicts ``eps``. With
        ``sample``, the model predicts ``x_0``. With ``v_prediction``, the model predicts
        ``v = sqrt(abar_t) eps - sqrt(1 - abar_t) x_0`` (Salimans & Ho 2022, appendix D).
        """
        import torch

        self.check((t,))
        abar = torch.tensor(self.alphas_cumprod[t])
        image, noise = (part.sqrt().to(noisy.device) for part in (abar, 1 - abar))
        if self.prediction == "epsilon":
            return (noisy - noise * output) / image, output
        if self.prediction == "sample":
            return output, (noisy - image * output) / noise
        return image * noisy - noise * output, image * output + noise * noisy


# Settings of schedulers that change the noise levels of the betas, with the value that does not.
_PLAIN_SETTINGS = {"snr_shift_scale": 1.0, "use_flow_sigmas": False, "timestep_type": "discrete"}


def schedule_from_config(config: dict[str, Any]) -> NoiseSchedule:
    """Build a schedule from the content of a diffusers ``scheduler_config.json``.

    `alphas_cumprod` equals the cumulative products that diffusers computes.

    Raises
    ------
    BackboneError
        If the scheduler is not of the DDPM family. If the settings of the scheduler are inconsistent.
    """
    load_diffusers()
    from diffusers import DDPMScheduler

    name, family = (
        config.get("_class_name", "scheduler without a class name"),
        "the DDPM family (DDPM, DDIM, PNDM, DPM-Solver, …)",
    )
    if config.get("beta_schedule") is None and config.get("trained_betas") is None:
        raise BackboneError(f"the schedule is a {name}, which has no betas; allowed are schedulers of {family}")
    if str(name).startswith("CogVideoX"):
        config = {"snr_shift_scale": 3.0, **config}
    for setting, plain in _PLAIN_SETTINGS.items():
        if config.get(setting, plain) not in (plain, None):
            raise BackboneError(
                f"the schedule is a {name} with {setting} = {config[setting]!r:.40}, which changes the noise of the betas; allowed are schedulers of "
                f"{family} without it"
            )
    betas = config.get("trained_betas")
    count = (
        as_int(config.get("num_train_timesteps", 1000))
        if betas is None
        else len(betas)
        if isinstance(betas, list)
        else 0
    )
    if count is None or not 1 <= count <= _MAX_TIMESTEPS:
        raise BackboneError(
            f"the noise schedule has {str(config.get('num_train_timesteps'))[:20] if betas is None else count} training timesteps; "
            f"allowed are 1 to {_MAX_TIMESTEPS}"
        )
    settings = {
        "beta_start",
        "beta_end",
        "beta_schedule",
        "num_train_timesteps",
        "trained_betas",
        "rescale_betas_zero_snr",
    }
    try:
        scheduler = DDPMScheduler(**{k: v for k, v in config.items() if k in settings})
    except (TypeError, ValueError, NotImplementedError, RuntimeError) as error:
        raise BackboneError(
            f"the noise schedule can't be built from its configuration: {error_summary(error)}"
        ) from error
    return NoiseSchedule(
        scheduler.alphas_cumprod.numpy().astype(np.float32), str(config.get("prediction_type", "epsilon"))
    )
