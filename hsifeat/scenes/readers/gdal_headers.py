"""Check of raster headers. A header can refer to other data sets, which GDAL would open with any of its drivers.

A malicious header could refer to an HDF5 or MRF file that reads its values from any file of the machine. It could also
describe a web service, to which GDAL would send requests. GDAL does not always list the data sets that a header refers to.
The headers are therefore read before GDAL opens the file.
"""

from __future__ import annotations

import re
from pathlib import Path

from hsifeat.errors import SceneError
from hsifeat.files import open_regular

# GDAL reads labels until a line with the word END, and a little further.
_LABEL_BYTES = 2**20
_AFTER_END_BYTES = 2048
_END = re.compile(rb"[\r\n]END[\r\n]", re.IGNORECASE)
_LABELS = (
    # Format, what starts its label, what makes it a reference to another data set.
    ("ERS", re.compile(rb"DatasetHeader", re.IGNORECASE), re.compile(rb"Translated", re.IGNORECASE)),
    ("PDS", re.compile(rb"(PDS|ODL)_VERSION_ID", re.IGNORECASE), re.compile(rb"COMPRESSED_FILE", re.IGNORECASE)),
    ("ISIS3", re.compile(rb"IsisCube", re.IGNORECASE), re.compile(rb"GeoTIFF", re.IGNORECASE)),
)
# Formats whose GDAL drivers are left out, because their headers name other files.
_LEFT_OUT = {
    "PDS4": re.compile(rb"<(\w+:)?Product_Observational|pds\.nasa\.gov/pds4"),
    "R raster": re.compile(rb"\A\[general\](?s:.*)\[georeference\]"),
}
# Positions in the file header and in the image headers of PCIDSK, in bytes. The size of the file is in blocks.
_PCIDSK = b"PCIDSK  "
_PCIDSK_BLOCK, _PCIDSK_IMAGE_HEADER = 512, 1024
_PCIDSK_SIZE, _PCIDSK_START, _PCIDSK_COUNT, _PCIDSK_NAME = (
    slice(16, 32),
    slice(336, 352),
    slice(376, 384),
    slice(64, 128),
)
# A tiled file may be shorter than its header states, by up to 16 free tiles of 8 KiB.
_PCIDSK_FREE_BYTES = 2**17


def left_out_format(path: Path) -> str | None:
    """Return the name of the format of a file if hsifeat excludes the GDAL driver of this format, and None otherwise."""
    with open_regular(path) as file:
        content = file.read(_LABEL_BYTES)
    return next((name for name, signature in _LEFT_OUT.items() if signature.search(content)), None)


def check_header(path: Path) -> None:
    """Check that the values of a raster are in the file itself, or in files that GDAL lists as parts of the raster.

    Parameters
    ----------
    path : Path
        The file, of any format.

    Raises
    ------
    SceneError
        If the file is an ERS, PDS or ISIS3 header of a raster in another format. If the file is a PCIDSK file with channels
        in other files, or is truncated. If the header of an ERS, PDS or ISIS3 file is longer than 1 MiB.
    """
    with open_regular(path) as file:
        content = file.read(_LABEL_BYTES)
    if content.startswith(_PCIDSK):
        _check_pcidsk(path, content)
        return
    for format_name, signature, reference in _LABELS:
        if signature.search(content) is None:
            continue
        end = _END.search(content)
        if format_name == "ERS":
            is_whole = len(content) < _LABEL_BYTES
        else:
            is_whole = end is not None or len(content) < _LABEL_BYTES
            content = content[: end.end() + _AFTER_END_BYTES] if end else content
        if not is_whole:
            raise SceneError(
                f"{path}: its {format_name} label is longer than 1 MiB: convert the file with gdal_translate"
            )
        if reference.search(content):
            raise SceneError(
                f"{path} is the {format_name} header of a raster in another format, which is not followed: open that raster "
                "itself, or convert the file with gdal_translate"
            )


def _check_pcidsk(path: Path, content: bytes) -> None:
    """Raise `SceneError` if a PCIDSK file is truncated, or if one of its channels lies in another file.

    The name of a tiled channel starts with ``/SIS=``. GDAL reads missing values of a truncated file without an error.
    """
    try:
        size_bytes = int(content[_PCIDSK_SIZE]) * _PCIDSK_BLOCK
        start = (int(content[_PCIDSK_START]) - 1) * _PCIDSK_BLOCK
        count = int(content[_PCIDSK_COUNT])
        with open_regular(path) as file:
            file.seek(start)
            headers = file.read(count * _PCIDSK_IMAGE_HEADER)
        if not 0 < count == len(headers) / _PCIDSK_IMAGE_HEADER:
            raise ValueError(f"{count} channels")  # noqa: TRY301
    except (ValueError, OSError, OverflowError) as error:
        raise SceneError(f"{path} is no intact PCIDSK file: {error}") from error
    names = [headers[at:][_PCIDSK_NAME].strip(b" \0") for at in range(0, len(headers), _PCIDSK_IMAGE_HEADER)]
    file_bytes = path.stat().st_size
    if file_bytes < size_bytes - (_PCIDSK_FREE_BYTES if any(names) else 0):
        raise SceneError(
            f"{path} has {file_bytes} bytes, and its header says {size_bytes}: the file is truncated or its header is damaged"
        )
    for name in names:
        if name and not name.startswith(b"/SIS="):
            raise SceneError(
                f"{path} has channels in other files ({name.decode('utf-8', 'replace')}), which are not followed: convert it with "
                "gdal_translate -of PCIDSK -co INTERLEAVING=BAND, or to GeoTIFF"
            )
