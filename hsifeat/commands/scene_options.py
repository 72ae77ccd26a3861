"""The scene argument of commands, and the options for reading a scene."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from hsifeat.scenes import Scene

# Name of a scene file without its suffix, in the paths of files that belong to one of several scenes.
PLACEHOLDER = "{scene}"

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
                help="'drop' (make invalid) or 'keep' blank pixels: 0 in all bands, or the largest value of an integer dtype in all bands."
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
            typer.Option(
                help="Label map to attach: FILE, FILE:VARIABLE or FILE:COLUMN. Can be repeated. In the path, {scene} stands for "
                "the name of the scene file without its suffix."
            ),
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
        Words of the scene argument: names of public scenes, and paths. For a command that reads one scene, all
        words belong to this scene. For a command that reads several scenes, each word is a scene.
    options : dict of str to object
        Keyword arguments of `open_scene`.
    """

    paths: list[str]
    options: dict[str, Any]

    @property
    def files(self) -> list[str]:
        """Words of the scene argument, with each ``@FILE`` replaced by the files that FILE lists."""
        return [file for path in self.paths for file in _listed_files(path)]

    def separate(self) -> dict[str, SceneArguments]:
        """Map the name of each scene to its arguments. Each element of `paths` is a separate scene.

        Raises
        ------
        typer.BadParameter
            If two scenes have the same name. If ``--labels`` or ``--companion`` names one file for several scenes.
        """
        from hsifeat.extraction.extract_scenes import scene_name

        scenes: dict[str, SceneArguments] = {}
        for one in self.each():
            name = scene_name(one.paths[0].removeprefix("@"))
            if name in scenes:
                raise typer.BadParameter(
                    f"two scenes are named {name!r}, and their stores too: extract them in separate calls"
                )
            scenes[name] = one
        return scenes

    def each(self) -> list[SceneArguments]:
        """Return the arguments of each scene. Each element of `paths` is a separate scene.

        Raises
        ------
        typer.BadParameter
            If ``--labels`` or ``--companion`` names one file for several scenes.
        """
        templates = [*(self.options["labels"] or ()), *filter(None, [self.options["companion"]])]
        if len(self.paths) > 1 and (single := [text for text in templates if PLACEHOLDER not in text]):
            raise typer.BadParameter(
                f"{single[0]} belongs to one scene, and there are {len(self.paths)}: write {PLACEHOLDER} for the name of each scene "
                f"file without its suffix, such as --labels 'labels/{PLACEHOLDER}.tif', or give the scenes in separate calls"
            )
        return [SceneArguments([path], self.options) for path in self.paths]

    @property
    def companion(self) -> str | None:
        """Value of ``--companion``, with ``{scene}`` replaced by the name of the scene file without its suffix."""
        template = self.options["companion"]
        return None if template is None else self._expand(template)

    @property
    def labels(self) -> list[tuple[str, str]]:
        """Name and source of each label map. In the source, ``{scene}`` is replaced as in `companion`.

        If a value of ``--labels`` has no ``{scene}``, the name of its label map is empty. Otherwise, the name is the same
        for all scenes. `open` uses this name unless `open_labels` takes the name of the map from a variable or column.
        """
        templates = self.options["labels"] or ()
        return [(_label_name(one) if PLACEHOLDER in one else "", self._expand(one)) for one in templates]

    def open(self) -> Scene:
        """Open the arguments as one scene."""
        from hsifeat.scenes import open_labels, open_scene
        from hsifeat.scenes.label_map import safe_label_name

        options = {
            **self.options,
            "companion": self.companion,
            "labels": [file for name, file in self.labels if not name],
        }
        scene = open_scene(self.files, **options)
        for name, file in self.labels:
            if name:
                own = open_labels(file, scene)
                is_named = own.name != safe_label_name(Path(file).stem)
                scene = scene.with_labels(own if is_named else replace(own, name=name))
        return scene

    def check_not_replaced(self, out: Path) -> None:
        """Raise `StoreError` if `out` is a file of the scene, a label map or the companion image."""
        from hsifeat.files import check_not_input

        check_not_input(out, [*self.files, *(file for _, file in self.labels), *filter(None, [self.companion])])

    def _expand(self, template: str) -> str:
        return template.replace(PLACEHOLDER, Path(self.paths[0].removeprefix("@")).stem)

    def command_line(self) -> str:
        """Return the part of the command line that names the data: paths and scene options."""
        words = list(self.paths)
        for name in self._options_set():
            if name != "labels":
                words += [f"--{name.replace('_', '-')}", str(self.options[name])]
        return shlex.join(words)

    def image_paths(self) -> list[str]:
        """Return the paths of folders or archives of images.

        Raises
        ------
        typer.BadParameter
            If the user set an option that applies to scenes only.
        """
        if names := self._options_set():
            flag = names[0].replace("_", "-")
            raise typer.BadParameter(f"--{flag} applies to scenes, but this network learns from images: leave it out")
        return self.paths

    def _options_set(self) -> list[str]:
        return [name for name, value in self.options.items() if value != _SCENE_OPTIONS[name][1]]


def _label_name(template: str) -> str:
    """Return one name for the label maps of several scenes, from the words that their paths have in common.

    >>> _label_name("labels/{scene}.tif"), _label_name("{scene}_gt.tif"), _label_name("{scene}/classes.tif")
    ('labels', 'gt', 'classes')
    """
    from hsifeat.scenes.label_map import safe_label_name

    words = Path(template).stem.replace(PLACEHOLDER, "").strip("-_. ")
    return safe_label_name(words or Path(template).parent.name.replace(PLACEHOLDER, ""))


def _listed_files(path: str) -> list[str]:
    """Return the files that FILE lists if `path` is ``@FILE``, or otherwise `path` itself.

    The listed paths are relative to the folder of FILE.
    """
    from hsifeat.files import read_regular

    if not path.startswith("@"):
        return [path]
    file = Path(path[1:])
    return [
        str(file.parent / line.strip())
        for line in read_regular(file).decode("utf-8-sig", "surrogateescape").splitlines()
        if line.strip()
    ]


def with_scene(command: Callable[..., None]) -> Callable[..., None]:
    """Add the scene argument and the scene options to a command. Its parameter ``scene`` receives the open scene."""

    @wraps(command)
    def wrapped(scene: SceneArguments, **arguments: Any) -> None:
        if isinstance(out := arguments.get("out"), Path):
            scene.check_not_replaced(out)
        command(scene=scene.open(), **arguments)

    return with_scene_arguments(wrapped)


def with_scene_arguments(command: Callable[..., None]) -> Callable[..., None]:
    """Add the scene argument and the scene options to a command, whose parameter ``scene`` receives `SceneArguments`."""

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
