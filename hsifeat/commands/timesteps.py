"""`hsifeat timesteps`: which timesteps of a scene are worth caching."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hsifeat.commands.option_types import class_label_of, comma_list, whole_number
from hsifeat.commands.scene_options import opens_scene
from hsifeat.commands.shared_options import Device, Json, Seed

if TYPE_CHECKING:
    from hsifeat.scenes import Scene
    from hsifeat.timesteps.result import TimestepRanking


@opens_scene
def timesteps(
    scene: Scene,
    backbone: Annotated[str | None, typer.Option(help="A backbone, for the spectral angles of its estimates.")] = None,
    store: Annotated[str | None, typer.Option(help="A store of this scene, to compare its planes.")] = None,
    layer: Annotated[str | None, typer.Option(help="Whose planes; by default the last of the store.")] = None,
    budget: Annotated[int, typer.Option(help="How many timesteps are proposed.")] = 5,
    compared: Annotated[
        str | None, typer.Option("--timesteps", help="Which are compared; by default 40, or those of the store.")
    ] = None,
    projection: Annotated[
        str | None, typer.Option(help="rgb, pca:N, bands:i,j,k or all; by default the backbone's, or pca:10.")
    ] = None,
    patch: Annotated[int | None, typer.Option(help="Side of the optimal denoiser's patches, in pixels.")] = None,
    intervals: Annotated[int, typer.Option(help="Into how many intervals the timesteps are cut.")] = 3,
    class_label: Annotated[str | None, typer.Option(help="Label for a class-conditional backbone, or mean.")] = None,
    prompt: Annotated[str | None, typer.Option(help="Text for a backbone that takes one.")] = None,
    upsample: Annotated[int | None, typer.Option(help="How many times a latent backbone enlarges tiles; 8.")] = None,
    seed: Seed = 0,
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option(help="A picture of it: a .png.")] = None,
    as_json: Json = False,
) -> None:
    """Tell, without labels, which timesteps are worth caching and which are much like others.

    Example: `hsifeat timesteps indian-pines --backbone backbone --budget 5 --out timesteps.png`

    Planes that are there already: `hsifeat timesteps indian-pines --backbone backbone --store ip.zarr`
    """
    from hsifeat.commands import terminal
    from hsifeat.timesteps.rank import rank_timesteps
    from hsifeat.timesteps.ranking_plot import check_path

    if out is not None:
        check_path(out)
    with terminal.progress() as listen:
        found = rank_timesteps(
            scene,
            backbone=backbone,
            store=store,
            layer=layer,
            budget=budget,
            timesteps=None if compared is None else [whole_number(t, "--timesteps") for t in comma_list(compared)],
            projection=projection,
            patch=patch,
            intervals=intervals,
            class_label=class_label_of(class_label),
            prompt=prompt,
            upsample=upsample,
            seed=seed,
            device=device,
            listen=listen,
        )
    if out is not None:
        found.picture(out)
    if as_json:
        terminal.show_json(found.to_json())
    else:
        _show(found)
        if out is not None:
            terminal.say(f"picture: {out}")


def _show(found: TimestepRanking) -> None:
    from hsifeat.commands import terminal

    rows = found.rows()
    seen = f"{found.scene} through {found.projection}" + (f", {found.backbone}" if found.backbone else "")
    terminal.show_table(f"timesteps of {seen}", rows, tuple(rows[0]))
    if found.angles is not None:
        terminal.say(f"angles in {found.angles.within}; of the mean of all pixels: {found.angles.of_mean:.1f} degrees")
    if found.planes is not None:
        terminal.say(f"covered: by the planes of {found.planes.layer} (linear CKA)")
    else:
        terminal.say(f"covered: by the optimal denoiser of {found.patches} patches of {found.patch_px} px")
    terminal.say("intervals of like timesteps: " + ", ".join(f"{first} to {last}" for first, last in found.intervals))
    terminal.say(f"three stages of the optimal denoiser: to {found.stages[0]}, between, from {found.stages[1]}")
    terminal.say(f"worth caching: --timesteps {','.join(map(str, found.proposal))}")
