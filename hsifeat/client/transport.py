"""HTTP requests to a service, with the token of the caller. Failed requests raise `ServiceError`."""

from __future__ import annotations

import re
import time
import weakref
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hsifeat.errors import HsifeatError
from hsifeat.store.service_tokens import check_token, find_token, token_advice

if TYPE_CHECKING:
    import httpx

_TIMEOUT_S = 60.0
# Status 0 is a broken connection. The other statuses come from a service that starts or ends, or from a proxy in front of
# it.
_TRANSIENT = {0, 502, 503, 504}
_PAUSE_S = 2.0
_TRIES = 30


class ServiceError(HsifeatError):
    """Raised when a service can't be reached, or refuses a request.

    Attributes
    ----------
    status : int
        HTTP status, or 0 if the service can't be reached.
    headers : mapping of str to str
        Headers of the response.

    See Also
    --------
    hsifeat.HsifeatError : Shows how to catch errors.
    """

    def __init__(self, message: str, status: int = 0, headers: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


class Retries:
    """Pauses between attempts to reach a service, for example while the service restarts.

    Attributes
    ----------
    failures : int
        Number of failed attempts since the last success.
    """

    def __init__(self) -> None:
        self.failures = 0

    def succeed(self) -> None:
        """Record a success, which resets the number of failures."""
        self.failures = 0

    def pause(self, error: ServiceError, *, also: Collection[int] = ()) -> None:
        """Wait before the next attempt.

        Parameters
        ----------
        error : ServiceError
            Reason for the failure of the last attempt.
        also : collection of int
            HTTP statuses after which another attempt can succeed. The statuses that a restarting service sends need
            not be listed.

        Raises
        ------
        ServiceError
            If another attempt can't succeed after `error`. If 30 attempts have failed since the last success.
        """
        self.failures += 1
        if error.status not in {*_TRANSIENT, *also} or self.failures == _TRIES:
            raise error
        time.sleep(_PAUSE_S)


def _is_address(url: str) -> bool:
    """Return whether a text is an HTTP or HTTPS address with a valid host and port."""
    import httpx

    if re.search(r"[\s\\?]", url):
        return False
    try:
        parts, host = urlsplit(url), httpx.URL(url).host
        parts.port  # noqa: B018  # raises a ValueError for a port that is no number
        host.encode("idna")  # raises a UnicodeError, which is a ValueError, for an empty or long label
    except (ValueError, httpx.InvalidURL):
        return False
    return parts.scheme in {"http", "https"} and bool(host)


class Transport:
    """HTTP requests to one service.

    Parameters
    ----------
    url : str
        Address of the service.
    token : str, optional
        Token of the caller. [default: the token that `hsifeat.connect` uses]

    Raises
    ------
    ServiceError
        If `url` is not an HTTP or HTTPS address.
    StoreError
        If the caller's token file (see `hsifeat.connect`) is damaged, or other users can read it. If the token can't be sent.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        import httpx

        if not isinstance(url, str) or not _is_address(url):
            raise ServiceError(f"{url!r} is no address of a service; expected one such as https://gpu.example.org")
        if token is not None and not isinstance(token, str):
            raise ServiceError("a token is a text, as hsifeat serve token add shows it")  # a token is never shown
        self.url = url.rstrip("/")
        self.token = check_token(token, "the token of the connection") if token else find_token(self.url)
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        self._client = httpx.Client(base_url=self.url, headers=headers, timeout=_TIMEOUT_S)
        weakref.finalize(self, self._client.close)

    def json(self, method: str, path: str, **options: Any) -> Any:
        """Send a request, and return the JSON of the response.

        Parameters
        ----------
        method, path : str
            HTTP method, and path below the address of the service.
        **options
            Options of `httpx.Client.request`.

        Raises
        ------
        ServiceError
            If the service can't be reached, or refuses the request.
        """
        with self._errors():
            response = self._client.request(method, path, **options)
        self._check(response)
        return response.json() if response.content else None

    @contextmanager
    def stream(self, path: str, **options: Any) -> Iterator[httpx.Response]:
        """Yield the response to a GET request. The caller reads the body in parts."""
        with self._errors(), self._client.stream("GET", path, **options) as response:
            if response.is_error:
                response.read()
            self._check(response)
            yield response

    @contextmanager
    def _errors(self) -> Iterator[None]:
        import httpx

        try:
            yield
        except httpx.HTTPError as error:
            raise ServiceError(f"{self.url} can't be reached: {error}: is the service running?") from error

    def _check(self, response: httpx.Response) -> None:
        # Redirects are not followed, because the token belongs to this address.
        if response.has_redirect_location:
            target = response.headers["Location"]
            raise ServiceError(
                f"{self.url} redirects to {target}: name the address of the service there", response.status_code
            )
        if not response.is_error:
            return
        try:
            detail = str(response.json()["detail"])
        except (ValueError, LookupError, TypeError):
            detail = response.reason_phrase
        if response.status_code == 401:
            detail += f" ({token_advice(self.url)})"
        raise ServiceError(f"{self.url}: {detail}", response.status_code, response.headers)
