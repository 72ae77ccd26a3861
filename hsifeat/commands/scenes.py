"""`hsifeat scenes`: list, inspect and download scenes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hsifeat.commands.scene_options import with_scene
from hsifeat.commands.shared_options import Json
from hsifeat.commands.terminal import show_rows

if TYPE_CHECKING:
    from hsifeat.scenes import Scene

scenes = typer.Typer(invoke_without_command=True, help="List public scenes, inspect a scene, or download one.")

# Maps columns of the table with the values yes and no to fields of the JSON output.
_FLAG_COLUMNS = {"split": "official_split", "checked": "checked"}


@scenes.callback()
def list_scenes(context: typer.Context, as_json: Json = False) -> None:
    """List the public scenes that can be opened by name.

    Example: `hsifeat scenes`
    """
    if context.invoked_subcommand is None:
        from hsifeat.scenes.registry import REGISTRY
        from hsifeat.scenes.registry.local_files import local_state, scenes_folder

        rows = [{**scene.summary(), "here": local_state(scene)} for scene in REGISTRY.values()]
        if as_json:
            return show_rows("", rows, (), as_json=True)
        from hsifeat.commands import terminal

        for row in rows:
            row.update({column: "yes" if row[name] else "no" for column, name in _FLAG_COLUMNS.items()})
        columns = ("name", "sensor", "rows", "cols", "bands", "gsd_m", "classes", *_FLAG_COLUMNS, "here")
        terminal.show_table("scenes", rows, columns)
        terminal.say(f"hsifeat scenes fetch NAME downloads a scene to {scenes_folder()}; --json shows all fields")
    return None


@scenes.command("show")
@with_scene
def show_scene(
    scene: Scene,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png", help="Picture of the scene to write. [default: NAME.png, or no picture with --json]"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the shape, wavelengths, valid pixels and classes of a scene, and write a picture of its bands and labels.

    Example: `hsifeat scenes show indian-pines`
    """
    from hsifeat.commands import terminal
    from hsifeat.scenes.scene_plot import scene_plot_path, write_scene_plot

    plot_file = None if as_json and out is None else scene_plot_path(scene, out)
    summary = scene.summary()
    for note in (*scene.notes, *scene.validity_notes, *scene.label_notes):
        terminal.note(note)
    if plot_file is not None:
        for note in write_scene_plot(scene, plot_file):
            terminal.note(note)
    if as_json:
        terminal.show_json(summary)
        return
    rows = [
        {"": name, " ": value} for name, value in summary.items() if name != "labels" and value not in (None, "", [])
    ]
    terminal.show_table(summary["name"], rows, ("", " "))
    for name, classes in summary["labels"].items():
        terminal.show_table(f"labels {name}", classes, ("class", "name", "pixels", "colour"))
    terminal.say(f"picture: {plot_file}")


@scenes.command("fetch")
def fetch_scene(name: Annotated[str, typer.Argument(help="Name of a scene that `hsifeat scenes` lists.")]) -> None:
    """Download a public scene and verify its checksums.

    If a scene can't be downloaded automatically, the command says where to get its files and where to put them.

    Example: `hsifeat scenes fetch pavia-university`
    """
    from hsifeat.commands import terminal
    from hsifeat.runtime.events import Advanced, Started
    from hsifeat.scenes.registry.fetch import fetch

    started: set[str] = set()
    with terminal.progress() as listen:

        def report(file: str, done_bytes: int, total_bytes: int) -> None:
            if file not in started:
                started.add(file)
                listen(Started(file, total_bytes / 1e6, "MB"))
            listen(Advanced(file, done_bytes / 1e6))

        files = fetch(name, report)
    for file in files:
        terminal.say(str(file))
    terminal.say(f"{name} is on this machine; inspect it with: hsifeat scenes show {name}")
