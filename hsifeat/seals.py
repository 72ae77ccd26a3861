"""Seals, which are checksums that detect damaged files and swapped files.

A seal is the sha256 of the name and the content of a file. The name is included to detect swapped files. A JSON object has
its seal under the key ``seal``. Any other file has its seal in a line after the content. Readers of ``.npy``, ``.npz`` and
torch files ignore this line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from hsifeat.errors import HsifeatError, raise_resource_error
from hsifeat.files import open_regular, read_regular

_KEY = "seal"
_MARK = b"\nhsifeat seal "
_LENGTH = len(_MARK) + 64 + 1
_CHUNK_BYTES = 2**20


class SealError(HsifeatError, ValueError):
    """Raised when a file is damaged, has no seal, or was sealed under another name."""


def seal_file(path: Path, name: str) -> None:
    """Append a seal to a file.

    Parameters
    ----------
    path : Path
        The file. Its current name may be temporary.
    name : str
        Name that the seal covers. Files that could be swapped by mistake must be sealed with different names.
    """
    with path.open("r+b") as file:
        digest = _digest(file, name, None)
        file.write(_MARK + digest.encode() + b"\n")


def check_seal(path: Path, name: str, *, advice: str = "") -> None:
    """Check the seal of a file.

    Parameters
    ----------
    path : Path
        File whose last line is a seal.
    name : str
        Name that the seal covers.
    advice : str
        Advice to the user in the error message for a damaged file; empty for no advice.

    Raises
    ------
    SealError
        If the file is missing, or can't be read for a reason other than denied access. If it has no seal. If the seal does
        not match `name` and the content.
    StoreError
        If the operating system denies access to the file.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> file = Path(folder.name, "a.txt")
    >>> _ = file.write_text("42")
    >>> seal_file(file, "a.txt")
    >>> check_seal(file, "a.txt")
    >>> check_seal(file, "b.txt", advice="copy it again")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    hsifeat.seals.SealError: .../a.txt is damaged, or is another file under this name: copy it again
    >>> folder.cleanup()
    """
    try:
        with open_regular(path) as file:
            size = path.stat().st_size - _LENGTH
            digest = _digest(file, name, max(size, 0))
            matches = file.read() == _MARK + digest.encode() + b"\n"
    except OSError as error:
        raise_resource_error(error)
        raise _seal_error(f"{path} can't be read ({error.strerror or error})", advice) from error
    if not matches:
        raise _seal_error(f"{path} is damaged, or is another file under this name", advice)


def has_seal(path: Path) -> bool:
    """Return whether a file exists and ends with a seal. Whether the seal matches is not checked."""
    try:
        with open_regular(path) as file:
            file.seek(max(path.stat().st_size - _LENGTH, 0))
            return file.read().startswith(_MARK)
    except OSError:
        return False


def file_digest(path: Path, name: str) -> str:
    """Return the hexadecimal sha256 of the name and the content of a file."""
    with open_regular(path) as file:
        return _digest(file, name, None)


def seal_json(content: Mapping[str, Any], name: str, *, indent: int | None = 1) -> str:
    """Return a JSON object as text, with its seal as the last key.

    Parameters
    ----------
    content : mapping
        JSON values by key.
    name : str
        Name that the seal covers.
    indent : int, optional
        Number of spaces per level of indentation; None for a single line.
    """
    # JSON has string keys only. The round trip gives a new object the same digest as an object that was read from a file.
    plain = {key: value for key, value in json.loads(json.dumps(content)).items() if key != _KEY}
    return json.dumps(plain | {_KEY: _json_digest(plain, name)}, indent=indent)


def open_json(path: Path, name: str, *, advice: str = "", required: bool = True) -> dict[str, Any]:
    """Read a JSON object from a file, check its seal, and return the object without the seal.

    Parameters
    ----------
    path : Path
        File with the text that `seal_json` returned.
    name : str
        Name that the seal covers.
    advice : str
        Advice to the user in the error message for a damaged file; empty for no advice.
    required : bool
        Whether the object must have a seal.

    Raises
    ------
    SealError
        If the file can't be read, or is not a JSON object. If the seal is missing but required. If the seal does not match.
    StoreError
        If the operating system denies access to the file.
    """
    try:
        content = json.loads(read_regular(path))
    except OSError as error:
        raise_resource_error(error)
        raise _seal_error(f"{path} can't be read ({error.strerror or error})", advice) from error
    except (ValueError, RecursionError) as error:
        raise _seal_error(f"{path} is damaged ({error})", advice) from error
    if not isinstance(content, dict):
        raise _seal_error(f"{path} holds no JSON object", advice)
    if not required and _KEY not in content:
        return content
    seal = content.pop(_KEY, None)
    if seal != _json_digest(content, name):
        raise _seal_error(f"{path} is damaged or was edited", advice)
    return content


def _seal_error(problem: str, advice: str) -> SealError:
    return SealError(f"{problem}: {advice}" if advice else problem)


def _json_digest(content: Mapping[str, Any], name: str) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(name.encode() + b"\0" + text.encode()).hexdigest()


def _digest(file: BinaryIO, name: str, size: int | None) -> str:
    """Return the digest of a name and the next `size` bytes of a file. If `size` is None, all remaining bytes are read."""
    digest = hashlib.sha256(name.encode() + b"\0")
    left = float("inf") if size is None else size
    while left and (chunk := file.read(int(min(left, _CHUNK_BYTES)))):
        digest.update(chunk)
        left -= len(chunk)
    return digest.hexdigest()
