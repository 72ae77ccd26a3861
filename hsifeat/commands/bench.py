"""`hsifeat bench` and `hsifeat sweep`: which head, which timestep, which layer."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hsifeat.commands.option_types import comma_list, whole_number
from hsifeat.commands.shared_options import Json, LabelName, Planes, Store, Stores

if TYPE_CHECKING:
    from classifiers.comparison.results.model import Comparison, Sweep

Jobs = Annotated[
    int | None,
    typer.Option(min=1, help="Fits side by side; by default as many as cores and memory allow. Numbers stay the same."),
]


def bench(
    stores: Stores = None,
    heads: Annotated[str, typer.Option(help="Names of heads, or all.")] = "all",
    splits: Annotated[str, typer.Option(help="Splits, separated by commas.")] = "random:0.1,blocks:12+4:0.1",
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds; each draws the split and the head anew.")] = 5,
    inputs: Annotated[
        str, typer.Option(help="What heads are given; suited: what suits each.")
    ] = "spectra,spectra+window,planes,spectra+planes,suited",
    labels: LabelName = None,
    planes: Planes = None,
    curve: Annotated[
        str, typer.Option(help="Learning curves: so many training pixels of each class, e.g. 5,10,20.")
    ] = "",
    sweep: Annotated[
        bool, typer.Option(help="Also every plane of the first store on its own, by a linear head.")
    ] = True,
    compare: Annotated[
        Path | None,
        typer.Option(help="results.json of an older report: what changed, and whether it is more than noise."),
    ] = None,
    jobs: Jobs = None,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("report"),
) -> None:
    """Compare heads and inputs on cached features and write a report. Finished runs are kept and not run again.

    Example: `hsifeat bench ip.zarr --heads film,svm --splits random:0.1,blocks:12+4:0.1 --seeds 5 --out report`

    What a change of features made of it: `hsifeat bench new.zarr --compare report/results.json --out new-report`
    """
    from classifiers.comparison.compare import compare as run
    from classifiers.comparison.entries import fitting_heads
    from classifiers.comparison.report.write import JSON, PAGE, write_files
    from classifiers.comparison.sweep import HEAD
    from classifiers.splits import separate_splits
    from hsifeat.commands import terminal

    with terminal.progress() as listen:
        comparison = run(
            stores,
            heads=fitting_heads(comma_list(inputs)) if heads == "all" else comma_list(heads),
            splits=separate_splits(splits),
            seeds=seeds,
            inputs=comma_list(inputs),
            labels=labels,
            planes=None if planes is None else comma_list(planes),
            curve=[whole_number(count, "--curve") for count in comma_list(curve)],
            sweep=HEAD if sweep else None,
            jobs=jobs,
            out=out,
            older=compare,
            command=shlex.join(["hsifeat", *sys.argv[1:]]),
            listen=listen,
        )
        write_files(comparison, out, listen=listen)
    _show(comparison)
    terminal.say(f"report: {out / PAGE} (beside it {JSON}, tables, figures and maps)")


def sweep(
    store: Store = None,
    head: Annotated[str, typer.Option(help="The head; one that needs spectra gets them with each plane.")] = "lda",
    split: Annotated[str, typer.Option(help="The split under which planes are scored.")] = "blocks:12+4:0.1",
    best: Annotated[int, typer.Option(min=0, help="How many planes to choose for use together.")] = 3,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds; each draws the split anew and chooses anew.")] = 5,
    labels: LabelName = None,
    planes: Planes = None,
    jobs: Jobs = None,
    out: Annotated[Path, typer.Option(help="Folder of the table and the heat map.")] = Path("sweep"),
    json: Json = False,
) -> None:
    """Score every cached (t, layer) plane on its own, and the best few together, with what each costs.

    Planes are chosen one after the other within the training pixels; test pixels only score them.

    Example: `hsifeat sweep ip.zarr --best 3 --out sweep`
    """
    from classifiers.comparison.report.write import write_sweep
    from classifiers.comparison.sweep import sweep as run
    from classifiers.comparison.sweep_table import to_document
    from hsifeat.commands import terminal

    with terminal.progress() as listen:
        found = run(
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
    write_sweep(found, out)
    if json:
        terminal.show_json(to_document(found))
        return
    _show_sweep(found)
    terminal.say(f"table and heat map: {out}")


def _show_sweep(found: Sweep) -> None:
    from classifiers.comparison.sweep_table import name, points, remarks, to_rows
    from hsifeat.commands import terminal

    def gained(gain: tuple[float, float] | None) -> str:
        return "" if gain is None else points(gain, found.seeds)

    alone = [
        {
            "plane": row["layer"] + " alone" if row["t"] is None else f"t{row['t']}/{row['layer']}",
            "OA, %": _percent(row["oa"], row["sd"], found.seeds),
            "more than spectra alone, points": "" if row["gain"] is None else gained((row["gain"], row["gain_sd"])),
            "MB": "" if row["bytes"] is None else f"{row['bytes'] / 1e6:.2f}",
            "seconds": "" if row["seconds"] is None else f"{row['seconds']:.1f}",
        }
        for row in to_rows(found)
    ]
    title = f"{found.head} on {found.store}, {found.split}: mean ± sd of {found.seeds} seeds"
    terminal.show_table(title, alone, tuple(alone[0]))
    together = [
        {
            "plane": name(step),
            "OA with those before, %": _percent(*step.oa, found.seeds),
            "adds, points": gained(step.gain),
            "adds, MB": f"{step.bytes / 1e6:.2f}",
            "adds, seconds": "" if step.seconds is None else f"{step.seconds:.1f}",
        }
        for step in found.chosen
    ]
    if together:
        terminal.show_table("the best few together, as seed 0 chose", together, tuple(together[0]))
    for remark in remarks(found):
        terminal.say(f"{remark}.")


def _percent(mean: float, sd: float, seeds: int) -> str:
    return f"{100 * mean:.1f}" + (f" ± {100 * sd:.1f}" if seeds > 1 else "")


def _show(comparison: Comparison) -> None:
    from classifiers.comparison.report.summary_text import overview, remarks
    from hsifeat.commands import terminal

    rows = overview(comparison)
    terminal.show_table("overall accuracy, %", rows, tuple(rows[0]))
    for remark in remarks(comparison):
        terminal.say(remark)
    for verdict in comparison.verdicts.values():
        terminal.say(f"{verdict}.")
    for change in comparison.changes:
        terminal.say(f"since then: {change.verdict}")
