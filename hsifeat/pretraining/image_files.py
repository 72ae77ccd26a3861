"""Image files of a folder or a tar archive, decoded once into one array on disk."""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import PretrainingError
from hsifeat.files import atomic_write
from hsifeat.runtime.events import Advanced, Finished, Listener, Note, Started

if TYPE_CHECKING:
    from PIL.Image import Image

_NAMED = 5
_ROWS = 4096  # Images that are moved at once.


class _Source(Protocol):
    """A place of files: what says that it has not changed, and its files one after the other."""

    def stamp(self) -> str: ...

    def files(self) -> Iterator[tuple[str, IO[bytes]]]: ...


@dataclass(frozen=True)
class _Folder:
    path: Path

    def _paths(self) -> list[Path]:
        return sorted(p for p in self.path.rglob("*") if p.is_file())

    def stamp(self) -> str:
        stats = ((p.relative_to(self.path), p.stat()) for p in self._paths())
        return "\n".join(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats)

    def files(self) -> Iterator[tuple[str, IO[bytes]]]:
        for path in self._paths():
            with path.open("rb") as file:
                yield path.relative_to(self.path).as_posix(), file


@dataclass(frozen=True)
class _Tar:
    path: Path

    def stamp(self) -> str:
        stat = self.path.stat()
        return f"{stat.st_size} {stat.st_mtime_ns}"

    def files(self) -> Iterator[tuple[str, IO[bytes]]]:
        # Read as a stream, so that a compressed archive is unpacked once, and nothing of it lands on the disk.
        try:
            with tarfile.open(self.path, "r|*") as archive:
                for member in archive:
                    if member.isfile() and (file := archive.extractfile(member)) is not None:
                        yield member.name.removeprefix("./"), file
        except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
            raise PretrainingError(f"{self.path} can't be read to its end ({error}): get it anew") from error


def load_images(source: str | Path, side_px: int, beside: Path, listen: Listener) -> NDArray[np.uint8]:
    """Return the images of a folder or archive as one array, mapped from a file that is made when it is not there.

    Parameters
    ----------
    source : str or Path
        A folder, searched to its depths, or a tar archive, plain or compressed. Images are ordered by their names, so that
        a folder and its archive are the same.
    side_px : int
        Larger images are cut to their middle square and reduced to this side; smaller ones are left out.
    beside : Path
        The file is named after this path and what was decoded: ``<beside>.images-<digits>.npy``, of
        ``3 * side_px ** 2`` bytes an image. It is used again for the same source.
    listen : callable
        Is told what was left out.

    Returns
    -------
    (n, side_px, side_px, 3) uint8 array
        Read-only, mapped from disk.

    Raises
    ------
    PretrainingError
        No such folder or archive, a damaged one, or one without images.
    """
    path = Path(source)
    place = _open(path)
    key = hashlib.sha256(f"{path.absolute()}\n{side_px}\n{place.stamp()}".encode()).hexdigest()[:12]
    file = beside.with_name(f"{beside.name}.images-{key}.npy")
    if not file.exists():
        _decode(place, path, side_px, file, listen)
        size_mb = file.stat().st_size / 1e6
        listen(Note(f"decoded images: {file} ({size_mb:.0f} MB); remove it when no more is to be trained on them"))
    images: NDArray[np.uint8] = np.load(file, mmap_mode="r", allow_pickle=False)
    return images


def digest_images(images: NDArray[np.uint8]) -> str:
    """Return the sha256 of shape and pixels."""
    digest = hashlib.sha256(str(images.shape).encode())
    for start in range(0, len(images), _ROWS):
        digest.update(np.ascontiguousarray(images[start : start + _ROWS]).data)
    return digest.hexdigest()


def _open(path: Path) -> _Source:
    if path.is_dir():
        return _Folder(path)
    if not path.exists():
        raise PretrainingError(f"no images at {path}: name a folder of image files, or a tar archive of them")
    try:
        archive = tarfile.is_tarfile(path)
    except (OSError, EOFError) as error:
        raise PretrainingError(f"{path} can't be read: {error}") from error
    if not archive:
        raise PretrainingError(f"{path} is no tar archive: name a folder of image files, or a tar archive of them")
    return _Tar(path)


def _decode(place: _Source, path: Path, side_px: int, file: Path, listen: Listener) -> None:
    """Decode into a file of its own in the order of the source, then into `file` in the order of the names."""
    names: list[str] = []
    left_out: dict[str, list[str]] = {}
    with atomic_write(file) as part, tempfile.TemporaryFile(dir=part.parent) as raw:
        listen(Started("decode", 0, "images"))
        for name, stream in place.files():
            try:
                raw.write(_pixels(stream, side_px).tobytes())
            except _LeftOutError as error:
                left_out.setdefault(str(error), []).append(name)
                continue
            names.append(name)
            if len(names) % 1000 == 0:
                listen(Advanced("decode", len(names)))
        listen(Finished("decode"))
        for reason, those in left_out.items():
            shown = ", ".join(those[:_NAMED]) + (", …" if len(those) > _NAMED else "")
            listen(Note(f"{len(those)} files left out, {reason}: {shown}"))
        if not names:
            raise PretrainingError(f"{path} holds no image of at least {side_px} x {side_px} px that can be read")
        raw.flush()
        shape = (len(names), side_px, side_px, 3)
        decoded: NDArray[np.uint8] = np.memmap(raw, np.uint8, "r", shape=shape)
        with part.open("wb") as stream:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
            order = sorted(range(len(names)), key=names.__getitem__)
            for start in range(0, len(order), _ROWS):
                stream.write(decoded[order[start : start + _ROWS]].tobytes())


class _LeftOutError(Exception):
    """A file that is not taken, and why."""


def _pixels(stream: IO[bytes], side_px: int) -> NDArray[np.uint8]:
    """Return the middle square of an image at a side of `side_px`: (side_px, side_px, 3)."""
    from PIL import Image, ImageOps

    with _image(stream) as image:
        if min(image.size) < side_px:
            raise _LeftOutError(f"smaller than {side_px} px")
        if image.mode.startswith(("I", "F")):
            raise _LeftOutError("of more than 8 bits a channel")
        upright: Any = ImageOps.exif_transpose(image)
        return np.asarray(ImageOps.fit(upright.convert("RGB"), (side_px, side_px), Image.Resampling.BOX))


@contextmanager
def _image(stream: IO[bytes]) -> Iterator[Image]:
    from PIL import Image

    try:
        with Image.open(stream) as image:
            image.load()
            yield image
    except (OSError, ValueError, SyntaxError, EOFError, tarfile.TarError, Image.DecompressionBombError) as error:
        raise _LeftOutError("no image that can be read") from error
