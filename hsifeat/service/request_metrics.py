"""Metrics of the service for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Metrics:
    """Metrics of one service. Requests are counted by route, such as ``/stores/{key}``, not by path.

    Attributes
    ----------
    registry : prometheus_client.CollectorRegistry
        All metrics of the service.
    in_progress : prometheus_client.Gauge
        Number of requests in progress.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        labels = ("route", "method", "status")
        self._requests = Counter("hsifeat_requests", "Answered requests.", labels, registry=self.registry)
        self._bytes = Counter(
            "hsifeat_response_bytes", "Bytes in bodies of responses.", ("route",), registry=self.registry
        )
        self._seconds = Histogram(
            "hsifeat_request_seconds",
            "Time from a request to the end of its response.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._children: dict[tuple[str, str, int], tuple[Counter, Counter, Histogram]] = {}
        self.in_progress = Gauge("hsifeat_requests_in_progress", "Requests being answered.", registry=self.registry)

    def observe(self, route: str, method: str, status: int, seconds: float, size_bytes: int) -> None:
        """Count an answered request.

        Parameters
        ----------
        route : str
            Path of the route with the names of its parameters, such as ``/stores/{key}``.
        method : str
            HTTP method.
        status : int
            HTTP status; 0 if the client disconnected before the response.
        seconds : float
            Time from the request to the end of the response.
        size_bytes : int
            Size of the body of the response in bytes.
        """
        requests, sizes, durations = self._counters(route, method if method in _METHODS else "other", status)
        requests.inc()
        sizes.inc(size_bytes)
        durations.observe(seconds)

    def _counters(self, route: str, method: str, status: int) -> tuple[Counter, Counter, Histogram]:
        key = route, method, status
        if key not in self._children:
            requests = self._requests.labels(route, method, str(status))
            self._children[key] = requests, self._bytes.labels(route), self._seconds.labels(route)
        return self._children[key]

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)
