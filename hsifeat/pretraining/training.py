"""The training loop, one for all networks and objectives, as a generator; the caller decides when to stop and when to save."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.backbones.locked_imports import load_diffusers
from hsifeat.errors import PretrainingError, error_summary
from hsifeat.files import atomic_write
from hsifeat.pretraining.batches import TIMESTEPS, Batch, Sampler, generator
from hsifeat.pretraining.evaluation import held_out_losses
from hsifeat.pretraining.networks import Preset

if TYPE_CHECKING:
    import torch
    from diffusers import DDPMScheduler

_WARM_UP_STEPS = 50
_GPU_READ_STEPS = 25  # To fetch a loss is to wait for the GPU.
_EXPLODED = 10.0


@dataclass(frozen=True)
class Progress:
    """Optimizer steps done, the mean loss of those since the last word, and the learning rate of the last one."""

    step: int
    loss: float
    learning_rate: float


class DivergedError(PretrainingError):
    """The loss of a step is no finite number, or has exploded."""


class Trainer:
    """Network, average of its weights, objective, optimizer and losses: everything that a run needs to go on.

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

    Attributes
    ----------
    network : torch.nn.Module
        What is trained.
    losses : list of float
        Of every step.
    held_out : dict of int to list of float
        Noise prediction losses on held-out images, by the step after which they were taken.
    seconds : float
        Time that the training took; the caller adds to it.
    """

    def __init__(
        self, preset: Preset, sampler: Sampler, device: str, start: Mapping[str, torch.Tensor] | None = None
    ) -> None:
        import torch
        from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

        self._preset, self._sampler, self._device = preset, sampler, torch.device(device)
        self._gpu = self._device.type == "cuda"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(sampler.seed)
            self.network: Any = preset.build(sampler.channels)
            self._objective = preset.build_objective(self.network).to(device)
        if start is not None:
            try:
                self.network.load_state_dict(start)
            except RuntimeError as error:
                raise PretrainingError(
                    f"the weights to start from are of another network: {error_summary(error)[:200]}"
                ) from error
        # Half-precision convolutions are fastest with channels last.
        layout = torch.channels_last if self._gpu else torch.contiguous_format
        self.network.to(device=device, memory_format=layout)
        self._average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(preset.ema_decay))  # type: ignore[no-untyped-call]
        self._parameters = [*self.network.parameters(), *self._objective.parameters()]
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=preset.learning_rate, fused=True if self._gpu else None
        )
        self._scheduler = make_scheduler()
        self._unread: list[torch.Tensor] = []
        self.losses: list[float] = []
        self.held_out: dict[int, list[float]] = {}
        self.seconds = 0.0

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return len(self.losses) + len(self._unread)

    @property
    def averaged(self) -> Any:
        """The network with the exponential moving average of its weights: what is kept in the end."""
        return self._average.module

    def run(self, target: int | None = None) -> Iterator[Progress]:
        """Train until `target` steps are done in all, or without end; a word every step, on a GPU every 25.

        Raises
        ------
        DivergedError
            The loss is no finite number, or ten times as large as at the start.
        """
        self.network.train()
        every = _GPU_READ_STEPS if self._gpu else 1
        count = self._preset.batch
        # The next batch is drawn while the network works on this one.
        with ThreadPoolExecutor(1) as ahead:
            drawn = ahead.submit(self._sampler.draw, self.step, count)
            while target is None or self.step < target:
                batch = drawn.result()
                drawn = ahead.submit(self._sampler.draw, self.step + 1, count)
                rate = self._preset.learning_rate * min(1, (self.step + 1) / _WARM_UP_STEPS)
                self._unread.append(self._learn(batch, rate))
                if self.step % every == 0 or self.step == target:
                    yield Progress(self.step, self._read(), rate)

    def judge(self, clean: NDArray[np.float32]) -> None:
        """Note the noise prediction loss of the averaged network on held-out images, by timestep."""
        self.averaged.eval()
        self.held_out[self.step] = held_out_losses(self.averaged, clean, self._scheduler, self._preset.timesteps)

    def check(self) -> None:
        """Raise `DivergedError` unless the weights as they are give a sound loss on the next step's batch."""
        import torch

        batch = self._sampler.draw(self.step, self._preset.batch)
        self.network.eval()
        with torch.no_grad():
            loss = float(self._loss(batch))
        self.network.train()
        self._refuse(self.step + 1, loss)

    def _learn(self, batch: Batch, rate: float) -> torch.Tensor:
        """Take one optimizer step; return its loss, on the device."""
        import torch

        with self._random():
            loss = self._loss(batch)
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            self._optimizer.zero_grad(set_to_none=True)
            with self._exact():
                loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self._average.update_parameters(self.network)
        return loss.detach()

    def _loss(self, batch: Batch) -> torch.Tensor:
        import torch

        clean, noise, t = (torch.from_numpy(a).to(self._device) for a in (batch.clean, batch.noise, batch.t))
        half = torch.autocast("cuda", dtype=torch.bfloat16) if self._gpu else nullcontext()
        with self._exact(), half:
            loss: torch.Tensor = self._objective(self.network, clean, noise, t, self._scheduler)
        return loss

    @contextmanager
    def _random(self) -> Iterator[None]:
        """Let what a network may draw, for dropout, follow from the seed and the step; leave the caller's numbers alone."""
        import torch

        with torch.random.fork_rng(devices=[self._device] if self._gpu else []):
            torch.manual_seed(int(generator(self._sampler.seed, 6, self.step).integers(2**63)))
            yield

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
        for i, value in enumerate(values):
            self._refuse(len(self.losses) + i + 1, value)
        self._unread.clear()
        self.losses += values
        return sum(values) / len(values)

    def _refuse(self, step: int, loss: float) -> None:
        # A network that says 0 has a loss of about 1; one that was trained before may start far below that.
        limit = _EXPLODED * max(1.0, self.losses[0]) if self.losses else float("inf")
        if not loss < limit:
            raise DivergedError(f"the loss became {loss:.3g} at step {step}")

    def save(self, path: Path) -> None:
        """Write a checkpoint whole: a temporary file is moved into place."""
        import torch

        state = {
            "network": self.network.state_dict(),
            "average": self._average.state_dict(),
            "objective": self._objective.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "held_out": {step: torch.tensor(losses, dtype=torch.float64) for step, losses in self.held_out.items()},
            "seconds": self.seconds,
        }
        with atomic_write(path) as part:
            torch.save(state, part)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; it holds tensors and numbers only, and nothing in it is unpickled."""
        import torch

        try:
            state: dict[str, Any] = torch.load(path, map_location=self._device, weights_only=True)
            self.network.load_state_dict(state["network"])
            self._average.load_state_dict(state["average"])
            self._objective.load_state_dict(state["objective"])
            self._optimizer.load_state_dict(state["optimizer"])
            self.losses = state["losses"].tolist()
            self.held_out = {step: losses.tolist() for step, losses in state["held_out"].items()}
            self.seconds = state["seconds"]
        except Exception as error:
            raise PretrainingError(f"{path} is no checkpoint of this network: remove it to start anew") from error
        self._unread.clear()


def make_scheduler() -> DDPMScheduler:
    """Return the cosine schedule (Nichol & Dhariwal 2021, eq. 17) with T = 1000, for images and scenes alike."""
    load_diffusers()
    from diffusers import DDPMScheduler

    return DDPMScheduler(num_train_timesteps=TIMESTEPS, beta_schedule="squaredcos_cap_v2", clip_sample=False)


def parameter_count(network: torch.nn.Module) -> int:
    """Count a network's parameters."""
    return sum(p.numel() for p in network.parameters())
