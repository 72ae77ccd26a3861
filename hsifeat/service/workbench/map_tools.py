"""Objects that compute the maps of a scene: mapper, superpixels and suggester. They use the reduced columns of the scene."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from classifiers.defaults import DEFAULT_HEAD, DEFAULT_SMOOTHING
from hsifeat.service.workbench.band_images import BandImages
from hsifeat.service.workbench.shared_values import SharedValues

if TYPE_CHECKING:
    from classifiers.labelling.quick_map import QuickMapper
    from classifiers.labelling.scene_columns import SceneColumns
    from classifiers.labelling.segments import Segments
    from classifiers.labelling.suggest import Suggester

# Maximum number of maps that the service computes at the same time. More maps would only slow each other down.
_MAPS_AT_ONCE = 2
_COLUMNS_BYTES = 4 * 10**9
_MAX_MAPPERS = 4
_MAX_BAND_IMAGES = 4

ToolsKey = tuple[tuple[str, ...], str, str]
"""Digest of each store, head and input set."""


@dataclass(frozen=True)
class MapOptions:
    """Head, inputs and smoothing of a map.

    Attributes
    ----------
    head : str
        Name of the head, one of `classifiers.labelling.scene_columns.quick_heads`.
    inputs : str
        Input set, a value of ``--inputs``. If empty, the input set that suits the head is used.
    smooth : str
        Name of the smoothing rule.
    """

    head: str = DEFAULT_HEAD
    inputs: str = ""
    smooth: str = DEFAULT_SMOOTHING


class MapTools:
    """Reduced columns of a scene for a head and an input set, and the objects that use them. The methods are thread-safe.

    Parameters
    ----------
    columns : SceneColumns
        The reduced columns.
    head : str
        Head that learns from the columns.
    """

    def __init__(self, columns: SceneColumns, head: str) -> None:
        self.columns = columns
        self._head = head
        self._mappers: SharedValues[str, QuickMapper] = SharedValues(_MAX_MAPPERS)
        self._segments: SharedValues[str, Segments] = SharedValues(1)
        self._suggesters: SharedValues[str, Suggester] = SharedValues(1)

    @property
    def size_bytes(self) -> int:
        """Size of the columns in bytes. The columns are mapped into memory."""
        columns = self.columns
        return columns.values.nbytes + columns.pixels.nbytes + columns.guide.nbytes

    def mapper(self, smooth: str) -> QuickMapper:
        """Return the object that computes maps of the scene with the smoothing rule `smooth`."""
        from classifiers.labelling.quick_map import QuickMapper

        return self._mappers.get(smooth, lambda: QuickMapper(self.columns, self._head, smooth=smooth))

    def segments(self) -> Segments:
        """Return the superpixels of the scene. They are computed at the first call."""
        from classifiers.labelling.segments import open_segments

        return self._segments.get("", lambda: open_segments(self.columns))

    def suggester(self, smooth: str, segments: Segments) -> Suggester:
        """Return the object that suggests pixels to label next."""
        from classifiers.labelling.suggest import Suggester

        return self._suggesters.get(smooth, lambda: Suggester(self.mapper(smooth), segments))


@dataclass(frozen=True)
class MapResources:
    """Resources that all scenes of a service share: columns and band images in memory, and the slots for computing maps.

    Attributes
    ----------
    slots : threading.BoundedSemaphore
        Limits the number of maps that are computed at the same time.
    tools : SharedValues
        Cache of `MapTools`, with one `MapTools` for each combination of stores, head and input set. The digests of the stores
        cover all values from which columns are computed.
    bands : SharedValues
        Cache of `BandImages`. The keys are the location of a store and a digest of its cube.
    """

    slots: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(_MAPS_AT_ONCE))
    tools: SharedValues[ToolsKey, MapTools] = field(
        default_factory=lambda: SharedValues(_COLUMNS_BYTES, lambda tools: tools.size_bytes)
    )
    bands: SharedValues[tuple[str, str], BandImages] = field(default_factory=lambda: SharedValues(_MAX_BAND_IMAGES))
