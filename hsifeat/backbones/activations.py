"""Peak memory of the feature maps in a forward pass, computed from the shapes of the maps."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_map_bytes(forward: Callable[[], object]) -> int:
    """Return the peak memory of the tensors that `forward` creates, in bytes.

    Parameters
    ----------
    forward : callable
        Function without arguments that runs a network, usually on the ``meta`` device.

    Returns
    -------
    int
        The peak in bytes.

    Examples
    --------
    >>> peak_map_bytes(lambda: torch.ones(1000, device="meta").sin().cos())
    8000
    """
    live = _LiveTensors()
    with live:
        forward()
    return live.peak


class _LiveTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no annotation
    """Count the bytes of the memory of new tensors until it is freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak: int = 0
        self._bytes: int = 0
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation, and count its outputs whose memory is new."""
        outputs = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(outputs):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        return outputs

    def _add(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        self._bytes += storage.nbytes()
        self.peak = max(self.peak, self._bytes)
        weakref.finalize(storage, self._free, storage.nbytes())

    def _free(self, count: int) -> None:
        self._bytes -= count
