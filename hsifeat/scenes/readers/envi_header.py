"""Parsing and validation of ENVI headers."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hsifeat.errors import SceneError
from hsifeat.files import open_regular, read_regular
from hsifeat.quiet_warnings import ignored_warnings

INTERLEAVES = ("bil", "bip", "bsq")
# Names of fields in ENVI headers. `_VARIANTS` maps the names that some other programs write to these names.
_FIELDS = (
    "wavelength units", "band names", "data ignore value", "reflectance scale factor", "data gain values", "data offset values",
    "class names", "class lookup", "map info", "coordinate system string", "header offset", "data type", "byte order",
)  # fmt: skip
_VARIANTS = {
    "wavelengths": "wavelength", "wavelength_nm": "wavelength", "center wavelength": "wavelength", "central wavelength": "wavelength",
    "wavelength unit": "wavelength units", "wavelengths units": "wavelength units", "fwhms": "fwhm", "band name": "band names",
    "nodata": "data ignore value", "no data value": "data ignore value", "nodata value": "data ignore value",
    "data ignore values": "data ignore value", "bad band list": "bbl", "class name": "class names",
    **{name.replace(" ", "_"): name for name in _FIELDS},
}  # fmt: skip
_WITHOUT_EQUALS = re.compile(
    rf"^[ \t]*({'|'.join({'wavelength', 'fwhm', 'bbl', 'classes', *_FIELDS, *_VARIANTS})})[ \t]*(?::|$)",
    re.IGNORECASE | re.MULTILINE,
)
_BRACES = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True)
class EnviHeader:
    """Validated header of an ENVI raster.

    Attributes
    ----------
    path : Path
        The header file.
    fields : dict of str to str or list of str
        All fields by lower-case name, in the form that the package ``spectral`` expects.
    rows, cols, bands : int
        Number of lines, samples and bands.
    dtype : numpy dtype
        Data type with byte order.
    interleave : str
        ``bil``, ``bip`` or ``bsq``.
    offset : int
        Number of bytes before the first value.
    notes : tuple of str
        Notes on assumptions about missing fields.
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
        """Expected size of the data file in bytes."""
        return self.offset + self.rows * self.cols * self.bands * self.dtype.itemsize

    def values(self, name: str) -> list[str] | None:
        """Return the values of the field `name` as a list, or None if the header lacks the field."""
        value = self.fields.get(name)
        return value if value is None or isinstance(value, list) else [value]

    def text(self, name: str) -> str:
        """Return the field `name` as text, or an empty string if the header lacks the field."""
        return ", ".join(self.values(name) or ()).strip()


def has_envi_header(path: Path) -> bool:
    """Return whether a data file has an ENVI header in the same folder. The data file may have any suffix."""
    return any(candidate.is_file() for candidate in header_candidates(path))


def header_candidates(data_file: Path) -> Iterable[Path]:
    """Yield the possible header paths of a data file: ``scene.img.hdr``, then ``scene.hdr``, for ``scene.img``.

    ``scene.hdr`` may belong to another data file of the same name, such as ``scene.dat``.
    """
    for suffix in (".hdr", ".HDR"):
        yield data_file.with_name(data_file.name + suffix)
    for suffix in (".hdr", ".HDR"):
        yield data_file.with_suffix(suffix)


