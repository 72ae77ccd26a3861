"""Options of an extraction, with their types, defaults, units, help texts and recipe fields.

The command line of `hsifeat extract`, preset files, ``--like`` and the recipe of a store are derived from
`ExtractionConfig`. The recipe is the set of values that identifies the features of a store. The hash of the recipe is the
store's key. Importing this module imports neither NumPy nor the backbones.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from copy import copy, deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, PlainValidator, PrivateAttr

from hsifeat.base_config import (
    BaseConfig,
    Names,
    Pair,
    Whole,
    WholeOrText,
    expected_error,
    option,
    whole_number,
    whole_numbers,
)
from hsifeat.errors import HsifeatError
from hsifeat.types import MANTISSA_BITS

if TYPE_CHECKING:
    from hsifeat.backbones.protocol import Backbone
    from hsifeat.projection import Projection
else:  # Pydantic evaluates these annotations when it builds the class, and importing the real types takes seconds.
    Backbone = Projection = Any

Stitch = Literal["core", "mean", "hann", "whole"]
Padding = Literal["reflect", "zero"]
StoredDtype = Literal["float16", "float32"]


@dataclass(frozen=True)
class InRecipe:
    """Marker of an option whose value is written to the recipe of a store.

    Attributes
    ----------
    section : str
        Section of the recipe, such as ``tiling``.
    field : str
        Name of the field in the section. [default: the name of the option]
    unused : object
        Value of the field when the option has no effect; see `ExtractionConfig.unused_options`.
    """

    section: str
    field: str = ""
    unused: Any = None

    def path(self, name: str) -> str:
        """Return the dotted name of option `name` in the recipe, in the form ``section.field``."""
        return f"{self.section}.{self.field or name}"


@dataclass(frozen=True)
class InIdentity:
    """Marker of an option whose value is in the section ``backbone`` of the recipe. The backbone writes this section.

    Attributes
    ----------
    section : str
        Subsection of ``backbone`` that contains the value, such as ``conditioning``. [default: no subsection]
    """

    section: str = ""

    def path(self, name: str) -> str:
        """Return the dotted name of option `name`, relative to the section ``backbone``, such as ``conditioning.prompt``."""
        return f"{self.section}.{name}".lstrip(".")


DEFAULT_TIMESTEPS = (0, 50, 100, 200, 400)
"""Default timesteps for a model with 1000 training timesteps. `NoiseSchedule.scale` scales them for other models."""

DEFAULT_BATCH = 16
"""Maximum number of tiles per forward pass for a new store; fewer if the tiles are large and the device is a CPU."""

Mark = TypeVar("Mark", InRecipe, InIdentity)


def _timesteps(value: Any) -> tuple[int, ...] | str:
    if isinstance(value, str):
        if re.fullmatch(r"auto:[0-9]{1,9}", value) is None:
            raise expected_error("whole numbers, or auto:N such as auto:5")
        return value
    return whole_numbers(value)


def _batch(value: Any) -> int | str:
    if value == "auto":
        return "auto"
    number = whole_number(value)
    if number < 1:
        raise expected_error("at least 1, or auto")
    return number


def _backbone(value: Any) -> Any:
    if isinstance(value, bool | int | float | list | dict):
        raise expected_error("a name, a path or a Backbone")
    return value


def _projection(value: Any) -> Any:
    if not isinstance(value, str):
        from hsifeat.projection import Projection as FittedProjection

        if not isinstance(value, FittedProjection):
            raise expected_error("text or a fitted Projection")
    return value


def _none_for_all_bits(bits: int | None) -> int | None:
    """Return None instead of the number of all bits, so that both have the same recipe."""
    return None if bits == MANTISSA_BITS else bits


def _own_copy(pixels: Any) -> Any:
    """Return a copy, so that later changes of the caller's arrays and lists have no effect."""
    return deepcopy(pixels) if isinstance(pixels, list | tuple) else copy(pixels)


