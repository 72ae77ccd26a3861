"""Train torch networks, and predict with the weights of trained networks.

All torch heads share this training loop, which handles seeds, device, precision and early stopping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifiers.heads.torch.batches import DeviceRows, NetworkInputs, split_validation
from classifiers.heads.torch.losses import MixUp, mix, row_losses
from hsifeat.errors import HeadError
from hsifeat.runtime.allocator import keep_freed_memory
from hsifeat.runtime.events import Advanced, Event, Finished, Listener, Started, silent
from hsifeat.torch_state import cudnn_settings, one_torch_thread, own_random_state

if TYPE_CHECKING:
    import torch

Weights = dict[str, NDArray[Any]]

INFERENCE_ROWS = 4096
SMALL_NETWORK_PARAMETERS = 1_000_000

_listener: ContextVar[Listener] = ContextVar("listener", default=silent)


@contextmanager
def training_listener(listener: Listener) -> Iterator[None]:
    """Inside the ``with`` block, send the progress events of every training to `listener`.

    While the listener is called, other threads that train or load networks are blocked. The listener must not wait for them.
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def emit_training_event(event: Event) -> None:
    """Send an event to the listener of the enclosing `training_listener`."""
    _listener.get()(event)


@dataclass(frozen=True)
class TrainingOptions:
    """Options of training a network with AdamW (Loshchilov and Hutter, ICLR 2019) and a cosine learning rate.

    Attributes
    ----------
    epochs : int
        Largest number of passes over the training rows. Over these epochs, the learning rate falls to zero along half a
        cosine.
    batch_size : int
        Approximate number of rows per step. The sizes of batches differ by at most one row. Every batch has at least
        two rows, as batch norm requires.
    learning_rate, weight_decay : float
        Parameters of AdamW.
    patience : int
        If the validation loss has reached no new minimum for this number of epochs, the training stops.
    validation_fraction : float or None
        Share of the training rows of each class that are validation rows, used only for early stopping. With 0, all
        epochs are run. [default: a tenth if there are enough rows, otherwise 0; see
        `classifiers.heads.torch.batches.split_validation`]
    focal_gamma : float
        Exponent of the focal loss. With 0, the loss is cross-entropy.
    mixup : MixUp or None
        Mix-up of training rows; None for no mix-up. Validation rows are never mixed.
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
        for name, minimum in (("epochs", 1), ("batch_size", 2), ("patience", 1), ("focal_gamma", 0)):
            if not getattr(self, name) >= minimum:  # NaN is not
                raise HeadError(f"{name} is {getattr(self, name)}; give {minimum} or more")
        if self.validation_fraction is not None and not 0 <= self.validation_fraction < 1:
            raise HeadError(
                f"validation_fraction is {self.validation_fraction}; give a share from 0 to below 1, or None"
            )


@dataclass(frozen=True)
class TrainedNetwork:
    """Result of training a network.

    Attributes
    ----------
    weights : dict of str to array
        State of the network at the epoch with the lowest validation loss, or at the last epoch if there are no
        validation rows.
    epochs : int
        Number of epochs that were run.
    validation_rows : int
        Number of rows used for early stopping.
    """

    weights: Weights
    epochs: int
    validation_rows: int


def choose_device(name: str) -> torch.device:
    """Return the torch device for ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    HeadError
        If the name is unknown. If ``cuda`` is not available.
    """
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise HeadError(f"no device is named {name!r}; allowed: auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise HeadError("device is 'cuda', but torch finds no CUDA device; use 'auto' or 'cpu'")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def matrix_dtype(device: torch.device) -> torch.dtype | None:
    """Return the dtype in which matrix products are computed during training. None stands for full precision.

    On a CPU, training uses full precision, because reduced precision is slower there.
    """
    import torch

    return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else None


def train(
    build: Callable[[], torch.nn.Module],
    inputs: NetworkInputs,
    codes: NDArray[np.int64],
    training: TrainingOptions,
    *,
    proportions: NDArray[np.float32] | None = None,
    weight: NDArray[np.floating] | None = None,
    seed: int,
    device: torch.device,
) -> TrainedNetwork:
    """Build and train a network.

    On one machine, the same seed gives the same bits. If several threads train networks, they do so one after another. The
    network is in float32, but a GPU that supports bfloat16 computes matrix products in bfloat16. Progress events
    go to the listener of the enclosing `training_listener`.

    Parameters
    ----------
    build : callable
        Function that builds the network. ``forward(*inputs)`` of the network returns logits (b, C).
    inputs : tuple of (n, …) arrays
        Arguments of ``forward`` for all n rows.
    codes : (n,) int64 array
        Class codes in ``0 … C-1``.
    training : TrainingOptions
        Training options.
    proportions : (n, C) float32 array, optional
        Proportion of each class in each row, as a soft label. [default: 1 for the class of the row]
    weight : (n,) array, optional
        Weight of each row. Only the ratio to the mean weight matters. [default: equal weights]
    seed : int
        Seed of initial weights, batches, dropout and validation rows. Torch's global random state does not change.
    device : torch.device
        Device to train on.

    Returns
    -------
    TrainedNetwork
        Weights of the trained network, and the number of epochs.

    Raises
    ------
    HeadError
        If the loss or a network weight is not finite after an epoch. If the validation fraction gives no validation
        row.
    """
    import torch

    keep_freed_memory()
    cuda = [torch.cuda.current_device()] if device.type == "cuda" else []
    exact = cudnn_settings(benchmark=False, deterministic=True, allow_tf32=False)
    with own_random_state(seed, cuda), exact, torch.inference_mode(mode=False), torch.enable_grad():
        network = build().to(device)
        weights = np.ones(len(codes)) if weight is None else weight
        rows = DeviceRows((*inputs, weights), codes if proportions is None else proportions, device)
        training_rows, validation = (
            torch.from_numpy(part) for part in split_validation(codes, training.validation_fraction, seed)
        )
        is_small = sum(p.numel() for p in network.parameters()) < SMALL_NETWORK_PARAMETERS
        # A training step of a small network takes less time than waking a second thread. On one thread, sums also have the same
        # bits on machines with any number of cores.
        with one_torch_thread() if is_small else nullcontext():
            epochs = _run(network, rows, training_rows, validation, training)
        state = {name: value.cpu().numpy() for name, value in network.state_dict().items()}
        return TrainedNetwork(state, epochs, len(validation))


def infer(
    build: Callable[[], torch.nn.Module],
    weights: Sequence[Weights],
    inputs: Callable[[slice], NetworkInputs],
    rows: int,
    device: torch.device,
) -> NDArray[np.float64]:
    """Predict class probabilities with trained networks.

    The computation is in float64. In float32, the probabilities of a row would depend slightly on the device and on the
    other rows of the batch.

    Parameters
    ----------
    build : callable
        Function that builds the network, as for `train`.
    weights : sequence of dict of str to array
        Weights of each trained network. The keys are the names in its ``state_dict``.
    inputs : callable
        Function that returns the inputs of all networks for a slice of the rows. It is called once for each slice, to limit
        memory.
    rows : int
        Number of rows to predict.
    device : torch.device
        Device to predict on.

    Returns
    -------
    (members, n, C) float64 array
        Probability of each of the C classes by each network, for each of the n = `rows` rows. The probabilities of a row
        sum to 1.
    """
    import torch

    keep_freed_memory()
    networks = [_restored(build, one, device) for one in weights]
    parts = []
    with torch.inference_mode():
        for start in range(0, rows, INFERENCE_ROWS):
            values = inputs(slice(start, start + INFERENCE_ROWS))
            block = [torch.tensor(x, dtype=torch.float64, device=device) for x in values]
            parts.append(np.stack([torch.softmax(network(*block), dim=1).cpu().numpy() for network in networks]))
    return np.concatenate(parts, axis=1)


def _restored(build: Callable[[], torch.nn.Module], weights: Weights, device: torch.device) -> torch.nn.Module:
    """Build a network with trained weights, in float64, for prediction."""
    import torch

    with torch.device("meta"):  # initial weights need neither memory nor random numbers
        network = build()
    network.load_state_dict({name: torch.tensor(value) for name, value in weights.items()}, assign=True)
    return network.to(device, torch.float64).eval()


def _run(
    network: torch.nn.Module,
    rows: DeviceRows,
    training_rows: torch.Tensor,
    validation: torch.Tensor,
    training: TrainingOptions,
) -> int:
    import torch

    parts = torch.split(training_rows, INFERENCE_ROWS)
    mean_weight = sum(float(rows[part][2].sum()) for part in parts) / len(training_rows)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training.epochs)
    # Batch norm can't use a batch of a single row.
    batches = min(-(-len(training_rows) // training.batch_size), max(len(training_rows) // 2, 1))
    lowest, lowest_epoch = float("inf"), 0
    best: dict[str, torch.Tensor] = {}
    epoch, detail = 0, ""
    emit_training_event(Started("training", training.epochs, "epochs"))
    while epoch < training.epochs and (not best or epoch - lowest_epoch < training.patience):
        epoch += 1
        network.train()
        epoch_loss = torch.zeros((), device=rows.device)
        order = training_rows[torch.randperm(len(training_rows))]
        for batch in torch.tensor_split(order, batches):
            optimizer.zero_grad(set_to_none=True)
            loss = _batch_loss(network, rows[batch], training) / (mean_weight * len(batch))
            torch.autograd.backward(loss)
            optimizer.step()
            epoch_loss += loss.detach()
        schedule.step()
        if len(validation):
            validation_loss = _validation_loss(network, rows, validation, training.focal_gamma)
            epoch_loss += validation_loss
        if not _finite(epoch_loss, *network.state_dict().values()):
            raise HeadError(
                f"training diverged in epoch {epoch}: lower learning_rate ({training.learning_rate:g}) or weight_decay "
                f"({training.weight_decay:g})"
            )
        if len(validation):
            detail = f"validation loss {validation_loss:.3f}"
            if validation_loss < lowest:
                lowest, lowest_epoch = validation_loss, epoch
                best = {name: value.clone() for name, value in network.state_dict().items()}
        emit_training_event(Advanced("training", epoch, detail))
    if best:
        network.load_state_dict(best)
    emit_training_event(Finished("training"))
    return epoch


def _batch_loss(
    network: torch.nn.Module, batch: tuple[list[torch.Tensor], torch.Tensor, torch.Tensor], training: TrainingOptions
) -> torch.Tensor:
    """Return the weighted sum of the row losses of a batch.

    If `training` has mix-up, the rows are mixed first.
    """
    import torch

    inputs, target, weight = batch
    gamma, mixup = training.focal_gamma, training.mixup
    if mixup is None:
        return (weight * row_losses(_logits(network, inputs), target, gamma)).sum()
    partner = torch.randperm(len(target)).to(target.device)
    lambdas = mixup.draw()
    own_weight = mixup.label_weight(lambdas)
    logits = _logits(network, mix(inputs, partner, lambdas))
    own_loss = weight * row_losses(logits, target, gamma)
    partner_loss = weight[partner] * row_losses(logits, target[partner], gamma)
    return (own_weight * own_loss + (1 - own_weight) * partner_loss).sum()


def _validation_loss(network: torch.nn.Module, rows: DeviceRows, validation: torch.Tensor, focal_gamma: float) -> float:
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
    import torch

    return bool(torch.stack([torch.isfinite(x).all() for x in tensors]).all())


def _logits(network: torch.nn.Module, inputs: list[torch.Tensor]) -> torch.Tensor:
    """Return the float32 logits (b, C) of a batch. The function `matrix_dtype` chooses the dtype of matrix products."""
    import torch

    device = inputs[0].device
    dtype = matrix_dtype(device)
    with torch.autocast(device.type, dtype, enabled=dtype is not None):
        logits: torch.Tensor = network(*inputs)
    return logits.float()
