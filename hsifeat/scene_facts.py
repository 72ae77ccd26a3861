"""Metadata of a scene in the manifest of a store."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class SceneFacts(BaseModel):
    """Metadata of a scene. They do not affect the key of the store."""

    model_config = ConfigDict(frozen=True)

    name: str
    rows: Annotated[int, Field(ge=1, lt=2**31)]
    cols: Annotated[int, Field(ge=1, lt=2**31)]
    bands: Annotated[int, Field(ge=1, lt=2**20)]
    wavelengths_nm: list[float] | None = None
    fwhm_nm: list[float] | None = None
    band_names: list[str] = []
    band_numbers: list[int] = []
    nodata: list[float] = []
    scale: float = 1.0
    crs: str | None = None
    transform: tuple[float, float, float, float, float, float] | None = None
    licence: str = ""
    citation: str = ""
