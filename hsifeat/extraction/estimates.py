"""Estimate the run time and memory of an extraction, for ``--dry-run``."""

from __future__ import annotations

import time

from hsifeat.extraction.plan import Plan
from hsifeat.extraction.runner import Extractor
from hsifeat.store.layout import size_bytes


def seconds_per_pass(extractor: Extractor, plan: Plan) -> float:
    """Measure the run time of a forward pass per tile, on one batch after a warm-up.

    The batch is taken from the first step of the plan that has tiles.

    Returns
    -------
    float
        Seconds per forward pass and tile; 0 if no step of the plan has tiles.
    """
    step = next((step for step in plan.steps if plan.unit_tiles[step.unit]), None)
    if step is None:
        return 0.0
    extractor.backbone.to(extractor.device)
    encoded = extractor.encode_unit(step.unit)
    noised = next(iter(encoded.noised.at(slice(0, extractor.batch), step.t)))
    layers = [plane.id.layer for plane in step.planes]
    for _ in range(2):
        start = time.perf_counter()
        extractor.noise.probe(extractor.backbone, noised, step.t, layers).cpu()
    return (time.perf_counter() - start) / len(noised)


def peak_bytes(extractor: Extractor, plan: Plan) -> int:
    """Estimate the peak memory of an extraction step in bytes, without the model's weights and activations.

    The estimate is the sum of the input tiles of a unit (one shard of each plane), their noise, and the unit's features.
    """
    model_input, tile = extractor.model_input, extractor.tiling.tile
    channels = max(model_input.projection.channels, extractor.backbone.denoiser_channels)
    tile_bytes = 4 * channels * tile[0] * tile[1] * model_input.factor**2
    # Blending keeps float32 sums in addition to the stored float16 values.
    copies = 1 + (4 / 2 if extractor.tiling.blends else 0)
    steps = (
        (1 + extractor.noise.draws) * plan.unit_tiles[step.unit] * tile_bytes
        + copies * sum(size_bytes(plan.layout, plane, step.unit.window) for plane in step.planes)
        for step in plan.steps
    )
    return int(max(steps, default=0))
