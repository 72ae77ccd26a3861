"""The one training loop of all torch heads: seeds, device, batches, early stopping; and inference from saved weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import HeadError
from hsifeat.work.events import Advanced, Finished, Listener, Started, silent

if TYPE_CHECKING:
    import torch

Inputs = tuple[NDArray[np.floating], ...]
Weights = dict[str, NDArray[Any]]

INFERENCE_ROWS = 4096
SMALL_NETWORK = 1_000_000  # parameters
VALIDATION_ROWS_PER_CLASS = 10


@dataclass(frozen=True)
class Training:
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
    validation_fraction : float
        Share of each class's training rows set aside to stop by, see `set_aside`; 0 runs all epochs.
    class_weight : (C,) float64 array or None
        How much the rows of each class weigh.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    patience: int
    validation_fraction: float
    class_weight: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 2), ("patience", 1)):
            if getattr(self, name) < least:
                raise HeadError(f"{name} is {getattr(self, name)}; give {least} or more")
        if not 0 <= self.validation_fraction < 1:
            raise HeadError(f"validation_fraction is {self.validation_fraction}; give a share from 0 to below 1")


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


def set_aside(codes: NDArray[np.int64], fraction: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Draw a stratified validation part of the training rows.

    Parameters
    ----------
    codes : (n,) int64 array
        Class codes.
    fraction : float
        Share of each class, rounded down.
    seed : int
        Seed of the draw.

    Returns
    -------
    fitted, validation : int array
        Row indices, ascending. `validation` is empty when it would hold fewer than 10 rows a class on average:
        with a tenth of Indian Pines (6 rows a class) they were worth more as training rows.
    """
    rng = np.random.default_rng(seed)
    rows = np.arange(len(codes))
    drawn = [rng.permutation(of)[: int(len(of) * fraction)] for of in (rows[codes == c] for c in np.unique(codes))]
    if sum(map(len, drawn)) < VALIDATION_ROWS_PER_CLASS * len(drawn):
        return rows, rows[:0]
    validation = np.sort(np.concatenate(drawn))
    return np.setdiff1d(rows, validation), validation


def train(
    build: Callable[[], torch.nn.Module],
    inputs: Inputs,
    codes: NDArray[np.int64],
    training: Training,
    *,
    seed: int,
    device: torch.device,
    listener: Listener = silent,
) -> tuple[Weights, int]:
    """Train a network by cross-entropy in float32; the same seed gives the same bits on the same machine.

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
    seed : int
        Decides initial values, batches, dropout and the validation part. The caller's random state is left as it was.
    device : torch.device
        Where to train; the whole table is moved there.
    listener : callable
        Takes an event an epoch.

    Returns
    -------
    weights : dict of str to array
        The state of the network: of the epoch with the lowest validation loss, else of the last.
    epochs : int
        How many epochs were run.
    """
    import torch

    cuda = [torch.cuda.current_device()] if device.type == "cuda" else []
    exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    with torch.random.fork_rng(devices=cuda), exact:
        torch.manual_seed(seed)
        network = build().to(device)
        data = [torch.tensor(x, dtype=torch.float32, device=device) for x in inputs]
        target = torch.tensor(codes, device=device)
        parts = set_aside(codes, training.validation_fraction, seed)
        fitted, validation = (torch.tensor(rows, device=device) for rows in parts)
        with _threads_for(network):
            epochs = _run(network, data, target, fitted, validation, training, listener)
        return {name: value.cpu().numpy() for name, value in network.state_dict().items()}, epochs


def infer(
    build: Callable[[], torch.nn.Module], weights: Weights, inputs: Inputs, device: torch.device
) -> NDArray[np.float64]:
    """Return class probabilities ``(n, C)`` of a trained network.

    Computed in float64: a row's answer then does not depend on the rows that it is asked for with, nor visibly on the
    device, which float32 can't promise.
    """
    import torch

    with torch.device("meta"):  # neither memory nor random numbers for values that are replaced at once
        network = build()
    network.load_state_dict({name: torch.tensor(value) for name, value in weights.items()}, assign=True)
    network.to(device, torch.float64).eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(inputs[0]), INFERENCE_ROWS):
            block = slice(start, start + INFERENCE_ROWS)
            logits = network(*(torch.tensor(x[block], dtype=torch.float64, device=device) for x in inputs))
            parts.append(torch.softmax(logits, dim=1).cpu().numpy())
    return np.concatenate(parts)


def _run(
    network: torch.nn.Module,
    data: list[torch.Tensor],
    target: torch.Tensor,
    fitted: torch.Tensor,
    validation: torch.Tensor,
    training: Training,
    listener: Listener,
) -> int:
    """Train `network` in place, leave its best state in it, and return the number of epochs run."""
    import torch

    weight = training.class_weight
    loss_of = torch.nn.CrossEntropyLoss(
        weight=None if weight is None else torch.tensor(weight, dtype=torch.float32, device=target.device)
    )
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training.epochs)
    batches = -(-len(fitted) // training.batch_size)
    lowest, lowest_epoch = float("inf"), 0
    best: dict[str, torch.Tensor] = {}
    epoch, detail = 0, ""
    listener(Started("training", training.epochs, "epochs"))
    while epoch < training.epochs and (not best or epoch - lowest_epoch < training.patience):
        epoch += 1
        network.train()
        order = fitted[torch.randperm(len(fitted)).to(fitted.device)]
        for batch in torch.tensor_split(order, batches):
            optimizer.zero_grad(set_to_none=True)
            loss_of(network(*(x[batch] for x in data)), target[batch]).backward()
            optimizer.step()
        schedule.step()
        if len(validation):
            network.eval()
            with torch.no_grad():
                loss = float(loss_of(network(*(x[validation] for x in data)), target[validation]))
            detail = f"validation loss {loss:.3f}"
            if loss < lowest:
                lowest, lowest_epoch = loss, epoch
                best = {name: value.clone() for name, value in network.state_dict().items()}
        listener(Advanced("training", epoch, detail))
    if best:
        network.load_state_dict(best)
    listener(Finished("training"))
    return epoch


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
