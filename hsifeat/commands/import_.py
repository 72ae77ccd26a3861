"""`hsifeat import`: make a store of features that another tool computed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hsifeat.commands.config_options import with_options
from hsifeat.commands.scene_options import with_scene
from hsifeat.imports.config import ImportConfig


@with_scene
@with_options(ImportConfig)
def import_(
    scene: Any,
    options: dict[str, Any],
    features: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]FILE[:VARIABLE]",
            help="File of features. NAME is the name of its plane, by default the name of the file. Can be repeated.",
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            metavar="STORE",
            help="Store to write: a path or an s3://… address. [default: a store in the cache folder, named by its content]",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show how features are placed on the scene, and write nothing.")
    ] = False,
) -> None:
    """Make a store from features that another tool computed. All heads and reports can use the store.

    Features are .npy, GeoTIFF, NetCDF, Zarr or other rasters, with one cell per pixel or at any other resolution. They are
    aligned with the scene by CRS and transform, or by shape if they have no georeference. Pixels without features are
    invalid in the store.

    Embeddings of a patch encoder with 8 x 8 pixels per cell: `hsifeat import scene.tif --features dino.npy --out dino.zarr`

    A GeoTIFF of another resolution or CRS: `hsifeat import scene.tif --features alphaearth=aef.tif --dequantise alphaearth --window 1`

    A quantised TESSERA tile, with its scales in the same folder: `hsifeat import scene.tif --features tessera=tile.npy --grid landmask.tif`

    A table that `hsifeat export --all` wrote: `hsifeat import scene.tif --features ip.npy --out ip.zarr`
    """
    from hsifeat.commands import terminal
    from hsifeat.commands.work_table import show_work
    from hsifeat.extraction.run import run
    from hsifeat.imports.import_planes import prepare_job

    config = ImportConfig.from_options(options)
    with terminal.progress() as listen:
        job = prepare_job(scene, features, config, out=out, listen=listen)
        store = None if dry_run else run(job, listen=listen)
    if store is None:
        work = job.remaining(job.find_store())
        show_work(work)
        work.check_disk()
    else:
        terminal.say(f"store: {store.location}")
