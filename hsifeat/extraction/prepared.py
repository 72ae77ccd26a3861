"""Result of preparing an extraction, without the location of the store."""

from __future__ import annotations

from dataclasses import dataclass

from hsifeat.extraction.config import ExtractionConfig
from hsifeat.extraction.extractor import Extractor
from hsifeat.store.layout import PlaneSpec
from hsifeat.store.recipe import Recipe


@dataclass(frozen=True)
class Prepared:
    """Options, extractor, planes and recipe of an extraction; `Job` describes them."""

    config: ExtractionConfig
    extractor: Extractor
    planes: tuple[PlaneSpec, ...]
    recipe: Recipe
