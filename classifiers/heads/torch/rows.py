"""The rows that a network is trained on: which of them are set aside to stop by, and how they get to the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import HeadError

if TYPE_CHECKING:
    import torch

NetworkInputs = tuple[NDArray[np.floating], ...]

RESIDENT_BYTES = 2**30  # a table up to this size is moved to a GPU whole
USUAL_FRACTION = 0.1
VALIDATION_ROWS_PER_CLASS = 10


def split_validation(
    codes: NDArray[np.int64], fraction: float | None, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Draw a stratified validation part of the training rows.

    Parameters
    ----------
    codes : (n,) int64 array
        Class codes.
    fraction : float or None
        Share of each class, rounded down. None takes a tenth if that is 10 rows a class on average, else nothing. With
        fewer, rows are worth more to learn from than to stop by.
    seed : int
        Seed of the draw.

    Returns
    -------
    fitted, validation : int array
        Row indices, ascending.

    Raises
    ------
    HeadError
        If every class has too few rows for the fraction asked for.
    """
    rng = np.random.default_rng(seed)
    rows = np.arange(len(codes))
    share = USUAL_FRACTION if fraction is None else fraction
    drawn = [rng.permutation(of)[: int(len(of) * share)] for of in (rows[codes == c] for c in np.unique(codes))]
    count = sum(map(len, drawn))
    if fraction and not count:
        raise HeadError(
            f"validation_fraction is {fraction}, which is less than a row of any class (the largest has "
            f"{np.bincount(codes).max()} rows); give more, or 0 to set nothing aside"
        )
    if fraction is None and count < VALIDATION_ROWS_PER_CLASS * len(drawn):
        return rows, rows[:0]
    validation = np.sort(np.concatenate(drawn))
    return np.setdiff1d(rows, validation), validation


class DeviceRows:
    """Rows of a table as batches on a device: inputs and weights in float32, class codes.

    They stay in this machine's memory and go to a GPU batch by batch; a table of at most `RESIDENT_BYTES` is moved there
    once.
    """

    def __init__(self, arrays: Sequence[NDArray[np.floating]], codes: NDArray[np.int64], device: torch.device) -> None:
        import torch

        floats = [np.require(x, np.float32, ["C", "W"]) for x in arrays]
        home = device if sum(x.nbytes for x in floats) <= RESIDENT_BYTES else torch.device("cpu")
        self._tensors = [torch.from_numpy(x).to(home) for x in (*floats, np.require(codes, requirements=["C", "W"]))]
        self.home, self.device = home, device

    def __getitem__(self, rows: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
        """Return inputs, codes and weights of rows, by their indices."""
        at = rows.to(self.home)
        *inputs, weight, target = (x[at].to(self.device, non_blocking=True) for x in self._tensors)
        return inputs, target, weight
