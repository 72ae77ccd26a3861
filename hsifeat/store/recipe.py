"""Recipe: the settings of an extraction that determine the values of all planes.

Two planes with equal recipe, timestep and layer have equal values. The sha256 of the recipe is the key of a store.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

# Increase the number when a change of the code changes the values for an unchanged recipe: of a network, or of any other source.
NETWORK_ALGORITHM = 3
ALGORITHM = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProjectionPart(_Part):
    """The projection in a recipe: its specification, and the sha256 of its fitted numbers."""

    spec: str
    digest: str


class CompanionPart(_Part):
    """The companion image in a recipe. The model reads this finer image of the scene instead of the bands.

    Attributes
    ----------
    digest : str
        sha256 of the values of the image.
    factor : int
        Number of image pixels along one side of a scene pixel.
    finer : {"mean"}
        Resampling of layers whose cells are smaller than a scene pixel: the mean of the cells in each scene pixel.
    """

    digest: str
    factor: int
    finer: Literal["mean"]


class PixelsPart(_Part):
    """The list of pixels in a recipe: the number of pixels, and the sha256 of their rows and columns."""

    count: int
    digest: str


class ImportedPart(_Part):
    """Imported features in a recipe.

    Attributes
    ----------
    digest : str
        sha256 of the names, shapes and values of all planes.
    window_px : int or None
        Side of the window on which the features of a cell depend, in pixels of the scene; None if unknown.
    """

    digest: str
    window_px: Annotated[int, Field(ge=1, lt=2**31)] | None = None


class Recipe(_Part):
    """Settings of an extraction that determine the values of all planes.

    Names, paths and label maps do not affect the values, and are not part of the recipe.

    Attributes
    ----------
    algorithm : int
        Version of the extraction algorithm.
    scene : str
        Digest of the scene, the value of `Scene.digest`.
    projection : ProjectionPart or None
        Projection from bands to model channels; None for imported features.
    backbone : dict
        Values that identify the backbone: architecture, noise schedule, parameterisation, conditioning, and the digest of
        the weights.
    precision : dict
        Data types of computation and storage.
    tiling, noise : dict or None
        Options of the extraction, as declared in `hsifeat.extraction.config`; None for context filters and imported
        features.
    companion : CompanionPart or None
        Companion image that the model reads instead of the bands; None if the model reads the bands.
    pixels : PixelsPart or None
        Pixels with features; None if planes cover the whole scene.
    imported : ImportedPart or None
        Features that another tool computed; None if hsifeat computed the features.
    """

    algorithm: int
    scene: str
    projection: ProjectionPart | None = None
    backbone: dict[str, Any]
    precision: dict[str, Any]
    tiling: dict[str, Any] | None = None
    noise: dict[str, Any] | None = None
    companion: CompanionPart | None = None
    pixels: PixelsPart | None = None
    imported: ImportedPart | None = None

    def canonical(self) -> dict[str, Any]:
        """Return the recipe as JSON values, without attributes that are None."""
        return {name: part for name, part in self.model_dump(mode="json").items() if part is not None}

    @property
    def key(self) -> str:
        """Key of the store: the sha256 of the recipe as 64 hexadecimal digits."""
        return key_of(self.canonical())


def key_of(canonical: dict[str, Any]) -> str:
    """Return the key of a store: the sha256 of its canonical recipe as JSON with sorted keys and no spaces."""
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


_PER_SCENE = frozenset({"scene", "pixels", "imported"})


def options_of(canonical: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a canonical recipe that do not belong to a scene: the options of the extraction.

    A recipe of several stores has the recipe of each of them in its field ``stores``.

    >>> options_of({"scene": "ab", "algorithm": 1, "companion": {"digest": "cd", "factor": 2, "finer": "mean"}})
    {'algorithm': 1, 'companion': {'factor': 2, 'finer': 'mean'}}
    """
    options = {name: value for name, value in canonical.items() if name not in _PER_SCENE}
    if isinstance(companion := options.get("companion"), dict):
        options["companion"] = {name: value for name, value in companion.items() if name != "digest"}
    if isinstance(stores := options.get("stores"), dict):
        options["stores"] = {
            name: options_of(recipe) if isinstance(recipe, dict) else recipe for name, recipe in stores.items()
        }
    return options


def fault_of(canonical: dict[str, Any]) -> str:
    """Describe a field of a recipe that is missing or has a wrong type. Return an empty string if all fields are valid.

    Unknown fields are allowed, because a newer version of hsifeat may write more fields.

    >>> fault_of({"algorithm": 1, "scene": "ab", "projection": {"spec": "all", "digest": "cd"}, "backbone": "x", "precision": {}})
    'backbone: Input should be a valid dictionary'
    """
    try:
        Recipe.model_validate(canonical, strict=True)
    except ValidationError as error:
        faults = [fault for fault in error.errors() if fault["type"] != "extra_forbidden"]
        if faults:
            return f"{'.'.join(map(str, faults[0]['loc']))}: {faults[0]['msg']}"
    if canonical.get("imported") is not None:
        return ""
    if canonical.get("projection") is None:
        return "projection: Field required"
    if canonical["backbone"].get("kind") == "context":
        return ""
    tiling = canonical.get("tiling") or {}
    wrong = [name for name in ("tile_px", "halo_px") if type(tiling.get(name)) is not int]
    return f"tiling.{wrong[0]}: Input should be a valid integer" if wrong else ""


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return the fields in which two canonical recipes differ, each as (dotted name, first value, second value)."""
    left, right = flat(first), flat(second)
    return [
        (name, left.get(name), right.get(name)) for name in sorted(left | right) if left.get(name) != right.get(name)
    ]


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Replace nested JSON objects by one dict whose keys are dotted names.

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
