"""The scene argument of commands, and the options for reading a scene."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from hsifeat.scenes import Scene

# Annotation and default of each parameter.
_SCENE_OPTIONS: dict[str, tuple[Any, Any]] = {
    "scene": (
        Annotated[
            list[str],
            typer.Argument(
                metavar="SCENE",
                help="Name of a public scene (see `hsifeat scenes`), file, folder, or @FILE, a list of the files of one scene.",
            ),
        ],
        Parameter.empty,
    ),
    "variable": (
        Annotated[str | None, typer.Option(help="Variable to read from a file with several variables.")],
        None,
    ),
    "axes": (
        Annotated[str | None, typer.Option(help="Order of the axes, such as bands,rows,cols or bands,pixels.")],
        None,
    ),
    "rows": (
        Annotated[
            int | None,
            typer.Option(min=1, help="Number of rows, for files with a single axis of pixels."),
        ],
        None,
    ),
    "cols": (
        Annotated[
            int | None,
            typer.Option(min=1, help="Number of columns, for files with a single axis of pixels."),
        ],
        None,
    ),
    "bad_bands": (
        Annotated[
            str,
            typer.Option(
                help="'drop' or 'keep' the bands that the file marks as bad, or a list of bands to drop, such as 103-108,149. "
                "The first band is 0."
            ),
        ],
        "drop",
    ),
    "nodata": (Annotated[float | None, typer.Option(help="Value of pixels without data.")], None),
    "blank_pixels": (
        Annotated[
            str,
            typer.Option(
                help="'drop' (make invalid) or 'keep' the pixels that are 0, or the highest value of an integer dtype, in all bands."
            ),
        ],
        "drop",
    ),
    "companion": (
        Annotated[
            str | None, typer.Option(help="Finer image of the same area, for --see-companion: FILE or FILE:VARIABLE.")
        ],
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
    """Values of the scene argument and the scene options of a command.

    Attributes
    ----------
    paths : list of str
        Name or paths of the scene.
    options : dict of str to object
        Keyword arguments of `open_scene`.
    """

    paths: list[str]
    options: dict[str, Any]

    @property
    def files(self) -> list[str]:
        """Name or paths of the scene. A path ``@FILE`` is replaced by the files that FILE lists."""
        return [file for path in self.paths for file in _listed_files(path)]

    def separate(self) -> dict[str, SceneArguments]:
        """Map the name of each scene to the arguments of the scene. Each path is one scene.

        Raises
        ------
        typer.BadParameter
            If two scenes have the same name, or if several scenes are combined with ``--labels`` or ``--companion``.
        """
        from hsifeat.extraction.extract_scenes import scene_name

        if len(self.paths) > 1 and (single := {"labels", "companion"}.intersection(self._options_set())):
            raise typer.BadParameter(f"--{single.pop()} applies to one scene: extract the scenes in separate calls")
        scenes: dict[str, SceneArguments] = {}
        for path in self.paths:
            name = scene_name(path.removeprefix("@"))
            if name in scenes:
                raise typer.BadParameter(
                    f"two scenes are named {name!r}, and their stores too: extract them in separate calls"
                )
            scenes[name] = SceneArguments([path], self.options)
        return scenes

    def open(self) -> Scene:
        """Open the scene."""
        from hsifeat.scenes import open_scene

        return open_scene(self.files, **self.options)

    def open_another(self, name: str) -> Scene:
        """Open another scene with the same options, but without label maps and companion image."""
        from hsifeat.scenes import open_scene

        return open_scene(name, **{**self.options, "labels": None, "companion": None})

    def command_line(self, also: Sequence[str] = ()) -> str:
        """Return the part of the command line that names the data: paths, the scenes `also`, and scene options."""
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
            If there are several paths, or if the user set an option that applies to scenes only.
        """
        if names := self._options_set():
            flag = names[0].replace("_", "-")
            raise typer.BadParameter(f"--{flag} applies to scenes, but this network learns from images: leave it out")
        if len(self.paths) > 1:
            raise typer.BadParameter(f"images must be in one folder or archive; found {len(self.paths)} paths")
        return self.paths[0]

    def _options_set(self) -> list[str]:
        return [name for name, value in self.options.items() if value != _SCENE_OPTIONS[name][1]]


def _listed_files(path: str) -> list[str]:
    """Return the files that FILE lists if `path` is ``@FILE``, else `path` itself.

    FILE lists its files relative to its own folder.
    """
    if not path.startswith("@"):
        return [path]
    file = Path(path[1:])
    return [
        str(file.parent / line.strip())
        for line in file.read_text("utf-8", "surrogateescape").splitlines()
        if line.strip()
    ]


def with_scene(command: Callable[..., None]) -> Callable[..., None]:
    """Add the scene argument and the scene options to a command, and pass the open scene as ``scene``."""

    @wraps(command)
    def wrapped(scene: SceneArguments, **arguments: Any) -> None:
        command(scene=scene.open(), **arguments)

    return with_scene_arguments(wrapped)


def with_scene_arguments(command: Callable[..., None]) -> Callable[..., None]:
    """Add the scene argument and the scene options to a command, and pass `SceneArguments` as ``scene``."""

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
