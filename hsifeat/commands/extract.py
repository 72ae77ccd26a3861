"""`hsifeat extract`: compute the features of a scene and store them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hsifeat.commands.config_options import with_options
from hsifeat.commands.executors import with_executor
from hsifeat.commands.scene_options import SceneArguments, with_scene_arguments
from hsifeat.commands.service_options import Service, extract_on_service
from hsifeat.commands.shared_options import Device
from hsifeat.extraction.config import ExtractionConfig

if TYPE_CHECKING:
    from hsifeat.extraction.job import Job


@with_scene_arguments
@with_options(ExtractionConfig)
@with_executor
def extract(
    scene: SceneArguments,
    options: dict[str, Any],
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.toml", help="Name or file of a preset, which provides all options that are not set."
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="STORE", help="Store that provides the fitted projection and all options that are not set."
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="STORE",
            help="Store to write: a path or an s3://… address. For several scenes, the folder of their stores. [default: stores in the "
            "cache folder, named by their content]",
        ),
    ] = None,
    shared_projection: Annotated[
        bool,
        typer.Option(
            "--shared-projection",
            help="Fit the projection on the first scene, and use it for all scenes, so that fit and bench can combine their "
            "stores. Bands are matched by wavelength. [default: the projection is fitted on each scene]",
        ),
    ] = False,
    device: Device = "auto",
    executor: str | None = None,
    service: Service = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show planes, forward passes, bytes and estimated time, and write nothing."),
    ] = False,
) -> None:
    """Compute the features of scenes and store them.

    A store contains one plane for each timestep and layer. Planes that already exist in the store are not computed again.

    Each scene gets its own store. If a scene fails, the other scenes are still extracted, and the exit status is 1.
    A scene of several files is given as a folder, a VRT, or `@FILE`, where FILE lists the files.

    With the backbone in the package: `hsifeat extract indian-pines`

    With another backbone: `hsifeat extract indian-pines --backbone backbone --timesteps 0,50,100 --layers up_blocks.1 --out ip.zarr`

    Window means and morphological profiles, without a model: `hsifeat extract indian-pines --backbone context`

    Another scene with the same options: `hsifeat extract other.mat --like ip.zarr --out other.zarr`

    Only a window around each labelled pixel, as in MTMSD: `hsifeat extract indian-pines --backbone backbone --pixels ground-truth --tile 48`

    Many scenes: `hsifeat extract scenes/*.mat --out stores`

    Many scenes for one model, with a label map each: `hsifeat extract tiles/*.tif --labels 'labels/{scene}.tif' --shared-projection --out stores`

    In four processes of this machine: `hsifeat extract indian-pines --dask local:4`

    On a service, to which local files are uploaded: `hsifeat extract scene.mat --service https://gpu.example.org`

    As in a paper: `hsifeat extract augsburg --preset geodiffnet-augsburg --backbone 64x64_diffusion.pt --dry-run`
    """
    from hsifeat.commands import terminal
    from hsifeat.commands.work_table import show_work
    from hsifeat.extraction.extract_scenes import extract_opened, store_path, with_projection_of
    from hsifeat.extraction.prepare import prepare
    from hsifeat.extraction.resolve import resolve_config
    from hsifeat.extraction.run import run

    if service is not None:
        if out is not None or executor is not None or dry_run or shared_projection or device != "auto":
            raise typer.BadParameter(
                "--out, --device, --dry-run, --shared-projection and the choice of an executor, such as --dask, concern this machine: leave them "
                "out with --service"
            )
        _show_outcomes(extract_on_service(service, scene.separate(), options, preset=preset, like=like))
        return
    scenes = scene.separate()
    many = len(scenes) > 1
    with terminal.progress() as listen:
        config = resolve_config(options, preset=preset, like=like, listen=listen)
        jobs: list[Job] = []
        for name, one in scenes.items() if dry_run or not many else ():
            path = store_path(out, name) if many else out
            jobs.append(prepare(one.open(), config, out=path, device=device, listen=listen))
            config = with_projection_of(jobs[0], config) if shared_projection else config
        if many and not dry_run:
            openers = {name: one.open for name, one in scenes.items()}
            outcomes = extract_opened(
                openers,
                config,
                out=out,
                shared_projection=shared_projection,
                device=device,
                executor=executor,
                listen=listen,
            )
        elif not dry_run:
            store = run(jobs[0], executor=executor, listen=listen)
    if dry_run:
        works = [job.remaining(job.find_store()) for job in jobs]
        for work in works:
            show_work(work)
            work.check_disk()
    elif many:
        existing = {outcome.name for outcome in outcomes if outcome.existed}
        _show_outcomes(
            {
                outcome.name: outcome.error if outcome.store is None else str(outcome.store.location)
                for outcome in outcomes
            },
            existing,
        )
    else:
        terminal.say(f"store: {store.location}")


def _show_outcomes(outcomes: Mapping[str, str | Exception | None], existing: Collection[str] = ()) -> None:
    """Print the name of each scene and its store or error, errors last. Exit with status 1 if there is an error.

    `existing` contains the names of the scenes whose stores were complete before the extraction.
    """
    from hsifeat.commands import terminal

    stores = {name: store for name, store in outcomes.items() if isinstance(store, str)}
    for name, store in stores.items():
        terminal.say(f"{'complete before' if name in existing else 'store'}: {store}")
    for name, error in outcomes.items():
        if name not in stores:
            terminal.complain(f"{name}: {error}" if len(outcomes) > 1 else str(error))
    if failed := len(outcomes) - len(stores):
        if len(outcomes) > 1:
            terminal.note(
                f"{failed} of {len(outcomes)} scenes failed; the same command extracts them again and keeps the finished stores"
            )
        raise typer.Exit(1)
