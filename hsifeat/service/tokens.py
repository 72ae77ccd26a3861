"""Tokens of the callers of the service, with names, rights and expiry times. Only the sha256 of a token is stored."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import stat
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Protocol

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hsifeat.errors import HsifeatError, allowed_names
from hsifeat.files import read_regular, write_private_file

Right = Literal["read", "write", "admin"]
# Each right includes the rights before it.
RIGHTS: tuple[Right, ...] = ("read", "write", "admin")
NAME = r"[\w.@ -]{1,64}"
_ID_DIGITS = 12


@dataclass(frozen=True)
class Caller:
    """Sender of a request, identified by a token, and the right of the sender.

    Attributes
    ----------
    name : str
        Name of the token.
    right : str
        ``read``, ``write`` or ``admin``. ``write`` includes ``read``, and ``admin`` includes both.
    token_id : str
        First 12 hexadecimal digits of the sha256 of the token.
    """

    name: str
    right: Right
    token_id: str

    def may(self, right: Right) -> bool:
        """Return whether the caller has `right`, or a right that includes `right`."""
        return RIGHTS.index(self.right) >= RIGHTS.index(right)


class TokenSource(Protocol):
    """Interface of a collection of tokens."""

    def caller_of_token(self, token: str) -> Caller | None:
        """Return the caller who holds a token, or None for a wrong, expired or revoked token."""
        ...

    def caller_of_id(self, token_id: str) -> Caller | None:
        """Return the caller whose token has the identifier `token_id`, or None if no valid token has it."""
        ...


class TokenEntry(BaseModel):
    """Entry of a token in a token file. The entry does not contain the token itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=f"^{NAME}$")]
    right: Right
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    created: float
    expires: float | None = None

    @property
    def id(self) -> str:
        """First 12 hexadecimal digits of the sha256 of the token. They identify the token in lists and logs."""
        return self.sha256[:_ID_DIGITS]

    @property
    def is_valid(self) -> bool:
        """Whether the token has not expired."""
        return self.expires is None or time.time() < self.expires

    @cached_property
    def caller(self) -> Caller:
        """The caller who holds the token."""
        return Caller(self.name, self.right, self.id)


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tokens: list[TokenEntry] = []


class SingleToken:
    """A random token with all rights. It is valid until the service ends.

    Attributes
    ----------
    token : str
        The token.
    """

    def __init__(self) -> None:
        self.token = new_token()
        self._caller = Caller("owner", "admin", digest_of_token(self.token)[:_ID_DIGITS])

    def caller_of_token(self, token: str) -> Caller | None:
        """Return the caller with all rights if `token` is the token of the service, else None."""
        return self._caller if hmac.compare_digest(digest_of_token(token), digest_of_token(self.token)) else None

    def caller_of_id(self, token_id: str) -> Caller | None:
        """Return the caller with all rights if `token_id` is the identifier of the token of the service, else None."""
        return self._caller if token_id == self._caller.token_id else None


class TokenFile:
    """The tokens in a JSON file. If the file changes, the change takes effect at the next request.

    Parameters
    ----------
    path : Path
        The JSON file. A missing file is treated as a file without tokens.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, ...] | None = None
        self._entries: tuple[TokenEntry, ...] = ()

    def entries(self) -> tuple[TokenEntry, ...]:
        """Return the entries of all tokens, including expired tokens.

        Raises
        ------
        HsifeatError
            If the file is damaged. If other users of the machine may write to the file.
        """
        try:
            status = os.stat(self.path)  # noqa: PTH116  # faster than a Path, and needed for each request
        except FileNotFoundError:
            return ()
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        if stamp != self._stamp:
            if os.name == "posix" and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise HsifeatError(f"{self.path} can be changed by other users: chmod 600 {self.path}")
            try:
                self._entries = tuple(_Content.model_validate_json(read_regular(self.path)).tokens)
            except ValidationError as error:
                raise HsifeatError(
                    f"{self.path} is no file of tokens: restore it, or delete it and add the tokens again with "
                    "hsifeat serve token add"
                ) from error
            self._stamp = stamp
        return self._entries

    def caller_of_token(self, token: str) -> Caller | None:
        """Return the caller who holds a token, or None for a wrong, expired or revoked token."""
        digest, caller = digest_of_token(token), None
        # All entries are compared, so that the response time does not depend on the matching entry.
        for entry in self.entries():
            if hmac.compare_digest(entry.sha256, digest) and entry.is_valid:
                caller = entry.caller
        return caller

    def caller_of_id(self, token_id: str) -> Caller | None:
        """Return the caller whose token has the identifier `token_id`, or None if no valid token has it."""
        return next((entry.caller for entry in self.entries() if entry.id == token_id and entry.is_valid), None)

    def add(self, name: str, right: Right, *, days: int | None) -> str:
        """Create a random token, and return it. Only the sha256 of the token is added to the file.

        Parameters
        ----------
        name : str
            Name of the person or program, for the logs.
        right : str
            ``read``, ``write`` or ``admin``.
        days : int, optional
            Lifetime of the token in days; None for a token that does not expire.

        Raises
        ------
        HsifeatError
            If the name or the right is not allowed.
        """
        if re.fullmatch(NAME, name) is None:
            raise HsifeatError(
                f"a name has at most 64 letters, digits, spaces and the characters . @ _ -; found {name!r:.80}"
            )
        if right not in RIGHTS:
            raise HsifeatError(f"no right {right!r}; {allowed_names(RIGHTS)}")
        token, now = new_token(), time.time()
        expires = None if days is None else now + days * 86400
        entry = TokenEntry(name=name, right=right, sha256=digest_of_token(token), created=now, expires=expires)
        with self._lock():
            self._save([*self.entries(), entry])
        return token

    def revoke(self, name: str) -> list[TokenEntry]:
        """Delete the tokens whose name or identifier is `name`, and return their entries.

        Raises
        ------
        HsifeatError
            If there is no such token.
        """
        with self._lock():
            entries = self.entries()
            revoked = [entry for entry in entries if name in {entry.name, entry.id}]
            if not revoked:
                known = allowed_names(entry.name for entry in entries)
                raise HsifeatError(f"no token {name!r} in {self.path}; {known}")
            self._save([entry for entry in entries if entry not in revoked])
        return revoked

    def _lock(self) -> FileLock:
        path = self.path.resolve()  # A link and its target have one lock.
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path.with_name(f".{path.name}.lock"))

    def _save(self, entries: list[TokenEntry]) -> None:
        content = json.dumps({"tokens": [entry.model_dump(exclude_none=True) for entry in entries]}, indent=1)
        # A service may read the target of a link, so a file in place of the link would not change its tokens.
        write_private_file(self.path.resolve(), content)


def new_token() -> str:
    """Return a random token of 256 bits."""
    return f"hsf_{secrets.token_urlsafe(32)}"


def digest_of_token(token: str) -> str:
    """Return the sha256 of a token as 64 hexadecimal digits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
