"""Options of a benchmark, and the command line that repeats it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from classifiers.comparison.head_params import HeadParams, assignments
from classifiers.defaults import DISJOINT_SPLIT
from classifiers.distance_bins import DISTANCE_ENDS
from classifiers.reduction import DEFAULT_REDUCTION, Reduction
from classifiers.registered_smoothing import smoothing_forms
from hsifeat.base_config import BaseConfig, Names, Whole, Wholes, option

# Each seed draws pixels for each split before the first fit.
MAX_SEEDS = 1000
RANDOM_SPLIT = "random:0.1"
# The first two compare scattered labels with disjoint blocks. The others measure the accuracy with few labels per class.
SPLITS = (RANDOM_SPLIT, DISJOINT_SPLIT, "per-class:5", "per-class:20")
ALL_HEADS = ("all",)
# Inputs whose planes the stores lack are left out.
DEFAULT_INPUTS = (
    "spectra",
    "spectra+window",
    "spectra+context",
    "spectra+window+context",
    "planes",
    "spectra+planes",
    "spectra+window+context+planes",
    "suited",
)

# A linear head measures how separable the classes are in a plane, independent of the capacity of the head.
SWEEP_HEAD = "lda"


class BenchConfig(BaseConfig):
    """Options of a benchmark, for `compare` and ``hsifeat bench``."""

    heads: Annotated[
        Names,
        option(
            "Names of heads; all selects every head that can learn from at least one of the inputs, and from the training pixels of "
            "every split. Heads that need neighbourhoods, such as spectraldiff, are included in all only if --inputs names patches.",
            metavar="HEAD,HEAD",
        ),
    ] = ALL_HEADS
    splits: Annotated[
        Names,
        option(
            "Splits of the labelled pixels. random and per-class measure how well scattered labels fill in a scene. blocks and "
            "far measure how well labels carry over to other areas of the scene. scenes:A+B/C, scenes:@FILE and "
            "scenes:leave-one-out measure how well labels carry over to other scenes. If all splits are random, or all are "
            "disjoint, a split of the other kind is added."
        ),
    ] = SPLITS
    seeds: Annotated[
        Whole, option("Number of seeds. Each seed draws training pixels and initialises the heads.", ge=1, le=MAX_SEEDS)
    ] = 5
    inputs: Annotated[
        Names,
        option(
            "Input sets. An input set joins words by plus signs: spectra, window, spectral-patches, context, planes, means and "
            "patches (patches:13 for another side). suited selects the input that suits each head.",
            metavar="INPUT,INPUT",
            default=f"{','.join(DEFAULT_INPUTS)}, without inputs whose planes the stores lack",
        ),
    ] = DEFAULT_INPUTS
    reduction: Annotated[
        Reduction,
        option(
            "Pixels to which principal components are fitted: the training pixels (train), or a sample of all pixels of the scene, "
            "without their labels (scene)."
        ),
    ] = DEFAULT_REDUCTION
    labels: Annotated[
        str | None, option("Name of a label map in the stores.", default="the only label map of the store")
    ] = None
    planes: Annotated[
        Names | None,
        option(
            "Planes of models to use, as timestep/layer, such as 't50/*,t100/up_blocks.2'. Context planes are not affected.",
            metavar="PLANE,PLANE",
            default="all",
        ),
    ] = None
    params: Annotated[
        HeadParams | None,
        option(
            "Parameter of a head, such as svm.C=10. Can be repeated. The sweep of planes keeps the defaults.",
            flags="--set",
            metavar="HEAD.NAME=VALUE",
            default="the defaults of each head",
        ),
    ] = None
    curve: Annotated[
        Wholes | None,
        option(
            "Numbers of training pixels per class, such as 5,10,20, at which learning curves are measured under the disjoint "
            "split. If a split is per-class:N, learning curves are also measured with randomly drawn training pixels.",
            metavar="N,N",
            default="no curves",
        ),
    ] = None
    distances: Annotated[
        Wholes,
        option(
            "Upper ends of distance bins, in pixels. Scores are reported by distance to the nearest training pixel.",
            unit="px",
            metavar="PX,PX",
        ),
    ] = DISTANCE_ENDS
    smooth: Annotated[
        str | None,
        option(
            f"Also score each run after smoothing its class probabilities over the scene: {smoothing_forms()}.",
            metavar="RULE",
            default="no smoothing",
        ),
    ] = None
    sweep: Annotated[
        bool,
        option("Also score each plane of the first store separately, with a linear head.", flags="--sweep/--no-sweep"),
    ] = True


def bench_command(config: BenchConfig, stores: Sequence[str], out: Path) -> str:
    """Return the command line that repeats a benchmark.

    If a store is in memory, no command can open it, and the text is empty.

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
    >>> options = {"heads": ["svm"], "inputs": ["planes"], "splits": ["official"], "seeds": 2, "planes": ["t50/*"]}
    >>> config = BenchConfig(**options, params={"svm": {"C": 10}}, sweep=False)
    >>> bench_command(config, ["ip.zarr"], Path("my report"))
    "hsifeat bench ip.zarr --heads svm --splits official --seeds 2 --inputs planes --reduction scene --planes 't50/*' --set svm.C=10 --distances 4,9,16 --no-sweep --out 'my report'"
    """
    if any(path.startswith("memory:") for path in stores):
        return ""
    words = ["hsifeat", "bench", *stores]
    for name in BenchConfig.model_fields:
        value = getattr(config, name)
        if name == "params":
            words += [word for text in assignments(value or {}) for word in ("--set", text)]
        elif value is not None and not isinstance(value, bool):
            words += [f"--{name}", ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    words += [] if config.sweep else ["--no-sweep"]
    return shlex.join([*words, "--out", str(out)])
