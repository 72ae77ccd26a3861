"""`hsifeat extract`: a scene's features into a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hsifeat.commands.option_types import class_label_of, comma_list, corner, timesteps_of, whole_number
from hsifeat.commands.scene_options import opens_scene
from hsifeat.commands.shared_options import Device

if TYPE_CHECKING:
    from hsifeat.extraction.job import Job
    from hsifeat.scenes import Scene


@opens_scene
def extract(
    scene: Scene,
    backbone: Annotated[str | None, typer.Option(help="A backbone, see `hsifeat backbones`.")] = None,
    timesteps: Annotated[
        str | None, typer.Option(help="Training timesteps, or auto:N; by default 0,50,100,200,400.")
    ] = None,
    layers: Annotated[str | None, typer.Option(help="Layers, see `hsifeat layers`; by default the decoder's.")] = None,
    projection: Annotated[
        str | None, typer.Option(help="rgb, pca:N, bands:i,j,k or all; options: docs/user/extract.md.")
    ] = None,
    tile: Annotated[int | None, typer.Option(help="Pixels of a side of what the model sees at once; 64.")] = None,
    halo: Annotated[int | None, typer.Option(help="Frame of a tile, in pixels, around its core; 16.")] = None,
    stitch: Annotated[
        str | None, typer.Option(help="Of tiles keep the core (usual), blend by mean or hann, or see the scene whole.")
    ] = None,
    padding: Annotated[str | None, typer.Option(help="Beyond the edge: reflect (usual) or zero.")] = None,
    origin: Annotated[str | None, typer.Option(help="ROW,COL of the first tile, such as -20,-26.")] = None,
    pixels: Annotated[
        str | None, typer.Option(help="See each labelled pixel of this label map in a window of its own, --tile wide.")
    ] = None,
    noise: Annotated[str | None, typer.Option(help="field (usual), shared, none or inversion:STEPS.")] = None,
    draws: Annotated[int | None, typer.Option(help="Average over so many draws of the noise; 1.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="Seed of the noise; 0.")] = None,
    see_companion: Annotated[
        bool | None,
        typer.Option("--see-companion/--see-bands", help="Show the model the companion image, or the bands (usual)."),
    ] = None,
    class_label: Annotated[str | None, typer.Option(help="Label for a class-conditional backbone, or mean.")] = None,
    prompt: Annotated[str | None, typer.Option(help="Text for a backbone that takes one.")] = None,
    upsample: Annotated[int | None, typer.Option(help="How many times a latent backbone enlarges tiles; 8.")] = None,
    dtype: Annotated[str | None, typer.Option(help="What is stored: float16 (usual) or float32.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="A published extraction, or a .toml file: what isn't given is as it says.")
    ] = None,
    like: Annotated[str | None, typer.Option(help="A store: what isn't given is as it was there.")] = None,
    out: Annotated[str | None, typer.Option(help="The store: a path or s3://…; by default in the cache.")] = None,
    device: Device = "auto",
    batch: Annotated[str, typer.Option(help="Most tiles in a forward, or auto.")] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say passes, bytes and minutes; write nothing.")] = False,
) -> None:
    """Write a scene's diffusion features into a store. What is there is kept; only what is missing is computed.

    Example: `hsifeat extract indian-pines --backbone backbone --timesteps 0,50,100 --layers up_blocks.1 --out ip.zarr`

    Another scene, seen as the first: `hsifeat extract other.mat --like ip.zarr --out other.zarr`

    A window around each labelled pixel, as MTMSD does: `hsifeat extract indian-pines --backbone backbone --pixels ground-truth --tile 48`

    As a paper did it: `hsifeat extract augsburg --preset geodiffnet-augsburg --backbone 64x64_diffusion.pt --dry-run`
    """
    from hsifeat.commands import terminal
    from hsifeat.extraction.extract import run
    from hsifeat.extraction.prepare import prepare

    with terminal.progress() as listen:
        job = prepare(
            scene,
            backbone=backbone,
            preset=preset,
            like=like,
            timesteps=timesteps_of(timesteps),
            layers=None if layers is None else comma_list(layers),
            projection=projection,
            tile=tile,
            halo=halo,
            stitch=stitch,
            padding=padding,
            origin=None if origin is None else corner(origin),
            pixels=pixels,
            noise=noise,
            draws=draws,
            seed=seed,
            companion=see_companion,
            class_label=class_label_of(class_label),
            prompt=prompt,
            upsample=upsample,
            dtype=dtype,
            out=out,
            device=device,
            batch=None if batch == "auto" else whole_number(batch, "--batch"),
            listen=listen,
        )
        store = None if dry_run else run(job, listen=listen)
    if store is None:
        _show_job(job)
        job.check_disk()
    else:
        terminal.say(f"store: {store.location}")


def _show_job(job: Job) -> None:
    from hsifeat.commands import terminal
    from hsifeat.extraction.estimates import peak_bytes, seconds_per_pass
    from hsifeat.formatting import format_duration

    plan = job.plan
    terminal.show_table(f"{job.location} ({'there' if job.store else 'new'})", plan.plane_rows(), plan.PLANE_COLUMNS)
    seconds = plan.passes * seconds_per_pass(job.extractor, plan) if plan.steps else 0.0
    tile, batch = " x ".join(map(str, dict.fromkeys(plan.tiling.tile))), job.extractor.batch
    again = sum(plan.unit_tiles.values()) - plan.tiles
    sort = "tiles" if job.recipe.pixels is None else "windows, each around a pixel"
    terminal.say(f"{sort}: {plan.tiles} in all" + (f", {again} more for those on borders of units" if again else ""))
    terminal.say(f"passes: {plan.passes} of a {tile}-px tile (of {plan.total_passes}), batches of {batch}")
    terminal.say(f"to write: at most {job.needed_bytes / 1e6:.1f} MB")
    terminal.say(f"time: about {format_duration(seconds)} on {job.extractor.device} (from one timed batch)")
    terminal.say(
        f"memory: about {peak_bytes(job.extractor, plan) / 1e6:.0f} MB beside the model's weights and activations"
    )
