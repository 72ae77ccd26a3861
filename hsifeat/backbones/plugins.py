"""Backbone plugins: the entry points of the group ``hsifeat.backbones``, hsifeat's own and those of other packages.

An entry point names one of two things:

- a `BackbonePlugin`, which may also recognise sources that do not begin with the entry point's name, such as folders;
- a function ``open(argument, **options)``, opened as ``NAME`` or ``NAME:ARGUMENT``. Of the fields of `BackboneOptions` it gets
  those that it has parameters for; an option that was set and has no parameter is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from importlib.metadata import EntryPoint, entry_points
from inspect import Parameter, getattr_static, signature
from pathlib import Path
from typing import Any

from hsifeat.backbones.options import BackboneOptions
from hsifeat.backbones.protocol import Backbone
from hsifeat.errors import BackboneError, error_summary

GROUP = "hsifeat.backbones"
_ABSENT = object()
# Options that a plugin may ignore: they change nothing about the backbone where it has no parameter for them.
_IGNORABLE = {"seed", "any_label", "hub_model"}
_OPTION_TERMS = {"class_label": "class label", "untrained_seed": "fresh weights", "upsample": "upsampling"}


@dataclass(frozen=True)
class Redirect:
    """Another source, opened in place of the one that a plugin was called with.

    Attributes
    ----------
    source : str
        For instance the folder of a downloaded model.
    changes : mapping of str to object
        Fields of `BackboneOptions` that are replaced.
    """

    source: str
    changes: Mapping[str, Any] = field(default_factory=dict)


def _matches_nothing(source: str) -> bool:  # noqa: ARG001  # a plugin that is opened by its name alone
    return False


@dataclass(frozen=True)
class BackbonePlugin:
    """A kind of backbone: how it is opened, which sources are of that kind, and its line in ``hsifeat backbones``.

    Attributes
    ----------
    open : callable
        Called with the source, or with what follows ``NAME:``, and with options by name; returns a `Backbone` or a
        `Redirect`.
    form : str
        What its sources look like.
    description : str
        What it opens, in one line.
    weights : str
        Where its weights come from.
    matches : callable
        Tells whether a source is of this kind. By default sources have to begin with the entry point's name.
    order : int
        Plugins are asked in ascending order, and the first that matches opens the source; hsifeat's own have 10 to 90.
    """

    open: Callable[..., Backbone | Redirect]
    form: str
    description: str
    weights: str
    matches: Callable[[str], bool] = _matches_nothing
    order: int = 50


def load_plugins() -> dict[str, BackbonePlugin]:
    """Return the registered plugins by name, in the order in which they are asked.

    A plugin of another package that fails to load stays in the list: it matches nothing, its description says why, and to
    open it by name raises `BackboneError`.
    """
    plugins = {entry.name: _load(entry) for entry in entry_points(group=GROUP)}
    return dict(sorted(plugins.items(), key=lambda item: (item[1].order, item[0])))


def _load(entry: EntryPoint) -> BackbonePlugin:
    package = f"package {entry.dist.name if entry.dist else entry.module}"
    try:
        target = entry.load()
    except Exception as error:  # noqa: BLE001  # another package's code may raise anything
        reason = error_summary(error)

        def fail(_argument: str, **_options: Any) -> Redirect:
            raise BackboneError(f"the backbone {entry.name} of {package} can't be loaded: {reason}")

        return BackbonePlugin(fail, entry.name, f"can't be loaded: {reason}", package)
    if isinstance(target, BackbonePlugin):
        return target
    lines = (target.__doc__ or "").strip().splitlines()
    description = lines[0].rstrip(".") if lines else "no description"
    return BackbonePlugin(target, entry.name, description, package)


def find_plugin(source: str) -> tuple[BackbonePlugin, str] | None:
    """Return the plugin that opens a source, and what to call it with; None where there is none."""
    plugins = load_plugins()
    name, _, argument = source.partition(":")
    if name in plugins and existing_path(source) is None:
        return plugins[name], argument
    return next(((plugin, source) for plugin in plugins.values() if plugin.matches(source)), None)


def existing_path(source: str) -> Path | None:
    """Return the file or folder that a source names, or None.

    Raises
    ------
    BackboneError
        The operating system refuses to look it up.
    """
    path = Path(source)
    try:
        return path if path.exists() else None
    except OSError as error:  # a name that is too long, or a folder without permission
        raise BackboneError(f"{path} can't be looked up: {error.strerror}") from error


def call_plugin(plugin: BackbonePlugin, argument: str, options: BackboneOptions, name: str) -> Backbone | Redirect:
    """Call a plugin with the options that it takes.

    Parameters
    ----------
    plugin : BackbonePlugin
        From `find_plugin`.
    argument : str
        What it is called with.
    options : BackboneOptions
        All options.
    name : str
        The source as the user typed it, for errors.

    Raises
    ------
    BackboneError
        The plugin fails, or an option was set that it does not take.
    """
    accepted = accepted_options(plugin.open, options, name)
    try:
        return plugin.open(argument, **accepted)
    except BackboneError:
        raise
    except Exception as error:  # another package's code may raise anything
        raise BackboneError(f"the backbone {name} can't be opened: {error_summary(error)}") from error


def accepted_options(function: Callable[..., Any], options: BackboneOptions, name: str) -> dict[str, Any]:
    """Return the options that a function has parameters for.

    Parameters
    ----------
    function : callable
        Takes options by name.
    options : BackboneOptions
        All options.
    name : str
        The source as the user typed it, for errors.

    Raises
    ------
    BackboneError
        An option was set that it has no parameter for.
    """
    parameters = signature(function).parameters
    takes_all = any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values())
    accepted = {}
    for option in fields(options):
        value = getattr(options, option.name)
        if takes_all or option.name in parameters:
            accepted[option.name] = value
        elif value != option.default and option.name not in _IGNORABLE:
            typed = "untrained:" if option.name == "untrained_seed" else repr(value)
            raise BackboneError(f"{name} takes no {_OPTION_TERMS.get(option.name, option.name)}; leave out {typed}")
    return accepted


def check_backbone(backbone: object, name: str) -> None:
    """Raise `BackboneError` unless an object has every member of the protocol `Backbone`."""
    members = [member for member in vars(Backbone) if not member.startswith("_")]
    # Looked up statically: to compute the taps takes a forward pass.
    missing = [member for member in members if getattr_static(backbone, member, _ABSENT) is _ABSENT]
    if missing:
        raise BackboneError(
            f"{name} is a {type(backbone).__name__}, not a backbone: it lacks {', '.join(missing)}. Wrap a plain network into a "
            "ModuleBackbone"
        )
