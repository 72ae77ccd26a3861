"""`hsifeat extract`: compute the diffusion features of a scene and store them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hsifeat.commands.config_options import with_options
from hsifeat.commands.scene_options import with_scene
from hsifeat.commands.shared_options import Device
from hsifeat.extraction.config import ExtractionConfig

if TYPE_CHECKING:
    from hsifeat.extraction.job import RemainingWork
    from hsifeat.scenes import Scene


@with_scene
@with_options(ExtractionConfig)
def extract(
    scene: Scene,
    options: dict[str, Any],
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.toml", help="Published extraction or file with the values of options that are not set."
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="STORE", help="Store with the values of options that are not set, and with the fitted projection."
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="STORE",
            help="Store to write: a path or an s3://… address. [default: a store in the cache folder, named by its content]",
        ),
    ] = None,
    device: Device = "auto",
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show planes, forward passes, bytes and estimated time, and write nothing."),
    ] = False,
) -> None:
    """Compute the diffusion features of a scene and store them.

    A store contains one plane for each timestep and layer. Planes that the store already has are not computed again.

    With the backbone in the package: `hsifeat extract indian-pines`

    With another one: `hsifeat extract indian-pines --backbone backbone --timesteps 0,50,100 --layers up_blocks.1 --out ip.zarr`

    Window means and morphological profiles, without a model: `hsifeat extract indian-pines --backbone context`

    Another scene in the same way: `hsifeat extract other.mat --like ip.zarr --out other.zarr`

    Only a window around each labelled pixel, as in MTMSD: `hsifeat extract indian-pines --backbone backbone --pixels ground-truth --tile 48`

    As in a paper: `hsifeat extract augsburg --preset geodiffnet-augsburg --backbone 64x64_diffusion.pt --dry-run`
    """
    from hsifeat.commands import terminal
    from hsifeat.extraction.prepare import prepare
    from hsifeat.extraction.resolve import resolve_config
    from hsifeat.extraction.run import run

    with terminal.progress() as listen:
        config = resolve_config(options, preset=preset, like=like)
        job = prepare(scene, config, out=out, device=device, listen=listen)
        store = None if dry_run else run(job, listen=listen)
    if store is None:
        work = job.remaining(job.find_store())
        _show_work(work)
        work.check_disk()
    else:
        terminal.say(f"store: {store.location}")


def _show_work(work: RemainingWork) -> None:
    from hsifeat.commands import terminal
    from hsifeat.formatting import format_bytes

    plan = work.plan
    state = "new" if work.is_new else "exists"
    terminal.show_table(f"{work.job.location} ({state})", plan.plane_rows(), plan.PLANE_COLUMNS)
    for line in work.extractor.describe(plan):
        terminal.say(line)
    terminal.say(f"to write: at most {format_bytes(work.needed_bytes)}")
