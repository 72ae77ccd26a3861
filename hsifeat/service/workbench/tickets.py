"""Numbers of requests, by which answers that nobody waits for any more are dropped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from hsifeat.errors import HsifeatError


class ReplacedError(HsifeatError):
    """A later request of the same page replaced a request."""


class ReplaceableRoute(APIRoute):
    """A route that answers a replaced request with 204, which browsers do not report as an error."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the route, which answers `ReplacedError` with 204."""
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except ReplacedError:
                return Response(status_code=204)

        return answer


@dataclass
class Tickets:
    """Numbers of requests, by which an answer that nobody waits for any more is dropped.

    Each open page counts its requests. A request is stale as soon as the same page has sent a later one of its group, or of
    a group that it follows.
    """

    _latest: dict[str, tuple[int, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, group: str, number: int, *followed: str) -> Callable[[], None]:
        """Register a request of a group, and return a function that raises `ReplacedError` once the request is stale.

        A request of a followed group replaces this one, but not the other way round.

        Parameters
        ----------
        group : str
            Name of the group: what is asked for, and the page that asks.
        number : int
            Number of the request; a page counts its requests.
        *followed : str
            Other groups whose later requests make this one stale.

        Returns
        -------
        callable
            Function without arguments.
        """
        with self._lock:
            latest = max(number, self._latest.get(group, (0, 0.0))[0])
            self._latest[group] = latest, time.monotonic()
            if len(self._latest) > 1000:
                del self._latest[min(self._latest, key=lambda name: self._latest[name][1])]

        def check() -> None:
            if any(self._latest.get(name, (0, 0.0))[0] > number for name in (group, *followed)):
                raise ReplacedError("a later request of the same page replaced this one")

        return check
