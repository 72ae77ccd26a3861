"""The Dask cluster on this machine."""

import os
import signal
from multiprocessing import resource_tracker

import pytest

from hsifeat.runtime.dask_cluster import open_cluster


class InterruptedCluster:
    """A cluster during whose start somebody presses Ctrl-C."""

    events = []  # noqa: RUF012  # one list for all

    def __init__(self, **_):
        os.kill(os.getpid(), signal.SIGINT)
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []), "workers inherit the mask"
        assert resource_tracker._resource_tracker._fd is not None, "it would clear the mask when it starts"
        self.events.append("started")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.events.append("closed")


def test_an_interrupt_waits_until_the_cluster_has_started(monkeypatch):
    """Workers that started, and the exit handler of a cluster that had half started, printed tracebacks."""
    monkeypatch.setattr("distributed.LocalCluster", InterruptedCluster)
    monkeypatch.setattr(InterruptedCluster, "events", [])
    former = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), open_cluster("local:1"):
        pytest.fail("the interrupt is lost")
    assert InterruptedCluster.events == ["started", "closed"]
    assert signal.getsignal(signal.SIGINT) is former
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
