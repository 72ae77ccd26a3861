"""The one training loop of all torch heads: seeds, device, precision, early stopping; and inference from saved weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifiers.heads.torch.losses import MixUp, mix, row_losses
from classifiers.heads.torch.rows import DeviceRows, NetworkInputs, split_validation
from hsifeat.errors import HeadError
from hsifeat.runtime.events import Advanced, Event, Finished, Listener, Started, silent

if TYPE_CHECKING:
    import torch

Weights = dict[str, NDArray[Any]]

INFERENCE_ROWS = 4096
SMALL_NETWORK = 1_000_000  # parameters

_listener: ContextVar[Listener] = ContextVar("listener", default=silent)


@contextmanager
def training_listener(listener: Listener) -> Iterator[None]:
    """Send the events of all training inside the block to a listener: an event an epoch."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def emit_training_event(event: Event) -> None:
    """Send an event to whoever listens."""
    _listener.get()(event)


@dataclass(frozen=True)
class TrainingOptions:
    """How a network is trained.

    Attributes
    ----------
    epochs : int
        Passes over the training rows at most. The learning rate falls along half a cosine to zero.
    batch_size : int
        Rows a step. Batches differ by at most one row, so none is left with a single one for batch norm.
    learning_rate, weight_decay : float
        Of AdamW.
    patience : int
        Epochs without a lower validation loss after which training stops.
    validation_fraction : float or None
        Share of each class's training rows set aside to stop by; 0 runs all epochs, None decides by how many rows there
        are, see `classifiers.heads.torch.rows.split_validation`.
    focal_gamma : float
        See `classifiers.heads.torch.losses.row_losses`.
    mixup : MixUp or None
        How training rows are mixed; validation rows never are.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    patience: int
    validation_fraction: float | None
    focal_gamma: float = 0.0
    mixup: MixUp | None = None

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 2), ("patience", 1), ("focal_gamma", 0)):
            if getattr(self, name) < least:
                raise HeadError(f"{name} is {getattr(self, name)}; give {least} or more")
        if self.validation_fraction is not None and not 0 <= self.validation_fraction < 1:
            raise HeadError(
                f"validation_fraction is {self.validation_fraction}; give a share from 0 to below 1, or None"
            )


@dataclass(frozen=True)
class TrainedNetwork:
    """What training left.

    Attributes
    ----------
    weights : dict of str to array
        The state of the network: of the epoch with the lowest validation loss, else of the last.
    epochs : int
        How many epochs were run.
    validation_rows : int
        How many rows were set aside to stop by.
    """

    weights: Weights
    epochs: int
    validation_rows: int


def choose_device(name: str) -> torch.device:
    """Return the torch device for ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    HeadError
        For another name, or ``cuda`` where there is none.
    """
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise HeadError(f"no device is named {name!r}; allowed: auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise HeadError("device 'cuda' was asked for but torch finds none; use 'auto' or 'cpu'")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def matrix_dtype(device: torch.device) -> torch.dtype | None:
    """Return in which reduced precision a device computes matrix products in training; None: in none.

    A CPU could, but slowly, and nobody would be told.
    """
    import torch

    return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else None


def train(
    build: Callable[[], torch.nn.Module],
    inputs: NetworkInputs,
    codes: NDArray[np.int64],
    training: TrainingOptions,
    *,
    weight: NDArray[np.floating] | None = None,
    seed: int,
    device: torch.device,
) -> TrainedNetwork:
    """Train a network from its initial values; the same seed gives the same bits on the same machine.

    Computed in float32, with matrix products as `matrix_dtype` says. The rows go to the device as
    `classifiers.heads.torch.rows.DeviceRows` does it. `training_listener` names who gets the events.

    Parameters
    ----------
    build : callable
        Makes the network, whose ``forward(*inputs)`` returns logits ``(b, C)``. Its initial values are seeded.
    inputs : tuple of (n, …) arrays
        What the network takes, row by row.
    codes : (n,) int64 array
        Class codes in ``0 … C-1``.
    training : Training
        How to train.
    weight : (n,) array, optional
        How much each row counts, relative to the mean of all.
    seed : int
        Decides initial values, batches, dropout and the validation part. The caller's random state is left as it was.
    device : torch.device
        Where to train.

    Raises
    ------
    HeadError
        As soon as the loss of an epoch or a weight is not finite; where no row of the fraction asked for can be set aside.
    """
    import torch

    cuda = [torch.cuda.current_device()] if device.type == "cuda" else []
    exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    with torch.random.fork_rng(devices=cuda), exact:
        torch.manual_seed(seed)
        network = build().to(device)
        weights = np.ones(len(codes)) if weight is None else weight
        rows = DeviceRows((*inputs, weights), codes, device)
        fitted, validation = (
            torch.from_numpy(part) for part in split_validation(codes, training.validation_fraction, seed)
        )
        with _threads_for(network):
            epochs = _run(network, rows, fitted, validation, training)
        state = {name: value.cpu().numpy() for name, value in network.state_dict().items()}
        return TrainedNetwork(state, epochs, len(validation))


def infer(
    build: Callable[[], torch.nn.Module],
    weights: Weights,
    inputs: Callable[[slice], NetworkInputs],
    rows: int,
    device: torch.device,
) -> NDArray[np.float64]:
    """Return class probabilities ``(n, C)`` of a trained network.

    Computed in float64: a row's answer then does not depend on the rows that it is asked for with, nor visibly on the
    device, which float32 can't promise.

    Parameters
    ----------
    build, weights, device
        As `train` takes and returns them.
    inputs : callable
        Makes what the network takes for a slice of the rows, which keeps memory bounded.
    rows : int
        How many there are.
    """
    import torch

    with torch.device("meta"):  # neither memory nor random numbers for values that are replaced at once
        network = build()
    network.load_state_dict({name: torch.tensor(value) for name, value in weights.items()}, assign=True)
    network.to(device, torch.float64).eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, rows, INFERENCE_ROWS):
            block = inputs(slice(start, start + INFERENCE_ROWS))
            logits = network(*(torch.tensor(x, dtype=torch.float64, device=device) for x in block))
            parts.append(torch.softmax(logits, dim=1).cpu().numpy())
    return np.concatenate(parts)


def _run(
    network: torch.nn.Module,
    rows: DeviceRows,
    fitted: torch.Tensor,
    validation: torch.Tensor,
    training: TrainingOptions,
) -> int:
    """Train `network` in place, leave its best state in it, and return the number of epochs run."""
    import torch

    mean_weight = sum(float(rows[part][2].sum()) for part in torch.split(fitted, INFERENCE_ROWS)) / len(fitted)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training.epochs)
    batches = -(-len(fitted) // training.batch_size)
    lowest, lowest_epoch = float("inf"), 0
    best: dict[str, torch.Tensor] = {}
    epoch, detail = 0, ""
    emit_training_event(Started("training", training.epochs, "epochs"))
    while epoch < training.epochs and (not best or epoch - lowest_epoch < training.patience):
        epoch += 1
        network.train()
        epoch_loss = torch.zeros((), device=rows.device)
        order = fitted[torch.randperm(len(fitted))]
        for batch in torch.tensor_split(order, batches):
            optimizer.zero_grad(set_to_none=True)
            loss = _batch_loss(network, rows[batch], training) / (mean_weight * len(batch))
            torch.autograd.backward(loss)
            optimizer.step()
            epoch_loss += loss.detach()
        schedule.step()
        if len(validation):
            held_out = _validation_loss(network, rows, validation, training.focal_gamma)
            epoch_loss += held_out
        if not _finite(epoch_loss, *network.state_dict().values()):
            raise HeadError(f"training diverged in epoch {epoch}: lower learning_rate ({training.learning_rate:g})")
        if len(validation):
            detail = f"validation loss {held_out:.3f}"
            if held_out < lowest:
                lowest, lowest_epoch = held_out, epoch
                best = {name: value.clone() for name, value in network.state_dict().items()}
        emit_training_event(Advanced("training", epoch, detail))
    if best:
        network.load_state_dict(best)
    emit_training_event(Finished("training"))
    return epoch


def _batch_loss(
    network: torch.nn.Module, batch: tuple[list[torch.Tensor], torch.Tensor, torch.Tensor], training: TrainingOptions
) -> torch.Tensor:
    """Return the weighted sum of the batch's losses, of mixed rows under mix-up."""
    import torch

    inputs, target, weight = batch
    gamma, mixup = training.focal_gamma, training.mixup
    if mixup is None:
        return (weight * row_losses(_logits(network, inputs), target, gamma)).sum()
    partner = torch.randperm(len(target)).to(target.device)
    lambdas = mixup.draw()
    own = mixup.label_weight(lambdas)
    logits = _logits(network, mix(inputs, partner, lambdas))
    mine = weight * row_losses(logits, target, gamma)
    other = weight[partner] * row_losses(logits, target[partner], gamma)
    return (own * mine + (1 - own) * other).sum()


