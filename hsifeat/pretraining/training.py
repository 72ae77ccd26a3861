"""The trainer, which yields its progress between optimizer steps. The caller decides when to evaluate, save and stop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.backbones.locked_imports import load_diffusers
from hsifeat.errors import PretrainingError, error_summary, raise_resource_error
from hsifeat.pretraining.batches import Batch, Sampler, Stream, make_generator
from hsifeat.pretraining.evaluation import held_out_losses
from hsifeat.pretraining.network_spec import NetworkSpec
from hsifeat.runtime.allocator import keep_freed_memory
from hsifeat.torch_state import cudnn_settings, own_random_state

if TYPE_CHECKING:
    import torch
    from diffusers import DDPMScheduler

_WARM_UP_STEPS = 50
# Number of steps between two fetches of losses from a GPU, because a fetch waits for the GPU.
_GPU_FETCH_STEPS = 25
# A loss has exploded if it exceeds the first loss by this factor.
_EXPLOSION_FACTOR = 10.0


@dataclass(frozen=True)
class TrainingProgress:
    """Progress of a training run.

    Attributes
    ----------
    step : int
        Number of completed optimizer steps.
    loss : float
        Mean loss of the steps since the previous `TrainingProgress`.
    learning_rate : float
        Learning rate of the last step.
    """

    step: int
    loss: float
    learning_rate: float


class DivergedError(PretrainingError):
    """Raised when the loss of a training step is not finite, or is far above the first loss."""


class Trainer:
    """State of a training run: network, moving average of the weights, objective, optimizer and losses.

    On a GPU, the network runs in bfloat16 with float32 weights, and losses are copied to the CPU every 25 steps. On a CPU,
    everything is float32. For the same data, specification, device and initial weights, the weights after a step depend
    only on the seed of `sampler`.

    Parameters
    ----------
    spec : NetworkSpec
        Network architecture and training settings.
    sampler : Sampler
        Source of the batches.
    device : str
        Device of the training.
    start : mapping of str to tensor, optional
        Initial weights. [default: random weights drawn with the seed of `sampler`]

    Attributes
    ----------
    network : torch.nn.Module
        The network in training.
    losses : list of float
        Loss of every step.
    held_out : dict of int to list of float
        Maps numbers of completed steps to the losses on held-out images at these steps. Each list has one mean squared
        error of the predicted noise for each tenth of the timesteps.
    seconds : float
        Duration of the training, including runs before a loaded checkpoint. The caller updates this number.

    Raises
    ------
    PretrainingError
        If the initial weights do not fit the network.
    """

    def __init__(
        self, spec: NetworkSpec, sampler: Sampler, device: str, start: Mapping[str, torch.Tensor] | None = None
    ) -> None:
        import torch
        from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

        self._spec, self._sampler, self._device = spec, sampler, torch.device(device)
        self._gpu = self._device.type == "cuda"
        with own_random_state(sampler.seed):
            self.network: Any = spec.build(sampler.channels)
            self._objective = spec.build_objective(self.network).to(device)
        if start is not None:
            try:
                self.network.load_state_dict(start)
            except RuntimeError as error:
                raise PretrainingError(
                    f"the initial weights are those of another network: {error_summary(error)[:200]}: give `start` a model of the "
                    "same network, size and number of channels"
                ) from error
        # Half-precision convolutions are fastest with channels last. 3-D convolutions have another such layout.
        is_2d = all(parameter.ndim <= 4 for parameter in self.network.parameters())
        layout = torch.channels_last if self._gpu and is_2d else torch.contiguous_format
        self.network.to(device=device, memory_format=layout)
        self._average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(spec.ema_decay))  # type: ignore[no-untyped-call]
        self._parameters = [*self.network.parameters(), *self._objective.parameters()]
        self._optimizer = torch.optim.AdamW(self._parameters, lr=spec.learning_rate, fused=True if self._gpu else None)
        self._scheduler = make_scheduler(spec)
        self._unfetched: list[torch.Tensor] = []
        self.losses: list[float] = []
        self.held_out: dict[int, list[float]] = {}
        self.seconds = 0.0

    @property
    def step(self) -> int:
        """Number of completed optimizer steps."""
        return len(self.losses) + len(self._unfetched)

    @property
    def averaged(self) -> Any:
        """The network with the exponential moving average of the weights. This network is saved at the end."""
        return self._average.module

    def train(self, target: int | None = None) -> Iterator[TrainingProgress]:
        """Train until the total number of steps is `target`, and yield the progress. If `target` is None, train without end.

        On a CPU, progress is yielded after each step. On a GPU, it is yielded after every 25th step and after the last
        step.

        Raises
        ------
        DivergedError
            If the loss of a step is NaN, or at least ``10 * max(1, loss of the first step)``.
        """
        keep_freed_memory()
        self.network.train()
        report_steps = _GPU_FETCH_STEPS if self._gpu else 1
        count = self._spec.batch
        # The next batch is drawn while the network works on the current one.
        with ThreadPoolExecutor(1) as pool:
            pending = pool.submit(self._sampler.draw, self.step, count)
            while target is None or self.step < target:
                batch = pending.result()
                pending = pool.submit(self._sampler.draw, self.step + 1, count)
                rate = self._spec.learning_rate * min(1, (self.step + 1) / _WARM_UP_STEPS)
                self._unfetched.append(self._take_step(batch, rate))
                if self.step % report_steps == 0 or self.step == target:
                    yield TrainingProgress(self.step, self._fetch_losses(), rate)

    def evaluate(self, clean: NDArray[np.float32]) -> None:
        """Evaluate the network `averaged` on `clean`, and add the losses to `held_out`.

        Parameters
        ----------
        clean : (n, channels, rows, cols) float32 array
            Images without noise.
        """
        self.averaged.eval()
        self.held_out[self.step] = held_out_losses(self.averaged, clean, self._scheduler, self._spec.timesteps)

    def check_weights(self) -> None:
        """Raise `DivergedError` if the loss of the next batch is not finite, or is far above the first loss."""
        import torch

        batch = self._sampler.draw(self.step, self._spec.batch)
        self.network.eval()
        with torch.no_grad():
            loss = float(self._compute_loss(batch))
        self.network.train()
        self._check_loss(self.step + 1, loss)

    def _take_step(self, batch: Batch, rate: float) -> torch.Tensor:
        import torch

        with self._seeded_dropout():
            loss = self._compute_loss(batch)
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            self._optimizer.zero_grad(set_to_none=True)
            with self._deterministic():
                loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self._average.update_parameters(self.network)
        return loss.detach()

    def _compute_loss(self, batch: Batch) -> torch.Tensor:
        import torch

        clean, noise, t = (torch.from_numpy(a).to(self._device) for a in (batch.clean, batch.noise, batch.t))
        half = torch.autocast("cuda", dtype=torch.bfloat16) if self._gpu else nullcontext()
        with self._deterministic(), half:
            loss: torch.Tensor = self._objective(self.network, clean, noise, t, self._scheduler)
        return loss

    def _seeded_dropout(self) -> AbstractContextManager[None]:
        seed = int(make_generator(self._sampler.seed, Stream.DROPOUT, self.step).integers(2**63))
        return own_random_state(seed, [self._device] if self._gpu else [])

    @contextmanager
    def _deterministic(self) -> Iterator[None]:
        if not self._gpu:
            yield
            return
        from torch.nn.attention import SDPBackend, sdpa_kernel

        with (
            cudnn_settings(benchmark=False, deterministic=True, allow_tf32=True),
            sdpa_kernel(SDPBackend.MATH),
        ):
            yield

    def _fetch_losses(self) -> float:
        import torch

        values = [float(value) for value in torch.stack(self._unfetched).cpu()]
        for i, value in enumerate(values):
            self._check_loss(len(self.losses) + i + 1, value)
        self._unfetched.clear()
        self.losses += values
        return sum(values) / len(values)

    def _check_loss(self, step: int, loss: float) -> None:
        # A network that predicts 0 has a loss of about 1. With trained initial weights, the first loss can be far below 1.
        limit = _EXPLOSION_FACTOR * max(1.0, self.losses[0]) if self.losses else float("inf")
        if not loss < limit:
            raise DivergedError(f"the loss became {loss:.3g} at step {step}")

    def save(self, path: Path) -> None:
        """Write the state of the training to a file."""
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
        torch.save(state, path)

    def load(self, path: Path) -> None:
        """Restore the state of the training from a checkpoint. Only tensors and plain values are unpickled.

        Raises
        ------
        PretrainingError
            If the file is not a checkpoint of the network of this trainer.
        """
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
            raise_resource_error(error)
            raise PretrainingError(f"{path} is not a checkpoint of this network: delete it to start again") from error
        self._unfetched.clear()


def make_scheduler(spec: NetworkSpec) -> DDPMScheduler:
    """Return the noise schedule for the training of a network.

    The cosine schedule is from Nichol & Dhariwal 2021, eq. 17; the linear schedule is from Ho et al. 2020, sec. 4.
    """
    load_diffusers()
    from diffusers import DDPMScheduler

    return DDPMScheduler(num_train_timesteps=spec.timesteps.count, beta_schedule=spec.beta_schedule, clip_sample=False)


def count_parameters(network: torch.nn.Module) -> int:
    """Return the number of parameters of a network."""
    return sum(p.numel() for p in network.parameters())
