"""Description of a backbone: its layers, noise schedule and identity, without its network."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from hsifeat.backbones.protocol import Backbone
from hsifeat.backbones.schedule import NoiseSchedule
from hsifeat.types import Tap


class BackboneDescription(BaseModel):
    """Everything that the preparation of an extraction reads from a backbone, as plain JSON values.

    Attributes
    ----------
    name, source, channels, denoiser_channels, cell_px, taps, projection_file
        Attributes of the backbone; see `Backbone`.
    alphas_cumprod : list of float
        Noise schedule of the backbone: cumulative products of its alphas, exact float32 values.
    prediction : str
        Quantity that the denoiser predicts; see `NoiseSchedule`.
    outputs : dict
        Result of the backbone's method `identity`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str
    channels: int = Field(ge=1)
    denoiser_channels: int = Field(ge=1)
    cell_px: Fraction
    taps: list[Tap]
    alphas_cumprod: list[float]
    prediction: str
    projection_file: Path | None
    outputs: dict[str, Any]

    @classmethod
    def of(cls, backbone: Backbone) -> Self:
        """Describe a backbone. The method lists the layers and digests the weights, which can take seconds."""
        return cls(
            name=backbone.name,
            source=getattr(backbone, "source", ""),
            channels=backbone.channels,
            denoiser_channels=backbone.denoiser_channels,
            cell_px=backbone.cell_px,
            taps=backbone.taps,
            alphas_cumprod=backbone.schedule.alphas_cumprod.tolist(),
            prediction=backbone.schedule.prediction,
            # One description serves all working directories, so it holds no relative path.
            projection_file=backbone.projection_file and backbone.projection_file.absolute(),
            outputs=backbone.identity(),
        )

    @cached_property
    def schedule(self) -> NoiseSchedule:
        """Noise schedule that the denoiser was trained with."""
        return NoiseSchedule(np.asarray(self.alphas_cumprod, np.float32), self.prediction)

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the layers' outputs, as plain JSON values."""
        return self.outputs
