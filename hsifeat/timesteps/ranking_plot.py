"""Plot of a timestep ranking: similarity between timesteps, spectral angles, and marks at the proposed timesteps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import HsifeatError
from hsifeat.files import atomic_write, check_output, check_replaced
from hsifeat.formatting import is_hsifeat_png, literal_figure_text, save_png
from hsifeat.timesteps.angles import SpectralAngles
from hsifeat.timesteps.proposal import ELIGIBLE_FRACTION
from hsifeat.timesteps.result import TimestepRanking

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# These colours (Wong, "Color blindness", Nature Methods 8, 2011) and cividis suit readers with colour vision deficiency.
_BLUE, _VERMILLION, _GREY = "#0072b2", "#d55e00", "#6b7078"
_COLOURMAP = "cividis"
_RING: dict[str, Any] = {
    "ls": "none",
    "marker": "o",
    "mfc": "none",
    "mec": _VERMILLION,
    "mew": 1.8,
    "ms": 9,
    "clip_on": False,
    "label": "worth caching",
}
_INCHES, _DPI = 4.6, 150
_MAX_TICKS = 12
# Upper limit of the axis of angles, as a multiple of the mean pixel's angle. Larger angles are not informative.
_MAX_MEAN_ANGLES = 2.5


def check_plot_path(path: Path) -> None:
    """Raise `HsifeatError` if a plot can't be written to the path. See `plot_ranking`."""
    if path.suffix.lower() != ".png":
        raise HsifeatError(f"a plot of timesteps is a .png file; found {path.name!r}")
    check_output(path)
    if not path.parent.is_dir():
        raise HsifeatError(f"no such folder: {path.parent}; create it first")
    check_replaced(path, "picture", is_hsifeat_png)


def plot_ranking(ranking: TimestepRanking, path: str | Path) -> tuple[str, ...]:
    """Plot a timestep ranking to a PNG file, and return a note if letters of names are drawn as boxes.

    Raises
    ------
    HsifeatError
        If the suffix of the path is not ``.png``. If its folder does not exist. If the file exists, and is no picture that
        hsifeat wrote.
    """
    path = Path(path)
    check_plot_path(path)
    from matplotlib.figure import Figure

    maps = [(f"optimal denoiser, {ranking.patches} patches of {ranking.patch_px} px", ranking.denoiser.similarity)]
    if ranking.planes is not None:
        maps.append((f"cached planes of {ranking.planes.layer}, linear CKA", ranking.planes.similarity))
    panels = len(maps) + (ranking.angles is not None)
    with literal_figure_text(**{"font.size": 9}):
        figure = Figure(figsize=(_INCHES * panels, _INCHES), dpi=_DPI, layout="constrained")
        axes = figure.subplots(1, panels, squeeze=False)[0]
        for panel, (title, similarity) in zip(axes, maps, strict=False):
            _draw_map(ranking, panel, title, similarity)
        if ranking.angles is not None:
            _draw_angles(ranking, ranking.angles, axes[-1])
        proposal = ", ".join(map(str, ranking.proposal))
        figure.suptitle(f"{ranking.title}: worth caching are t = {proposal}", fontsize=10)
        with atomic_write(path) as part:
            return save_png(figure, part, path.name)


def _draw_map(ranking: TimestepRanking, axes: Axes, title: str, similarity: NDArray[np.float64]) -> None:
    t, n = ranking.timesteps, len(ranking.timesteps)
    image = axes.imshow(similarity, vmin=0, vmax=1, cmap=_COLOURMAP, origin="lower")
    ticks = range(0, n, -(-n // _MAX_TICKS))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(list(ticks), [str(t[i]) for i in ticks])
    axes.tick_params(axis="x", rotation=60)
    indices = [t.index(timestep) for timestep in ranking.proposal]
    axes.plot(indices, indices, **_RING)
    if similarity is ranking.similarity:
        for first, _ in ranking.intervals[1:]:
            border = t.index(first) - 0.5
            axes.plot([border, border], [-0.5, n - 0.5], color="white", lw=1, ls="--")
            axes.plot([-0.5, n - 0.5], [border, border], color="white", lw=1, ls="--")
    axes.set(title=title, xlabel="timestep", ylabel="timestep")
    axes.figure.colorbar(image, ax=axes, shrink=0.8, label="similarity")


def _draw_angles(ranking: TimestepRanking, angles: SpectralAngles, axes: Axes) -> None:
    axes.plot(ranking.timesteps, angles.degrees, color=_BLUE, marker=".", label="the model's estimate")
    indices = [ranking.timesteps.index(timestep) for timestep in ranking.proposal]
    axes.plot([ranking.timesteps[i] for i in indices], angles.degrees[indices], **_RING)
    mean_pixel = angles.mean_pixel_degrees
    axes.axhline(mean_pixel, color=_GREY, ls="--", lw=1, label="the mean of all pixels")
    axes.axhline(
        ELIGIBLE_FRACTION * mean_pixel, color=_GREY, ls=":", lw=1.5, label="half of this angle (limit of eligibility)"
    )
    axes.set(title=f"angle to the clean pixel, in {angles.space}", xlabel="timestep", ylabel="degrees")
    axes.set_ylim(0, min(1.1 * float(angles.degrees.max()), _MAX_MEAN_ANGLES * mean_pixel) or 1)
    axes.legend(frameon=False, fontsize=8)
