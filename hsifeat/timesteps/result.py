"""What is found about a scene's timesteps, as arrays, as a table, as JSON and as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.timesteps.angles import Angles
from hsifeat.timesteps.correlation import Correlation
from hsifeat.timesteps.denoiser import Similarity
from hsifeat.timesteps.proposal import Order


@dataclass(frozen=True)
class TimestepRanking:
    """Which timesteps are worth caching, and why.

    Attributes
    ----------
    scene, projection : str
        What was looked at, and through what.
    backbone : str or None
        Whose noise schedule and estimates count; None: the cosine schedule with T = 1000, and no estimates.
    timesteps : tuple of int
        Those that were compared, ascending.
    proposal : tuple of int
        As many as the budget allows, ascending.
    order : Order
        All of them by use, see `order_timesteps`.
    denoiser : Similarity
        Of the optimal denoiser.
    angles : Angles or None
        Spectral angles of the backbone's estimates.
    planes : Correlation or None
        Correlation of cached planes; it is the map that `order` goes by where it is there, else the denoiser's is.
    stages : tuple of 2 ints
        End of the first of three stages and beginning of the last, see `three_stages`.
    intervals : tuple of (int, int)
        First and last timestep of each of the best intervals, see `best_intervals`.
    patch_px, patches : int
        Side and number of the patches of the optimal denoiser.
    notes : tuple of str
        What a reader should know.
    """

    scene: str
    projection: str
    backbone: str | None
    timesteps: tuple[int, ...]
    proposal: tuple[int, ...]
    order: Order
    denoiser: Similarity
    angles: Angles | None
    planes: Correlation | None
    stages: tuple[int, int]
    intervals: tuple[tuple[int, int], ...]
    patch_px: int
    patches: int
    notes: tuple[str, ...]

    @property
    def redundancy(self) -> NDArray[np.float64]:
        """The map (n, n) that the order goes by."""
        return self.denoiser.similarity if self.planes is None else self.planes.similarity

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each timestep, the most useful first."""
        found = []
        for rank, index in enumerate(self.order.order):
            row = {
                "t": self.timesteps[index],
                "rank": rank + 1,
                "cache": "yes" if self.timesteps[index] in self.proposal else "",
                "covered": float(self.order.covered[rank]),
                "neighbours": round(float(self.denoiser.neighbours[index])),
            }
            if self.angles is not None:
                row["angle"] = float(self.angles.degrees[index])
                row["resembles"] = "yes" if self.order.resembles[index] else ""
            found.append(row)
        return found

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain JSON values."""
        angles, planes = self.angles, self.planes
        return {
            "scene": self.scene,
            "projection": self.projection,
            "backbone": self.backbone,
            "timesteps": list(self.timesteps),
            "proposal": list(self.proposal),
            "order": [self.timesteps[index] for index in self.order.order],
            "covered": self.order.covered.tolist(),
            "resembles": self.order.resembles.tolist(),
            "patch_px": self.patch_px,
            "patches": self.patches,
            "similarity": self.denoiser.similarity.tolist(),
            "neighbours": self.denoiser.neighbours.tolist(),
            "stages": list(self.stages),
            "intervals": [list(interval) for interval in self.intervals],
            "angles": None
            if angles is None
            else {"degrees": angles.degrees.tolist(), "of_mean": angles.of_mean, "within": angles.within},
            "planes": None if planes is None else {"layer": planes.layer, "similarity": planes.similarity.tolist()},
            "notes": list(self.notes),
        }

    def picture(self, path: str | Path) -> None:
        """Draw the maps, the angles and the proposal into a PNG."""
        from hsifeat.timesteps.ranking_plot import write_picture

        write_picture(self, Path(path))
