"""Signed addresses, with which a client without a token can read below one path for a limited time.

A signed address is ``/signed/GRANT/PATH``. GRANT contains an expiry time, the identifier of the issuer's token, and a
signature. The signature is an HMAC-SHA256 of the expiry time, the identifier, and the part of PATH that `SIGNABLE` matches.
The address stops working at its expiry time. It also stops working if the issuer's token expires or is revoked.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import time
from dataclasses import replace
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from hsifeat.errors import HsifeatError
from hsifeat.files import disk_errors, read_regular, write_private_file
from hsifeat.service.problems import problem_response
from hsifeat.service.tokens import Caller, TokenSource

_log = logging.getLogger("hsifeat.service")
PREFIX = "/signed/"
_SECRET_BYTES = 32
# Paths that can be signed: the files of one store, or the results of one job.
SIGNABLE = re.compile(r"/(stores/[0-9a-f]{64}(?:\.consolidated)?\.zarr|jobs/[0-9a-f]{16}/files)(?=/|$)")
_GRANT = re.compile(r"(\d{1,12})-([0-9a-f]{12})-([0-9a-f]{64})")


class AddressSigner:
    """Issues and checks signed addresses.

    Parameters
    ----------
    secret : bytes
        Secret of the service, which is the key of the signatures.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, path: str, caller: Caller, *, seconds: int) -> tuple[str, int]:
        """Return a signed address ``/signed/GRANT/PATH``, and its expiry time in seconds since 1970.

        Parameters
        ----------
        path : str
            Path such as ``/stores/KEY.zarr``, which `SIGNABLE` must match. The holder of the address can read below this
            path.
        caller : Caller
            Issuer of the address.
        seconds : int
            Lifetime of the address in seconds.
        """
        expires = int(time.time()) + seconds
        signature = self._signature(_scope_of(path), caller.token_id, expires)
        return f"{PREFIX}{expires}-{caller.token_id}-{signature}{path}", expires

    def check(self, grant: str, path: str, tokens: TokenSource) -> Caller | None:
        """Check a signed address, and return the caller who issued it.

        Parameters
        ----------
        grant : str
            The part GRANT of a signed address ``/signed/GRANT/PATH``.
        path : str
            The part ``/PATH`` of the signed address.
        tokens : TokenSource
            Valid tokens.

        Returns
        -------
        Caller or None
            The issuer, with only the right to read. None if the address has expired, or its signature is wrong, or the
            issuer's token is not valid.
        """
        match = _GRANT.fullmatch(grant)
        if match is None or SIGNABLE.match(path) is None:
            return None
        expires, token_id, signature = int(match[1]), match[2], match[3]
        expected = self._signature(_scope_of(path), token_id, expires)
        if not hmac.compare_digest(signature, expected) or time.time() >= expires:
            return None
        caller = tokens.caller_of_id(token_id)
        return None if caller is None else replace(caller, right="read")

    def _signature(self, scope: str, token_id: str, expires: int) -> str:
        return hmac.new(self._secret, f"{expires}\n{token_id}\n{scope}".encode(), hashlib.sha256).hexdigest()


class SignedAddresses:
    """ASGI middleware that answers a request to a signed address as a request of the issuer of the address.

    It checks the address, removes ``/signed/GRANT`` from the path, and sets the issuer as the caller, with only the right
    to read. It refuses invalid addresses.

    Parameters
    ----------
    app : ASGI application
        Application that answers the path without ``/signed/GRANT``.
    signer : AddressSigner
        Object that checks the addresses.
    tokens : TokenSource
        Valid tokens. An address is invalid if the issuer's token is not among them.
    """

    def __init__(self, app: ASGIApp, signer: AddressSigner, tokens: TokenSource) -> None:
        self._app, self._signer, self._tokens = app, signer, tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the address of a request, and pass the request on."""
        if scope["type"] == "http":
            root = scope.get("root_path", "")
            path = scope["path"].removeprefix(root)
            if path.startswith(PREFIX):
                grant, slash, rest = path.removeprefix(PREFIX).partition("/")
                rest = slash + rest
                try:
                    caller = self._signer.check(grant, rest, self._tokens)
                except HsifeatError as error:
                    _log.error("no address can be checked: %s", error)  # a traceback would add nothing
                    caller = None
                if caller is None or scope["method"] not in {"GET", "HEAD"}:
                    detail = "this address has expired, was revoked or is wrong: ask its sender for a new one"
                    await problem_response(403, detail)(scope, receive, send)
                    return
                scope["path"] = root + rest
                scope["raw_path"] = scope["path"].encode()
                scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)


def read_secret(path: Path) -> bytes:
    """Return the secret in a file. If the file does not exist, create it with a new secret, for access by its owner only.

    Raises
    ------
    StoreError
        If the file can't be read or written.
    HsifeatError
        If the size of the file differs from the size of a secret.
    """
    from filelock import FileLock

    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            if not path.exists():
                write_private_file(path, secrets.token_bytes(_SECRET_BYTES))
            secret = read_regular(path)
    if len(secret) != _SECRET_BYTES:
        raise HsifeatError(f"{path} is damaged: delete it; all signed addresses then end")
    return secret


def _scope_of(path: str) -> str:
    match = SIGNABLE.match(path)
    return match[0] if match else ""
