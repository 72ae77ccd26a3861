"""The manifest: what a store says of itself, kept as the attribute ``hsifeat`` of its root group."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from hsifeat.cache.recipe import key_of
from hsifeat.errors import StoreError

SCHEMA_VERSION = 2


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
        Side of a unit in scene pixels.
    batch : int
        Most tiles in a forward; settled before the first unit and kept, since values move in the last bits with it.
    scene : SceneFacts
        Name, shape, wavelengths, licence.
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
    provenance: dict[str, Any] = {}

    @classmethod
    def read(cls, attribute: object, place: object) -> Manifest:
        """Check what a root group holds; `StoreError` if it is no manifest, from a newer version, or was changed."""
        version = attribute.get("schema_version") if isinstance(attribute, dict) else None
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise StoreError(
                f"{place} has store layout {version}; this hsifeat reads up to {SCHEMA_VERSION}: install a newer hsifeat"
            )
        try:
            manifest = cls.model_validate(attribute)
        except ValidationError as error:
            wrong = error.errors()[0]
            field = ".".join(map(str, wrong["loc"])) or "manifest"
            raise StoreError(f"{place} is not a feature store: {field}: {wrong['msg']}") from error
        if key_of(manifest.recipe) != manifest.key:
            raise StoreError(f"{place}: the manifest's recipe does not have its key; the store was changed by hand")
        return manifest
