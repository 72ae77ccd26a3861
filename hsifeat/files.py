"""Safe opening and atomic writing of files, errors of full and read-only disks, and the cache folder."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from io import BufferedReader
from pathlib import Path
from typing import Any
from uuid import uuid4

from hsifeat.errors import DiskFullError, HsifeatError, StoreError, raise_resource_error

# Names from `temporary_path`. Models and stores are renamed to such a name before they are deleted.
_TEMPORARY = re.compile(
    r"\.(?P<name>.+)\.(?P<machine>[0-9a-f]{8})-(?P<process>[0-9]{1,9})-[0-9a-f]{8}\.(?P<suffix>part|new|old|removed)"
)
# NumPy, torch, GDAL and HDF5 raise errors without a number when the disk is full.
_DISK_FULL = re.compile(
    r"^\d+ requested and \d+ written$|enforce fail at inline|No space left on device|Disk quota exceeded"
)
# Each shard of a store has its own folder, so only the last folders are remembered.
_MAX_SWEPT = 256


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`, and rename it to `path` if the ``with`` block ends without an error.

    Readers see either the old file or the complete new file, and two writers do not interfere. The folder of `path` is
    created if it does not exist.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        delete_leftovers_once(path.parent)
        part = temporary_path(path, "part")
        try:
            yield part
            follow_umask(part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def temporary_path(path: Path, suffix: str) -> Path:
    """Return a hidden path next to `path` that no other thread, process or machine uses.

    The name contains the machine and the process, so that `delete_leftovers` recognises the files of killed processes. The
    name ends with a dot and `suffix`.
    """
    return path.with_name(f".{path.name}.{_machine()}-{os.getpid()}-{uuid4().hex[:8]}.{suffix}")


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Yield a new hidden folder next to `path`, and delete it at the end of the ``with`` block.

    If the process is killed in the ``with`` block, a later write into the same parent folder deletes the hidden folder.
    """
    delete_leftovers_once(path.parent)
    folder = temporary_path(path, "new")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def delete_leftovers_once(folder: Path) -> None:
    """Call `delete_leftovers` if this process has not recently called it for the folder.

    Listing a large folder is slow, so repeated calls are skipped.
    """
    _sweep(os.getpid(), os.fspath(folder))


@lru_cache(_MAX_SWEPT)
def _sweep(process: int, folder: str) -> None:  # noqa: ARG001  # a forked process sweeps again
    delete_leftovers(Path(folder))


def delete_leftovers(folder: Path) -> None:
    """Delete the temporary files and folders in `folder` whose process ran on this machine and has ended.

    A folder with the suffix ``old`` is the previous version of another folder. It is kept while this other folder does not
    exist.
    """
    for path in folder.glob(".*"):
        match = _TEMPORARY.fullmatch(path.name)
        if not match or (match["suffix"] == "old" and not (folder / match["name"]).exists()):
            continue
        if match["machine"] == _machine() and not _is_running(int(match["process"])):
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


@cache
def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _is_running(process: int) -> bool:
    import psutil

    return bool(psutil.pid_exists(process))


def follow_umask(path: Path) -> None:
    """Give a private file the permissions of a new file, which depend on the umask of the process.

    A file is private if only its owner can access it. Some libraries, such as safetensors, write to a private temporary file
    and rename it. Without this function, other users could not read the file. A file that is not private stays unchanged.
    """
    if not path.is_file() or path.stat().st_mode & 0o077:
        return
    # Python reads the umask only by setting it, which would affect other threads. A new file shows the permissions.
    probe = temporary_path(path, "part")
    probe.touch()
    try:
        path.chmod(probe.stat().st_mode & 0o777)
    finally:
        probe.unlink()