def _validation_loss(network: torch.nn.Module, rows: DeviceRows, validation: torch.Tensor, focal_gamma: float) -> float:
    """Return the weighted mean loss of the rows set aside."""
    import torch

    network.eval()
    total, weights = 0.0, 0.0
    with torch.no_grad():
        for part in torch.split(validation, INFERENCE_ROWS):
            inputs, target, weight = rows[part]
            total += float((weight * row_losses(_logits(network, inputs), target, focal_gamma)).sum())
            weights += float(weight.sum())
    return total / weights


def _finite(*tensors: torch.Tensor) -> bool:
    """Tell whether all numbers are finite, in one answer of the device."""
    import torch

    return bool(torch.stack([torch.isfinite(x).all() for x in tensors]).all())


def _logits(network: torch.nn.Module, inputs: list[torch.Tensor]) -> torch.Tensor:
    """Return float32 logits ``(b, C)``."""
    import torch

    device = inputs[0].device
    dtype = matrix_dtype(device)
    with torch.autocast(device.type, dtype, enabled=dtype is not None):
        logits: torch.Tensor = network(*inputs)
    return logits.float()


@contextmanager
def _threads_for(network: torch.nn.Module) -> Iterator[None]:
    """Train a small network on one CPU thread, a large one on all.

    A small network's step is shorter than waking a second thread, many times so on a busy machine; and sums by one
    thread are the same bits whatever the number of cores.
    """
    import torch

    before = torch.get_num_threads()
    if sum(p.numel() for p in network.parameters()) < SMALL_NETWORK:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
