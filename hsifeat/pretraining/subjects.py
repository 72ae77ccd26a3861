"""What a network is trained on: a scene behind a projection fitted to it, or natural images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.pretraining.batches import Sampler
from hsifeat.pretraining.image_files import digest_images, load_images
from hsifeat.pretraining.images import ImageSampler
from hsifeat.pretraining.patches import PatchSampler
from hsifeat.pretraining.presets import TIMESTEPS, ImageTraining, Preset
from hsifeat.projection import Projection, fit_projection
from hsifeat.scenes import Scene
from hsifeat.work.events import Listener, Note


@dataclass(frozen=True)
class Subject:
    """What a network is trained on.

    Attributes
    ----------
    name : str
        What people call it.
    sampler : Sampler
        Gives batches of it.
    identity : dict
        What tells it from others, as plain JSON values.
    projection : Projection or None
        What the network sees a scene through.
    held_out : callable or None
        Gives images that are never trained on.
    """

    name: str
    sampler: Sampler
    identity: dict[str, Any]
    projection: Projection | None = None
    held_out: Callable[[], NDArray[np.float32]] | None = None


def of_scene(scene: Scene, preset: Preset, components: int | None, seed: int, listen: Listener) -> Subject:
    """Take a scene's own patches, after PCA."""
    for note in scene.notes:
        listen(Note(note))
    projection = fit_projection(f"pca:{components or min(preset.components, scene.bands)}", scene)
    sampler = PatchSampler(scene, projection, preset.patch_px, TIMESTEPS, seed)
    sampler.draw(0, 1)  # A scene that no patch fits is refused before a folder is made.
    identity = {
        "scene": {"name": scene.name, "digest": scene.digest, "licence": scene.licence, "citation": scene.citation},
        "projection": {"spec": projection.spec, "digest": projection.digest},
    }
    return Subject(scene.name, sampler, identity, projection)


def of_images(
    source: str | Path, preset: Preset, images: ImageTraining, beside: Path, seed: int, listen: Listener
) -> Subject:
    """Take the images of a folder or archive; decoded, they lie beside the model's folder."""
    decoded = load_images(source, preset.patch_px, beside, listen)
    sampler = ImageSampler(decoded, images.held_out, TIMESTEPS, seed)
    held_out = sampler.held_out
    identity = {
        "images": {
            "name": Path(source).name,
            "digest": digest_images(decoded),
            "count": len(decoded),
            "held_out": len(held_out),
        }
    }
    listen(Note(f"{len(decoded)} images of {preset.patch_px} px, {len(held_out)} of them held out"))
    return Subject(str(source), sampler, identity, held_out=lambda: held_out)
