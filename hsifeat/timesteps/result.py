"""The result of ranking timesteps: arrays, table rows and JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.timesteps.angles import SpectralAngles
from hsifeat.timesteps.correlation import PlaneSimilarity
from hsifeat.timesteps.optimal_denoiser import DenoiserSimilarity
from hsifeat.timesteps.proposal import TimestepOrder


@dataclass(frozen=True)
class TimestepRanking:
    """Which timesteps are worth caching, and why; see `rank_timesteps`.

    Attributes
    ----------
    scene, projection : str
        Name of the scene, and canonical text of the projection.
    backbone : str or None
        Name of the backbone whose noise schedule and estimates were used; None stands for the cosine schedule with
        T = 1000, without estimates.
    timesteps : tuple of int
        Compared timesteps, ascending.
    proposal : tuple of int
        Proposed timesteps, ascending, as many as the budget.
    order : TimestepOrder
        All timesteps in the order of `order_timesteps`.
    denoiser : DenoiserSimilarity
        Similarity of the optimal denoiser.
    angles : SpectralAngles or None
        Spectral angles of the backbone's estimates.
    planes : PlaneSimilarity or None
        Similarity of cached planes.
    stages : tuple of 2 ints
        End of the first and beginning of the last of three stages, see `three_stages`.
    intervals : tuple of (int, int)
        First and last timestep of each interval, see `best_intervals`.
    patch_px, patches : int
        Side in pixels and number of the patches of the optimal denoiser.
    notes : tuple of str
        Limits of the measures that apply here.
    """

    scene: str
    projection: str
    backbone: str | None
    timesteps: tuple[int, ...]
    proposal: tuple[int, ...]
    order: TimestepOrder
    denoiser: DenoiserSimilarity
    angles: SpectralAngles | None
    planes: PlaneSimilarity | None
    stages: tuple[int, int]
    intervals: tuple[tuple[int, int], ...]
    patch_px: int
    patches: int
    notes: tuple[str, ...]

    @property
    def similarity(self) -> NDArray[np.float64]:
        """The similarity (n, n) float64 that order and intervals follow: of planes if there are any, else the denoiser's."""
        return self.denoiser.similarity if self.planes is None else self.planes.similarity

    @property
    def title(self) -> str:
        """Scene, projection and backbone in a few words."""
        return f"{self.scene} through {self.projection}" + (f", {self.backbone}" if self.backbone else "")

    def rows(self) -> list[dict[str, Any]]:
        """Return a table row per timestep, the most useful first."""
        rows = []
        for rank, index in enumerate(self.order.order):
            row = {
                "t": self.timesteps[index],
                "rank": rank + 1,
                "cache": "yes" if self.timesteps[index] in self.proposal else "",
                "covered": float(self.order.coverage[rank]),
                "neighbours": round(float(self.denoiser.neighbours[index])),
            }
            if self.angles is not None:
                row["angle"] = float(self.angles.degrees[index])
                row["eligible"] = "yes" if self.order.eligible[index] else ""
            rows.append(row)
        return rows

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        angles, planes = self.angles, self.planes
        return {
            "scene": self.scene,
            "projection": self.projection,
            "backbone": self.backbone,
            "timesteps": list(self.timesteps),
            "proposal": list(self.proposal),
            "order": [self.timesteps[index] for index in self.order.order],
            "coverage": self.order.coverage.tolist(),
            "eligible": self.order.eligible.tolist(),
            "patch_px": self.patch_px,
            "patches": self.patches,
            "similarity": self.denoiser.similarity.tolist(),
            "neighbours": self.denoiser.neighbours.tolist(),
            "stages": list(self.stages),
            "intervals": [list(interval) for interval in self.intervals],
            "angles": None
            if angles is None
            else {
                "degrees": angles.degrees.tolist(),
                "mean_pixel_degrees": angles.mean_pixel_degrees,
                "space": angles.space,
            },
            "planes": None if planes is None else {"layer": planes.layer, "similarity": planes.similarity.tolist()},
            "notes": list(self.notes),
        }
