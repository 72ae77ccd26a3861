"""The write token of a store is a file that shows which run of an extraction may write to the store.

A run takes the write lock of the store, writes a random token to the store, and passes the token to its workers. Before
each write, a worker compares its token with the token in the store. If a run is killed, the next run replaces the token.
The workers of the killed run can then no longer write.

A lock has no effect on other machines. If the store is in an object store, a run therefore renews its token every 15
seconds. Runs on other machines wait until the token is deleted or has not been renewed for a minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from uuid import uuid4

from hsifeat.errors import StoreError
from hsifeat.store.location import Location

FILE = "writer.token"
# Seconds between two renewals of a token, and from the last renewal to the expiry of the token.
_RENEWAL_S, _EXPIRY_S = 15.0, 60.0


@contextmanager
def write_token(location: Location, *, renew: bool = False) -> Iterator[str]:
    """Write a new token to a store, and yield the token. It is deleted at the end of the ``with`` block.

    The caller must hold the write lock of the store.

    Parameters
    ----------
    location : Location
        Location of the store. The store must exist.
    renew : bool
        Whether to renew the token every 15 seconds. Runs on other machines wait as long as the token is renewed.
    """
    token, ended = uuid4().hex, Event()
    location.put(FILE, _content(token, 0))
    renewal = Thread(target=_renew, args=(location, token, ended), daemon=True)
    if renew:
        renewal.start()
    try:
        yield token
    finally:
        ended.set()
        if renew:
            renewal.join()
        with suppress(StoreError):  # the disk may be full, and the next run replaces the token
            if _token(location.get(FILE)) == token:
                location.delete(FILE)


def check(location: Location, token: str) -> None:
    """Raise `StoreError` if the store no longer has `token`: the run of `token` has ended, or another run has started."""
    if _token(location.get(FILE)) != token:
        raise StoreError(f"the run that this worker belongs to no longer writes to {location}: nothing was written")


def _content(token: str, renewals: int) -> bytes:
    return f"{token} {renewals}".encode()


def _token(content: bytes | None) -> str:
    return (content or b"").decode(errors="replace").partition(" ")[0]


def wait_for_expiry(location: Location, on_wait: Callable[[], None]) -> None:
    """Wait until the token of a run on another machine is deleted, or has not been renewed for 60 seconds.

    Parameters
    ----------
    location : Location
        Location of the store. The store need not exist.
    on_wait : callable
        Function without arguments. If there is a token, the function is called once before waiting.
    """
    content = location.get(FILE)
    if content is None:
        return
    on_wait()
    deadline = time.monotonic() + _EXPIRY_S
    while time.monotonic() < deadline:
        time.sleep(min(_RENEWAL_S / 10, 1))
        newest = location.get(FILE)
        if newest is None:
            return
        if newest != content:
            content, deadline = newest, time.monotonic() + _EXPIRY_S


def _renew(location: Location, token: str, ended: Event) -> None:
    renewals = 0
    while not ended.wait(_RENEWAL_S):
        with suppress(StoreError):  # the network may be back at the next renewal
            if _token(location.get(FILE)) != token:
                return
            renewals += 1
            location.put(FILE, _content(token, renewals))
