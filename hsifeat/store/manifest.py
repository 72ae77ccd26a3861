"""The manifest: what a store says of itself, kept as the attribute ``hsifeat`` of its root group."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from hsifeat.errors import StoreError
from hsifeat.store.layout import Grid, PixelGrid, SceneGrid
from hsifeat.store.recipe import key_of

# 2 has seals, 3 may list pixels.
SCHEMA_VERSION = 3


class SceneFacts(BaseModel):
    """What is known of the scene besides its values; none of it is in the key."""

    model_config = ConfigDict(frozen=True)

    name: str
    rows: int
    cols: int
    bands: int
    wavelengths_nm: list[float] | None = None
    fwhm_nm: list[float] | None = None
    band_names: list[str] = []
    nodata: list[float] = []
    scale: float = 1.0
    crs: str | None = None
    transform: tuple[float, float, float, float, float, float] | None = None
    licence: str = ""
    citation: str = ""


class PixelFacts(BaseModel):
    """How many pixels planes list, and how many of them make a unit."""

    model_config = ConfigDict(frozen=True)

    count: int
    unit_pixels: int


class Manifest(BaseModel):
    """What a store says of itself.

    Attributes
    ----------
    schema_version : int
        Version of the store's layout.
    key : str
        sha256 of `recipe`.
    recipe : dict
        The canonical recipe, as it was written.
    unit_px : int
        Side in pixels of a shard of the scene, and of a unit where planes cover the scene.
    batch : int
        Most tiles in a forward; settled before the first unit and kept, since values move in the last bits with it.
    scene : SceneFacts
        Name, shape, wavelengths, licence.
    pixels : PixelFacts or None
        Where planes list pixels, each seen in a window of its own.
    provenance : dict
        Versions, backbone name, device, time of creation; for people, never compared.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA_VERSION
    key: str
    recipe: dict[str, Any]
    unit_px: int
    batch: int
    scene: SceneFacts
    pixels: PixelFacts | None = None
    provenance: dict[str, Any] = {}

    @property
    def grid(self) -> Grid:
        """Over what the planes lie."""
        if self.pixels is not None:
            return PixelGrid(self.pixels.count, self.pixels.unit_pixels)
        return SceneGrid(self.scene.rows, self.scene.cols, self.unit_px)

    @classmethod
    def read(cls, attribute: object, location: object) -> Manifest:
        """Check what a root group holds; `StoreError` if it is no manifest, from a newer version, or was changed."""
        version = attribute.get("schema_version") if isinstance(attribute, dict) else None
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise StoreError(
                f"{location} has store layout {version}; this hsifeat reads up to {SCHEMA_VERSION}: install a newer hsifeat"
            )
        try:
            manifest = cls.model_validate(attribute)
        except ValidationError as error:
            wrong = error.errors()[0]
            field = ".".join(map(str, wrong["loc"])) or "manifest"
            raise StoreError(f"{location} is not a feature store: {field}: {wrong['msg']}") from error
        if key_of(manifest.recipe) != manifest.key:
            raise StoreError(f"{location}: the manifest's recipe does not have its key; the store was changed by hand")
        return manifest
