"""`hsifeat scenes`: the registry of public scenes, and what a scene holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hsifeat.commands.scene_options import opens_scene
from hsifeat.commands.shared_options import Json
from hsifeat.commands.showing import show_rows

if TYPE_CHECKING:
    from hsifeat.scenes import Scene

scenes = typer.Typer(invoke_without_command=True, help="The registry of public scenes, and what a scene holds.")

# Columns of `hsifeat scenes` that say yes or no, and the facts behind them.
_ABOUT_SCENES = {"split": "official_split", "checked": "checked"}


@scenes.callback()
def list_scenes(context: typer.Context, as_json: Json = False) -> None:
    """List the public scenes that are known by name.

    Example: `hsifeat scenes`
    """
    if context.invoked_subcommand is None:
        from hsifeat.scenes.registry import REGISTRY
        from hsifeat.scenes.registry.local_files import scenes_folder, state

        rows = [{**scene.facts(), "here": state(scene)} for scene in REGISTRY.values()]
        if as_json:
            return show_rows("", rows, (), as_json=True)
        from hsifeat.commands import terminal

        for row in rows:
            row.update({what: "yes" if row[fact] else "no" for what, fact in _ABOUT_SCENES.items()})
        shown = ("name", "sensor", "rows", "cols", "bands", "gsd_m", "classes", *_ABOUT_SCENES, "here")
        terminal.show_table("scenes", rows, shown)
        terminal.say(f"hsifeat scenes fetch NAME gets a scene into {scenes_folder()}; --json says all that is known")
    return None


@scenes.command("show")
@opens_scene
def show_scene(
    scene: Scene,
    out: Annotated[
        Path | None, typer.Option(help="The picture; by default NAME.png here, and none with --json.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show shape, wavelengths, valid pixels, classes and counts; write a picture of bands and labels.

    Example: `hsifeat scenes show indian-pines`
    """
    from hsifeat.commands import terminal
    from hsifeat.scenes.scene_plot import picture_path, write_picture

    picture = None if as_json and out is None else picture_path(scene, out)
    facts = scene.facts()
    for note in scene.notes:
        terminal.note(note)
    if picture is not None:
        write_picture(scene, picture)
    if as_json:
        terminal.show_json(facts)
        return
    rows = [{"": name, " ": value} for name, value in facts.items() if name != "labels" and value not in (None, "", [])]
    terminal.show_table(facts["name"], rows, ("", " "))
    for name, classes in facts["labels"].items():
        terminal.show_table(f"labels {name}", classes, ("class", "name", "pixels", "colour"))
    terminal.say(f"picture: {picture}")


@scenes.command("fetch")
def fetch_scene(name: Annotated[str, typer.Argument(help="A registry name, see `hsifeat scenes`.")]) -> None:
    """Download a public scene and check its checksum, or say which files to put where.

    Example: `hsifeat scenes fetch pavia-university`
    """
    from hsifeat.commands import terminal
    from hsifeat.runtime.events import Advanced, Started
    from hsifeat.scenes.registry.fetch import fetch

    begun: set[str] = set()
    with terminal.progress() as listen:

        def advance(file: str, done: int, total: int) -> None:
            if file not in begun:
                begun.add(file)
                listen(Started(file, total / 1e6, "MB"))
            listen(Advanced(file, done / 1e6))

        files = fetch(name, advance)
    for file in files:
        terminal.say(str(file))
    terminal.say(f"{name} is on this machine: hsifeat scenes show {name}")
