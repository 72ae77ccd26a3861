"""Options of opening a backbone. Each kind of backbone takes those that it knows by name, and the others are refused."""

from __future__ import annotations

from dataclasses import dataclass

UNTRAINED = "untrained:"
MEAN_LABEL = "mean"
UPSAMPLE = 8


@dataclass(frozen=True)
class BackboneOptions:
    """Everything beside the source that decides which backbone is opened.

    Attributes
    ----------
    class_label : int, ``"mean"`` or None
        Class label of every forward of a class-conditional model.
    untrained_seed : int or None
        Seed of fresh weights that replace the trained ones; None for the trained ones.
    prompt : str or None
        Text of a text-conditional model.
    upsample : int
        Factor by which tiles are enlarged before a latent model encodes them.
    seed : int
        Becomes `untrained_seed` where the source says ``untrained:``.
    any_label : bool
        Take label 0 for a class-conditional model without `class_label`: enough to list its layers.
    hub_model : str or None
        ``owner/model@commit`` where the source is a downloaded copy of that model.
    """

    class_label: int | str | None = None
    untrained_seed: int | None = None
    prompt: str | None = None
    upsample: int = UPSAMPLE
    seed: int = 0
    any_label: bool = False
    hub_model: str | None = None
