"""Manifest: the metadata of a store. It is the attribute ``hsifeat`` of the root group."""

from __future__ import annotations

from math import prod
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, ValidationError, model_validator

from hsifeat.errors import StoreError, error_summary
from hsifeat.scene_facts import SceneFacts
from hsifeat.store.plane_layout import MAX_UNITS, PixelListLayout, SceneLayout
from hsifeat.store.recipe import fault_of, key_of

# Increase this number when new code can't read old stores, or old code can't read new stores.
SCHEMA_VERSION = 1


class Manifest(BaseModel):
    """Metadata of a store.

    Attributes
    ----------
    schema_version : int
        Version of the store's format.
    key : str
        sha256 of `recipe`, as 64 hexadecimal digits.
    recipe : dict
        Settings of the extraction that determine the values of all planes: the fields of `hsifeat.store.recipe.Recipe`.
    layout : SceneLayout or PixelListLayout
        Shape of the planes and their division into units.
    batch : int
        Maximum number of tiles per forward pass. Later extractions into the store use this batch size, because the last
        bits of the values depend on it.
    scene : SceneFacts
        Name, shape, wavelengths and licence of the scene.
    provenance : dict
        Versions, name of the backbone, device, and time of creation. They do not affect the key of the store.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA_VERSION
    key: str
    recipe: dict[str, Any]
    layout: Annotated[SceneLayout | PixelListLayout, Discriminator("kind")]
    batch: Annotated[int, Field(ge=1, lt=2**31)]
    scene: SceneFacts
    provenance: dict[str, Any] = {}

    @model_validator(mode="after")
    def _check_layout(self) -> Self:
        """Raise `ValueError` if sizes in the layout are out of range or contradict the shape of the scene.

        A size of 0 would cause a division by zero, and a list of too many units would fill the memory.
        """
        layout, scene = self.layout, self.scene
        if isinstance(layout, SceneLayout):
            sizes = {"rows": layout.rows, "cols": layout.cols, "unit_px": layout.unit_px}
            if (layout.rows, layout.cols) != (scene.rows, scene.cols):
                raise ValueError(
                    f"the layout has {layout.rows} x {layout.cols} pixels, the scene {scene.rows} x {scene.cols}"
                )
        else:
            sizes = {"pixels": layout.pixels, "window_px": layout.window_px, "unit_pixels": layout.unit_pixels}
        for name, size in sizes.items():
            if not 1 <= size < 2**31:
                raise ValueError(f"layout.{name} is {size}; allowed are 1 to 2^31 - 1")
        if (units := prod(layout.unit_grid)) > MAX_UNITS:
            raise ValueError(f"the layout has {units} units; at most {MAX_UNITS} are allowed")
        return self

    @classmethod
    def parse(cls, attribute: object, location: object) -> Manifest:
        """Parse the attribute ``hsifeat`` of the root group of a store, and return the manifest.

        Parameters
        ----------
        attribute : object
            Value of the attribute, as JSON values.
        location : object
            Location of the store, for error messages.

        Raises
        ------
        StoreError
            If the attribute is not a manifest with the schema version `SCHEMA_VERSION`. If `key` is not the sha256 of the
            recipe. If a field of the recipe has a wrong type.
        """
        version = attribute.get("schema_version") if isinstance(attribute, dict) else None
        if isinstance(version, int) and version != SCHEMA_VERSION:
            advice = "install a newer hsifeat" if version > SCHEMA_VERSION else "extract the scene again"
            raise StoreError(
                f"{location} has store format {version}, and this hsifeat reads format {SCHEMA_VERSION}: {advice}"
            )
        try:
            manifest = cls.model_validate(attribute)
        except ValidationError as error:
            raise StoreError(f"{location} is not a feature store: {error_summary(error)}") from error
        try:
            key = key_of(manifest.recipe)
        except ValueError as error:  # NaN and infinity are no values of JSON, but Python reads them
            raise StoreError(f"{location} is not a feature store: recipe: {error}") from error
        if key != manifest.key:
            raise StoreError(
                f"{location}: the recipe in the manifest does not match the key, so the manifest was edited: restore zarr.json "
                "from a copy, or extract the scene again to another place"
            )
        if fault := fault_of(manifest.recipe):
            raise StoreError(f"{location} is not a feature store: recipe.{fault}")
        return manifest
