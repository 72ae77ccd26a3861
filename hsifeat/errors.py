"""The errors that people see: each message says what was found, what is allowed, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HsifeatError(Exception):
    """Base of every error that hsifeat raises on purpose."""


class SceneError(HsifeatError, ValueError):
    """A scene, a label map or a file of either can't be used as given."""


class ProjectionError(HsifeatError, ValueError):
    """A rule from bands to model channels is unknown or does not fit the scene."""


class BackboneError(HsifeatError, ValueError):
    """A backbone can't be loaded, or was asked for a layer or timestep that it does not have."""


class PretrainingError(HsifeatError, ValueError):
    """Training a denoiser can't start or can't go on."""


class StoreError(HsifeatError, RuntimeError):
    """A store is missing, unreadable, incomplete or can't be written."""


class RecipeMismatchError(StoreError):
    """A store holds planes of another recipe than the one asked for."""


class SplitError(HsifeatError, ValueError):
    """A split can't be parsed, or can't be drawn from the labels at hand."""


class HeadError(HsifeatError, ValueError):
    """A head is unknown, or does not fit the table or the store it is used with."""


def in_one_line(error: BaseException) -> str:
    r"""Return what another library's error says, in one line: its first, and the next where the first only leads to it.

    >>> in_one_line(ValueError("errors in loading:\n  size mismatch for a.weight\n  size mismatch for b.weight"))
    'errors in loading: size mismatch for a.weight'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[:2] if lines[0].endswith(":") else lines[:1])


def nearest(name: str, allowed: Iterable[str], count: int = 3) -> str:
    """Say which allowed names are nearest to a mistyped one.

    Parameters
    ----------
    name : str
        What was found.
    allowed : iterable of str
        What is allowed.
    count : int
        How many names to suggest at most.

    Returns
    -------
    str
        ``"nearest: a, b"``, or ``"allowed: …"`` when nothing is near.
    """
    names = list(allowed)
    close = difflib.get_close_matches(name, names, n=count, cutoff=0.5)
    if close:
        return "nearest: " + ", ".join(close)
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"allowed: {shown}"
