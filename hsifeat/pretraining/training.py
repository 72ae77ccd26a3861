"""The training loop: DDPM noise prediction (Ho et al. 2020, eq. 14) as a generator; the caller decides when to stop."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsifeat.diffusion.imports import load_diffusers
from hsifeat.errors import PretrainingError
from hsifeat.files import whole
from hsifeat.pretraining.patches import PatchSampler
from hsifeat.pretraining.presets import Preset

if TYPE_CHECKING:
    import torch
    from diffusers import DDPMScheduler, UNet2DModel

_WARM_UP_STEPS = 50


@dataclass(frozen=True)
class Progress:
    """One optimizer step: how many are done, and the loss of the last."""

    step: int
    loss: float


class Trainer:
    """Network, average of its weights, optimizer and step count; everything that a run needs to go on.

    Parameters
    ----------
    preset : Preset
        Network and settings.
    sampler : PatchSampler
        Gives each step its patches.
    device : str
        Where the network trains, in float32.
    """

    def __init__(self, preset: Preset, sampler: PatchSampler, device: str) -> None:
        import torch
        from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

        self._preset, self._sampler, self._device = preset, sampler, device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(sampler.seed)
            self.network: UNet2DModel = preset.network(sampler.projection.channels).to(device)
        self._average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(preset.ema_decay))  # type: ignore[no-untyped-call]
        self._optimizer = torch.optim.AdamW(self.network.parameters(), lr=preset.learning_rate)
        self.losses: list[float] = []

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return len(self.losses)

    @property
    def averaged(self) -> UNet2DModel:
        """The network with the exponential moving average of its weights: what is kept in the end."""
        return self._average.module

    def run(self) -> Iterator[Progress]:
        """Train without end, one step a turn.

        Raises
        ------
        PretrainingError
            The loss is no finite number.
        """
        import torch

        scheduler = make_scheduler()
        self.network.train()
        while True:
            batch = self._sampler.draw(self.step, self._preset.batch)
            clean, noise, t = (torch.from_numpy(a).to(self._device) for a in (batch.clean, batch.noise, batch.t))
            noised = scheduler.add_noise(clean, noise, t)
            loss = torch.nn.functional.mse_loss(self.network(noised, t, return_dict=False)[0], noise)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise PretrainingError(
                    f"the loss became {value} at step {self.step + 1}: look for NaN or huge values in the scene, or train a "
                    "smaller preset; the last checkpoint is kept"
                )
            for group in self._optimizer.param_groups:
                group["lr"] = self._preset.learning_rate * min(1, (self.step + 1) / _WARM_UP_STEPS)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self._optimizer.step()
            self._average.update_parameters(self.network)
            self.losses.append(value)
            yield Progress(self.step, value)

    def save(self, path: Path) -> None:
        """Write a checkpoint whole: a temporary file is moved into place."""
        import torch

        state = {
            "network": self.network.state_dict(),
            "average": self._average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "losses": torch.tensor(self.losses, dtype=torch.float64),
        }
        with whole(path) as part:
            torch.save(state, part)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; it holds tensors only and nothing in it is unpickled."""
        import torch

        try:
            state: dict[str, Any] = torch.load(path, map_location=self._device, weights_only=True)
            self.network.load_state_dict(state["network"])
            self._average.load_state_dict(state["average"])
            self._optimizer.load_state_dict(state["optimizer"])
            self.losses = state["losses"].tolist()
        except Exception as error:
            raise PretrainingError(f"{path} is no checkpoint of this network: remove it to start anew") from error


def make_scheduler() -> DDPMScheduler:
    """Return the cosine schedule (Nichol & Dhariwal 2021, eq. 17) with T = 1000, as MTMSD uses it."""
    load_diffusers()
    from diffusers import DDPMScheduler

    from hsifeat.pretraining.presets import TIMESTEPS

    return DDPMScheduler(num_train_timesteps=TIMESTEPS, beta_schedule="squaredcos_cap_v2", clip_sample=False)


def parameter_count(network: torch.nn.Module) -> int:
    """Count a network's parameters."""
    return sum(p.numel() for p in network.parameters())
