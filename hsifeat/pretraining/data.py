"""Training data and held-out data: natural images, or patches of scenes that share one projection."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import PretrainingError
from hsifeat.formatting import format_count
from hsifeat.pretraining.batches import Sampler
from hsifeat.pretraining.image_files import digest_images, load_images
from hsifeat.pretraining.image_sampler import ImageSampler
from hsifeat.pretraining.network_spec import ImageOptions, NetworkSpec
from hsifeat.pretraining.patch_grid import PatchGrid, choose_held_out_blocks
from hsifeat.pretraining.patch_sampler import PatchSampler
from hsifeat.projection import ProjectedScene, Projection
from hsifeat.projection.fit import fit_band_ranges, fit_components
from hsifeat.runtime.events import Listener, Note
from hsifeat.scenes import Scene
from hsifeat.scenes.band_matching import names_of_bands
from hsifeat.scenes.temporary_copy import TemporaryCopy
from hsifeat.types import Cube, Window

# Largest number of held-out blocks of all scenes together. Each block is evaluated in its 8 symmetries.
_MAX_BLOCKS = 8
# Largest share of the free disk space that a temporary copy of the channels may take.
_DISK_SHARE = 0.8


@dataclass(frozen=True)
class TrainingData:
    """The data that a network is trained and evaluated on.

    Attributes
    ----------
    sampler : Sampler
        Source of the training batches.
    identity : dict
        Plain JSON values that describe the data, including digests of the content.
    read_held_out : callable
        Function without arguments that returns the held-out images as an (n, channels, side, side) float32 array, or None
        if no image is held out.
    projection : Projection or None
        Projection from the bands of the scenes to the channels of the network; None for natural images.
    """

    sampler: Sampler
    identity: dict[str, Any]
    read_held_out: Callable[[], NDArray[np.float32] | None]
    projection: Projection | None = None


def match_scenes(scenes: Sequence[Scene]) -> list[Scene]:
    """Return all scenes, reduced to the bands of the first scene; see `Scene.matched_to`.

    Raises
    ------
    SceneError
        If a band of the first scene has no counterpart in another scene; see `hsifeat.scenes.band_matching.match_bands`.
    """
    first = scenes[0]
    wanted = first.wavelengths_nm, first.bands, first.name, names_of_bands(first), first.scale
    return [scene.matched_to(*wanted) for scene in scenes]


def fit_scenes(scenes: Sequence[Scene], spec: NetworkSpec, components: int | None, listen: Listener) -> Projection:
    """Fit one projection from the bands of scenes to the channels of a network, on the valid pixels of all scenes.

    Parameters
    ----------
    scenes : sequence of Scene
        One or more scenes with the same bands; see `match_scenes`.
    spec : NetworkSpec
        Specification with the kind of projection, the number of components and the side of the patches.
    components : int or None
        Number of principal components or of selected bands. None selects ``spec.components``, but at most the number of
        bands.
    listen : callable
        Receives notes on the scenes.

    Returns
    -------
    Projection
        The fitted projection.

    Raises
    ------
    PretrainingError
        If a scene is smaller than a patch.
    ProjectionError
        If a scene has no valid pixels, or if the number of components exceeds the rank of the pixels.
    """
    for scene in scenes:
        for note in (*scene.notes, *scene.validity_notes):
            listen(Note(note))
        _check_scene(scene, spec.patch_px)
    bands = scenes[0].bands
    count = components or min(spec.components or bands, bands)
    projection = (fit_components if spec.projection == "pca" else fit_band_ranges)(count, scenes)
    first = scenes[0]
    return replace(projection, wavelengths_nm=first.wavelengths_nm, band_names=names_of_bands(first), scale=first.scale)


def prepare_scenes(
    scenes: Sequence[Scene], projection: Projection, spec: NetworkSpec, seed: int, listen: Listener
) -> TrainingData:
    """Prepare training patches from scenes.

    Parameters
    ----------
    scenes : sequence of Scene
        One or more scenes.
    projection : Projection
        Projection from the bands of the scenes to the channels of the network.
    spec : NetworkSpec
        Specification with the side of the patches and the distribution of the timesteps.
    seed : int
        Seed of the batches.
    listen : callable
        Receives notes on held-out blocks.

    Returns
    -------
    TrainingData
        Sampler of the patches, and held-out patches.

    Raises
    ------
    PretrainingError
        If a scene has no patch with a valid centre.
    """
    blocks = _choose_blocks(scenes, spec.patch_px)
    grids = [PatchGrid(scene.valid, spec.patch_px, held_out) for scene, held_out in zip(scenes, blocks, strict=True)]
    for scene, grid in zip(scenes, grids, strict=True):
        if not len(grid):
            raise PretrainingError(
                f"{scene.name} has no valid pixel in the middle of a patch of {spec.patch_px} px: leave it out, or take a "
                "network with smaller patches"
            )
    listen(Note(_describe_held_out(scenes, grids)))
    channels = [project_for_patches(scene, projection, listen) for scene in scenes]
    sampler = PatchSampler(channels, grids, spec.timesteps, seed)
    identity = {
        "scenes": [
            {
                "name": scene.name,
                "digest": scene.digest,
                "licence": scene.licence,
                "citation": scene.citation,
                "held_out": [[block.row, block.col, block.rows, block.cols] for block in held_out],
            }
            for scene, held_out in zip(scenes, blocks, strict=True)
        ],
        "projection": {"spec": projection.spec, "digest": projection.digest},
    }
    return TrainingData(sampler, identity, sampler.read_held_out, projection)


def prepare_images(
    sources: Sequence[str | Path], spec: NetworkSpec, options: ImageOptions, folder: Path, seed: int, listen: Listener
) -> TrainingData:
    """Prepare training data from the images in folders or tar archives.

    Parameters
    ----------
    sources : sequence of str or Path
        Folders or tar archives of image files.
    spec : NetworkSpec
        Specification with the side of the images and the distribution of the timesteps.
    options : ImageOptions
        Settings of the sampler.
    folder : Path
        Folder of the model. The decoded images are stored in its parent folder.
    seed : int
        Seed of the batches.
    listen : callable
        Receives progress events, and notes on skipped files and on held-out images.

    Returns
    -------
    TrainingData
        Sampler of the images, and held-out images.

    Raises
    ------
    PretrainingError
        If a source does not exist, is damaged, or has no readable images.
    """
    images = [load_images(source, spec.patch_px, folder, listen) for source in sources]
    sampler = ImageSampler(images, options.max_held_out, spec.timesteps, seed, options.crops_px, options.mixes_channels)
    held_out = sampler.held_out
    described = [
        {"name": Path(source).name, "digest": digest_images(pixels), "count": len(pixels)}
        for source, pixels in zip(sources, images, strict=True)
    ]
    identity = {"images": {"sources": described, "held_out": len(held_out)}}
    listen(
        Note(f"{format_count(sum(map(len, images)), 'image')} of {spec.patch_px} px, {len(held_out)} of them held out")
    )
    return TrainingData(sampler, identity, lambda: held_out)


def project_for_patches(scene: Scene, projection: Projection, listen: Listener) -> Cube:
    """Return the projected channels of a scene as an array that is fast to read in small patches.

    A scene in memory is projected patch by patch. A scene on disk may be compressed, and each read of a patch would
    decompress a part of the scene again. If the disk has enough space, the channels of a scene on disk are therefore
    written once to a temporary file.

    Parameters
    ----------
    scene : Scene
        A scene in memory or on disk.
    projection : Projection
        Projection from the bands of the scene to channels.
    listen : callable
        Receives a note if the temporary file is large or does not fit on the disk.

    Returns
    -------
    array-like of shape (rows, cols, channels), float32
        The channels.
    """
    channels = ProjectedScene(scene.cube, projection, scene.valid)
    if isinstance(scene.cube, np.ndarray):
        return channels
    folder, size = tempfile.gettempdir(), int(np.prod(channels.shape)) * channels.dtype.itemsize
    if size > _DISK_SHARE * shutil.disk_usage(folder).free:
        listen(
            Note(
                f"{scene.name}: {size / 2**30:.2g} GiB of channels do not fit into {folder}, so the file is unpacked for every "
                "patch, which is slow; set TMPDIR to a folder with more room"
            )
        )
        return channels
    if size > 2**30:
        listen(Note(f"{scene.name}: {size / 2**30:.2g} GiB of channels are written to a temporary file in {folder}"))
    return TemporaryCopy(channels)


def _check_scene(scene: Scene, patch_px: int) -> None:
    if min(scene.rows, scene.cols) < patch_px:
        raise PretrainingError(
            f"{scene.name} is {scene.rows} x {scene.cols} px, smaller than a patch of {patch_px}: "
            "take a larger scene or a network with smaller patches"
        )


def _choose_blocks(scenes: Sequence[Scene], patch_px: int) -> list[tuple[Window, ...]]:
    """Return the held-out blocks of each scene.

    A block has the side of a patch. If such blocks fit into no scene, the side is halved.
    """
    count = max(1, _MAX_BLOCKS // len(scenes))
    for side_px in (patch_px, patch_px // 2):
        blocks = [choose_held_out_blocks(scene.valid, patch_px, side_px, count) for scene in scenes]
        if any(blocks):
            break
    return blocks


def _describe_held_out(scenes: Sequence[Scene], grids: Sequence[PatchGrid]) -> str:
    blocks = [block for grid in grids for block in grid.held_out]
    patches = sum(len(grid) for grid in grids)
    if not blocks:
        names = ", ".join(scene.name for scene in scenes)
        return f"{patches:,} patches; {names}: too small to hold out a block, so there is no held-out loss"
    lost = sum(len(PatchGrid(grid.valid, grid.patch_px)) for grid in grids) - patches
    return (
        f"{patches:,} patches; {len(blocks)} block{'s' * (len(blocks) > 1)} of {blocks[0].rows} px held out, which "
        f"{100 * lost / (patches + lost):.1f} % of all patches touch"
    )
