"""Split off validation rows for early stopping, and serve batches of training rows on a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import HeadError

if TYPE_CHECKING:
    import torch

NetworkInputs = tuple[NDArray[np.floating], ...]

RESIDENT_BYTES = 2**30  # a table of at most this size is moved to a GPU as a whole
DEFAULT_FRACTION = 0.1
VALIDATION_ROWS_PER_CLASS = 10


def split_validation(
    codes: NDArray[np.int64], fraction: float | None, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Draw stratified validation rows from the training rows.

    Parameters
    ----------
    codes : (n,) int64 array
        Class of each training row, from 0.
    fraction : float or None
        Share of the rows of each class that become validation rows. The number of rows is rounded down. If None,
        the share is a tenth; if a tenth gives fewer than 10 validation rows per class on average, there are none.
    seed : int
        Seed of the draw.

    Returns
    -------
    training, validation : (k,) intp arrays
        Indices of the rows, ascending. Each of the two arrays has its own length k.

    Raises
    ------
    HeadError
        If `fraction` is positive, but so small that no class gets a validation row.
    """
    rng = np.random.default_rng(seed)
    rows = np.arange(len(codes))
    share = DEFAULT_FRACTION if fraction is None else fraction
    members = (rows[codes == code] for code in np.unique(codes))
    samples = [rng.permutation(class_rows)[: int(len(class_rows) * share)] for class_rows in members]
    count = sum(map(len, samples))
    if fraction and not count:
        raise HeadError(
            f"validation_fraction is {fraction}, which is less than a row of any class (the largest has "
            f"{np.bincount(codes).max()} rows); give more, or 0 for no validation rows"
        )
    if fraction is None and count < VALIDATION_ROWS_PER_CLASS * len(samples):
        return rows, rows[:0]
    validation = np.sort(np.concatenate(samples))
    return np.setdiff1d(rows, validation), validation


class DeviceRows:
    """Rows of a table as tensors. ``rows[indices]`` returns a batch on the device.

    A table of at most `RESIDENT_BYTES` is copied to the device once. A larger table stays in main memory, and each
    batch is copied to the device.
    """

    def __init__(
        self,
        arrays: Sequence[NDArray[np.floating]],
        targets: NDArray[np.int64] | NDArray[np.float32],
        device: torch.device,
    ) -> None:
        import torch

        floats = [np.require(x, np.float32, ["C", "W"]) for x in arrays]
        home = device if sum(x.nbytes for x in floats) <= RESIDENT_BYTES else torch.device("cpu")
        self._tensors = [torch.from_numpy(x).to(home) for x in (*floats, np.require(targets, requirements=["C", "W"]))]
        self.home, self.device = home, device

    def __getitem__(self, rows: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
        """Return the float32 inputs, targets and float32 weights of the rows with the indices `rows`."""
        indices = rows.to(self.home)
        *inputs, weight, target = (x[indices].to(self.device, non_blocking=True) for x in self._tensors)
        return inputs, target, weight