def change_stamp(path: Path) -> tuple[int, int, int, int]:
    """Return the size in bytes, the content time, the inode time and the inode number of a file.

    The two times are those of the last changes of content and inode, in ns. The stamp changes when the file is rewritten or
    replaced, even if a program restores the size and the content time: no program can set the inode time.
    """
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file to read its bytes. Pipes, sockets and devices are refused, because reading them may never end.

    Raises
    ------
    OSError
        If the file can't be opened, or is not a regular file.
    """
    # A pipe without a writer would block.
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(number).st_mode
    if not stat.S_ISREG(mode):
        os.close(number)
        code, words = (
            (errno.EISDIR, os.strerror(errno.EISDIR)) if stat.S_ISDIR(mode) else (errno.EINVAL, "not a regular file")
        )
        raise OSError(code, words, str(path))
    return os.fdopen(number, "rb")


def read_regular(path: Path) -> bytes:
    """Read a file; see `open_regular`."""
    with open_regular(path) as file:
        return file.read()


OWN_FOLDERS = {"zarr.copy.json": "a store", "model.json": "a model"}
"""Files that tell folders of hsifeat apart, in which nothing else may be written."""

# `Path` removes the second slash of an address.
_ADDRESS = re.compile(r"(?:.*/)?((?:s3|gs|az|memory|file|https?):)/(.*)", re.DOTALL)


def check_output(path: Path, *, replaces: str = "") -> None:
    """Check that the result of long work can be written to `path`, before the work starts.

    Parameters
    ----------
    path : Path
        The file or folder.
    replaces : str
        ``model.json`` if the result may replace a model at `path`; otherwise empty.

    Raises
    ------
    StoreError
        If `path` is an address such as ``s3://bucket/map.tif``. If it is a store, or a model that may not be replaced. If it
        lies in a store or a model. If its parent is not a folder, or is not writable.
    """
    if (address := _ADDRESS.fullmatch(path.as_posix())) is not None:
        raise StoreError(
            f"{address[1]}//{address[2]} is an address, to which only stores are written: give a file or folder of this machine"
        )
    # A result replaces a link to a file, but is written into the folder of a link to a folder.
    path = Path(os.path.realpath(path)) if path.is_dir() else Path(os.path.realpath(path.parent), path.name)
    for folder in (path, *path.parents):
        for file, kind in OWN_FOLDERS.items():
            if (folder / file).is_file() and not (folder == path and file == replaces):
                place = "is" if folder == path else f"lies in {folder}, which is"
                raise StoreError(f"{path} {place} {kind}, where nothing else may be written: choose another place")
    existing = next(folder for folder in (*path.parents, path) if folder.exists())
    if not existing.is_dir():
        raise StoreError(f"{existing} is no folder, so that {path} can't be written: choose another place")
    if not os.access(path if path.is_dir() else existing, os.W_OK):
        raise StoreError(f"{path if path.is_dir() else existing} is not writable: choose another place")


def check_replaced(path: Path, kind: str, is_own: Callable[[Path], bool]) -> None:
    """Check that a file which a result would replace is an earlier result of the same kind.

    Parameters
    ----------
    path : Path
        The file, which need not exist.
    kind : str
        Kind of the result, such as ``map``.
    is_own : callable
        Returns whether an existing file is such a result of hsifeat. An error of any class means that it is none.

    Raises
    ------
    StoreError
        If the file exists, and is no such result. An empty file may be replaced.
    """

    def is_result() -> bool:
        try:
            return path.stat().st_size == 0 or is_own(path)
        except Exception:  # noqa: BLE001  # damaged files raise errors of many classes
            return False

    if path.is_file() and not os.access(path, os.R_OK):
        raise StoreError(f"{path} exists and can't be read: choose another name for the {kind}")
    if path.is_file() and not is_result():
        raise StoreError(
            f"{path} exists, and is no {kind} that hsifeat wrote: choose another name for the {kind}, or move the file elsewhere first"
        )


def check_utf8(path: Path) -> None:
    """Raise `StoreError` if a path is not UTF-8, such as one with Latin-1 bytes. GDAL, Arrow and JSON can't hold such a path."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError as error:
        raise StoreError(
            f"{str(path.absolute())!a} has bytes that are not UTF-8: rename the file or folder, or choose another place"
        ) from error


def check_not_input(path: Path, inputs: Iterable[str | Path]) -> None:
    """Check that a result does not replace a file that is read to compute it.

    Parameters
    ----------
    path : Path
        File of the result.
    inputs : iterable of str or Path
        Files and folders that are read: ``FILE``, ``FILE:VARIABLE`` or ``FILE:LAYER:COLUMN``. Other texts, such as names of
        public scenes, are ignored.

    Raises
    ------
    StoreError
        If `path` is one of these files, or lies directly in one of these folders.
    """
    if not path.exists():
        return
    for one in map(str, inputs):
        for file in (one, one.rpartition(":")[0], one.rpartition(":")[0].rpartition(":")[0]):
            with suppress(OSError, ValueError):
                if file and (path.samefile(file) or (Path(file).is_dir() and path.parent.samefile(file))):
                    raise StoreError(
                        f"{path} is an input of this command, and would be replaced: choose another name for the result"
                    )


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file atomically, and encode text as UTF-8."""
    with atomic_write(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def write_private_file(path: Path, content: str | bytes) -> None:
    """Write a file that only its owner can access, atomically and independently of the umask of the process."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = temporary_path(path, "part")
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                out.write(content.encode() if isinstance(content, str) else content)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Convert file system errors in the ``with`` block to errors of hsifeat that name `path`.

    Raises
    ------
    DiskFullError
        If the disk is full.
    StoreError
        If the file or folder can't be used for another reason.
    """
    try:
        yield
    except HsifeatError:
        raise
    except Exception as error:  # safetensors and torch do not raise an OSError when the disk is full
        raise_resource_error(error)
        if is_disk_full(error):
            raise DiskFullError(f"the disk of {path} is full: free some space and run the command again") from error
        if isinstance(error, OSError):
            raise StoreError(f"{path} can't be used: {error.strerror or error}") from error
        raise


@contextmanager
def resumable() -> Iterator[None]:
    """Add "finished work is kept" to the message of a `DiskFullError`. Use this for work that a second run can continue.

    Raises
    ------
    DiskFullError
        If the disk becomes full in the ``with`` block.
    """
    try:
        yield
    except DiskFullError as error:
        raise DiskFullError(f"{error}; finished work is kept") from error


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error, of Python or a library, means that a disk or a quota is full."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or bool(_DISK_FULL.search(str(error)))


@contextmanager
def open_safetensors(path: Path, framework: str) -> Iterator[Any]:
    """Yield a `safetensors.safe_open` object for a file. `framework` is ``numpy`` or ``pt``."""
    from safetensors import safe_open

    open_regular(path).close()  # safetensors waits for pipes, and reports a denied permission as a missing file
    with safe_open(path, framework=framework) as file:
        yield file


def cache_folder() -> Path:
    """Return the cache folder: the value of the environment variable ``HSIFEAT_CACHE``, or the platform's default.

    Raises
    ------
    HsifeatError
        If the value of the variable is the address of a bucket or a web server.
    """
    from platformdirs import user_cache_path

    moved = os.environ.get("HSIFEAT_CACHE")
    if moved and "://" in moved:
        raise HsifeatError(
            f"HSIFEAT_CACHE is {moved}, and the cache is a folder of this machine: set it to a folder, and write stores to an address "
            "with `out`"
        )
    # Unlike Path.expanduser, this leaves the name of an unknown user as it is.
    return Path(os.path.expanduser(moved)) if moved else user_cache_path("hsifeat")  # noqa: PTH111
