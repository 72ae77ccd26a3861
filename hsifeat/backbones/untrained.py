"""Sources ``untrained:SOURCE``: an architecture with random weights, to measure the effect of training."""

from __future__ import annotations

from typing import Any

from hsifeat.backbones.options import UNTRAINED
from hsifeat.backbones.plugins import BackbonePlugin, Redirect


def open_untrained(source: str, *, seed: int, **_options: Any) -> Redirect:
    """Return a `Redirect` to `source` with random weights instead of the trained weights.

    Parameters
    ----------
    source : str
        Source of a backbone, without the prefix ``untrained:``.
    seed : int
        Seed of the random weights.
    **_options
        Other options; ignored.
    """
    return Redirect(source, {"untrained_seed": seed})


PLUGIN = BackbonePlugin(
    open=open_untrained,
    form=f"{UNTRAINED}SOURCE",
    description="the architecture of any source on this list, with random weights, as a control",
    weights="drawn from the seed",
    order=70,
)
