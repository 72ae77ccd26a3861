"""Open backbones from a folder, a file, a model hub, or a plugin of an installed package."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from hsifeat.backbones.network import NetworkBackbone
from hsifeat.backbones.options import UPSAMPLE, BackboneOptions
from hsifeat.backbones.plugins import (
    GROUP,
    BackbonePlugin,
    Redirect,
    call_plugin,
    check_backbone,
    find_plugin,
    load_plugins,
)
from hsifeat.backbones.protocol import Backbone, FeatureSource
from hsifeat.errors import BackboneError
from hsifeat.formatting import format_value
from hsifeat.registration import registered_entries
from hsifeat.types import check_path


def open_backbone(
    source: str | Path,
    *,
    class_label: int | str | None = None,
    seed: int = 0,
    any_label: bool = False,
    prompt: str | None = None,
    upsample: int = UPSAMPLE,
) -> Backbone:
    """Open a backbone. The weights are read on first use.

    Later changes of the files have no effect on a backbone whose weights were read. To use the new weights, open the
    backbone again.

    Parameters
    ----------
    source : str or Path
        One of the forms that ``hsifeat backbones`` lists: a folder, a file, ``owner/model@commit`` on a hub, or
        ``NAME[:ARGUMENT]`` of a plugin. If a plugin and a model folder have the same name, the text ``NAME`` raises an
        error. If a plugin and any other folder or file have the same name, ``NAME`` opens the plugin. In both cases,
        ``./NAME`` or a `Path` opens the folder or file. The prefix ``untrained:`` keeps the architecture and draws
        random weights.
    class_label : int or str, optional
        Label of a class-conditional model, or ``"mean"`` for the mean of all label embeddings.
    seed : int
        Seed of the random weights, for a source with the prefix ``untrained:``.
    any_label : bool
        Use label 0 of a class-conditional model if `class_label` is None. This is enough to list the layers, which are
        the same for all labels.
    prompt : str, optional
        Text of a text-conditional model.
    upsample : int
        Factor by which a latent model or an image encoder of transformers enlarges images before the encoding.

    Returns
    -------
    Backbone
        The opened backbone.

    Raises
    ------
    BackboneError
        If the source does not exist. If the source is a text that is both the name of a plugin and the path of a model
        folder. If a file is damaged. If the architecture or an option is not supported.

    Examples
    --------
    >>> import hsifeat
    >>> backbone = hsifeat.open_backbone("backbone")
    >>> [tap.name for tap in backbone.taps if tap.name.count(".") <= 1][:3]
    ['conv_in', 'down_blocks.0', 'down_blocks.1']
    """
    backbone: Any = open_source(
        source, class_label=class_label, seed=seed, any_label=any_label, prompt=prompt, upsample=upsample
    )
    check_backbone(backbone, str(source))
    return cast("Backbone", backbone)


def open_source(
    source: str | Path,
    *,
    class_label: int | str | None = None,
    seed: int = 0,
    any_label: bool = False,
    prompt: str | None = None,
    upsample: int = UPSAMPLE,
    call: Callable[[BackbonePlugin, str, BackboneOptions, str], FeatureSource | Redirect] = call_plugin,
) -> FeatureSource:
    """Open a backbone, or another source of features such as the filters of ``context``.

    For parameters and errors, see `open_backbone`. The parameter `call` is a function that opens the source with its
    plugin. The function has the parameters of `call_plugin`.
    """
    check_path("a backbone is named by a text, or its file", source)
    for value in (class_label, seed, any_label, prompt, upsample):
        if isinstance(value, np.ndarray):
            raise BackboneError(f"the options of a backbone are single values; found {format_value(value)}")
    name = os.fspath(source)
    if not isinstance(source, str) and name in registered_entries(GROUP):
        name = f"./{name}"
    options = BackboneOptions(
        class_label=_parse_label(class_label), seed=seed, any_label=any_label, prompt=prompt, upsample=upsample
    )
    target: FeatureSource | Redirect = Redirect(name)
    while isinstance(target, Redirect):
        options = replace(options, **target.changes)
        match = find_plugin(target.source)
        if match is None:
            raise BackboneError(
                f"no such file or folder: {target.source} (hsifeat backbones lists the allowed forms, hsifeat pretrain makes a "
                "backbone)"
            )
        target = call(*match, options, name)
    if isinstance(target, NetworkBackbone) and not target.source:
        target.source = name
    return target


def _parse_label(label: int | str | None) -> int | str | None:
    return int(label) if isinstance(label, str) and re.fullmatch("[0-9]{1,18}", label) else label


def list_backbones() -> list[dict[str, str]]:
    """Return a description of each kind of backbone.

    Each description has the keys ``source`` (the form of a source, such as ``FILE.pt``), ``description``, and
    ``weights`` (the origin of the weights).
    """
    return [
        {"source": plugin.form, "description": plugin.description, "weights": plugin.weights}
        for plugin in load_plugins().values()
    ]
