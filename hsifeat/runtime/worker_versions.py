"""Versions of Python and of the libraries that compute results. They must be equal in all workers of a cluster."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from hsifeat.errors import HsifeatError

# Packages whose versions can change results or the form of tasks.
_PACKAGES = ("hsifeat", "distributed", "numpy", "zarr", "numcodecs", "torch", "diffusers", "scikit-learn", "lightgbm")


class OtherVersionsError(HsifeatError):
    """Raised when a worker has other versions of Python or libraries than the process that sends the tasks.

    Parameters
    ----------
    message : str
        Text that lists the different versions.
    worker : str
        Address of the worker.
    """

    def __init__(self, message: str, worker: str) -> None:
        super().__init__(message, worker)
        self.worker = worker

    def __str__(self) -> str:
        return str(self.args[0])


@cache
def own_versions() -> dict[str, str]:
    """Return a dict with the installed versions of Python and of each library that computes results."""
    versions = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "absent"
    return versions


def compare_versions(expected: Mapping[str, str], found: Mapping[str, str], worker: str) -> None:
    """Raise `OtherVersionsError` if the versions in a worker differ from the expected versions.

    Parameters
    ----------
    expected, found : mapping of str to str
        Versions in this process and in the worker. The keys are the names of the packages.
    worker : str
        Address of the worker.
    """
    if different := [name for name in expected if expected[name] != found.get(name)]:
        texts = ", ".join(f"{name} {found.get(name)} instead of {expected[name]}" for name in different)
        raise OtherVersionsError(
            f"the worker {worker} has other versions than this process: {texts}; install the same environment on all workers",
            worker,
        )
