"""`hsifeat timesteps`: rank the timesteps of a scene, and propose timesteps to extract."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hsifeat.commands.config_options import with_options
from hsifeat.commands.option_types import comma_list, whole_number
from hsifeat.commands.scene_options import with_scene
from hsifeat.commands.shared_options import Device, Json
from hsifeat.extraction.config import ExtractionConfig

if TYPE_CHECKING:
    from hsifeat.scenes import Scene
    from hsifeat.timesteps.result import TimestepRanking


@with_scene
@with_options(ExtractionConfig, only=("class_label", "prompt", "upsample", "seed"))
def timesteps(
    scene: Scene,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Backbone, in a form that `hsifeat backbones` lists. Spectral angles between the pixels and its estimates "
            "of them are measured."
        ),
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="Store of this scene, whose planes are compared between timesteps.")
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="Layer of the planes to compare. [default: the last layer of the store]")
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(help="Number of timesteps to propose. [default: 5, or all compared timesteps if there are fewer]"),
    ] = None,
    candidates: Annotated[
        str | None,
        typer.Option(
            "--timesteps",
            help="Timesteps to compare, separated by commas. [default: the timesteps of the store, or 40 evenly spaced "
            "timesteps without a store]",
        ),
    ] = None,
    projection: Annotated[
        str | None,
        typer.Option(
            help="Projection of the bands: rgb, pca:N, bands:i,j,k or all. [default: the projection of the backbone, or "
            "pca:10 without a backbone]"
        ),
    ] = None,
    patch: Annotated[
        int | None,
        typer.Option(
            help="Side of the optimal denoiser's patches, in pixels. [default: depends on the number of channels]"
        ),
    ] = None,
    intervals: Annotated[int, typer.Option(help="Number of intervals into which similar timesteps are grouped.")] = 3,
    options: dict[str, Any] = {},  # noqa: B006  # replaced by the options of ExtractionConfig
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option(help="Write plots of the measures to this .png file.")] = None,
    as_json: Json = False,
) -> None:
    """Rank the timesteps of a scene, and propose timesteps to extract. No labels are needed.

    Example: `hsifeat timesteps indian-pines --backbone backbone --budget 5 --out timesteps.png`

    With cached planes: `hsifeat timesteps indian-pines --backbone backbone --store ip.zarr`
    """
    from hsifeat.commands import terminal
    from hsifeat.timesteps.rank import rank_timesteps
    from hsifeat.timesteps.ranking_plot import check_plot_path, plot_ranking

    if out is not None:
        check_plot_path(out)
    with terminal.progress() as listen:
        ranking = rank_timesteps(
            scene,
            backbone=backbone,
            store=store,
            layer=layer,
            budget=budget,
            timesteps=None if candidates is None else [whole_number(t, "--timesteps") for t in comma_list(candidates)],
            projection=projection,
            patch=patch,
            intervals=intervals,
            **options,
            device=device,
            listen=listen,
        )
    if out is not None:
        for note in plot_ranking(ranking, out):
            terminal.note(note)
    if as_json:
        terminal.show_json(ranking.to_json())
    else:
        _show_ranking(ranking)
        if out is not None:
            terminal.say(f"plots: {out}")


def _show_ranking(ranking: TimestepRanking) -> None:
    from hsifeat.commands import terminal

    rows = ranking.rows()
    terminal.show_table(f"timesteps of {ranking.title}", rows, tuple(rows[0]))
    if ranking.angles is not None:
        mean_pixel = ranking.angles.mean_pixel_degrees
        terminal.say(
            f"angles between {ranking.angles.space}; angle of the mean of all pixels: {mean_pixel:.1f} degrees"
        )
    if ranking.planes is not None:
        terminal.say(f"covered: mean similarity of the planes of {ranking.planes.layer} (linear CKA)")
    else:
        patches = f"{ranking.patches} patches of {ranking.patch_px} px"
        terminal.say(f"covered: mean similarity of the optimal denoiser of {patches}")
    terminal.say("intervals of similar timesteps: " + ", ".join(f"{a} to {b}" for a, b in ranking.intervals))
    first, last = ranking.stages
    terminal.say(f"three stages of the optimal denoiser: up to {first}, between, from {last}")
    for kind, levels in ranking.studied.items():
        (first, last), (low, high) = levels["timesteps"], levels["sigmas"]
        terminal.say(
            f"served best in our study, {kind}: t = {first} to {last} of this schedule (sigma {low} to {high})"
        )
    terminal.say(f"proposal for hsifeat extract: --timesteps {','.join(map(str, ranking.proposal))}")
