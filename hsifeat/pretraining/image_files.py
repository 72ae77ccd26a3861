"""Decode the image files in a folder or tar archive into one array on disk. Later training runs reuse this array."""

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

from hsifeat.errors import PretrainingError, raise_resource_error
from hsifeat.files import atomic_write, change_stamp, open_regular
from hsifeat.runtime.events import Advanced, Finished, Listener, Note, Started
from hsifeat.seals import SealError, check_seal, seal_file

if TYPE_CHECKING:
    from PIL.Image import Image

# Largest number of file names in a note.
_MAX_NAMES = 5
# Largest number of tiles along a side of an image. Larger images are reduced.
_MAX_TILES = 8
# Number of images that are copied or digested at a time.
_CHUNK_IMAGES = 4096


class _ImageSource(Protocol):
    def stamp(self) -> str:
        """Return a string that changes when files are added, removed or modified."""
        ...

    def files(self) -> Iterator[tuple[str, IO[bytes]]]:
        """Yield the name and the open stream of each file."""
        ...


@dataclass(frozen=True)
class _ImageFolder:
    path: Path

    def _paths(self) -> list[Path]:
        return sorted(p for p in self.path.rglob("*") if p.is_file())

    def stamp(self) -> str:
        return "\n".join(f"{path.relative_to(self.path)} {change_stamp(path)}" for path in self._paths())

    def files(self) -> Iterator[tuple[str, IO[bytes]]]:
        for path in self._paths():
            with open_regular(path) as file:
                yield path.relative_to(self.path).as_posix(), file


@dataclass(frozen=True)
class _TarArchive:
    path: Path

    def stamp(self) -> str:
        return str(change_stamp(self.path))

    def files(self) -> Iterator[tuple[str, IO[bytes]]]:
        # Read the archive as a stream, so that a compressed archive is unpacked only once, and not to the disk.
        try:
            with tarfile.open(self.path, "r|*") as archive:
                for member in archive:
                    if member.isfile() and (file := archive.extractfile(member)) is not None:
                        yield member.name.removeprefix("./"), file
        except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
            raise_resource_error(error)
            raise PretrainingError(f"{self.path} can't be read to its end ({error}): download it again") from error


def load_images(source: str | Path, side_px: int, base_path: Path, listen: Listener) -> NDArray[np.uint8]:
    """Return the images of a folder or tar archive as one array, memory-mapped from a file.

    The file is written once for each source and side, and reused by later calls.

    Parameters
    ----------
    source : str or Path
        A folder, which is searched recursively, or a plain or compressed tar archive. Images are ordered by name, so that a
        folder and an archive of this folder give the same array.
    side_px : int
        Side of the returned images (tiles), in pixels. The central square of each image is resized to the size of k x k
        tiles, and cut into tiles. This is done for several k. The first k is the number of tiles that fit along the side of
        the square, but at most 8. Each further k is half of the k before, rounded down; the last k is 1. Images smaller
        than one tile are skipped.
    base_path : Path
        Beginning of the path of the file, which is ``<base_path>.images-<digits>.npy``. Each image takes ``3 * side_px**2``
        bytes.
    listen : callable
        Receives progress events, and notes on skipped files.

    Returns
    -------
    (n, side_px, side_px, 3) uint8 array
        The images, read-only.

    Raises
    ------
    PretrainingError
        If the source does not exist, is damaged, or contains no images of sufficient size.
    """
    path = Path(source)
    collection = _open_source(path)
    key = hashlib.sha256(f"{path.absolute()}\n{side_px}\n{collection.stamp()}".encode()).hexdigest()[:12]
    file = base_path.with_name(f"{base_path.name}.images-{key}.npy")
    if not _is_intact(file, key, listen):
        _decode(collection, path, side_px, file, key, listen)
        size_mb = file.stat().st_size / 1e6
        listen(Note(f"decoded images: {file} ({size_mb:.0f} MB); delete the file after the last training on them"))
    images: NDArray[np.uint8] = np.load(file, mmap_mode="r", allow_pickle=False)
    return images


def _is_intact(file: Path, key: str, listen: Listener) -> bool:
    """Return whether a file of decoded images exists and is not damaged."""
    if not file.exists():
        return False
    try:
        check_seal(file, key, advice="the images are decoded again")
    except SealError as error:
        listen(Note(str(error)))
        return False
    return True


