"""Tokens of the user for services, from a private file or the environment variable ``HSIFEAT_TOKEN``.

The file has one token for each service. The token in the environment variable is for the service whose address is in
``HSIFEAT_SERVICE``. If this variable is not set, the token is for services on this machine.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from hsifeat.errors import StoreError
from hsifeat.files import read_regular

TOKEN_VARIABLE = "HSIFEAT_TOKEN"  # noqa: S105  # the name of a variable
SERVICE_VARIABLE = "HSIFEAT_SERVICE"
_FILE_VARIABLE = "HSIFEAT_TOKEN_FILE"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def token_file() -> Path:
    """Return the path of the file with the user's tokens for services.

    The environment variable ``HSIFEAT_TOKEN_FILE`` contains this path. If the variable is not set, the file is
    ``tokens.json`` in the folder of the user's configuration.
    """
    from platformdirs import user_config_path

    moved = os.environ.get(_FILE_VARIABLE)
    return Path(moved) if moved else user_config_path("hsifeat") / "tokens.json"


def find_token(url: str) -> str | None:
    """Return the token for the address of a service, or None if there is no token.

    The file at `token_file` has a JSON object with tokens by origin, such as ``https://gpu.example.org``. If the object has
    a token for the origin of `url`, this token is returned.

    Otherwise, the token in ``HSIFEAT_TOKEN`` is considered. If ``HSIFEAT_SERVICE`` is set, this token is returned for
    addresses of the service that ``HSIFEAT_SERVICE`` names. If ``HSIFEAT_SERVICE`` is not set, the token is returned for
    addresses on this machine.

    Plain http does not encrypt tokens. ``HSIFEAT_TOKEN`` is therefore never returned for an ``http://`` address of another
    machine. To send a token to such an address, add its origin to the file.

    Parameters
    ----------
    url : str
        Address of a service, or of a store of a service, as the user entered it.

    Raises
    ------
    StoreError
        If the file with tokens can't be read or is damaged. If other users of this machine can read the file. If
        ``HSIFEAT_SERVICE`` is not the address of a service. If the token can't be sent, see `check_token`.
    """
    origin = _origin(url)
    for entry, token in _tokens(token_file()).items():
        if origin is not None and _origin(entry) == origin:
            return check_token(token, f"the text for {entry} in {token_file()}") if token else None
    token = os.environ.get(TOKEN_VARIABLE, "") if _is_service_of_environment(origin) else ""
    return check_token(token, TOKEN_VARIABLE) if token else None


def check_token(token: str, source: str) -> str:
    """Strip white space from a token, and check that it can be sent.

    Parameters
    ----------
    token : str
        The token.
    source : str
        Where the token was found, for messages, which never show the token.

    Raises
    ------
    StoreError
        If the token is empty or has characters other than printable ASCII, which HTTP headers can't contain.
    """
    token = token.strip()
    if not re.fullmatch("[!-~]+", token):
        raise StoreError(
            f"{source} is no token: it is empty, or contains white space or a character that is not ASCII, such as a typographic quotation "
            "mark: copy the token that hsifeat serve token add shows"
        )
    return token


def token_advice(url: str) -> str:
    """Return advice on how to set the token for the address of a service, as the end of an error message."""
    origin = _origin(url)
    if origin is None:
        return "the address has a user name, a backslash or no host, and no token is sent to such an address"
    entry = f"write the token for {origin} to {token_file()}"
    if _is_service_of_environment(origin):
        return f"set {TOKEN_VARIABLE}, or {entry}"
    if _is_private(origin):
        return f"set {SERVICE_VARIABLE}={origin} and {TOKEN_VARIABLE}, or {entry}"
    return f"{TOKEN_VARIABLE} is not sent over plain http to another machine: use https, or {entry} if the network is trusted"


def _is_service_of_environment(origin: str | None) -> bool:
    """Return whether the token in the environment belongs to an origin."""
    if origin is None or not _is_private(origin):
        return False
    service = os.environ.get(SERVICE_VARIABLE)
    if not service:
        return _is_on_this_machine(origin)
    named = _origin(service)
    if named is None:
        raise StoreError(
            f"{SERVICE_VARIABLE} is {service!r}; expected the address of the service that {TOKEN_VARIABLE} belongs to, such as "
            "https://gpu.example.org or http://localhost:8765"
        )
    return named == origin


def _origin(url: str) -> str | None:
    """Return the scheme, host and port of an address, without a default port; None if the host is not certain."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    # HTTP libraries disagree about the host of an address with these characters.
    if parts.scheme not in _DEFAULT_PORTS or not host or "\\" in parts.netloc or "@" in parts.netloc:
        return None
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in {None, _DEFAULT_PORTS[parts.scheme]} else "")


def _is_private(origin: str) -> bool:
    """Return whether requests to an origin are encrypted or stay on this machine."""
    return origin.startswith("https://") or _is_on_this_machine(origin)


def _is_on_this_machine(origin: str) -> bool:
    host = urlsplit(origin).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _tokens(path: Path) -> dict[str, str]:
    try:
        mode, content = path.stat().st_mode, read_regular(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror}") from error
    if os.name == "posix" and mode & 0o077:
        raise StoreError(
            f"{path} has the mode {mode & 0o777:o}, so that other people can read its tokens: chmod 600 {path}"
        )
    try:
        tokens = json.loads(content)
    except ValueError as error:
        raise StoreError(f'{path} is no JSON; expected {{"https://gpu.example.org": "TOKEN"}}: {error}') from error
    if not isinstance(tokens, dict) or not all(isinstance(token, str) for token in tokens.values()):
        raise StoreError(f'{path}: expected {{"https://gpu.example.org": "TOKEN"}}')
    return tokens
