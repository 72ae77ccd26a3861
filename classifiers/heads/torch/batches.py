"""Training rows of a network: the validation part for early stopping, and batches on the training device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import HeadError

if TYPE_CHECKING:
    import torch

NetworkInputs = tuple[NDArray[np.floating], ...]

RESIDENT_BYTES = 2**30  # a table up to this size is moved to a GPU as a whole
DEFAULT_FRACTION = 0.1
VALIDATION_ROWS_PER_CLASS = 10


def split_validation(
    codes: NDArray[np.int64], fraction: float | None, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Draw a stratified validation part from the training rows.

    Parameters
    ----------
    codes : (n,) int64 array
        Class codes.
    fraction : float or None
        Share of each class, rounded down. [default: a tenth if that gives 10 rows per class on average, otherwise no
        rows, as they are then worth more for training than for early stopping]
    seed : int
        Seed of the draw.

    Returns
    -------
    training, validation : (k,) intp arrays
        Row indices, ascending.

    Raises
    ------
    HeadError
        If every class has too few rows for the requested fraction.
    """
    rng = np.random.default_rng(seed)
    rows = np.arange(len(codes))
    share = DEFAULT_FRACTION if fraction is None else fraction
    members = (rows[codes == code] for code in np.unique(codes))
    drawn = [rng.permutation(own)[: int(len(own) * share)] for own in members]
    count = sum(map(len, drawn))
    if fraction and not count:
        raise HeadError(
            f"validation_fraction is {fraction}, which is less than a row of any class (the largest has "
            f"{np.bincount(codes).max()} rows); give more, or 0 for no validation rows"
        )
    if fraction is None and count < VALIDATION_ROWS_PER_CLASS * len(drawn):
        return rows, rows[:0]
    validation = np.sort(np.concatenate(drawn))
    return np.setdiff1d(rows, validation), validation


class DeviceRows:
    """Rows of a table as float32 tensors on a device, indexed by batch.

    The rows stay in main memory and go to a GPU batch by batch, unless the table has at most `RESIDENT_BYTES`, in which
    case it is moved there once.
    """

    def __init__(self, arrays: Sequence[NDArray[np.floating]], codes: NDArray[np.int64], device: torch.device) -> None:
        import torch

        floats = [np.require(x, np.float32, ["C", "W"]) for x in arrays]
        home = device if sum(x.nbytes for x in floats) <= RESIDENT_BYTES else torch.device("cpu")
        self._tensors = [torch.from_numpy(x).to(home) for x in (*floats, np.require(codes, requirements=["C", "W"]))]
        self.home, self.device = home, device

    def __getitem__(self, rows: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
        """Return inputs, class codes and weights of rows, by their indices."""
        indices = rows.to(self.home)
        *inputs, weight, target = (x[indices].to(self.device, non_blocking=True) for x in self._tensors)
        return inputs, target, weight
