"""The training loop: DDPM noise prediction (Ho et al. 2020, eq. 14) as a generator; the caller decides when to stop."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.diffusion.imports import load_diffusers
from hsifeat.errors import PretrainingError
from hsifeat.files import whole
from hsifeat.pretraining.batches import Batch, Sampler
from hsifeat.pretraining.judging import held_out_losses
from hsifeat.pretraining.presets import Preset

if TYPE_CHECKING:
    import torch
    from diffusers import DDPMScheduler, UNet2DModel

_WARM_UP_STEPS = 50
_GPU_READ_STEPS = 25  # To fetch a loss is to wait for the GPU.


@dataclass(frozen=True)
class Progress:
    """Optimizer steps done, and the mean loss of those since the last word."""

    step: int
    loss: float


class Trainer:
    """Network, average of its weights, optimizer and step count; everything that a run needs to go on.

    On a GPU the network runs in bfloat16 (its weights stay float32), and losses are fetched every 25 steps; on a CPU all is
    float32. Given the device, the weights after step k follow from the seed alone.

    Parameters
    ----------
    preset : Preset
        Network and settings.
    sampler : Sampler
        Gives each step its patches.
    device : str
        Where the network trains.
    start : mapping of str to tensor, optional
        Weights to begin with instead of fresh ones.
    """

    def __init__(
        self, preset: Preset, sampler: Sampler, device: str, start: Mapping[str, torch.Tensor] | None = None
    ) -> None:
        import torch
        from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

        self._preset, self._sampler, self._device = preset, sampler, device
        self._gpu = torch.device(device).type == "cuda"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(sampler.seed)
            self.network: UNet2DModel = preset.network(sampler.channels)
        if start is not None:
            try:
                self.network.load_state_dict(start)
            except RuntimeError as error:
                raise PretrainingError(f"the weights to start from are of another network: {brief(error)}") from error
        # Half-precision convolutions are fastest with channels last.
        layout = torch.channels_last if self._gpu else torch.contiguous_format
        self.network.to(device=device, memory_format=layout)
        self._average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(preset.ema_decay))  # type: ignore[no-untyped-call]
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=preset.learning_rate, fused=True if self._gpu else None
        )
        self._unread: list[torch.Tensor] = []
        self.losses: list[float] = []
        self.held_out: dict[int, list[float]] = {}

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return len(self.losses) + len(self._unread)

    @property
    def averaged(self) -> UNet2DModel:
        """The network with the exponential moving average of its weights: what is kept in the end."""
        return self._average.module

    def run(self, target: int | None = None) -> Iterator[Progress]:
        """Train until `target` steps are done in all, or without end; a word every step, on a GPU every 25.

        Raises
        ------
        PretrainingError
            The loss is no finite number.
        """
        scheduler = make_scheduler()
        self.network.train()
        every = _GPU_READ_STEPS if self._gpu else 1
        count = self._preset.batch
        # The next batch is drawn while the network works on this one.
        with ThreadPoolExecutor(1) as ahead:
            drawn = ahead.submit(self._sampler.draw, self.step, count)
            while target is None or self.step < target:
                batch = drawn.result()
                drawn = ahead.submit(self._sampler.draw, self.step + 1, count)
                with self._exact():
                    self._unread.append(self._learn(batch, scheduler))
                if self.step % every == 0 or self.step == target:
                    yield Progress(self.step, self._read())

    def _learn(self, batch: Batch, scheduler: DDPMScheduler) -> torch.Tensor:
        """Take one optimizer step; return its loss, on the device."""
        import torch

        clean, noise, t = (torch.from_numpy(a).to(self._device) for a in (batch.clean, batch.noise, batch.t))
        noised = scheduler.add_noise(clean, noise, t)
        with torch.autocast("cuda", dtype=torch.bfloat16) if self._gpu else nullcontext():
            predicted = self.network(noised, t, return_dict=False)[0]
        loss = torch.nn.functional.mse_loss(predicted.float(), noise)
        for group in self._optimizer.param_groups:
            group["lr"] = self._preset.learning_rate * min(1, (self.step + 1) / _WARM_UP_STEPS)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._optimizer.step()
        self._average.update_parameters(self.network)
        return loss.detach()

    @contextmanager
    def _exact(self) -> Iterator[None]:
        """On a GPU, take only algorithms that give the same bits each time."""
        if not self._gpu:
            yield
            return
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel

        with (
            torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=True),
            sdpa_kernel(SDPBackend.MATH),
        ):
            yield

    def _read(self) -> float:
        """Fetch the losses since the last time; return their mean."""
        import torch

        values = [float(value) for value in torch.stack(self._unread).cpu()]
        done = len(self.losses)
        for i, value in enumerate(values):
            if not math.isfinite(value):
                raise PretrainingError(
                    f"the loss became {value} at step {done + i + 1}: look for NaN or huge values in the scene, or train a "
                    "smaller preset; the last checkpoint is kept"
                )
        self._unread.clear()
        self.losses += values
        return sum(values) / len(values)

    def judge(self, clean: NDArray[np.float32]) -> None:
        """Note the loss of the averaged network on held-out images, by timestep."""
        self.held_out[self.step] = held_out_losses(self.averaged, clean, make_scheduler())

    def save(self, path: Path) -> None:
        """Write a checkpoint whole: a temporary file is moved into place."""
        import torch

        state = {
            "network": self.network.state_dict(),
            "average": self._average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "held_out": {step: torch.tensor(losses, dtype=torch.float64) for step, losses in self.held_out.items()},
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
            self.held_out = {step: losses.tolist() for step, losses in state.get("held_out", {}).items()}
        except Exception as error:
            raise PretrainingError(f"{path} is no checkpoint of this network: remove it to start anew") from error


def make_scheduler() -> DDPMScheduler:
    """Return the cosine schedule (Nichol & Dhariwal 2021, eq. 17) with T = 1000, for images and scenes alike."""
    load_diffusers()
    from diffusers import DDPMScheduler

    from hsifeat.pretraining.presets import TIMESTEPS

    return DDPMScheduler(num_train_timesteps=TIMESTEPS, beta_schedule="squaredcos_cap_v2", clip_sample=False)


def parameter_count(network: torch.nn.Module) -> int:
    """Count a network's parameters."""
    return sum(p.numel() for p in network.parameters())


def brief(error: Exception) -> str:
    """Return what torch says of weights that do not fit, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[min(1, len(lines) - 1)][:200] if lines else type(error).__name__
