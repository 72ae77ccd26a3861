"""The backbone ``context``, which consists of filters. It has no network, weights, noise or timesteps."""

from __future__ import annotations

from typing import Any

from hsifeat.backbones.plugins import BackbonePlugin
from hsifeat.context.layer_names import DEFAULT_LAYERS, PROFILE_COMPONENTS, ContextLayer
from hsifeat.errors import BackboneError
from hsifeat.types import Tap

MAX_COMPONENTS = 60
"""Maximum number of principal components of the default projection."""

VERSION = 1
"""Version of the filters. Increase this number when a change of the code changes values of planes."""


class ContextBackbone:
    """Filters over the principal components of a scene.

    Examples
    --------
    >>> backbone = ContextBackbone()
    >>> [tap.name for tap in backbone.taps][:4]
    ['mean-25', 'mean-45', 'profile-3', 'profile-5']
    """

    name = source = "context"

    @property
    def taps(self) -> list[Tap]:
        """Default layers, followed by examples of other layers.

        The numbers of channels apply to a scene with `MAX_COMPONENTS` principal components.
        """
        layers = [*DEFAULT_LAYERS, ContextLayer("mean", 5), *(ContextLayer("deviation", size) for size in (5, 25, 45))]
        return [Tap(layer.name, "", layer.channels(MAX_COMPONENTS), 1, None) for layer in layers]

    def identity(self) -> dict[str, Any]:
        """Return the values that identify the filters: kind, version and `PROFILE_COMPONENTS`.

        Profiles are computed for the first `PROFILE_COMPONENTS` principal components only.
        """
        return {"kind": "context", "version": VERSION, "profile_components": PROFILE_COMPONENTS}

    def to(self, device: str) -> None:
        """Check the device. The filters run on the CPU only.

        Raises
        ------
        BackboneError
            If the device is neither ``auto`` nor ``cpu``.
        """
        if not isinstance(device, str) or device not in {"auto", "cpu"}:
            raise BackboneError(f"context runs on the CPU; found the device {device!r}: leave out `device`")


def _open(argument: str) -> ContextBackbone:
    if argument:
        raise BackboneError(f"context takes no argument; found {argument!r}: name its layers with `layers`")
    return ContextBackbone()


PLUGIN = BackbonePlugin(
    _open,
    "context",
    "window means and morphological profiles of principal components, at timestep 0",
    "none",
    order=10,
)