class ExtractionConfig(BaseConfig):
    """Extraction options that determine the stored values. `hsifeat.extract` describes each option.

    ``model_fields_set`` has the names of the options that were set explicitly. Some options have no effect in
    combination with certain other options. Such an option is an error if the user set it, and is ignored otherwise.

    Examples
    --------
    >>> config = ExtractionConfig(timesteps=[0, 50], tile=48)
    >>> config.timesteps, config.halo, config.recipe_fields()["tiling"]["padding"]
    ((0, 50), 16, 'reflect')
    """

    _stored_weights: str = PrivateAttr("")

    backbone: Annotated[
        str | Path | Backbone | None,
        PlainValidator(_backbone),
        option(
            "Backbone: context, a diffusers folder, a checkpoint file or a hub model at a commit, see "
            "`hsifeat backbones`.",
            metavar="BACKBONE",
            default="the backbone of --preset or --like, else natural32",
        ),
    ] = None
    timesteps: Annotated[
        tuple[int, ...] | str,
        PlainValidator(_timesteps),
        option(
            "Training timesteps, or auto:N for the N that `hsifeat timesteps` proposes.",
            metavar="T,T,… or auto:N",
            default="0,50,100,200,400 of 1000, scaled for a backbone with another number of timesteps; 0 for context",
        ),
    ] = DEFAULT_TIMESTEPS
    layers: Annotated[
        Names | None,
        option(
            "Names or aliases of layers, see `hsifeat layers`.",
            metavar="LAYER,…",
            default="the middle block and all decoder blocks that run at the timesteps, or the default filters of context",
        ),
    ] = None
    projection: Annotated[
        str | Projection | None,
        PlainValidator(_projection),
        option(
            "Projection from bands to the backbone's channels: rgb, pca:N, bands:i,j,k or all, with options such as "
            "rgb:gamma=0.4.",
            metavar="SPEC",
            default="the projection of the backbone, else rgb for 3 channels and pca:N for N",
        ),
    ] = None
    tile: Annotated[
        Whole,
        option(
            "Side of a tile, or of a window around a pixel, in scene pixels.", unit="px", metavar="PX", ge=1, le=2**16
        ),
        InRecipe("tiling", "tile_px", unused=0),
    ] = 64
    halo: Annotated[
        Whole,
        option(
            "Width of a tile's margin around its core, in scene pixels; neighbouring tiles overlap by twice as much.",
            unit="px",
            metavar="PX",
            ge=0,
            le=2**16,
        ),
        InRecipe("tiling", "halo_px", unused=0),
    ] = 16
    stitch: Annotated[
        Stitch,
        option(
            "How tiles are combined: core keeps the core of each tile, mean and hann average overlapping tiles with equal or "
            "Hann weights, whole processes the scene as one tile."
        ),
        InRecipe("tiling", unused="window"),
    ] = "core"
    padding: Annotated[
        Padding,
        option("Padding beyond the scene's edge, by reflection or by zeros."),
        InRecipe("tiling"),
    ] = "reflect"
    origin: Annotated[
        Pair | None,
        option(
            "Row and column of the first tile's corner, such as -20,-26.",
            unit="px",
            metavar="ROW,COL",
            default="one halo above and left of the scene",
        ),
        InRecipe("tiling"),
    ] = None
    pixels: Annotated[
        Any,
        AfterValidator(_own_copy),
        option(
            "Extract features only at the labelled pixels of this label map, from a window of --tile pixels around each.",
            metavar="LABELS",
            default="the whole scene",
        ),
    ] = None
    noise: Annotated[
        str,
        option(
            "Noise policy: field (one noise field over the scene), shared (the same noise for all tiles), none, or "
            "inversion:N (N steps of DDIM inversion).",
            metavar="POLICY",
        ),
        InRecipe("noise", "policy"),
    ] = "field"
    draws: Annotated[
        Whole,
        option("Number of noise draws over which features are averaged.", metavar="N", ge=1, le=10_000),
        InRecipe("noise"),
    ] = 1
    seed: Annotated[
        Whole,
        option("Seed of the noise, and of an untrained backbone's weights.", metavar="N", ge=0, le=2**32 - 1),
        InRecipe("noise"),
    ] = 0
    companion: Annotated[
        bool,
        option(
            "Input of the backbone: the companion image of the scene (a finer image of the same area), or the bands of the scene.",
            flags="--see-companion/--see-bands",
            default="the bands",
        ),
    ] = False
    class_label: Annotated[
        WholeOrText | None,
        option(
            "Class label for a class-conditional backbone, or mean for the mean of all label embeddings.",
            metavar="N|mean",
        ),
        InIdentity("conditioning"),
    ] = None
    prompt: Annotated[
        str | None,
        option("Text prompt for a text-conditional backbone.", metavar="TEXT"),
        InIdentity("conditioning"),
    ] = None
    upsample: Annotated[
        Whole | None,
        option(
            "Factor by which tiles are enlarged for a latent backbone or an image encoder.",
            metavar="N",
            default="8",
            ge=1,
            le=64,
        ),
        InIdentity(),
    ] = None
    dtype: Annotated[
        StoredDtype,
        option("Data type of the stored features."),
        InRecipe("precision", "stored"),
    ] = "float16"
    mantissa_bits: Annotated[
        Whole | None,
        option(
            "Bits of the mantissa of float16 to keep. Fewer bits compress better: 4 bits save two fifths of the disk space.",
            metavar="N",
            default=f"all {MANTISSA_BITS}",
            ge=1,
            le=MANTISSA_BITS,
        ),
        AfterValidator(_none_for_all_bits),
        InRecipe("precision"),
    ] = None
    batch: Annotated[
        int | str,
        PlainValidator(_batch),
        option("Maximum number of tiles per forward pass.", metavar="N or auto", default=f"auto: the batch of an existing store, else {DEFAULT_BATCH}, or fewer (at least 4) for large tiles on a CPU"),
    ] = "auto"  # fmt: skip

    @property
    def stored_weights(self) -> str:
        """Digest of the weights, from the recipe of the store in `inherited_from`; empty if the source is no store."""
        return self._stored_weights

    def with_stored_weights(self, weights: str) -> ExtractionConfig:
        """Return a copy with another value of `stored_weights`."""
        copy = self.with_values()
        copy._stored_weights = weights  # noqa: SLF001  # of this class
        return copy

    def unused_options(self) -> dict[str, str]:
        """Map the name of each option without effect to the option that makes it ineffective, such as ``stitch='whole'``."""
        unused = {"mantissa_bits": "`dtype='float32'`"} if self.dtype == "float32" else {}
        if self.pixels is not None:
            return unused | dict.fromkeys(("halo", "stitch", "origin"), "`pixels`")
        if self.stitch == "whole":
            return unused | dict.fromkeys(("tile", "halo", "origin"), "`stitch='whole'`")
        return unused

    def check_conflicts(self) -> None:
        """Raise `HsifeatError` if an explicitly set option has no effect in combination with other options."""
        unused = self.unused_options()
        for because in dict.fromkeys(unused.values()):
            self.refuse([name for name in unused if unused[name] == because], because=because)

    def refuse(self, names: Collection[str], *, because: str) -> None:
        """Raise `HsifeatError` if an option in `names` was set explicitly.

        Parameters
        ----------
        names : collection of str
            Names of options that have no effect.
        because : str
            The option that makes the options in `names` ineffective, such as ``stitch='whole'`` between backticks.
        """
        if conflicting := sorted(self.model_fields_set.intersection(names)):
            options = ", ".join(f"`{name}`" for name in conflicting)
            raise HsifeatError(f"no effect with {because}: {options}; leave out these options")

    def recipe_fields(self) -> dict[str, dict[str, Any]]:
        """Return the options as fields of the recipe, grouped by section.

        Options that are None have no field.
        """
        sections: dict[str, dict[str, Any]] = {}
        for name, mark in _marks(InRecipe):
            value = mark.unused if name in self.unused_options() else getattr(self, name)
            section, _, field = mark.path(name).partition(".")
            sections.setdefault(section, {})
            if value is not None:
                sections[section][field] = list(value) if isinstance(value, tuple) else value
        return sections


def options_in_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the extraction options in a recipe. This is the inverse of `ExtractionConfig.recipe_fields`.

    Options that were None or had no effect are left out.
    """
    values = {name: _field(recipe, mark.path(name)) for name, mark in _marks(InRecipe)}
    values |= {name: _field(recipe["backbone"], mark.path(name)) for name, mark in _marks(InIdentity)}
    whole, listed = values["stitch"] == "whole", "pixels" in recipe
    unused = ExtractionConfig.model_construct(
        stitch="whole" if whole else "core", pixels=listed or None
    ).unused_options()
    return {name: value for name, value in values.items() if value is not None and name not in unused}


def _field(tree: Any, path: str) -> Any:
    """Return the value at the dotted name `path` in nested JSON values; None if there is no such value."""
    for name in path.split("."):
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree


def _marks(kind: type[Mark]) -> list[tuple[str, Mark]]:
    """Return the name and mark of each option that has a mark of class `kind`."""
    fields = ExtractionConfig.model_fields.items()
    return [(name, mark) for name, field in fields for mark in field.metadata if isinstance(mark, kind)]
