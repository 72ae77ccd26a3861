"""Settings and random generators of torch, which all threads of a process share.

`own_random_state` and `cudnn_settings` have one lock. A thread takes it after the lock of a backbone (`exclusive_use`), never
before: code in these blocks uses no backbone that another thread may use. Otherwise, two threads could wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock, RLock, Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# Held while the random generators or the settings of cuDNN differ from those outside of the block.
_lock = RLock()
_precision_lock = Lock()
# Number of running blocks of `full_precision`, and the precision before the first of them.
_precision_blocks = 0
_callers_precision = ""


@contextmanager
def own_random_state(seed: int | None = None, devices: Sequence[torch.device | str | int] = ()) -> Iterator[None]:
    """Draw torch's random numbers in a ``with`` block from a state that no other block can change.

    Layers draw initial weights and dropout from the generators of the process. The blocks of several threads therefore run
    one after another. After a block, the generators are in the state from before the block. Blocks of one thread can be
    nested. Weights are also loaded in such a block, because diffusers disables initialisation in all threads
    during loading.

    Parameters
    ----------
    seed : int, optional
        Seed of the generators. [default: the block continues in the current state]
    devices : sequence of torch.device, str or int
        GPUs whose generators are restored, too.
    """
    import torch

    with _lock, torch.random.fork_rng(devices=list(devices)):
        if seed is not None:
            torch.manual_seed(seed)
        yield


@contextmanager
def cudnn_settings(**settings: Any) -> Iterator[None]:
    """Set options of cuDNN for a ``with`` block, in which GPUs use cuDNN. Blocks of several threads run one after another.

    Parameters
    ----------
    **settings
        Arguments of ``torch.backends.cudnn.flags``, which turns cuDNN off if its argument `enabled` is left out.
    """
    import torch

    with _lock, torch.backends.cudnn.flags(enabled=True, **settings):
        yield


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute products of float32 matrices in full precision in a ``with`` block. Blocks of several threads may overlap.

    After the last block, the precision is that from before the first block.
    """
    import torch

    global _precision_blocks, _callers_precision  # noqa: PLW0603  # the setting is global, too
    with _precision_lock:
        if not _precision_blocks:
            _callers_precision = torch.get_float32_matmul_precision()
        _precision_blocks += 1
        torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        with _precision_lock:
            _precision_blocks -= 1
            if not _precision_blocks:
                torch.set_float32_matmul_precision(_callers_precision)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Limit torch to one CPU thread in a ``with`` block, for the calling thread alone.

    The number of threads affects the last bits of results. ``torch.set_num_threads`` sets the number of the calling thread,
    and that of all threads that use torch for the first time afterwards. This function restores the latter number at once.
    """
    import torch

    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        restorer = Thread(target=torch.set_num_threads, args=(before,))
        restorer.start()
        restorer.join()
        yield
    finally:
        torch.set_num_threads(before)
