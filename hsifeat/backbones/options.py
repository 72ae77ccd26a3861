"""Options for opening a backbone. Each kind of backbone refuses the options that it does not support."""

from __future__ import annotations

from dataclasses import dataclass

UNTRAINED = "untrained:"
MEAN_LABEL = "mean"
UPSAMPLE = 8


@dataclass(frozen=True)
class BackboneOptions:
    """Options for opening a backbone. The source (name or path of a backbone) and these options determine which backbone is opened.

    Attributes
    ----------
    class_label : int, ``"mean"`` or None
        Class label of a class-conditional model, for all forward passes. ``"mean"`` uses the mean of all label
        embeddings.
    untrained_seed : int or None
        Seed of random weights that replace the trained weights. None keeps the trained weights.
    prompt : str or None
        Text prompt for a text-conditional model.
    upsample : int
        Factor by which images are enlarged before the encoding, for a latent model or an image encoder.
    seed : int
        Seed that the user set. A source ``untrained:SOURCE`` opens ``SOURCE`` with this seed as `untrained_seed`. Other
        sources ignore it.
    any_label : bool
        Use label 0 of a class-conditional model if `class_label` is None, for example to list the layers. All labels
        have the same layers.
    hub_model : str or None
        Name and commit of the model on a model hub, ``owner/model@commit``, if the source is a downloaded copy.
    """

    class_label: int | str | None = None
    untrained_seed: int | None = None
    prompt: str | None = None
    upsample: int = UPSAMPLE
    seed: int = 0
    any_label: bool = False
    hub_model: str | None = None
