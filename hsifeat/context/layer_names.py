"""Names of context layers, such as ``mean-25`` or ``reconstruction-3-mean-9``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hsifeat.errors import BackboneError

PROFILE_COMPONENTS = 4
"""Number of leading principal components from which morphological profiles are computed."""

MAX_SIZE_PX = 255
"""Largest side of a window in pixels. The margin around a block grows with the window, so this limit bounds the memory."""

FORMS = "mean-K, deviation-K, profile-K, reconstruction-K, profile-K-mean-M or reconstruction-K-mean-M"
_NAME = re.compile(r"(mean|deviation|profile|reconstruction)-([1-9]\d{0,3})(?:-mean-([1-9]\d{0,3}))?")
_PROFILE_SIZES_PX = (3, 5, 7, 9, 13, 17, 25, 33)


@dataclass(frozen=True)
class ContextLayer:
    """A filter whose output is stored as a plane.

    Attributes
    ----------
    family : {"mean", "deviation", "profile", "reconstruction"}
        ``mean`` and ``deviation``: mean and standard deviation of each component in a window. ``profile``: opening and
        closing of the first `PROFILE_COMPONENTS` components by a square. ``reconstruction``: opening by reconstruction
        and closing by reconstruction of these components.
    size_px : int
        Side of the window or of the square in pixels, an odd number.
    mean_px : int
        Side, in pixels, of the window over which openings and closings are averaged; 1 if they are not averaged.

    Examples
    --------
    >>> layer = parse_layer("profile-7-mean-9")
    >>> layer.name, layer.reach_px, layer.channels(60)
    ('profile-7-mean-9', 10, 8)
    """

    family: str
    size_px: int
    mean_px: int = 1

    @property
    def name(self) -> str:
        """Name of the layer."""
        return f"{self.family}-{self.size_px}" + (f"-mean-{self.mean_px}" if self.mean_px > 1 else "")

    @property
    def is_profile(self) -> bool:
        """Whether the layer consists of openings and closings of the first `PROFILE_COMPONENTS` components."""
        return self.family in {"profile", "reconstruction"}

    @property
    def is_reconstruction(self) -> bool:
        """Whether the layer is computed by reconstruction. Each value of such a layer can depend on the whole scene."""
        return self.family == "reconstruction"

    @property
    def reach_px(self) -> int:
        """Largest distance, in rows or columns, from a pixel to the pixels that its features depend on.

        The distance ignores that openings and closings by reconstruction can depend on the whole scene. If they are averaged
        over a window, their distance is half the side of the window, rounded down. Otherwise, their distance is 0.
        """
        # An opening is an erosion followed by a dilation, each of which reaches half a window.
        halves = {"profile": 2, "reconstruction": 0}.get(self.family, 1)
        return halves * (self.size_px // 2) + self.mean_px // 2

    def channels(self, components: int) -> int:
        """Return the number of channels of the layer for an image with `components` components."""
        return 2 * min(components, PROFILE_COMPONENTS) if self.is_profile else components


DEFAULT_LAYERS = (
    *(ContextLayer("mean", size) for size in (25, 45)),
    *(ContextLayer("profile", size) for size in _PROFILE_SIZES_PX),
    *(ContextLayer("reconstruction", size) for size in _PROFILE_SIZES_PX),
    *(ContextLayer("reconstruction", size, 9) for size in _PROFILE_SIZES_PX),
)
"""Layers that are extracted by default, chosen in ``benchmarks/choices.py``."""


def parse_layer(name: str) -> ContextLayer:
    """Parse the name of a layer.

    Raises
    ------
    BackboneError
        If the name does not match any of the patterns in `FORMS`. If a size is not an odd number from 3 to
        `MAX_SIZE_PX`.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise BackboneError(
            f"unknown layer {name!r}; context has {FORMS}, with odd numbers of pixels such as mean-11 "
            "(hsifeat layers context lists the default layers)"
        )
    layer = ContextLayer(match[1], int(match[2]), int(match[3] or 1))
    if layer.mean_px > 1 and not layer.is_profile:
        raise BackboneError(
            f"the layer {name!r} is a mean of a {layer.family}; only profile-K and reconstruction-K can be averaged, such as "
            "profile-5-mean-9"
        )
    for size in [layer.size_px, *([int(match[3])] if match[3] else [])]:
        if size % 2 == 0 or not 3 <= size <= MAX_SIZE_PX:
            raise BackboneError(
                f"the layer {name!r} has a window of {size} px; sizes are odd numbers of pixels from 3 to {MAX_SIZE_PX}"
            )
    return layer


def parse_layers(names: Sequence[str] | None) -> tuple[ContextLayer, ...]:
    """Parse layer names and drop duplicates; None selects `DEFAULT_LAYERS`."""
    return DEFAULT_LAYERS if names is None else tuple(dict.fromkeys(parse_layer(name) for name in names))
