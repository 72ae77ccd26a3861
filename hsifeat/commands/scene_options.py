"""The scene argument of a command, and the options that tell how the scene is read."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from hsifeat.scenes import Scene

# Annotation and default of each parameter.
_SCENE_OPTIONS: dict[str, tuple[Any, Any]] = {
    "scene": (
        Annotated[
            list[str],
            typer.Argument(metavar="SCENE", help="A registry name, a file, a folder, or one file for each band."),
        ],
        Parameter.empty,
    ),
    "variable": (Annotated[str | None, typer.Option(help="Variable of a file that holds several.")], None),
    "axes": (
        Annotated[str | None, typer.Option(help="Order of the axes, such as bands,rows,cols or bands,pixels.")],
        None,
    ),
    "rows": (
        Annotated[
            int | None,
            typer.Option(min=1, help="Number of rows, for a file in which rows and columns share one axis of pixels."),
        ],
        None,
    ),
    "cols": (
        Annotated[
            int | None,
            typer.Option(
                min=1, help="Number of columns, for a file in which rows and columns share one axis of pixels."
            ),
        ],
        None,
    ),
    "bad_bands": (
        Annotated[
            str,
            typer.Option(
                help="What to do with bands that the file marks as bad: drop or keep; or bands to drop, such as 103-108,149, "
                "counted from 0."
            ),
        ],
        "drop",
    ),
    "nodata": (Annotated[float | None, typer.Option(help="Value that stands for no data.")], None),
    "companion": (
        Annotated[str | None, typer.Option(help="A finer image of the same area: FILE or FILE:VARIABLE.")],
        None,
    ),
    "labels": (
        Annotated[
            list[str] | None,
            typer.Option(help="Label map to attach: FILE, FILE:VARIABLE or FILE:COLUMN. Can be repeated."),
        ],
        None,
    ),
}


@dataclass(frozen=True)
class SceneArguments:
    """The scene argument and the scene options of a command, not opened yet.

    Attributes
    ----------
    paths : list of str
        The scene argument.
    options : dict of str to object
        Keyword arguments of `open_scene`.
    """

    paths: list[str]
    options: dict[str, Any]

    def open(self) -> Scene:
        """Open the scene."""
        from hsifeat.scenes import open_scene

        return open_scene(self.paths, **self.options)

    def open_another(self, name: str) -> Scene:
        """Open another scene with the same options, except for labels and companion, which belong to the first one."""
        from hsifeat.scenes import open_scene

        return open_scene(name, **{**self.options, "labels": None, "companion": None})

    def command_line(self, also: Sequence[str] = ()) -> str:
        """Return the part of the command line that names the data: paths, options that were set, and further scenes."""
        words = [*self.paths, *(word for name in also for word in ("--also", name))]
        for name in self._options_set():
            if name != "labels":
                words += [f"--{name.replace('_', '-')}", str(self.options[name])]
        return shlex.join(words)

    def image_path(self) -> str:
        """Return the path of a folder or archive of images.

        Raises
        ------
        typer.BadParameter
            There are several paths, or options that only scenes take.
        """
        if names := self._options_set():
            flag = names[0].replace("_", "-")
            raise typer.BadParameter(f"--{flag} applies to scenes, but this network learns from images: leave it out")
        if len(self.paths) > 1:
            raise typer.BadParameter(f"images must be in one folder or archive; found {len(self.paths)} paths")
        return self.paths[0]

    def _options_set(self) -> list[str]:
        return [name for name, value in self.options.items() if value != _SCENE_OPTIONS[name][1]]


def with_scene(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the scene argument and the scene options; its parameter ``scene`` gets the open scene."""

    @wraps(command)
    def wrapped(scene: SceneArguments, **arguments: Any) -> None:
        command(scene=scene.open(), **arguments)

    return with_scene_arguments(wrapped)


def with_scene_arguments(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the scene argument and the scene options; its parameter ``scene`` gets `SceneArguments`."""

    @wraps(command)
    def wrapped(**arguments: Any) -> None:
        options = {name: arguments.pop(name) for name in _SCENE_OPTIONS}
        command(scene=SceneArguments(options.pop("scene"), options), **arguments)

    hints = get_type_hints(command, localns={"Scene": object}, include_extras=True)
    own = {p.name: (hints[p.name], p.default) for p in list(signature(command).parameters.values())[1:]}
    parameters = {"scene": _SCENE_OPTIONS["scene"], **own, **_SCENE_OPTIONS}
    wrapped.__signature__ = signature(command).replace(  # type: ignore[attr-defined]
        parameters=[
            Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, (annotation, default) in parameters.items()
        ]
    )
    wrapped.__annotations__ = {name: annotation for name, (annotation, _) in parameters.items()}
    return wrapped
