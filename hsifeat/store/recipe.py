"""The recipe: everything that decides the values of a plane besides t and layer. Its sha256 is the key of a store."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

# Raised whenever the same recipe would give other values than before.
ALGORITHM = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProjectionPart(_Part):
    """The projection: its specification, and the sha256 of the fitted numbers."""

    spec: str
    digest: str


class CompanionPart(_Part):
    """The companion image that the backbone was shown instead of the bands.

    Attributes
    ----------
    digest : str
        sha256 of its content.
    factor : int
        Its pixels along one side of a scene pixel.
    finer : {"mean"}
        How layers finer than the scene are brought to its grid: by the mean over each scene pixel.
    """

    digest: str
    factor: int
    finer: Literal["mean"]


class PixelsPart(_Part):
    """The listed pixels: how many, and the sha256 of their rows and columns."""

    count: int
    digest: str


class Recipe(_Part):
    """Everything that decides the values of a plane besides t and layer. Names, paths and labels are not part of it.

    Attributes
    ----------
    algorithm : int
        Version of the arithmetic of extraction.
    scene : str
        Digest of the scene's content.
    projection : ProjectionPart
        From bands to channels.
    backbone : dict
        Identity of the backbone: digest of the weights, architecture, schedule, parameterisation, conditioning.
    tiling, noise, precision : dict
        Options of the extraction; which ones is declared where the options are, in `hsifeat.extraction.config`.
    companion : CompanionPart or None
        The companion image, if the backbone was shown one.
    pixels : PixelsPart or None
        The listed pixels, if planes list pixels.
    """

    algorithm: int
    scene: str
    projection: ProjectionPart
    backbone: dict[str, Any]
    tiling: dict[str, Any]
    noise: dict[str, Any]
    precision: dict[str, Any]
    companion: CompanionPart | None = None
    pixels: PixelsPart | None = None

    def canonical(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values, without the parts that it does not have."""
        return {name: part for name, part in self.model_dump(mode="json").items() if part is not None}

    @property
    def key(self) -> str:
        """The store's key: sha256 of the canonical JSON, 64 hex digits."""
        return key_of(self.canonical())


def key_of(canonical: dict[str, Any]) -> str:
    """Return the sha256 of JSON with sorted keys and no spaces."""
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """List the fields in which two canonical recipes differ, as (dotted name, first value, second value)."""
    left, right = flat(first), flat(second)
    return [
        (name, left.get(name), right.get(name)) for name in sorted(left | right) if left.get(name) != right.get(name)
    ]


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested JSON as one level, with dotted names.

    >>> flat({"noise": {"seed": 0}, "scene": "ab"})
    {'noise.seed': 0, 'scene': 'ab'}
    """
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            leaves |= flat(value, f"{prefix}{name}.")
        else:
            leaves[prefix + name] = value
    return leaves
