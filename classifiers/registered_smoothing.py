"""Names of the registered smoothing rules, and their list in help texts. Importing this module imports no rule."""

from __future__ import annotations

from importlib.metadata import EntryPoint

from hsifeat.registration import registered_entries

GROUP = "hsifeat.smoothing"

NO_SMOOTHING = "none"
"""Value of ``--smooth`` that turns off the smoothing of a model."""


def registered_rules() -> dict[str, EntryPoint]:
    """Return the entry points of all registered smoothing rules, by name and in the order of the names."""
    return registered_entries(GROUP)


def smoothing_names() -> list[str]:
    """Return the names of all registered smoothing rules, sorted.

    >>> smoothing_names()
    ['gaussian', 'guided', 'mrf', 'superpixel']
    """
    return list(registered_rules())


def smoothing_forms() -> str:
    """Return the allowed values of ``--smooth`` for a help text.

    >>> smoothing_forms()
    'gaussian:…, guided:…, mrf:… or superpixel:…, such as guided:4'
    """
    *names, last = [f"{name}:…" for name in smoothing_names()]
    return f"{', '.join(names)} or {last}, such as guided:4"
