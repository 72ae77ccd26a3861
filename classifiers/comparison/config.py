"""Options of a benchmark, with their types, defaults and help, and the command that repeats it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from hsifeat.base_config import BaseConfig, Names, Whole, Wholes, option

SPLITS = ("random:0.1", "blocks:12+4:0.1")
ALL_HEADS = ("all",)
DEFAULT_INPUTS = ("spectra", "spectra+window", "planes", "spectra+planes", "suited")

# Linear, so that it shows what a plane holds rather than what a strong head makes of it.
SWEEP_HEAD = "lda"


class BenchConfig(BaseConfig):
    """What a benchmark compares. `compare` and ``hsifeat bench`` take their options from here, and reports record them."""

    heads: Annotated[
        Names,
        option("Names of heads; all stands for every head that can learn from one of the inputs.", metavar="HEAD,HEAD"),
    ] = ALL_HEADS
    splits: Annotated[
        Names,
        option(
            "Splits of the labelled pixels. A random split is always accompanied by a disjoint one, and vice versa."
        ),
    ] = SPLITS
    seeds: Annotated[Whole, option("Number of seeds; each draws the split and initialises the head anew.", ge=1)] = 5
    inputs: Annotated[
        Names,
        option(
            "Input sets: spectra, planes or spectra+planes, with +window, +means or +patches where they apply; suited stands "
            "for the one that suits a head.",
            metavar="INPUT,INPUT",
        ),
    ] = DEFAULT_INPUTS
    labels: Annotated[str | None, option("Name of a label map in the first store.", default="its first")] = None
    planes: Annotated[
        Names | None, option("Planes, such as 't50/*,t100/up_blocks.2'.", metavar="PLANE,PLANE", default="all")
    ] = None
    curve: Annotated[
        Wholes | None,
        option(
            "Learning curves: train on at most this many pixels of each class, such as 5,10,20.",
            metavar="N,N",
            default="no curves",
        ),
    ] = None
    sweep: Annotated[
        bool,
        option("Also score every plane of the first store on its own, with a linear head.", flags="--sweep/--no-sweep"),
    ] = True


def bench_command(config: BenchConfig, stores: Sequence[str], out: Path) -> str:
    """Return the command that repeats a benchmark; empty if there is none, for a store in memory.

    Parameters
    ----------
    config : BenchConfig
        Options of the benchmark.
    stores : sequence of str
        Paths or URLs of the stores.
    out : Path
        Folder of the report.

    Examples
    --------
    >>> config = BenchConfig(heads=["svm"], inputs=["planes"], splits=["official"], seeds=2, planes=["t50/*"], sweep=False)
    >>> bench_command(config, ["ip.zarr"], Path("my report"))
    "hsifeat bench ip.zarr --heads svm --splits official --seeds 2 --inputs planes --planes 't50/*' --no-sweep --out 'my report'"
    """
    if any(path.startswith("memory:") for path in stores):
        return ""
    words = ["hsifeat", "bench", *stores]
    for name in BenchConfig.model_fields:
        value = getattr(config, name)
        if value is not None and not isinstance(value, bool):
            words += [f"--{name}", ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    words += [] if config.sweep else ["--no-sweep"]
    return shlex.join([*words, "--out", str(out)])
