"""Result of a timestep ranking, as attributes, a table or JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.objects_with_arrays import EqualByValue
from hsifeat.timesteps.angles import SpectralAngles
from hsifeat.timesteps.correlation import PlaneSimilarity
from hsifeat.timesteps.optimal_denoiser import DenoiserSimilarity
from hsifeat.timesteps.proposal import TimestepOrder


@dataclass(frozen=True, eq=False)
class TimestepRanking(EqualByValue):
    """Ranking of timesteps by the usefulness of their features, the result of `rank_timesteps`.

    Attributes
    ----------
    scene : str
        Name of the scene.
    projection : str
        Text that describes the projection, such as ``pca:10``.
    backbone : str or None
        Name of the backbone. None if no backbone was used.
    timesteps : tuple of n ints
        Compared timesteps in ascending order.
    proposal : tuple of int
        Proposed timesteps in ascending order, as many as the `budget` of `rank_timesteps`.
    order : TimestepOrder
        Order of the compared timesteps by usefulness.
    denoiser : DenoiserSimilarity
        Similarity of the predictions of the optimal denoiser between timesteps.
    angles : SpectralAngles or None
        Spectral angles of the estimates of the backbone; None without a backbone.
    planes : PlaneSimilarity or None
        Similarity of the features in the store between timesteps; None without a store.
    stages : tuple of 2 ints
        Boundaries of the three stages of `three_stages`: last timestep of the first stage, and first timestep of the last
        stage.
    intervals : tuple of (int, int)
        First and last timestep of each interval of similar timesteps, as `best_intervals` finds them.
    patch_px : int
        Side of the patches of the optimal denoiser in pixels.
    patches : int
        Number of patches of the optimal denoiser.
    studied : dict of str to dict
        Result of `studied_timesteps`: timesteps whose features classified best in a study, for each kind of network.
    notes : tuple of str
        Messages on limitations of this ranking, for example that angles are measured between latents instead of spectra.
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
    studied: dict[str, dict[str, Any]]
    notes: tuple[str, ...]

    @property
    def similarity(self) -> NDArray[np.float64]:
        """Similarity between timesteps, as an (n, n) float64 array.

        The order and the intervals are computed from this similarity. If `planes` is set, it is the similarity of the
        features in the store. Otherwise, it is the similarity of the predictions of the optimal denoiser.
        """
        return self.denoiser.similarity if self.planes is None else self.planes.similarity

    @property
    def title(self) -> str:
        """Title for plots and tables, with the names of the scene, projection and backbone."""
        return f"{self.scene} through {self.projection}" + (f", {self.backbone}" if self.backbone else "")

    def rows(self) -> list[dict[str, Any]]:
        """Return a table with one row per timestep, starting with the most useful timestep."""
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
        """Return all attributes as JSON values."""
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
            "studied": self.studied,
            "notes": list(self.notes),
        }
