"""Read and write the fitted attributes of a head as a skops file. Only listed types are allowed in the file."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from threading import get_ident
from typing import Any

import numpy as np

from hsifeat.errors import HeadError, error_summary, raise_resource_error
from hsifeat.quiet_warnings import ignored_warnings
from hsifeat.scenes.readers.npy import read_array_header

# Types of plain values that every head may hold.
_PLAIN = {"dict", "list", "tuple", "str", "int", "float", "bool", "NoneType"}
# Nodes of the skops format for plain values, for arrays, and for objects of the types in `Head.persisted_types`.
_NODES = {
    "DictNode",
    "ListNode",
    "TupleNode",
    "JsonNode",
    "TypeNode",
    "NdArrayNode",
    "ObjectNode",
    "TreeNode",
    "CachedNode",
}
_SCHEMA = "schema.json"
# Largest unpacked size of a state. A compressed file of a few megabytes could otherwise fill the memory.
_MAX_BYTES = 2**33


def write_state(state: dict[str, Any], allowed: frozenset[str]) -> bytes:
    """Return fitted attributes as the content of a skops file.

    Raises
    ------
    HeadError
        If an attribute contains objects other than plain values, arrays and objects of the types in `allowed`.
    """
    content: bytes = import_skops().dumps(state, compression=zipfile.ZIP_DEFLATED)
    if foreign := _foreign_types(content, allowed):
        raise HeadError(f"add the types {', '.join(foreign)} to persisted_types of the head, so that it can be loaded")
    return content


def read_state(content: bytes, allowed: frozenset[str], path: Path) -> dict[str, Any]:
    """Read fitted attributes from the content of a skops file.

    Parameters
    ----------
    content : bytes
        Content of the file, which may come from an untrusted source.
    allowed : frozenset of str
        Dotted names of the types that the file may contain, besides plain values and arrays.
    path : Path
        Path of the file, for error messages.

    Returns
    -------
    dict of str to object
        The attributes. The keys are their names.

    Raises
    ------
    HeadError
        If the file is damaged or contains other types.
    """
    try:
        foreign = _foreign_types(content, allowed)
    except Exception as error:  # a damaged file raises errors of many classes
        raise_resource_error(error)
        raise HeadError(f"{path} can't be read as a skops file: {error_summary(error)}; fit the model again") from error
    if foreign:
        raise HeadError(f"{path} contains types that no head uses: {', '.join(foreign)}; don't trust this model")
    try:
        with ignored_warnings():  # `check_restored` detects states of incompatible scikit-learn versions
            state = import_skops().loads(content, trusted=sorted(allowed))
    except Exception as error:  # as above
        raise_resource_error(error)
        raise HeadError(f"{path} can't be restored: {error_summary(error)}; fit the model again") from error
    if not isinstance(state, dict):
        raise HeadError(f"{path} holds a {type(state).__name__}, not the state of a head")
    return state


@cache
def import_skops() -> Any:
    """Import ``skops.io`` without its default list of trusted types.

    To make this list, skops imports all modules of scikit-learn, and with them PyTorch. These imports take longer than
    saving or loading a model. hsifeat does not need the list: each caller lists the types that its file may contain.
    """
    import sklearn.utils

    plain, thread = sklearn.utils.all_estimators, get_ident()

    def all_estimators(*arguments: Any, **options: Any) -> list[tuple[str, type]]:
        return [] if get_ident() == thread else plain(*arguments, **options)

    sklearn.utils.all_estimators = all_estimators
    try:
        import skops.io
    finally:
        sklearn.utils.all_estimators = plain
    return skops.io


def _foreign_types(content: bytes, allowed: frozenset[str]) -> list[str]:
    """Return the dotted names of all types in a skops file except plain types, array types and the types in `allowed`."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = sum(member.file_size for member in archive.infolist())
        if size > _MAX_BYTES:
            raise ValueError(f"the file unpacks to {size / 2**30:.0f} GiB")
        for member in archive.infolist():
            if member.filename.endswith(".npy"):
                _check_array(archive, member)
        schema = json.loads(archive.read(_SCHEMA))
    return sorted({name for name, node in _types(schema) if not _is_allowed(name, node, allowed)})


def _check_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Raise ValueError if an array is not as large as its header says. NumPy reserves memory for the size in the header."""
    with archive.open(member) as file:
        shape, _, dtype = read_array_header(file)
    if math.prod(shape) * dtype.itemsize > member.file_size:
        raise ValueError(f"the array {member.filename} is shorter than its header says")


def _types(schema: Any) -> Iterator[tuple[str, str]]:
    """Yield a pair for each entry of a skops schema: the dotted name of its type, and its node."""
    entries = [schema]
    while entries:
        entry = entries.pop()
        if isinstance(entry, dict):
            if "__class__" in entry or "__loader__" in entry:
                yield f"{entry.get('__module__')}.{entry.get('__class__')}", str(entry.get("__loader__"))
            entries += entry.values()
        elif isinstance(entry, list):
            entries += entry


def _is_allowed(name: str, node: str, allowed: frozenset[str]) -> bool:
    module, _, cls = name.rpartition(".")
    if node not in _NODES:
        return False
    if module == "builtins":
        return cls in _PLAIN
    if module == "numpy":
        found = getattr(np, cls, None)
        return found in (np.ndarray, np.dtype) or (
            isinstance(found, type) and issubclass(found, np.number | np.bool_ | np.str_)
        )
    return name in allowed
