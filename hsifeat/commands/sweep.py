"""`hsifeat sweep`: score each cached plane, and a combination of the best planes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from classifiers.comparison.config import MAX_SEEDS
from classifiers.defaults import DISJOINT_SPLIT
from hsifeat.commands.option_types import comma_list
from hsifeat.commands.shared_options import Jobs, Json, LabelName, Planes, Store

if TYPE_CHECKING:
    from classifiers.comparison.results.base_records import Estimate
    from classifiers.comparison.results.plane_scores import SweepResult


def sweep(
    store: Store = None,
    head: Annotated[
        str,
        typer.Option(
            help="Name of the head (classifier). Heads that need spectra use each plane together with the spectra."
        ),
    ] = "lda",
    split: Annotated[str, typer.Option(help="Split into training and test pixels.")] = DISJOINT_SPLIT,
    best: Annotated[int, typer.Option(min=0, help="Number of planes to combine.")] = 3,
    seeds: Annotated[
        int,
        typer.Option(
            min=1, max=MAX_SEEDS, help="Number of seeds. The split is drawn and planes are selected once per seed."
        ),
    ] = 5,
    labels: LabelName = None,
    planes: Planes = None,
    jobs: Jobs = None,
    out: Annotated[Path, typer.Option(help="Folder for the table and the heat map.")] = Path("sweep"),
    json: Json = False,
) -> None:
    """Score each cached plane (one timestep and layer), and a combination of the best planes.

    The planes of the combination are selected one by one, on training pixels only. All scores are measured on test pixels.
    The table also shows the size and the extraction time of each plane.

    Example: `hsifeat sweep ip.zarr --best 3 --out sweep`
    """
    from classifiers.comparison.report.write import write_sweep
    from classifiers.comparison.sweep import sweep as run
    from hsifeat.commands import terminal

    with terminal.progress() as listen:
        result = run(
            store,
            head=head,
            split=split,
            best=best,
            seeds=seeds,
            labels=labels,
            planes=None if planes is None else comma_list(planes),
            jobs=jobs,
            out=out,
            listen=listen,
        )
    write_sweep(result, out)
    if json:
        terminal.show_json(result.model_dump(mode="json"))
        return
    _show_sweep(result)
    terminal.say(f"table and heat map: {out}")


def _show_sweep(result: SweepResult) -> None:
    from classifiers.comparison.sweep_table import gain_text, sweep_remarks
    from hsifeat.commands import terminal

    def gain(score: Estimate | None) -> str:
        return "" if score is None else gain_text(score, result.seeds)

    def seconds(value: float | None) -> str:
        return "" if value is None else f"{value:.1f}"

    singles = [
        (
            score.oa,
            {
                "plane": score.plane,
                "OA, %": _percent(score.oa, result.seeds),
                "gain over spectra, points": gain(score.gain),
                "MB": f"{score.size_bytes / 1e6:.2f}",
                "seconds": seconds(score.seconds),
            },
        )
        for score in result.planes
    ]
    if result.baseline is not None:
        row = {
            **dict.fromkeys(singles[0][1], ""),
            "plane": "spectra alone",
            "OA, %": _percent(result.baseline, result.seeds),
        }
        singles.append((result.baseline, row))
    rows = [row for _, row in sorted(singles, key=lambda single: -single[0].mean)]
    title = f"{result.head} on {result.store}, {result.split}: mean ± sd of {result.seeds} seeds"
    terminal.show_table(title, rows, tuple(rows[0]))
    together = [
        {
            "plane": score.plane,
            "OA with planes before, %": _percent(score.oa, result.seeds),
            "gain, points": gain(score.gain),
            "MB": f"{score.size_bytes / 1e6:.2f}",
            "seconds": seconds(score.seconds),
        }
        for score in result.selection
    ]
    if together:
        terminal.show_table(
            "combination of the best planes, in the order of selection for seed 0", together, tuple(together[0])
        )
    for remark in sweep_remarks(result):
        terminal.say(f"{remark}.")


def _percent(score: Estimate, seeds: int) -> str:
    return f"{100 * score.mean:.1f}" + (f" ± {100 * score.sd:.1f}" if seeds > 1 else "")
