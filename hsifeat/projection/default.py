"""Which projection a backbone gets where none is asked for."""

from __future__ import annotations

from pathlib import Path

from hsifeat.errors import ProjectionError
from hsifeat.projection.fit import fit_projection
from hsifeat.projection.projection import Projection
from hsifeat.scenes.scene import Scene


def usual_projection(
    scene: Scene, asked: str | Projection | None, *, name: str, channels: int, brought: Path | None
) -> Projection:
    """Settle the projection from a scene's bands to a backbone's channels.

    Parameters
    ----------
    scene : Scene
        What is projected; fitted on, unless a fitted projection is at hand.
    asked : str, Projection or None
        As `fit_projection` takes it, or a fitted one. None: the one that the backbone was trained behind, else ``rgb`` for
        three channels and ``pca:N`` for others.
    name : str
        The backbone's, for messages.
    channels : int
        Channels that the backbone takes.
    brought : Path or None
        File of the projection that the backbone was trained behind.

    Raises
    ------
    ProjectionError
        It does not fit the scene's bands, or not the backbone's channels.
    """
    if isinstance(asked, Projection):
        fitted = asked
    elif asked is None and brought is not None:
        fitted = Projection.load(brought)
    else:
        fitted = fit_projection(asked or ("rgb" if channels == 3 else f"pca:{channels}"), scene)
    fitted.check(scene)
    if fitted.channels != channels:
        raise ProjectionError(
            f"the projection {fitted.spec} gives {fitted.channels} channels, but {name} takes {channels}"
        )
    return fitted
