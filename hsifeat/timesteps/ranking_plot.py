"""The picture of a ranking: a map for each kind of redundancy, the angles below, and the proposal in all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import HsifeatError
from hsifeat.files import atomic_write
from hsifeat.timesteps.proposal import BOUND

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from hsifeat.timesteps.angles import Angles
    from hsifeat.timesteps.result import TimestepRanking

# Wong 2011, "Color blindness", Nature Methods 8; cividis is made for the same eyes.
_BLUE, _VERMILLION, _GREY = "#0072b2", "#d55e00", "#6b7078"
_COLOURS = "cividis"
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
_MOST_TICKS = 12
# Angles are drawn up to so many times that of the mean pixel: what lies above is far from any use.
_MOST_MEANS = 2.5


def check_path(path: Path) -> None:
    """Raise `HsifeatError` unless a picture can be written there."""
    if path.suffix.lower() != ".png":
        raise HsifeatError(f"the picture of timesteps is a .png; found {path.name!r}")
    if not path.parent.is_dir():
        raise HsifeatError(f"no such folder: {path.parent}")


def write_picture(ranking: TimestepRanking, path: Path) -> None:
    """Write the picture as PNG; `HsifeatError` for another suffix or a missing folder."""
    check_path(path)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    maps = [(f"optimal denoiser, {ranking.patches} patches of {ranking.patch_px} px", ranking.denoiser.similarity)]
    if ranking.planes is not None:
        maps.append((f"cached planes of {ranking.planes.layer}, linear CKA", ranking.planes.similarity))
    panels = len(maps) + (ranking.angles is not None)
    # Names of scenes and layers are text, not formulas.
    with mpl.rc_context({"text.parse_math": False, "font.size": 9}):
        figure = Figure(figsize=(_INCHES * panels, _INCHES), dpi=_DPI, layout="constrained")
        axes = figure.subplots(1, panels, squeeze=False)[0]
        for panel, (title, values) in zip(axes, maps, strict=False):
            _map(ranking, panel, title, values)
        if ranking.angles is not None:
            _angles(ranking, ranking.angles, axes[-1])
        seen = f"{ranking.scene} through {ranking.projection}" + (f", {ranking.backbone}" if ranking.backbone else "")
        figure.suptitle(f"{seen}: worth caching are t = {', '.join(map(str, ranking.proposal))}", fontsize=10)
        with atomic_write(path) as part:
            figure.savefig(part, format="png")


def _map(ranking: TimestepRanking, axes: Axes, title: str, values: NDArray[np.float64]) -> None:
    t, n = ranking.timesteps, len(ranking.timesteps)
    image = axes.imshow(values, vmin=0, vmax=1, cmap=_COLOURS, origin="lower")
    shown = range(0, n, -(-n // _MOST_TICKS))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(list(shown), [str(t[i]) for i in shown])
    axes.tick_params(axis="x", rotation=60)
    chosen = [t.index(one) for one in ranking.proposal]
    axes.plot(chosen, chosen, **_RING)
    if values is ranking.redundancy:
        for first, _ in ranking.intervals[1:]:
            at = t.index(first) - 0.5
            axes.plot([at, at], [-0.5, n - 0.5], color="white", lw=1, ls="--")
            axes.plot([-0.5, n - 0.5], [at, at], color="white", lw=1, ls="--")
    axes.set(title=title, xlabel="timestep", ylabel="timestep")
    axes.figure.colorbar(image, ax=axes, shrink=0.8, label="similarity")


def _angles(ranking: TimestepRanking, angles: Angles, axes: Axes) -> None:
    axes.plot(ranking.timesteps, angles.degrees, color=_BLUE, marker=".", label="the model's estimate")
    chosen = [ranking.timesteps.index(one) for one in ranking.proposal]
    axes.plot(
        [ranking.timesteps[i] for i in chosen],
        angles.degrees[chosen],
        **_RING,
    )
    axes.axhline(angles.of_mean, color=_GREY, ls="--", lw=1, label="the mean of all pixels")
    axes.axhline(BOUND * angles.of_mean, color=_GREY, ls=":", lw=1.5, label="half of that: still resembles")
    axes.set(title=f"angle to the clean pixel, in {angles.within}", xlabel="timestep", ylabel="degrees")
    axes.set_ylim(0, min(1.1 * float(angles.degrees.max()), _MOST_MEANS * angles.of_mean) or 1)
    axes.legend(frameon=False, fontsize=8)
