"""Choice of the projection from the bands of an image to the channels of a backbone."""

from __future__ import annotations

import re
from pathlib import Path

from hsifeat.errors import ProjectionError
from hsifeat.projection.fit import fit_projection
from hsifeat.projection.image import SpectralImage
from hsifeat.projection.projection import Projection
from hsifeat.projection.spec import parse_projection
from hsifeat.scenes import Scene

IMAGE_CLIP = 2.5
"""Default number of standard deviations at which the input of image models is clipped."""


def match_scene(
    scene: Scene, projection: str | Projection | None, backbone: object, origin: str = "the scene of the projection"
) -> Scene:
    """Return a scene with the bands that a fitted projection takes as input; see `Scene.matched_to`.

    Parameters
    ----------
    scene : Scene
        The scene.
    projection : str, Projection or None
        A projection. A text describes a projection that is still to be fitted: the scene is then returned unchanged. None
        selects the projection that the backbone was trained with, if there is one.
    backbone : object
        The backbone, which may have a ``projection_file``.
    origin : str
        Origin of `projection`, for notes and error messages.

    Raises
    ------
    SceneError
        If the scene lacks a band.
    """
    file = getattr(backbone, "projection_file", None)
    if projection is None and file is not None:
        projection, origin = Projection.load(file), f"the scenes that {getattr(backbone, 'name', '')} was trained on"
    if not isinstance(projection, Projection):
        return scene
    if scene.bands != projection.bands and (scene.wavelengths_nm is None or projection.wavelengths_nm is None):
        return scene  # An error of the projection states both numbers of bands.
    return scene.matched_to(
        projection.wavelengths_nm, projection.bands, origin, projection.band_names, projection.scale
    )


def default_projection(
    image: SpectralImage,
    projection: str | Projection | None,
    *,
    backbone: str,
    channels: int,
    projection_file: Path | None,
) -> Projection:
    """Return a fitted projection from the bands of an image to the channels of a backbone.

    Parameters
    ----------
    image : SpectralImage
        Image to project.
    projection : str, Projection or None
        A fitted projection, or the text form of a projection that is fitted on the image; see `fit_projection`. None
        selects the projection in `projection_file`. If `projection_file` is None too, the form is ``rgb`` for three
        channels and ``pca:N`` for any other number N of channels. Without a `projection_file`, ``pca`` and ``all`` have
        the default option ``:clip=2.5``.
    backbone : str
        Name of the backbone, for error messages.
    channels : int
        Number of input channels of the backbone.
    projection_file : Path or None
        File of the projection that the backbone was trained with; None if no such file exists.

    Returns
    -------
    Projection
        The fitted projection, with `channels` channels.

    Raises
    ------
    ProjectionError
        If the text form is invalid, or a projection of this form can't be fitted on the image. If `projection_file` is
        damaged. If the projection does not match the bands of the image or the channels of the backbone.
    """
    if isinstance(projection, Projection):
        fitted = projection
    elif projection is None and projection_file is not None:
        fitted = Projection.load(projection_file)
    else:
        text = projection or ("rgb" if channels == 3 else f"pca:{channels}")
        fitted = fit_projection(text if projection_file is not None else _clip(text), image)
    fitted.check(image)
    if fitted.channels != channels:
        raise ProjectionError(
            f"the projection {fitted.spec} gives {fitted.channels} channels, but {backbone} takes {channels}: "
            "choose another projection with `projection`"
        )
    return fitted


def _clip(text: str) -> str:
    """Add a clip at 2.5 standard deviations to the text form of a projection, unless the text states a clip.

    The clip keeps the input of an image model in [-1, 1]. Only the forms ``pca`` and ``all`` get a clip.
    """
    parsed = parse_projection(text)
    if parsed.kind not in {"pca", "all"} or parsed.clip is not None:
        return text
    return re.sub(r"^(all|pca:\d+)", rf"\1:clip={IMAGE_CLIP:g}", text)
