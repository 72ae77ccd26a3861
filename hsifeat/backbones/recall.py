"""Opening of backbones from description files in the cache folder. The network is opened only when it has to run.

A description has the layers, channels, noise schedule and identity of a backbone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hsifeat.backbones.description import BackboneDescription
from hsifeat.backbones.description_file import DescriptionFile
from hsifeat.backbones.network import NetworkBackbone
from hsifeat.backbones.open_backbone import open_source
from hsifeat.backbones.options import BackboneOptions
from hsifeat.backbones.plugins import BackbonePlugin, Redirect, absolute_source, accepted_options, call_plugin
from hsifeat.backbones.protocol import Backbone, FeatureSource
from hsifeat.backbones.schedule import NoiseSchedule
from hsifeat.errors import BackboneError
from hsifeat.types import Tap

if TYPE_CHECKING:
    import torch


class RecalledBackbone:
    """A backbone with a description file. If this file is up to date, the network is opened only when it has to run.

    Parameters
    ----------
    file : DescriptionFile
        The description file.
    open : callable
        Function without arguments that opens the backbone.
    source : str
        Name of the backbone as the user typed it. If the opened backbone has no attribute `source`, or an empty one,
        this name becomes the attribute `source` of the `RecalledBackbone`.

    Raises
    ------
    BackboneError
        If the description file is missing or out of date, and the backbone can't be opened.
    """

    def __init__(self, file: DescriptionFile, open: Callable[[], Backbone], source: str) -> None:  # noqa: A002  # as in BackbonePlugin
        self._file, self._open = file, open
        self._description = file.read()
        self._backbone = open() if self._description is None else None
        self.source: str = getattr(self._known, "source", "") or source

    @property
    def _known(self) -> Backbone | BackboneDescription:
        return cast("Backbone", self._backbone) if self._description is None else self._description

    def _opened(self) -> Backbone:
        """Return the open backbone, after a check that it matches the description."""
        if self._backbone is None:
            backbone = self._open()
            if BackboneDescription.of(backbone) != self._description:
                self._file.delete()
                raise BackboneError(
                    f"the files of {self.name} changed while they were read: run the command again, which describes the model anew"
                )
            self._backbone = backbone
        return self._backbone

    def keep_description(self) -> None:
        """Write the description file if it was missing or out of date when this object was created."""
        if self._description is None and self._backbone is not None:
            self._file.write(BackboneDescription.of(self._backbone))

    @property
    def name(self) -> str:
        """Name shown to users."""
        return self._known.name

    @property
    def channels(self) -> int:
        """Number of channels of the images that the model takes."""
        return self._known.channels

    @property
    def denoiser_channels(self) -> int:
        """Number of channels of the denoiser's input."""
        return self._known.denoiser_channels

    @property
    def cell_px(self) -> Fraction:
        """Side of one cell of the denoiser's input, in pixels of the image."""
        return self._known.cell_px

    @property
    def taps(self) -> list[Tap]:
        """All layers whose feature maps can be read, in the order of execution."""
        return self._known.taps

    @property
    def schedule(self) -> NoiseSchedule:
        """Noise schedule that the denoiser was trained with."""
        return self._known.schedule

    @property
    def projection_file(self) -> Path | None:
        """File with the projection that the denoiser was trained with, or None."""
        return self._known.projection_file

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the layers' outputs, as plain JSON values."""
        return self._known.identity()

    def to(self, device: str) -> None:
        """Open the network, and move it to a device."""
        self._opened().to(device)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Encode images as the denoiser's clean input. See `Backbone.encode`."""
        return self._opened().encode(images)

    def forward_to(self, noisy: torch.Tensor, t: int, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """Run the denoiser until it has computed `layers`, and return their feature maps. See `Backbone.forward_to`."""
        return self._opened().forward_to(noisy, t, layers)

    def predict(self, noisy: torch.Tensor, t: int) -> torch.Tensor:
        """Run the whole denoiser on noised input, and return its prediction. See `Backbone.predict`."""
        return self._opened().predict(noisy, t)

    def map_bytes(self, shape: tuple[int, int, int, int], t: int, layers: Sequence[str]) -> int:
        """Return the peak memory of the feature maps of `forward_to`, or 0 if unknown. See `NetworkBackbone.map_bytes`."""
        backbone = self._opened()
        return backbone.map_bytes(shape, t, layers) if isinstance(backbone, NetworkBackbone) else 0


def recall_source(source: str | Path, **options: Any) -> FeatureSource:
    """Open a backbone or another source of features. If its description file is up to date, the network is not opened yet.

    The arguments are the same as in `open_source`. Only backbones whose plugin has a function `files` have description
    files. To write the description file of the returned backbone, call `keep_description`.
    """
    return open_source(source, **options, call=partial(_recall_plugin, open_network=call_plugin))


def recall_described(source: str | Path, **options: Any) -> FeatureSource | None:
    """Open a source of features without opening a network; None if the backbone has no up-to-date description file."""
    try:
        return open_source(source, **options, call=partial(_recall_plugin, open_network=_refuse_to_open))
    except _NoDescriptionError:
        return None


def keep_description(source: FeatureSource) -> None:
    """If `source` is a `RecalledBackbone` without an up-to-date description file, write this file."""
    if isinstance(source, RecalledBackbone):
        source.keep_description()


class _NoDescriptionError(Exception):
    """A network has no description."""


def _refuse_to_open(_plugin: BackbonePlugin, _argument: str, _options: BackboneOptions, name: str) -> FeatureSource:
    raise _NoDescriptionError(name)


def _recall_plugin(
    plugin: BackbonePlugin,
    argument: str,
    options: BackboneOptions,
    name: str,
    *,
    open_network: Callable[[BackbonePlugin, str, BackboneOptions, str], FeatureSource | Redirect],
) -> FeatureSource | Redirect:
    if plugin.files is None:
        return call_plugin(plugin, argument, options, name)
    argument = absolute_source(argument)  # the network may be opened in another working directory
    file = DescriptionFile.find(
        f"{plugin.open.__module__}.{plugin.open.__qualname__}",
        argument,
        accepted_options(plugin.open, options, name),
        plugin.files(argument),
    )
    return RecalledBackbone(
        file, cast("Callable[[], Backbone]", partial(open_network, plugin, argument, options, name)), name
    )
