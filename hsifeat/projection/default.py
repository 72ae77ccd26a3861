"""The projection that a backbone gets by default, and the check that a projection fits image and backbone."""

from __future__ import annotations

from pathlib import Path

from hsifeat.errors import ProjectionError
from hsifeat.projection.fit import fit_projection
from hsifeat.projection.image import SpectralImage
from hsifeat.projection.projection import Projection


def default_projection(
    image: SpectralImage,
    projection: str | Projection | None,
    *,
    backbone: str,
    channels: int,
    projection_file: Path | None,
) -> Projection:
    """Fit the requested projection, or the default one, to an image and a backbone.

    Parameters
    ----------
    image : SpectralImage
        The image to project; the projection is fitted on it unless it is fitted already.
    projection : str, Projection or None
        As `fit_projection` takes it, or a fitted projection. [default: the one that the backbone was trained with, else
        ``rgb`` for three channels and ``pca:N`` for N]
    backbone : str
        Name of the backbone in messages.
    channels : int
        Number of channels that the backbone takes.
    projection_file : Path or None
        File of the projection that the backbone was trained with.

    Returns
    -------
    Projection

    Raises
    ------
    ProjectionError
        The projection does not fit the bands of the image or the channels of the backbone.
    """
    if isinstance(projection, Projection):
        fitted = projection
    elif projection is None and projection_file is not None:
        fitted = Projection.load(projection_file)
    else:
        fitted = fit_projection(projection or ("rgb" if channels == 3 else f"pca:{channels}"), image)
    fitted.check(image)
    if fitted.channels != channels:
        raise ProjectionError(
            f"the projection {fitted.spec} gives {fitted.channels} channels, but {backbone} takes {channels}: "
            "name another with --projection"
        )
    return fitted
