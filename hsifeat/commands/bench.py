"""`hsifeat bench`: compare heads (classifiers) and input sets on cached features."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from classifiers.comparison.config import SPLITS, BenchConfig
from hsifeat.commands.config_options import with_options
from hsifeat.commands.executors import with_executor
from hsifeat.commands.option_types import value_of
from hsifeat.commands.shared_options import Jobs, Stores

if TYPE_CHECKING:
    from classifiers.comparison.results.bench_results import BenchResults


@with_options(BenchConfig, without=("splits", "params"))
@with_executor
def bench(
    stores: Stores = None,
    splits: Annotated[str, typer.Option(help=BenchConfig.model_fields["splits"].description)] = ",".join(SPLITS),
    options: dict[str, Any] = {},  # noqa: B006  # replaced by the options of BenchConfig
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="HEAD.NAME=VALUE", help=BenchConfig.model_fields["params"].description),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="results.json of an earlier report. The new report tests which scores have changed."
        ),
    ] = None,
    jobs: Jobs = None,
    executor: str | None = None,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("report"),
) -> None:
    """Compare heads (classifiers) and input sets on cached features, and write a report.

    Several stores of one scene are compared with each other. Context stores (made with `--backbone context`) are not
    compared. Instead, their features are added to the features of every other store. Stores of several scenes form one
    table, and scores are reported over all scenes and for each scene. To continue after an interruption, repeat the
    command; it reads finished runs from the folder of the report.

    Example: `hsifeat bench ip.zarr --heads film,svm --splits random:0.1,blocks:12+4:0.1 --seeds 5 --out report`

    On several scenes, each tested once: `hsifeat bench stores/*.zarr --heads lda --splits scenes:leave-one-out --seeds 18`

    With other parameters of heads: `hsifeat bench ip.zarr --heads lda,svm --set lda.plane_components=20 --set svm.C=1`

    On a cluster whose workers can access the stores and the folder of the report: `hsifeat bench ip.zarr --dask tcp://10.0.0.1:8786`

    To test whether new features changed the scores: `hsifeat bench new.zarr --compare report/results.json --out new-report`
    """
    from classifiers.comparison.compare import compare as run
    from classifiers.comparison.report.write import write_report
    from classifiers.comparison.workdir import JSON, PAGE
    from classifiers.splits import separate_splits
    from hsifeat.commands import terminal
    from hsifeat.commands.context_store import open_with_context

    config = BenchConfig.from_options(
        {**options, "splits": separate_splits(splits), "params": _head_params(set_ or ()) or None}
    )
    with terminal.progress() as listen:
        inputs = config.inputs if "inputs" in options else ()
        comparison = run(
            open_with_context(stores, inputs, listen),
            **{name: getattr(config, name) for name in BenchConfig.model_fields},
            jobs=jobs,
            executor=executor,
            out=out,
            baseline=compare,
            command=shlex.join(["hsifeat", *sys.argv[1:]]),
            listen=listen,
        )
        write_report(comparison, out, listen=listen)
    _show_results(comparison)
    terminal.say(f"report: {out / PAGE} (the folder also contains {JSON}, tables, figures and maps)")


def _head_params(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Parse the values of ``--set``. The text ``svm.C=10`` becomes ``{"svm": {"C": 10}}``."""
    params: dict[str, dict[str, Any]] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        head, _, name = path.partition(".")
        if not (equals and head and name):
            raise typer.BadParameter(f"--set takes HEAD.NAME=VALUE, such as svm.C=10; found {text!r}")
        params.setdefault(head.strip(), {})[name.strip()] = value_of(value)
    return params


def _show_results(results: BenchResults) -> None:
    from classifiers.comparison.results.summary_text import overview, split_remarks, verdict_lines
    from hsifeat.commands import terminal

    rows = overview(results)
    terminal.show_table("overall accuracy, %", rows, tuple(rows[0]))
    for remark in split_remarks(results):
        terminal.say(remark)
    for line in verdict_lines(results):
        terminal.say(f"{line}.")
    for change in results.changes:
        terminal.say(f"change from the baseline: {change.verdict}")
