"""A background thread that writes finished blocks to the store while the model computes the next ones."""

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
_QUEUE_LENGTH = 2


class BackgroundWriter:
    """Context manager that writes blocks in one background thread, in the order in which they are handed over.

    Leaving the context waits until everything handed over is written, also after an error or an interrupt.

    Parameters
    ----------
    store : Store
        The store, opened for writing.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hsifeat-write")
        self._queue: deque[Future[None]] = deque()

    def write(
        self, unit: Unit, blocks: Mapping[PlaneSpec, NDArray[np.generic]], timings: Sequence[Timing] = ()
    ) -> None:
        """Hand over the blocks of a unit; wait while two steps are still to be written.

        Parameters
        ----------
        unit : Unit
            The unit.
        blocks : mapping of PlaneSpec to array
            A complete block per plane, of the shape that the layout gives to the unit, in the plane's dtype.
        timings : sequence of Timing
            Recorded in the store after the blocks.

        Raises
        ------
        StoreError
            An earlier block could not be written.
        """
        while len(self._queue) >= _QUEUE_LENGTH:
            self._queue.popleft().result()
        self._queue.append(self._thread.submit(self._write, unit, blocks, timings))

    def _write(self, unit: Unit, blocks: Mapping[PlaneSpec, NDArray[np.generic]], timings: Sequence[Timing]) -> None:
        for plane, values in blocks.items():
            self._store.write(plane.id, unit, values)
        self._store.add_timings(timings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)
        if kind is None:
            for writing in self._queue:
                writing.result()
