"""Numbering of the requests that a page sends.

If a page sends a later request of the same kind, the earlier request is stale. The service stops working on stale requests.
"""

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
    """Raised if a request is stale, because a later request of the same page replaces it."""


class ReplaceableRoute(APIRoute):
    """A route that answers a stale request with the HTTP status 204. Browsers do not report this status as an error."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the route, which answers `ReplacedError` with the HTTP status 204."""
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except ReplacedError:
                return Response(status_code=204)

        return answer


@dataclass
class Tickets:
    """The latest request number of each group of requests.

    Each open page numbers its requests. A group is all requests of one kind from one page. If a page sends a later request
    of the same group, the earlier request is stale.
    """

    _latest: dict[str, tuple[int, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, group: str, number: int, *followed: str) -> Callable[[], None]:
        """Register a request of a group. A later request of the same group makes this request stale.

        Parameters
        ----------
        group : str
            Name of the group. It contains the kind of the request and the identifier of the page.
        number : int
            Number of the request on its page. Later requests have higher numbers.
        *followed : str
            Names of other groups. A later request of any of these groups makes this request stale, too.

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
