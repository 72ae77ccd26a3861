"""``untrained:SOURCE``: the architecture of a source with fresh weights, as a control for what training adds."""

from __future__ import annotations

from typing import Any

from hsifeat.backbones.options import UNTRAINED
from hsifeat.backbones.plugins import BackbonePlugin, Redirect


def open_untrained(source: str, *, seed: int, **_options: Any) -> Redirect:
    """Open a source with fresh weights that are drawn from `seed`.

    Parameters
    ----------
    source : str
        Source of a backbone, without weights of its own: ``untrained:SOURCE``.
    seed : int
        Seed of the weights.
    _options
        Options of other kinds of source; ignored.
    """
    return Redirect(source, {"untrained_seed": seed})


PLUGIN = BackbonePlugin(
    open=open_untrained,
    form=f"{UNTRAINED}SOURCE",
    description="the architecture of any source on this list, with fresh weights: a control",
    weights="drawn from --seed",
    order=70,
)
