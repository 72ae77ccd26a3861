"""Find the access tokens of services in a private file or in the environment variable ``HSIFEAT_TOKEN``."""

from __future__ import annotations

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

    The file at `token_file` has a JSON object that maps origins, such as ``https://gpu.example.org``, to tokens. For all
    other origins, the token in ``HSIFEAT_TOKEN`` is returned.

    Raises
    ------
    StoreError
        The file can't be read, is damaged, or can be read by other users.
    """
    parts = urlsplit(url)
    return _tokens(token_file()).get(f"{parts.scheme}://{parts.netloc}") or os.environ.get(TOKEN_VARIABLE) or None


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
