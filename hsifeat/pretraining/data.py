"""What a network is trained on: scenes behind one projection fitted to all of them, or natural images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import PretrainingError
from hsifeat.pretraining.batches import Sampler
from hsifeat.pretraining.image_files import digest_images, load_images
from hsifeat.pretraining.image_sampler import ImageSampler
from hsifeat.pretraining.networks import ImageTraining, Preset
from hsifeat.pretraining.patch_grid import Corners, hold_out
from hsifeat.pretraining.patch_sampler import PatchSampler
from hsifeat.pretraining.projected_scene import seen
from hsifeat.projection import Projection
from hsifeat.projection.fit import fit_components
from hsifeat.runtime.events import Listener, Note
from hsifeat.scenes import Scene
from hsifeat.types import Window

# Blocks that are held out, of all scenes together: each is judged in its 8 symmetries.
_MOST_BLOCKS = 8


@dataclass(frozen=True)
class Subject:
    """What a network is trained on.

    Attributes
    ----------
    sampler : Sampler
        Gives batches of it.
    identity : dict
        What tells it from others, as plain JSON values.
    held_out : callable
        Gives (n, channels, side, side) float32 images that are never trained on, or None.
    projection : Projection or None
        What the network sees scenes through.
    """

    sampler: Sampler
    identity: dict[str, Any]
    held_out: Callable[[], NDArray[np.float32] | None]
    projection: Projection | None = None


def of_scenes(scenes: Sequence[Scene], preset: Preset, components: int | None, seed: int, listen: Listener) -> Subject:
    """Take patches of scenes with the same bands, after a PCA of all their valid pixels.

    Raises
    ------
    PretrainingError
        Scenes of unlike bands, or one that no patch fits into.
    ProjectionError
        A scene without valid pixels, or too few components that tell pixels apart.
    """
    for scene in scenes:
        for note in scene.notes:
            listen(Note(note))
        _check(scene, scenes[0], preset.patch_px)
    projection = fit_components(components or min(preset.components, scenes[0].bands), scenes)
    blocks = _held_out(scenes, preset.patch_px)
    corners = [Corners(scene.valid, preset.patch_px, held) for scene, held in zip(scenes, blocks, strict=True)]
    for scene, of in zip(scenes, corners, strict=True):
        if not len(of):
            raise PretrainingError(
                f"{scene.name} has no valid pixel that a patch of {preset.patch_px} px fits around: leave it out, or take "
                "a preset with smaller patches"
            )
    listen(Note(_say_held_out(scenes, corners)))
    sampler = PatchSampler([seen(s, projection, listen) for s in scenes], corners, preset.timesteps, seed)
    identity = {
        "scenes": [
            {
                "name": scene.name,
                "digest": scene.digest,
                "licence": scene.licence,
                "citation": scene.citation,
                "held_out": [[b.row, b.col, b.rows, b.cols] for b in held],
            }
            for scene, held in zip(scenes, blocks, strict=True)
        ],
        "projection": {"spec": projection.spec, "digest": projection.digest},
    }
    return Subject(sampler, identity, sampler.held_out, projection)


def _check(scene: Scene, first: Scene, patch_px: int) -> None:
    if scene.bands != first.bands:
        raise PretrainingError(
            f"{first.name} has {first.bands} bands and {scene.name} has {scene.bands}: one network learns from scenes with "
            "the same bands; leave out others with --bad-bands, or train a network for each"
        )
    if min(scene.rows, scene.cols) < patch_px:
        raise PretrainingError(
            f"{scene.name} is {scene.rows} x {scene.cols} px, smaller than a patch of {patch_px}: "
            "take a larger scene or a preset with smaller patches"
        )


def _held_out(scenes: Sequence[Scene], patch_px: int) -> list[tuple[Window, ...]]:
    """Choose held-out blocks of a patch's side; of half of it, where those cost every scene too many patches."""
    most = max(1, _MOST_BLOCKS // len(scenes))
    for side_px in (patch_px, patch_px // 2):
        blocks = [hold_out(scene.valid, patch_px, side_px, most) for scene in scenes]
        if any(blocks):
            break
    return blocks


def _say_held_out(scenes: Sequence[Scene], corners: Sequence[Corners]) -> str:
    blocks = [block for of in corners for block in of.held_out]
    patches = sum(len(of) for of in corners)
    if not blocks:
        names = ", ".join(scene.name for scene in scenes)
        return f"{patches:,} patches; {names}: too small to hold out a block, so there is no held-out loss"
    lost = sum(len(Corners(of.valid, of.patch_px)) for of in corners) - patches
    return (
        f"{patches:,} patches; {len(blocks)} block{'s' * (len(blocks) > 1)} of {blocks[0].rows} px held out, which "
        f"{100 * lost / (patches + lost):.1f} % of all patches touch"
    )


def of_images(
    source: str | Path, preset: Preset, images: ImageTraining, beside: Path, seed: int, listen: Listener
) -> Subject:
    """Take the images of a folder or archive; decoded, they lie beside the model's folder."""
    decoded = load_images(source, preset.patch_px, beside, listen)
    sampler = ImageSampler(decoded, images.held_out, preset.timesteps, seed)
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
    return Subject(sampler, identity, lambda: held_out)
