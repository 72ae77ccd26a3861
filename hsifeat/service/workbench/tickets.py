"""Numbering of the requests of a page. The work for a request is dropped when a later request of the page replaces this request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.routing import APIRoute

from hsifeat.errors import HsifeatError

Page = Annotated[str, Query(pattern=r"^[\w-]{1,40}$", description="Identifier of the open page.")]
Number = Annotated[int, Query(ge=0, lt=2**53, description="Number of the request of this page.")]


class ReplacedError(HsifeatError):
    """A request was replaced by a later request of the same page."""


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
    """Latest request number of each group of requests.

    Each open page numbers its requests. A request becomes stale when its page sends a later request of the same group, or of
    one of the groups `followed`; see `take`.
    """

    _latest: dict[str, tuple[int, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, group: str, number: int, *followed: str) -> Callable[[], None]:
        """Register a request of a group.

        Parameters
        ----------
        group : str
            Name of the group: kind of the request and identifier of the page.
        number : int
            Number of the request on its page. Later requests have higher numbers.
        *followed : str
            Other groups. A later request of such a group makes this request stale. This request makes no request of such a
            group stale.

        Returns
        -------
        callable
            Function without arguments that raises `ReplacedError` if the request is stale.
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
