"""Names of the registered smoothing rules, and their list in help texts. Importing this module imports no rule."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint

from hsifeat.registration import distribution_of, registered_entries

GROUP = "hsifeat.smoothing"

NO_SMOOTHING = "none"
"""Value of ``--smooth`` that turns off the smoothing of a model."""


def registered_rules() -> dict[str, EntryPoint]:
    """Return the entry points of all registered smoothing rules, by name and in the order of the names."""
    return registered_entries(GROUP)


@cache
def rule_distribution(text: str) -> dict[str, str]:
    """Return the name and version of the package that provides the rule of a text such as ``guided:4``, as ``{name: version}``.

    For a built-in rule, and for an empty text, the dict is empty. The result is cached, because a benchmark needs it for each run.

    >>> rule_distribution("guided:4"), rule_distribution("")
    ({}, {})
    """
    entry = registered_rules().get(text.partition(":")[0])
    return {} if entry is None else distribution_of(entry)


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
