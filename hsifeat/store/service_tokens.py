"""Find the access tokens of services in a private file or in the environment variable ``HSIFEAT_TOKEN``.

A token in the file belongs to one origin. The token in the environment variable belongs to no origin, so it is sent only where
nobody on the way can read it: over https, or to a service on this machine.
"""

from __future__ import annotations

import ipaddress
import json
import os
from pathlib import Path
from urllib.parse import urlsplit

from hsifeat.errors import StoreError

TOKEN_VARIABLE = "HSIFEAT_TOKEN"  # noqa: S105  # the name of a variable
_FILE_VARIABLE = "HSIFEAT_TOKEN_FILE"


def token_file() -> Path:
    """Return the path of the file with tokens: ``HSIFEAT_TOKEN_FILE``, or ``tokens.json`` in the user's configuration."""
    from platformdirs import user_config_path

    moved = os.environ.get(_FILE_VARIABLE)
    return Path(moved) if moved else user_config_path("hsifeat") / "tokens.json"


def find_token(url: str) -> str | None:
    """Return the token for the address of a service, or None if there is no token.

    The file whose path `token_file` returns has a JSON object that maps origins, such as ``https://gpu.example.org``, to
    tokens. For an origin that the file lacks, the token is ``HSIFEAT_TOKEN`` if the address is encrypted or on this
    machine. A token is sent over plain http to another machine only if the file has the ``http://`` origin.

    Parameters
    ----------
    url : str
        Address of a service, or of a store of a service, as the user entered it.

    Raises
    ------
    StoreError
        If the file with tokens can't be read, is damaged, or can be read by other users.
    """
    token = _tokens(token_file()).get(_origin(url))
    return token or (os.environ.get(TOKEN_VARIABLE) if _is_private(url) else None) or None


def token_advice(url: str) -> str:
    """Return advice on how to set the token for the address of a service, for the end of an error message."""
    if _is_private(url):
        return f"set {TOKEN_VARIABLE}, or write the token to {token_file()}"
    return (
        f"{TOKEN_VARIABLE} is not sent over plain http to another machine: use https, or write the token for {_origin(url)} to "
        f"{token_file()} if the network is trusted"
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _is_private(url: str) -> bool:
    """Return whether requests to an address are encrypted or stay on this machine."""
    parts = urlsplit(url)
    # HTTP libraries disagree about the host of an address with these characters.
    if "\\" in parts.netloc or "@" in parts.netloc:
        return False
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _tokens(path: Path) -> dict[str, str]:
    try:
        mode, content = path.stat().st_mode, path.read_text(encoding="utf-8")
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
