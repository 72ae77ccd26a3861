"""ENVI headers: the fields of one, checked, with what had to be guessed."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hsifeat.errors import SceneError

INTERLEAVES = ("bil", "bip", "bsq")


@dataclass(frozen=True)
class Header:
    """An ENVI header that describes a raster which can be read.

    Attributes
    ----------
    path : Path
        The header.
    fields : dict of str to str or list of str
        All its fields, names in lower case, as the package spectral takes them.
    rows, cols, bands : int
        Lines, samples and bands.
    dtype : numpy dtype
        Of the values, byte order included.
    interleave : str
        ``bil``, ``bip`` or ``bsq``.
    offset : int
        Bytes before the first value.
    notes : tuple of str
        What was guessed.
    """

    path: Path
    fields: dict[str, Any]
    rows: int
    cols: int
    bands: int
    dtype: np.dtype[Any]
    interleave: str
    offset: int
    notes: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Size that the data file should have."""
        return self.offset + self.rows * self.cols * self.bands * self.dtype.itemsize

    def listed(self, name: str) -> list[str] | None:
        """Return the values of a field that is a list, or of one that is a list of one; None where it is missing."""
        value = self.fields.get(name)
        return value if value is None or isinstance(value, list) else [value]

    def text(self, name: str) -> str:
        """Return the text of a field, or an empty string."""
        return ", ".join(self.listed(name) or ()).strip()


def read_header(path: Path) -> Header:
    """Read and check a header.

    Raises
    ------
    SceneError
        It is no ENVI header, lacks a field, or asks for what can't be read.
    """
    from spectral.io.envi import envi_to_dtype

    fields, notes = _fields(path), []
    if "library" in str(fields.get("file type", "")).lower():
        raise SceneError(f"{path} describes a spectral library, not a raster: give the header of an image")
    rows, cols, bands = (_whole(path, fields, name, least=1) for name in ("lines", "samples", "bands"))
    offset = _whole(path, fields, "header offset", least=0, default=0)
    kind = _whole(path, fields, "data type", least=1)
    allowed = {code: np.dtype(char) for code, char in envi_to_dtype.items()}
    if str(kind) not in allowed or allowed[str(kind)].kind == "c":
        found = allowed[str(kind)].name if str(kind) in allowed else "unknown"
        real = ", ".join(f"{code} ({dtype.name})" for code, dtype in allowed.items() if dtype.kind != "c")
        raise SceneError(f"{path}: data type = {kind} ({found}); a scene holds real numbers: {real}")
    dtype = allowed[str(kind)]
    interleave = str(fields.get("interleave", "")).lower()
    if interleave not in INTERLEAVES:
        raise SceneError(f"{path}: interleave is {' or '.join(INTERLEAVES)}; found {interleave or 'none'}")
    if "byte order" not in fields and dtype.itemsize > 1:
        notes.append(f"{path.name}: no byte order; took 0, little-endian")
    order = _whole(path, fields, "byte order", least=0, default=0)
    if order > 1:
        raise SceneError(f"{path}: byte order is 0 (little-endian) or 1 (big-endian); found {order}")
    _refuse_unread(path, fields)
    numbers = {"lines": rows, "samples": cols, "bands": bands, "data type": kind, "byte order": order}
    fields |= {"interleave": interleave, "header offset": str(offset), **{k: str(n) for k, n in numbers.items()}}
    return Header(path, fields, rows, cols, bands, dtype.newbyteorder("<>"[order]), interleave, offset, tuple(notes))


def _refuse_unread(path: Path, fields: dict[str, Any]) -> None:
    if str(fields.get("file compression", "0")).strip() not in {"0", ""}:
        raise SceneError(f"{path}: the data file is compressed, which can't be read: save it without compression")
    for name in ("major frame offsets", "minor frame offsets"):
        offsets = fields.get(name, [])
        if any(str(n).strip() not in {"0", ""} for n in (offsets if isinstance(offsets, list) else [offsets])):
            raise SceneError(f"{path}: {name} = {offsets} can't be read: save the file without frame offsets")


def _whole(path: Path, fields: dict[str, Any], name: str, *, least: int, default: int | None = None) -> int:
    text = fields.get(name, default)
    if text is None:
        raise SceneError(
            f"{path} has no field {name!r}: an ENVI header needs lines, samples, bands, data type, interleave"
        )
    try:
        number = int(text)
    except (TypeError, ValueError):
        number = least - 1
    if number < least:
        raise SceneError(f"{path}: {name} is a whole number from {least} up; found {text!r}")
    return number


def _fields(path: Path) -> dict[str, Any]:
    """Parse a header with spectral, which wants UTF-8; many are in Latin-1, for a description or a unit."""
    from spectral.io.envi import EnviHeaderParsingError, read_envi_header

    with path.open("rb") as file:
        if not file.read(8).removeprefix(b"\xef\xbb\xbf").startswith(b"ENVI"):
            raise SceneError(
                f"{path} is not an ENVI header, which begins with the word ENVI; other formats use .hdr too: "
                "export the scene as ENVI, .mat or .npy"
            )
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # It warns of field names in upper case, which many programs write.
        warnings.simplefilter("ignore")
        copy = Path(folder) / "header"
        copy.write_text(text, errors="backslashreplace")  # in the encoding in which spectral will read it
        try:
            fields: dict[str, Any] = read_envi_header(copy)
        except EnviHeaderParsingError as error:
            raise SceneError(f"{path} is no whole ENVI header: a brace is missing, or it is truncated") from error
    return fields
