"""Processor seconds, peak memory, and processor seconds of each stage of an extraction in this process."""

from __future__ import annotations

import ctypes
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Self
from unittest import mock

POLL_S = 0.02


def cpu_seconds(function: Callable[[], object]) -> float:
    """Return the processor seconds (user and system, all threads) of a call."""
    start = time.process_time()
    function()
    return time.process_time() - start


def interleaved(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Run functions in turn, and return the processor seconds of the runs of each function. A first run of each function is not measured."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(repeats):
        for name, function in functions.items():
            seconds[name].append(cpu_seconds(function))
    return seconds


def matrix_product() -> object:
    """Multiply two 2048 x 2048 float32 matrices. The speed of this product is the ceiling of the speed of a network."""
    import torch

    matrix = torch.ones(2048, 2048)
    return matrix @ matrix


def ceiling(seconds: list[float]) -> float:
    """Return the FLOPs per second of `matrix_product`."""
    return 2 * 2048**3 / median(seconds)


class Peak:
    """Context manager that records the growth of the anonymous memory of this process, from the start of the block to the peak.

    Attributes
    ----------
    mib : float
        Growth in MiB, available after the ``with`` block.
    cpu_seconds : float
        Processor seconds that the recording itself took.
    """

    def __enter__(self) -> Self:
        ctypes.CDLL(None).malloc_trim(0)
        self._start = self._highest = anonymous_mib()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(POLL_S):
            self._highest = max(self._highest, anonymous_mib())
        self.cpu_seconds = time.thread_time()

    def __exit__(self, *_: object) -> None:
        self._highest = max(self._highest, anonymous_mib())
        self._done.set()
        self._thread.join()
        self.mib = round(self._highest - self._start, 1)


def anonymous_mib() -> float:
    """Return the anonymous memory of this process in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1024


@contextmanager
def stages() -> Iterator[dict[str, float]]:
    """Record the processor seconds of each stage of an extraction, for a ``with`` block.

    The time of a stage does not include the time of the stages that it calls.
    """
    from hsifeat.backbones.network import NetworkBackbone
    from hsifeat.extraction import diffusion_extractor
    from hsifeat.extraction.model_input import ModelInput
    from hsifeat.extraction.noise.gaussian_tiles import DrawnNoiseTiles
    from hsifeat.extraction.tiling.stitching import CoreBlock
    from hsifeat.projection import Projection
    from hsifeat.store.store import Store

    seconds: dict[str, float] = defaultdict(float)
    inner = threading.local()

    def timed(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            outer, inner.seconds = getattr(inner, "seconds", 0.0), 0.0
            start = time.thread_time()
            try:
                result = function(*arguments, **options)
                return list(result) if stage == "noise" else result
            finally:
                spent = time.thread_time() - start
                seconds[stage] += spent - inner.seconds
                inner.seconds = outer + spent

        return call

    targets = (
        ("read", ModelInput, "read"), ("project", Projection, "apply"), ("noise", DrawnNoiseTiles, "at"),
        ("forward", NetworkBackbone, "forward_to"), ("move", CoreBlock, "add"), ("check", diffusion_extractor, "check_finite"),
        ("compress and write", Store, "write"), ("timings", Store, "add_timings"),
    )  # fmt: skip
    patches = [mock.patch.object(owner, name, timed(stage, getattr(owner, name))) for stage, owner, name in targets]
    for patch in patches:
        patch.start()
    try:
        yield seconds
    finally:
        for patch in patches:
            patch.stop()
        for stage, spent in seconds.items():
            seconds[stage] = round(spent, 3)