def digest_images(images: NDArray[np.uint8]) -> str:
    """Return the hexadecimal sha256 of the shape and the pixels of an (n, rows, cols, 3) uint8 array of images."""
    digest = hashlib.sha256(str(images.shape).encode())
    for start in range(0, len(images), _CHUNK_IMAGES):
        digest.update(np.ascontiguousarray(images[start : start + _CHUNK_IMAGES]).data)
    return digest.hexdigest()


def _open_source(path: Path) -> _ImageSource:
    if path.is_dir():
        return _ImageFolder(path)
    if not path.exists():
        raise PretrainingError(f"{path} does not exist: name a folder of image files, or a tar archive of them")
    try:
        archive = tarfile.is_tarfile(path)
    except (OSError, EOFError) as error:
        raise_resource_error(error)
        raise PretrainingError(f"{path} can't be read: {error}") from error
    if not archive:
        raise PretrainingError(f"{path} is not a tar archive: name a folder of image files, or a tar archive of them")
    return _TarArchive(path)


def _decode(collection: _ImageSource, path: Path, side_px: int, file: Path, key: str, listen: Listener) -> None:
    """Decode all images to a temporary file, copy them to `file` in the order of their names, and append a seal to `file`.

    The seal is a checksum of `key` and of the content of `file`.
    """
    names: list[str] = []
    left_out: dict[str, list[str]] = {}
    with atomic_write(file) as part, tempfile.TemporaryFile(dir=part.parent) as raw:
        listen(Started("decode", 0, "images"))
        for name, stream in collection.files():
            try:
                tiles = _read_tiles(stream, side_px)
            except _SkippedImageError as error:
                left_out.setdefault(str(error), []).append(name)
                continue
            raw.write(tiles.tobytes())
            reported = len(names) // 1000
            names += [name] * len(tiles)
            if len(names) // 1000 > reported:
                listen(Advanced("decode", len(names)))
        listen(Finished("decode"))
        for reason, files in left_out.items():
            names_text = ", ".join(files[:_MAX_NAMES]) + (", …" if len(files) > _MAX_NAMES else "")
            listen(Note(f"{len(files)} file{'s' * (len(files) > 1)} left out, {reason}: {names_text}"))
        if not names:
            raise PretrainingError(f"{path} holds no readable image of at least {side_px} x {side_px} px")
        raw.flush()
        shape = (len(names), side_px, side_px, 3)
        decoded: NDArray[np.uint8] = np.memmap(raw, np.uint8, "r", shape=shape)
        with part.open("wb") as stream:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
            order = sorted(range(len(names)), key=names.__getitem__)
            for start in range(0, len(order), _CHUNK_IMAGES):
                stream.write(decoded[order[start : start + _CHUNK_IMAGES]].tobytes())
        seal_file(part, key)


class _SkippedImageError(Exception):
    """Error for an image that is skipped. The message is the reason."""


def _read_tiles(stream: IO[bytes], side_px: int) -> NDArray[np.uint8]:
    """Cut the central square of an image into tiles, at several sizes of the square.

    The tiles are returned as an (n, side_px, side_px, 3) uint8 array.
    """
    from PIL import Image, ImageOps

    with _open_image(stream) as image:
        if min(image.size) < side_px:
            raise _SkippedImageError(f"smaller than {side_px} px")
        if image.mode.startswith(("I", "F")):
            raise _SkippedImageError("more than 8 bits per channel")
        upright: Any = ImageOps.exif_transpose(image)
        rgb = upright.convert("RGB")
        count, tiles = min(_MAX_TILES, min(rgb.size) // side_px), []
        while count:
            square = np.asarray(ImageOps.fit(rgb, (count * side_px, count * side_px), Image.Resampling.BOX))
            tiles.append(
                square.reshape(count, side_px, count, side_px, 3).swapaxes(1, 2).reshape(-1, side_px, side_px, 3)
            )
            count //= 2
        return np.concatenate(tiles)


@contextmanager
def _open_image(stream: IO[bytes]) -> Iterator[Image]:
    from PIL import Image

    try:
        with Image.open(stream) as image:
            image.load()
            yield image
    except (OSError, ValueError, SyntaxError, EOFError, tarfile.TarError, Image.DecompressionBombError) as error:
        raise _SkippedImageError("not a readable image") from error
