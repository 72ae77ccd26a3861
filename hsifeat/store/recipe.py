"""The recipe: all that decides a plane's values besides t and layer. Its sha256 is the key of a store."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

# Raised whenever the same recipe would give other values than before.
#   2: weights are copied to memory of their own before they are computed with, which can move last bits.
ALGORITHM = 2


class _Part(BaseModel):
    # A newer version may add fields, each with a default that means what was done before: defaults are left out of the
    # key, so old keys stay valid.
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProjectionPart(_Part):
    """How bands became channels: as asked for, and the digest of the fitted numbers."""

    spec: str
    digest: str


class TilingPart(_Part):
    """What the model saw at once, how tiles became a plane, and what cells that no tile with a valid pixel kept hold.

    Tile and halo are 0 where the scene was seen whole. ``window`` is a tile around each pixel of a list. `origin` is the first tile's corner where it was chosen.
    """

    tile_px: int
    halo_px: int
    stitch: Literal["core", "mean", "hann", "whole", "window"]
    padding: Literal["reflect", "zero"]
    masked: Literal["computed", "zero"] = "computed"
    origin: tuple[int, int] | None = None


class NoisePart(_Part):
    """Noise policy with its argument, as ``--noise`` takes it; seed; number of draws over which taps were averaged."""

    policy: str
    seed: int
    draws: int = 1


class CompanionPart(_Part):
    """The image that the model saw instead of the bands: its content, its pixels along a side of one of the scene's.

    `finer` says how layers finer than the scene came to its grid: by the mean over each of its pixels.
    """

    digest: str
    factor: int
    finer: Literal["mean"]


class PixelsPart(_Part):
    """The pixels that were each seen in a window of their own: how many, and the sha256 of their rows and columns."""

    count: int
    digest: str


class PrecisionPart(_Part):
    """What the model computed in, and what is stored."""

    compute: Literal["float32"]
    stored: Literal["float16", "float32"]


class Recipe(_Part):
    """All that decides a plane's values besides t and layer. Names, paths and labels play no part.

    Attributes
    ----------
    algorithm : int
        Version of the extraction's arithmetic.
    scene : str
        Digest of the scene's content.
    projection : ProjectionPart
        Bands to channels.
    backbone : dict
        What the backbone says of itself: weights digest, architecture, schedule, parameterisation, conditioning.
    tiling : TilingPart
        Tile, halo, stitching, padding, origin.
    noise : NoisePart
        Policy, seed, draws.
    precision : PrecisionPart
        Compute and storage.
    companion : CompanionPart or None
        The companion image, where the model saw it; the projection is then from its bands.
    pixels : PixelsPart or None
        The list of pixels, where planes are of one.
    """

    algorithm: int
    scene: str
    projection: ProjectionPart
    backbone: dict[str, Any]
    tiling: TilingPart
    noise: NoisePart
    precision: PrecisionPart
    companion: CompanionPart | None = None
    pixels: PixelsPart | None = None

    def canonical(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values, without fields that have their default."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @property
    def key(self) -> str:
        """The store's key: sha256 of the canonical JSON, 64 hex digits."""
        return key_of(self.canonical())


def key_of(canonical: dict[str, Any]) -> str:
    """Return the sha256 of JSON with sorted keys and no spaces."""
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """List the fields in which two canonical recipes differ, as (dotted name, found, wanted)."""
    left, right = flat(found), flat(wanted)
    return [
        (name, left.get(name), right.get(name)) for name in sorted(left | right) if left.get(name) != right.get(name)
    ]


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested JSON as one level, with dotted names."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            leaves |= flat(value, f"{prefix}{name}.")
        else:
            leaves[prefix + name] = value
    return leaves
