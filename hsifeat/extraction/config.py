"""The pattern of an extraction: all that a user may choose, with what is usual, or with what another store was made by."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hsifeat.errors import StoreError
from hsifeat.extraction.tiling.pixel_list import PixelsLike
from hsifeat.projection import Projection
from hsifeat.store.store import Store

TIMESTEPS = (0, 50, 100, 200, 400)


@dataclass(frozen=True)
class Pattern:
    """What is chosen for an extraction, see `prepare`; the defaults are the usual choice."""

    backbone: str | None = None
    timesteps: Sequence[int] | str = TIMESTEPS
    layers: Sequence[str] | None = None
    projection: str | Projection | None = None
    tile: int = 64
    halo: int = 16
    stitch: str = "core"
    padding: str = "reflect"
    origin: tuple[int, int] | None = None
    pixels: PixelsLike | None = None
    noise: str = "field"
    draws: int = 1
    seed: int = 0
    companion: bool = False
    class_label: int | str | None = None
    prompt: str | None = None
    upsample: int | None = None
    dtype: str = "float16"
    batch: int | None = None


def pattern_of(store: Store) -> Pattern:
    """Return what a store was made by, its fitted projection included, so that another scene is seen in the same way.

    Timesteps and layers are those of its planes. The backbone is where it was found then; its weights decide whether
    it is the same.
    """
    recipe = store.manifest.recipe
    planes = store.planes
    tiling, noise = recipe["tiling"], recipe["noise"]
    conditioning = recipe["backbone"].get("conditioning", {})
    return Pattern(
        backbone=store.manifest.provenance.get("backbone_source") or None,
        timesteps=sorted({plane.id.t for plane in planes}) or TIMESTEPS,
        layers=list(dict.fromkeys(plane.id.layer for plane in planes)) or None,
        projection=_projection(store),
        tile=tiling["tile_px"] or Pattern.tile,
        halo=tiling["halo_px"] if tiling["tile_px"] else Pattern.halo,
        stitch=tiling["stitch"],
        padding=tiling["padding"],
        origin=tuple(tiling["origin"]) if "origin" in tiling else None,
        pixels=store.pixels,
        noise=noise["policy"],
        draws=noise.get("draws", 1),
        seed=noise["seed"],
        companion="companion" in recipe,
        class_label=conditioning.get("class_label"),
        prompt=conditioning.get("prompt"),
        upsample=recipe["backbone"].get("upsample"),
        dtype=recipe["precision"]["stored"],
        batch=store.manifest.batch,
    )


def _projection(store: Store) -> Projection:
    """Return the projection that lies in a store; its digest tells whether it clips."""
    wanted = store.manifest.recipe["projection"]
    weights, offset = (
        np.asarray(store.scene_array(f"projection/{name}")[:], np.float32) for name in ("weights", "offset")
    )
    bent = re.search(r":gamma=([\d.]+)", wanted["spec"])
    for clip in (True, False):
        projection = Projection(wanted["spec"], weights, offset, clip, float(bent[1]) if bent else 1.0)
        if projection.digest == wanted["digest"]:
            return projection
    raise StoreError(
        f"{store.location}: the projection there is not the one of its recipe: hsifeat cache verify tells more"
    )