def read_header(path: Path) -> EnviHeader:
    """Read and validate a header.

    Raises
    ------
    SceneError
        If the file is not an ENVI header, lacks a required field, or describes unsupported data.
    """
    from spectral.io.envi import envi_to_dtype

    fields, unread = _parse_fields(path)
    notes = [f"{path.name}: its line {name!r} has no = and is ignored" for name in unread]
    for name in sorted(set(fields) & set(_VARIANTS)):
        if _VARIANTS[name] not in fields:
            fields[_VARIANTS[name]] = fields[name]
            notes.append(f"{path.name}: read its field {name!r} as {_VARIANTS[name]!r}, the name in ENVI headers")
    if "library" in str(fields.get("file type", "")).lower():
        raise SceneError(f"{path} describes a spectral library, not a raster: give the header of an image")
    rows, cols, bands = (_parse_int(path, fields, name, least=1) for name in ("lines", "samples", "bands"))
    offset = _parse_int(path, fields, "header offset", least=0, default=0)
    type_code = _parse_int(path, fields, "data type", least=1)
    dtypes = {code: np.dtype(char) for code, char in envi_to_dtype.items()}
    if str(type_code) not in dtypes or dtypes[str(type_code)].kind == "c":
        type_name = dtypes[str(type_code)].name if str(type_code) in dtypes else "unknown"
        allowed = ", ".join(f"{code} ({dtype.name})" for code, dtype in dtypes.items() if dtype.kind != "c")
        raise SceneError(f"{path}: data type = {type_code} ({type_name}); a scene holds real numbers: {allowed}")
    dtype = dtypes[str(type_code)]
    interleave = str(fields.get("interleave", "")).lower()
    if interleave not in INTERLEAVES:
        raise SceneError(f"{path}: interleave must be {' or '.join(INTERLEAVES)}; found {interleave or 'none'}")
    if "byte order" not in fields and dtype.itemsize > 1:
        notes.append(f"{path.name}: has no byte order; assumed 0, little-endian")
    order = _parse_int(path, fields, "byte order", least=0, default=0)
    if order > 1:
        raise SceneError(f"{path}: byte order must be 0 (little-endian) or 1 (big-endian); found {order}")
    _check_supported(path, fields)
    integers = {"lines": rows, "samples": cols, "bands": bands, "data type": type_code, "byte order": order}
    fields |= {"interleave": interleave, "header offset": str(offset), **{k: str(n) for k, n in integers.items()}}
    return EnviHeader(
        path, fields, rows, cols, bands, dtype.newbyteorder("<>"[order]), interleave, offset, tuple(notes)
    )


def _check_supported(path: Path, fields: dict[str, Any]) -> None:
    if str(fields.get("file compression", "0")).strip() not in {"0", ""}:
        raise SceneError(f"{path}: the data file is compressed, which is not supported: save it without compression")
    for name in ("major frame offsets", "minor frame offsets"):
        offsets = fields.get(name, [])
        if any(str(n).strip() not in {"0", ""} for n in (offsets if isinstance(offsets, list) else [offsets])):
            raise SceneError(f"{path}: {name} = {offsets} is not supported: save the file without frame offsets")


def _parse_int(path: Path, fields: dict[str, Any], name: str, *, least: int, default: int | None = None) -> int:
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
        raise SceneError(f"{path}: {name} must be a whole number of at least {least}; found {text!r}")
    return number


def _parse_fields(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Parse a header with the package ``spectral``. Also return the names of fields whose lines have no equals sign.

    Many headers have a description or a unit in Latin-1, which the package can't decode. The package therefore parses a
    temporary copy in the default encoding.
    """
    from spectral.io.envi import EnviHeaderParsingError, read_envi_header

    with open_regular(path) as file:
        if not file.read(8).removeprefix(b"\xef\xbb\xbf").startswith(b"ENVI"):
            raise SceneError(
                f"{path} is not an ENVI header, which starts with the word ENVI; other formats use .hdr too: "
                "export the scene as ENVI, .mat or .npy"
            )
    content = read_regular(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    # spectral warns about upper-case field names, which many programs write.
    with tempfile.TemporaryDirectory() as folder, ignored_warnings():
        copy = Path(folder) / "header"
        copy.write_text(text, errors="backslashreplace")  # in the default encoding, with which spectral reads
        try:
            fields: dict[str, Any] = read_envi_header(copy)
        except EnviHeaderParsingError as error:
            raise SceneError(f"{path} is an incomplete ENVI header: a brace is missing, or it is truncated") from error
        lines = copy.read_text()  # ends each line with \n, also if the header has the line ends of Windows
    return fields, _WITHOUT_EQUALS.findall(_BRACES.sub("", lines))
