"""The writer behind the model: one thread that writes finished blocks while the next ones are computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hsifeat.store.layout import PlaneSpec, Unit
from hsifeat.store.store import Store
from hsifeat.store.timings import Timing

# Steps that may wait to be written; each holds one block of every plane at one timestep.
_WAITING = 2


class BackgroundWriter:
    """A context in which blocks are written in the order they come, by one thread.

    Leaving it waits until all that was handed over is written, also on an error or an interrupt.

    Parameters
    ----------
    store : Store
        Where to.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hsifeat-write")
        self._waiting: deque[Future[None]] = deque()

    def write(self, unit: Unit, blocks: Mapping[PlaneSpec, NDArray[np.generic]], spent: Sequence[Timing] = ()) -> None:
        """Hand over a unit's blocks, and what they took; waits while too many wait, and raises what went wrong in writing."""
        while len(self._waiting) >= _WAITING:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(self._write, unit, blocks, spent))

    def _write(self, unit: Unit, blocks: Mapping[PlaneSpec, NDArray[np.generic]], spent: Sequence[Timing]) -> None:
        for plane, values in blocks.items():
            self._store.write(plane.id, unit, values)
        self._store.add_timings(spent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)
        if kind is None:
            for writing in self._waiting:
                writing.result()
