"""Backbone plugins: the entry points of the group ``hsifeat.backbones`` in hsifeat and in other packages.

A source is a text that names a backbone. An entry point refers to one of two kinds of objects:

- a `BackbonePlugin`, which can also recognise sources without the entry point's name, such as the paths of folders;
- a function ``open(argument, **options)``, which opens the sources ``NAME`` and ``NAME:ARGUMENT``. The function
  receives the fields of `BackboneOptions` for which it has parameters. Setting any other option is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from importlib.metadata import EntryPoint
from inspect import Parameter, getattr_static, signature
from pathlib import Path
from typing import Any

from hsifeat.backbones.options import BackboneOptions
from hsifeat.backbones.protocol import Backbone, FeatureSource
from hsifeat.errors import BackboneError, HsifeatError, error_summary, raise_resource_error
from hsifeat.registration import package_of, registered_entries

GROUP = "hsifeat.backbones"
_ABSENT = object()
# One of these is in every model folder.
_MODEL_PARTS = ("config.json", "model_index.json", "unet/config.json")
# Options that are ignored if a plugin has no parameter for them. They can't change the backbone of such a plugin.
_IGNORABLE = {"seed", "any_label", "hub_model"}
_OPTION_TERMS = {"class_label": "class label", "untrained_seed": "random weights", "upsample": "upsampling"}


@dataclass(frozen=True)
class Redirect:
    """Another source, which is opened instead of the source that a plugin received.

    Attributes
    ----------
    source : str
        The source to open, such as the folder of a downloaded model.
    changes : mapping of str to object
        Fields of `BackboneOptions` to replace, and their new values.
    """

    source: str
    changes: Mapping[str, Any] = field(default_factory=dict)


def _matches_nothing(source: str) -> bool:  # noqa: ARG001  # a plugin that is opened by its name alone
    return False


@dataclass(frozen=True)
class BackbonePlugin:
    """A kind of backbone: the function that opens it, a test for its sources, and its row in the table of ``hsifeat backbones``.

    A plugin is registered as an entry point of the group ``hsifeat.backbones``. The name of the entry point is NAME in the
    sources ``NAME`` and ``NAME:ARGUMENT``. The plugin opens these sources, and the sources that `matches` accepts.

    Attributes
    ----------
    open : callable
        Function that opens a backbone. The first argument is ARGUMENT for the source ``NAME:ARGUMENT``, an empty text for
        the source ``NAME``, and the whole source for any other source. Options are keyword arguments. The result is a
        `Backbone`, another `FeatureSource` or a `Redirect`.
    form : str
        Form of the sources that the plugin opens, such as ``FILE.pt``.
    description : str
        Description of the sources, in one line.
    weights : str
        Origin of the weights, for the list of backbones.
    matches : callable
        Function that returns whether the plugin opens a source other than ``NAME`` and ``NAME:ARGUMENT``. [default: the
        plugin opens no other source]
    order : int
        Position of the plugin in the search for a plugin that matches a source. The first match opens the source. The
        plugins of hsifeat have positions from 5 to 90.
    files : callable or None
        Function that returns all files and folders that determine the backbone of a source. The function imports no
        large packages. The list includes missing paths whose creation would change the backbone. If `files` is set,
        hsifeat keeps the description of the backbone in the cache folder, and opens a finished store without opening
        the network. None means that every use opens the backbone.
    """

    open: Callable[..., FeatureSource | Redirect]
    form: str
    description: str
    weights: str
    matches: Callable[[str], bool] = _matches_nothing
    order: int = 50
    files: Callable[[str], Iterable[Path]] | None = None


def load_plugins() -> dict[str, BackbonePlugin]:
    """Return a dict that maps names to plugins, in the order in which `find_plugin` tries them.

    If a plugin of another package fails to load, its name stays in the dict. Such a plugin matches no source, and its
    description gives the reason of the failure. Opening such a plugin raises `BackboneError`.
    """
    plugins = {name: _load(entry) for name, entry in registered_entries(GROUP).items()}
    return dict(sorted(plugins.items(), key=lambda item: (item[1].order, item[0])))


def _load(entry: EntryPoint) -> BackbonePlugin:
    try:
        target = entry.load()
    except Exception as error:  # noqa: BLE001  # another package's code may raise anything
        raise_resource_error(error)
        package, reason = package_of(entry), error_summary(error)

        def fail(_argument: str, **_options: Any) -> Redirect:
            raise BackboneError(f"the backbone {entry.name} of {package} can't be loaded: {reason}")

        return BackbonePlugin(fail, entry.name, f"can't be loaded: {reason}", package)
    if isinstance(target, BackbonePlugin):
        return target
    lines = (target.__doc__ or "").strip().splitlines()
    description = lines[0].rstrip(".") if lines else "no description"
    return BackbonePlugin(target, entry.name, description, package_of(entry))


def find_plugin(source: str) -> tuple[BackbonePlugin, str] | None:
    """Return the plugin that opens `source`, and the first argument for its function `open`; None if no plugin matches.

    If `source` is ``NAME`` or ``NAME:ARGUMENT``, and NAME is the name of an entry point, only this entry point is imported.
    The argument is then ARGUMENT or empty. Otherwise, all entry points are imported, and the argument is `source` itself.

    Raises
    ------
    BackboneError
        If `source` names an entry point, and is also the path of a model folder.
    """
    name, _, argument = source.partition(":")
    entry = registered_entries(GROUP).get(name)
    if entry is None:
        return next(((plugin, source) for plugin in load_plugins().values() if plugin.matches(source)), None)
    folder = existing_path(source)
    if folder is not None and any((folder / part).exists() for part in _MODEL_PARTS):
        raise BackboneError(
            f"{source} is a backbone of {package_of(entry)}, and a model folder here: name the folder ./{source}, or rename "
            "it to use the backbone"
        )
    return _load(entry), argument


def existing_path(source: str) -> Path | None:
    """Return the path of a source if it is an existing file or folder, or otherwise None.

    Raises
    ------
    BackboneError
        If the operating system refuses to look up the path.
    """
    path = Path(source)
    try:
        return path if path.exists() else None
    except OSError as error:  # a name that is too long, or a folder without permission
        raise BackboneError(f"{path} can't be looked up: {error.strerror}") from error


def absolute_source(source: str | Path) -> str:
    """Return a source of a backbone, in which the path of an existing file or folder is absolute.

    A name, such as that of a plugin or of a model on a hub, stays as it is.

    Examples
    --------
    >>> absolute_source("untrained:natural32")
    'untrained:natural32'
    """
    if isinstance(source, Path):
        return str(source.absolute())
    prefix, colon, path = ("", "", source) if existing_path(source) else source.rpartition(":")
    if not path or path in registered_entries(GROUP) or existing_path(path) is None:
        return source
    return f"{prefix}{colon}{Path(path).absolute()}"


def call_plugin(plugin: BackbonePlugin, argument: str, options: BackboneOptions, name: str) -> FeatureSource | Redirect:
    """Call the function of a plugin, and return the backbone that it opens, or a `Redirect` to another source.

    Parameters
    ----------
    plugin : BackbonePlugin
        The plugin, from `find_plugin`.
    argument : str
        The first argument of the plugin's function `open`, from `find_plugin`.
    options : BackboneOptions
        All options. The plugin receives only the options for which its function has parameters.
    name : str
        Name of the backbone as the user typed it, such as ``untrained:model.pt``, for error messages.

    Raises
    ------
    BackboneError
        If the plugin fails. If the plugin does not support an option that the user set.
    """
    accepted = accepted_options(plugin.open, options, name)
    try:
        return plugin.open(argument, **accepted)
    except HsifeatError:
        raise
    except Exception as error:  # another package's code may raise anything
        raise_resource_error(error)
        raise BackboneError(f"the backbone {name} can't be opened: {error_summary(error)}") from error


def accepted_options(function: Callable[..., Any], options: BackboneOptions, name: str) -> dict[str, Any]:
    """Select the options that a function accepts.

    An option is accepted if the function has a parameter of the same name, or takes any keyword arguments.

    Parameters
    ----------
    function : callable
        Function that opens a backbone.
    options : BackboneOptions
        All options.
    name : str
        Name of the backbone as the user typed it, such as ``untrained:model.pt``, for error messages.

    Returns
    -------
    dict of str to object
        Value of each accepted option.

    Raises
    ------
    BackboneError
        If the user set an option that the function does not accept.
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
    """Raise `BackboneError` if an object lacks a member of the protocol `Backbone`."""
    members = [member for member in vars(FeatureSource) | vars(Backbone) if not member.startswith("_")]
    # Do not evaluate the properties: `taps` would run a forward pass.
    missing = [member for member in members if getattr_static(backbone, member, _ABSENT) is _ABSENT]
    if missing:
        raise BackboneError(
            f"{name} is a {type(backbone).__name__}, not a backbone: it lacks {', '.join(missing)}. Wrap a plain network into a "
            "ModuleBackbone"
        )
