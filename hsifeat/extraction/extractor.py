"""Interface of extractors, which compute the features of a scene. There are extractors for networks, filters and imports."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hsifeat.backbones.exclusive import exclusive_use
from hsifeat.backbones.protocol import FeatureSource
from hsifeat.errors import StoreError
from hsifeat.extraction.plan import Plan, Step, make_plan
from hsifeat.extraction.tiling.pixel_list import PixelList
from hsifeat.extraction.writer import BackgroundWriter
from hsifeat.projection import Projection
from hsifeat.runtime.events import Advanced, Finished, Listener, Started
from hsifeat.scenes.scene import Scene
from hsifeat.store.plane_layout import PixelListLayout, PlaneSpec, SceneLayout
from hsifeat.store.recipe import CompanionPart
from hsifeat.store.store import Store
from hsifeat.store.timings import Timing
from hsifeat.types import PlaneId, Window


@dataclass(frozen=True)
class StepResult:
    """Features and run times of a step (one shard of each plane at one timestep)."""

    blocks: dict[PlaneSpec, NDArray[np.generic]]
    timings: list[Timing]


@dataclass(frozen=True)
class Extractor(ABC):
    """Base class of extractors, which compute the features of a scene one unit (one shard of each plane) at a time.

    Attributes
    ----------
    scene : Scene
        The scene.
    """

    scene: Scene

    @property
    @abstractmethod
    def device(self) -> str:
        """Device of the computation."""

    @property
    @abstractmethod
    def source(self) -> FeatureSource:
        """Backbone whose layers are extracted."""

    @property
    @abstractmethod
    def projection(self) -> Projection | None:
        """Projection from the bands of the scene to the input channels of the backbone; None if there is no backbone."""

    @property
    @abstractmethod
    def layout(self) -> SceneLayout | PixelListLayout:
        """Layout of a new store."""

    @property
    def pixels(self) -> PixelList | None:
        """Pixels at which features are extracted; None if planes cover the scene."""
        return None

    @property
    def batch(self) -> int:
        """Maximum number of tiles per forward pass. The manifest of a store records this number."""
        return 1

    @property
    def provenance(self) -> dict[str, Any]:
        """Additional provenance of the features, which the manifest of a new store records."""
        return {}

    def check_companion(self, part: CompanionPart | None) -> None:  # noqa: B027  # filters read no companion image
        """Raise `SceneError` if the input is a companion image that has changed since its part of the recipe was computed."""

    def with_batch(self, batch: int) -> Self:  # noqa: ARG002  # filters have no batches
        """Return a copy of the extractor that uses the batch size of an existing store."""
        return self

    @abstractmethod
    def count_tiles(self, window: Window) -> int:
        """Return the number of tiles to compute for the window of a unit (one shard of each plane)."""

    def passes(self, t: int, previous: int | None) -> int:  # noqa: ARG002  # some noise policies need more
        """Return the number of passes per tile at timestep `t`.

        The number can depend on `previous`, the timestep of the previous step for the same tiles. `previous` is None for
        the first step. See `NoisePolicy.passes`.
        """
        return 1

    @abstractmethod
    def step_computer(self) -> Callable[[Step], StepResult]:
        """Return a function that computes a step (one shard of each plane at one timestep)."""

    @abstractmethod
    def describe(self, plan: Plan) -> list[str]:
        """Return lines of text for ``--dry-run``: the work of a plan, and its estimated time and memory."""

    def plan(
        self,
        planes: Sequence[PlaneSpec],
        layout: SceneLayout | PixelListLayout,
        done: Callable[[PlaneId], NDArray[np.bool_]] | None,
    ) -> Plan:
        """Plan the steps that compute missing planes; see `make_plan`."""
        return make_plan(self.count_tiles, layout, planes, self.passes, done)

    def run(self, plan: Plan, store: Store, listen: Listener, *, task: str = "extract") -> None:
        """Compute all steps of a plan in this process, and write their features to a store.

        A background thread writes completed steps while the next steps are computed. After an error or an interrupt, all
        completed steps are written before the run ends.

        Parameters
        ----------
        plan : Plan
            Steps to compute.
        store : Store
            Store that is open for writing.
        listen : callable
            Receives progress events.
        task : str
            Name of the task in progress events.
        """
        progress = plan.total_passes - plan.passes
        listen(Started(task, plan.total_passes, "tiles", progress))
        with exclusive_use(self.source):
            self.source.to(self.device)
        compute = self.step_computer()
        store.add_planes(plan.planes)
        with BackgroundWriter(store) as writer:
            for step in plan.steps:
                result = compute(step)
                writer.write(step.unit, result.blocks, result.timings)
                del result  # The writer frees the blocks while the next step is computed.
                progress += plan.unit_tiles[step.unit] * step.passes
                listen(Advanced(task, progress, f"t = {step.t}"))
        listen(Finished(task))


def check_finite(plane: PlaneSpec, block: NDArray[np.generic], *, cause: str) -> NDArray[np.generic]:
    """Check that all values in a block of a plane are finite, and return the block.

    Parameters
    ----------
    plane : PlaneSpec
        The plane.
    block : (rows, cols, channels) or (pixels, channels) array
        Values of one unit (one shard) of the plane, in the dtype of the plane.
    cause : str
        Likely cause of values that are not finite. If the plane is float32, the error message contains this cause.

    Raises
    ------
    StoreError
        If a value is not finite in the dtype of the plane.
    """
    half = plane.dtype == "float16"
    if half and _is_finite(block):
        return block
    count = block.size - int(np.isfinite(block).sum())
    if count:
        advice = "store float32 with `dtype='float32'`, in another `out`" if half else cause
        raise StoreError(f"{count} of {block.size} values of {plane.id} are not finite in {plane.dtype}: {advice}")
    return block


def _is_finite(block: NDArray[np.generic]) -> bool:
    """Return whether all values of a float16 array are finite: 13 times as fast as `numpy.isfinite`.

    Among the bit patterns of float16, those of infinity and NaN are the largest of each sign.
    """
    positive, all_signs = block.view(np.int16), block.view(np.uint16)
    return int(positive.max(initial=0)) < 0x7C00 and int(all_signs.max(initial=0)) < 0xFC00
