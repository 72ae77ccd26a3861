"""The scene that a verb takes, and the options that say how it is read."""

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

# What says how a scene is read, for every verb that takes one.
_SCENE_OPTIONS: dict[str, tuple[Any, Any]] = {
    "scene": (
        Annotated[
            list[str],
            typer.Argument(metavar="SCENE", help="A registry name, a file or folder, or files of one band each."),
        ],
        Parameter.empty,
    ),
    "variable": (Annotated[str | None, typer.Option(help="Variable to take from a file that holds several.")], None),
    "axes": (
        Annotated[str | None, typer.Option(help="Order of the axes, e.g. bands,rows,cols or bands,pixels.")],
        None,
    ),
    "rows": (Annotated[int | None, typer.Option(min=1, help="Rows, where pixels are in one axis.")], None),
    "cols": (Annotated[int | None, typer.Option(min=1, help="Columns, where pixels are in one axis.")], None),
    "bad_bands": (
        Annotated[
            str,
            typer.Option(
                help="Bands that the file marks as bad: drop or keep; or others to drop, e.g. 103-108,149 (from 0)."
            ),
        ],
        "drop",
    ),
    "nodata": (Annotated[float | None, typer.Option(help="The value that stands for no data.")], None),
    "companion": (Annotated[str | None, typer.Option(help="A finer image of the same place: FILE[:VARIABLE].")], None),
    "labels": (
        Annotated[
            list[str] | None,
            typer.Option(help="Labels to attach, again for more: FILE, or FILE:VARIABLE (or :COLUMN)."),
        ],
        None,
    ),
}


@dataclass(frozen=True)
class SceneAsked:
    """A scene as it was named, and the options that say how it is read."""

    paths: list[str]
    options: dict[str, Any]

    def open(self) -> Scene:
        """Return the scene, read as was asked."""
        from hsifeat.scenes import open_scene

        return open_scene(self.paths, **self.options)

    def open_like(self, name: str) -> Scene:
        """Return another scene, read in the same way; labels and a companion are the first one's alone."""
        from hsifeat.scenes import open_scene

        own = {"labels": None, "companion": None}
        return open_scene(name, **{**self.options, **own})

    def words(self, also: Sequence[str] = ()) -> str:
        """Return what was typed to name the data: paths, how they are read, and further scenes."""
        told = [*self.paths, *(word for name in also for word in ("--also", name))]
        for name, value in self.options.items():
            if value != _SCENE_OPTIONS[name][1] and name != "labels":
                told += [f"--{name.replace('_', '-')}", str(value)]
        return shlex.join(told)

    def images(self) -> str:
        """Return the one path of a folder or archive of images, for which there is nothing to say."""
        given = [name for name, value in self.options.items() if value != _SCENE_OPTIONS[name][1]]
        if given:
            raise typer.BadParameter(f"--{given[0].replace('_', '-')} says how a scene is read; images are named")
        if len(self.paths) > 1:
            raise typer.BadParameter(f"images lie in one folder or archive; found {len(self.paths)} paths")
        return self.paths[0]


def opens_scene(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options that say how a scene is read; what it gets as `scene` is the scene, opened."""

    @wraps(verb)
    def opened(scene: SceneAsked, **given: Any) -> None:
        verb(scene=scene.open(), **given)

    return asks_for_scene(opened)


def asks_for_scene(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options that say how a scene is read; what it gets as `scene` can be opened, or be images."""

    @wraps(verb)
    def command(**given: Any) -> None:
        options = {name: given.pop(name) for name in _SCENE_OPTIONS}
        verb(scene=SceneAsked(options.pop("scene"), options), **given)

    kinds = get_type_hints(verb, localns={"Scene": object}, include_extras=True)
    own = {p.name: (kinds[p.name], p.default) for p in list(signature(verb).parameters.values())[1:]}
    taken = {"scene": _SCENE_OPTIONS["scene"], **own, **_SCENE_OPTIONS}
    command.__signature__ = signature(verb).replace(  # type: ignore[attr-defined]
        parameters=[
            Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for name, (kind, default) in taken.items()
        ]
    )
    command.__annotations__ = {name: kind for name, (kind, _) in taken.items()}
    return command
