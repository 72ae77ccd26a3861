"""The background writer: order, back-pressure, and what is written when something fails."""

from threading import Event, Thread

import numpy as np
import pytest

from hsifeat.errors import StoreError
from hsifeat.extraction.writer import BackgroundWriter
from hsifeat.store.plane_layout import PlaneSpec, SceneLayout
from hsifeat.store.timings import Timing
from hsifeat.types import PlaneId

PLANES = [PlaneSpec(PlaneId(0, name), 1, 2, "float32") for name in "ab"]
UNITS = SceneLayout(40, 40, 8).units
BLOCKS = {plane: np.zeros((8, 8, 2), np.float32) for plane in PLANES}


class RecordingStore:
    """Records calls. While `gate` is not set, writing waits. `failing` is the number of the write that raises an error."""

    def __init__(self, failing=None):
        self.calls, self.gate, self.failing = [], Event(), failing
        self.gate.set()

    def write(self, plane, unit, values):
        self.gate.wait(10)
        if len(self.calls) == self.failing:
            self.failing = None
            raise StoreError("the disk is full")
        self.calls.append((unit.index, plane.layer, values.shape))

    def add_timings(self, timings):
        self.calls.extend(timing.t for timing in timings)


def test_blocks_are_written_in_order_and_timings_after_them():
    store = RecordingStore()
    with BackgroundWriter(store) as writer:
        for unit in UNITS[:3]:
            writer.write(unit, BLOCKS, [Timing(300, "cpu", 1, 0.5)])
    shape = (8, 8, 2)
    assert store.calls == [
        call for unit in UNITS[:3] for call in ((unit.index, "a", shape), (unit.index, "b", shape), 300)
    ]


def test_at_most_two_steps_wait():
    store = RecordingStore()
    store.gate.clear()
    accepted = []
    with BackgroundWriter(store) as writer:

        def hand_over():
            for unit in UNITS[:3]:
                writer.write(unit, BLOCKS)
                accepted.append(unit.index)

        producer = Thread(target=hand_over)
        producer.start()
        producer.join(0.2)
        assert producer.is_alive() and len(accepted) == 2, "memory stays bounded while the disk is slow"
        store.gate.set()
        producer.join(10)
    assert len(store.calls) == 6


def test_an_error_of_the_caller_loses_no_block():
    store = RecordingStore()
    with pytest.raises(KeyboardInterrupt), BackgroundWriter(store) as writer:
        writer.write(UNITS[0], BLOCKS)
        writer.write(UNITS[1], BLOCKS)
        raise KeyboardInterrupt
    assert len(store.calls) == 4


@pytest.mark.parametrize("steps", [1, 5], ids=["when the context is left", "at a later step"])
def test_an_error_in_writing_is_raised(steps):
    store = RecordingStore(failing=1)
    with pytest.raises(StoreError, match="the disk is full"), BackgroundWriter(store) as writer:
        for unit in UNITS[:steps]:
            writer.write(unit, BLOCKS)
