"""Options of a fit. The options of `hsifeat fit` derive from `FitConfig`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from classifiers.comparison.head_params import plain_head_params
from classifiers.defaults import DEFAULT_HEAD, DEFAULT_SMOOTHING
from classifiers.reduction import DEFAULT_REDUCTION, Reduction
from classifiers.registered_smoothing import smoothing_forms
from hsifeat.base_config import BaseConfig, Names, Whole, option


class FitConfig(BaseConfig):
    """Options of a fit, for `fit_model` and ``hsifeat fit``.

    Examples
    --------
    >>> FitConfig(head="film", split="blocks:12+4:0.1").smooth
    'guided:2,0.001'
    """

    head: Annotated[str, option("Name of a head (classifier) that `hsifeat heads` lists.", metavar="HEAD")] = (
        DEFAULT_HEAD
    )
    inputs: Annotated[
        str | None,
        option(
            "Input set: words joined by plus signs. The words are spectra, window, spectral-patches, context, planes, means and "
            "patches. A side in pixels may follow spectral-patches and patches, such as patches:13. If no context store is given, "
            "the command extracts one for context; a service does not.",
            default="depends on the head and the stores",
        ),
    ] = None
    labels: Annotated[
        str | None, option("Name of a label map in the store.", default="the only label map of the store")
    ] = None
    background_class: Annotated[
        Whole | None,
        option(
            "Class number to give to pixels that are 0 in the label map.",
            ge=1,
            le=2**31 - 1,
            default="0 means unlabelled",
        ),
    ] = None
    split: Annotated[
        str | None,
        option(
            "Split into training and test pixels, such as blocks:12+4:0.1, or into scenes, such as scenes:A+B/C or scenes:@FILE.",
            default="train on all labelled pixels",
        ),
    ] = None
    planes: Annotated[
        Names | None,
        option(
            "Planes of models to use, as timestep/layer, such as 't50/*,t100/up_blocks.2'. Context planes are not affected.",
            metavar="PLANE,PLANE",
            default="all",
        ),
    ] = None
    seed: Annotated[Whole, option("Seed of all random numbers.", ge=0, le=2**32 - 1)] = 0
    params: Annotated[
        Annotated[dict[str, Any], BeforeValidator(plain_head_params)] | None,
        option(
            "Parameter of the head, such as hidden=64,32. Can be repeated.",
            flags="--set",
            metavar="NAME=VALUE",
            default="the defaults of the head",
        ),
    ] = None
    reduction: Annotated[
        Reduction,
        option(
            "Pixels to which principal components are fitted: the training pixels (train), or a sample of all pixels of the scene, "
            "without their labels (scene)."
        ),
    ] = DEFAULT_REDUCTION
    tune: Annotated[
        bool,
        option(
            "Tune the parameters that --set does not fix, by cross-validation on the training pixels.",
            flags="--tune",
        ),
    ] = False
    smooth: Annotated[
        str,
        option(
            f"Smoothing of the class probabilities over the scene in maps of the model: {smoothing_forms()}; or none.",
            metavar="RULE",
        ),
    ] = DEFAULT_SMOOTHING
