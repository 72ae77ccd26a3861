"""Exceptions of hsifeat. Each message states what is wrong, what is allowed, and what to do."""

from __future__ import annotations

import difflib
import errno
import os
import pickle
import shlex
from collections.abc import Iterable
from typing import Any

# Maximum number of allowed names in a message; a longer list is abbreviated.
_MAX_NAMES = 12
# Parts of the messages of Python, torch, oneDNN, CUDA and the dynamic linker when memory or threads run out, in lower case. Python
# says that a function returned NULL if an extension failed to allocate the error itself.
_MEMORY_SIGNS = (
    "can't start new thread",
    "can't allocate memory",
    "cannot allocate memory",
    "could not create a primitive",
    "failed to map segment from shared object",
    "out of memory",
    "returned null without setting an exception",
    "bad_alloc",
)


class HsifeatError(Exception):
    """Base class of all errors that hsifeat raises deliberately.

    Examples
    --------
    >>> import hsifeat
    >>> try:
    ...     hsifeat.open_features("nowhere.zarr")
    ... except HsifeatError as error:
    ...     print(str(error).split(";")[0])
    no store at or named 'nowhere.zarr'
    """

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the error with its cause, so that errors from worker processes keep their cause."""
        state = dict(vars(self))
        if self.__cause__ is not None:
            state["__cause__"] = _portable(self.__cause__)
        return type(self), self.args, state


class SceneError(HsifeatError, ValueError):
    """Raised when a scene, a label map, or one of their files cannot be used.

    See Also
    --------
    hsifeat.open_scene : Raises this error for a file that cannot be read.
    hsifeat.HsifeatError : Shows how to catch errors.
    """


class ProjectionError(HsifeatError, ValueError):
    """Raised when a projection is invalid, cannot be fitted, or does not match the scene or the backbone.

    See Also
    --------
    hsifeat.fit_projection : Raises this error.
    hsifeat.HsifeatError : Shows how to catch errors.
    """


class BackboneError(HsifeatError, ValueError):
    """Raised when a backbone cannot be loaded, or lacks a requested layer or timestep.

    See Also
    --------
    hsifeat.open_backbone : Raises this error.
    hsifeat.HsifeatError : Shows how to catch errors.
    """


class PretrainingError(HsifeatError, ValueError):
    """Raised when the training of a denoiser cannot start or continue.

    See Also
    --------
    hsifeat.pretrain : Raises this error.
    hsifeat.HsifeatError : Shows how to catch errors.
    """


class StoreError(HsifeatError, RuntimeError):
    """Raised when a store is missing, unreadable or incomplete, or cannot be written.

    See Also
    --------
    hsifeat.open_features : Raises this error for a missing store.
    hsifeat.HsifeatError : Shows how to catch errors.
    """


class DiskFullError(StoreError):
    """Raised when the disk is full, or has too little free space for the remaining work.

    See Also
    --------
    hsifeat.HsifeatError : Shows how to catch errors.
    """


class RecipeMismatchError(StoreError):
    """Raised when the settings of a store differ from the settings of the requested extraction.

    See Also
    --------
    hsifeat.extract : Raises this error, and lists the settings that differ.
    hsifeat.HsifeatError : Shows how to catch errors.
    """


class SplitError(HsifeatError, ValueError):
    """Raised when a split into training and test pixels cannot be parsed, or cannot be drawn from the labels.

    See Also
    --------
    hsifeat.parse_split : Raises this error.
    hsifeat.HsifeatError : Shows how to catch errors.
    """


class HeadError(HsifeatError, ValueError):
    """Raised when a head (classifier) is unknown, or cannot use the columns of a table or the planes of a store.

    See Also
    --------
    hsifeat.make_head : Raises this error.
    hsifeat.HsifeatError : Shows how to catch errors.
    """


class OutOfMemoryError(HsifeatError, MemoryError):
    """Raised when an operation needs more memory than is available. No file is damaged.

    See Also
    --------
    hsifeat.HsifeatError : Shows how to catch errors.
    """


def raise_resource_error(error: BaseException) -> None:
    """Raise an `HsifeatError` if an error of another library is due to a lack of memory, threads or permissions.

    Exception handlers that report damaged files call this function first: a lack of resources does not mean damage.

    Raises
    ------
    OutOfMemoryError
        If the memory is used up, or no further thread can start. If `error` is an `OutOfMemoryError`, it is raised unchanged.
    StoreError
        If the operating system denies access to a file.

    Examples
    --------
    >>> raise_resource_error(ValueError("checksums do not match"))
    >>> raise_resource_error(MemoryError())
    Traceback (most recent call last):
    hsifeat.errors.OutOfMemoryError: memory ran out: use fewer `jobs`, a smaller `batch`, or fewer planes, or close other programs
    """
    if isinstance(error, OutOfMemoryError):
        raise error
    text = str(error)
    if (
        isinstance(error, MemoryError)
        or getattr(error, "errno", None) == errno.ENOMEM
        or any(sign in text.lower() for sign in _MEMORY_SIGNS)
    ):
        detail = f" ({error_summary(error)})" if text else ""
        raise OutOfMemoryError(
            f"memory ran out{detail}: use fewer `jobs`, a smaller `batch`, or fewer planes, or close other programs"
        ) from error
    if is_access_denied(error):
        place = getattr(error, "filename", None) or error_summary(error)
        raise StoreError(
            f"permission denied: {place}: ask the owner of the file for access, or name another place"
        ) from error


def _portable(cause: BaseException) -> BaseException:
    """Return an error that can be pickled: `cause` itself, or a substitute with its type and text."""
    try:
        pickle.loads(pickle.dumps(cause))  # noqa: S301  # bytes of this process
    except Exception:  # noqa: BLE001  # code of any library
        return RuntimeError(f"{type(cause).__name__}: {cause}")
    return cause


def is_access_denied(error: BaseException) -> bool:
    """Return whether an error of any library means that the operating system denies access to a file.

    >>> is_access_denied(RuntimeError("scene.tif: Permission denied")), is_access_denied(FileNotFoundError(2, "No such file"))
    (True, False)
    """
    return getattr(error, "errno", None) in (errno.EACCES, errno.EPERM) or os.strerror(errno.EACCES) in str(error)


def error_summary(error: BaseException) -> str:
    r"""Return the first line of an error message from another library.

    If the first line ends with a colon, the second line is appended. An error of pydantic is summarised as the first wrong
    field and the reason.

    >>> error_summary(ValueError("errors in loading:\n  size mismatch for a.weight\n  size mismatch for b.weight"))
    'errors in loading: size mismatch for a.weight'
    """
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[:2] if lines[0].endswith(":") else lines[:1])


def shell_command(*words: object) -> str:
    """Return a command line of hsifeat to show in an error message. Words are quoted for a shell.

    >>> shell_command("cache", "verify", "my store.zarr", "--repair")
    "hsifeat cache verify 'my store.zarr' --repair"
    """
    return shlex.join(["hsifeat", *map(str, words)])


def suggest_names(name: str, allowed: Iterable[str], count: int = 3) -> str:
    """Return the part of an error message that suggests allowed names similar to an unknown name.

    Parameters
    ----------
    name : str
        The unknown name.
    allowed : iterable of str
        The allowed names.
    count : int
        Maximum number of suggestions.

    Returns
    -------
    str
        ``"nearest: a, b"``; ``"allowed: …"`` if no allowed name is similar; ``"there is none"`` if no name is allowed.

    Examples
    --------
    >>> suggest_names("flim", ["film", "svm", "lda"])
    'nearest: film'
    """
    names = list(allowed)
    close = difflib.get_close_matches(name, names, n=count, cutoff=0.5)
    if close:
        return "nearest: " + ", ".join(close)
    return allowed_names(names, _MAX_NAMES)


def allowed_names(allowed: Iterable[str], count: int | None = None) -> str:
    """Return the part of an error message that lists allowed names.

    Parameters
    ----------
    allowed : iterable of str
        The allowed names.
    count : int, optional
        Maximum number of names in the text. The default is all.

    Returns
    -------
    str
        ``"allowed: a, b"``, or ``"there is none"`` if no name is allowed.

    Examples
    --------
    >>> allowed_names(["film", "svm", "lda"], 2), allowed_names([])
    ('allowed: film, svm, …', 'there is none')
    """
    names = list(allowed)
    listed = ", ".join(names[:count]) + (", …" if count is not None and len(names) > count else "")
    return f"allowed: {listed}" if names else "there is none"
