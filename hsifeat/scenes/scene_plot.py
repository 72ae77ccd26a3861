"""A picture of a scene: false colour beside each of its label maps, with the names of the classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.files import whole
from hsifeat.scenes.colours import false_colour, rgb_bands
from hsifeat.scenes.label_map import Labels
from hsifeat.scenes.scene import Scene

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch

MAX_PX = 1000
_PANEL_INCHES, _DPI = 4.2, 150
# A scene this much wider than high has its panels one below the other, and the legend below them.
_WIDE = 1.6
_LINES, _MOST_ENTRIES, _MOST_LETTERS = 22, 110, 40
_SOFTWARE = {"Software": "hsifeat"}


def scene_plot_path(scene: Scene, out: Path | None) -> Path:
    """Return where the picture goes: `out`, or ``NAME.png`` in the current folder unless that is somebody else's.

    Raises
    ------
    SceneError
        Another suffix than ``.png``, a missing folder, or a file in the way of the default.
    """
    path = Path(f"{scene.name.replace('/', '-')}.png") if out is None else out
    if path.suffix.lower() != ".png":
        raise SceneError(f"the picture of a scene is a .png; found {path.name!r}")
    if not path.parent.is_dir():
        raise SceneError(f"no such folder: {path.parent}")
    if out is None and path.exists() and not _is_ours(path):
        raise SceneError(f"{path} is there and is not a picture that hsifeat wrote: name another with --out FILE.png")
    return path


def write_scene_plot(scene: Scene, path: Path) -> None:
    """Write the picture as PNG; a scene of more than `MAX_PX` along a side is drawn by every n-th pixel."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    step = -(-max(scene.rows, scene.cols) // MAX_PX)
    labels = list(scene.labels.values())
    wide = scene.cols / scene.rows > _WIDE
    count = 1 + len(labels)
    height = _PANEL_INCHES if not wide else max(2 * _PANEL_INCHES * scene.rows / scene.cols, 0.6) + 0.4
    width = 2 * _PANEL_INCHES if wide else max(_PANEL_INCHES * scene.cols / scene.rows, 1.6)
    grid, size = ((count, 1), (width, count * height)) if wide else ((1, count), (count * width, height))
    common = _common_legend(labels)
    lines = min(len(common), _MOST_ENTRIES + 1)
    letters = 6 + max((len(name) for name, _ in common), default=0)
    if wide:
        columns = max(1, int(14 * width / letters))
        size = (width, size[1] + 0.2 * -(-lines // columns))
    else:
        columns = -(-lines // _LINES)
        size = (size[0] + columns * 0.075 * letters, height)
    # Names of files and classes are text, not formulas.
    with mpl.rc_context({"text.parse_math": False, "font.size": 8}):
        figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
        axes = figure.subplots(*grid, squeeze=False).ravel()
        _panel(axes[0], false_colour(scene.cube, scene.wavelengths_nm, scene.valid, step), _bands(scene))
        for one, own in zip(labels, axes[1:], strict=True):
            _panel(own, _painted(one, step), f"{one.name}: {sum(one.counts.values())} pixels")
            if not common:
                own.legend(handles=_patches(_entries(one)), loc="upper center", bbox_to_anchor=(0.5, 0), ncols=2)
        if common:
            place = "outside lower center" if wide else "outside right upper"
            figure.legend(handles=_patches(common), loc=place, ncols=columns, frameon=False)
        with whole(path) as part:
            figure.savefig(part, format="png", metadata=_SOFTWARE)


def _panel(axes: Axes, image: NDArray[np.uint8], title: str) -> None:
    axes.imshow(image, interpolation="none")
    axes.set_title(title, fontsize=8)
    axes.set_axis_off()


def _bands(scene: Scene) -> str:
    chosen, nm = rgb_bands(scene.bands, scene.wavelengths_nm), scene.wavelengths_nm
    names = [f"{band}" if nm is None else f"{nm[band]:.0f}" for band in chosen]
    return f"{scene.name}: {'bands ' if nm is None else ''}{', '.join(names)}{'' if nm is None else ' nm'}"


def _painted(labels: Labels, step: int) -> NDArray[np.uint8]:
    """Draw a label map, unlabelled pixels black."""
    seen = labels.classes[::step, ::step]
    picture = np.zeros((*seen.shape, 3), np.uint8)
    for number, colour in labels.class_colours.items():
        picture[seen == number] = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return picture


def _entries(labels: Labels) -> list[tuple[str, str]]:
    """Return name and colour of each class that occurs."""
    return [(name[:_MOST_LETTERS], labels.class_colours[number]) for number, name in sorted(labels.class_names.items())]


def _common_legend(maps: list[Labels]) -> list[tuple[str, str]]:
    """Return name and colour of each class of all maps, or nothing where a number means different classes in them."""
    known: dict[int, tuple[str, str]] = {}
    for labels in maps:
        for number, name in labels.class_names.items():
            entry = (name[:_MOST_LETTERS], labels.class_colours[number])
            if known.setdefault(number, entry) != entry:
                return []
    return [known[number] for number in sorted(known)]


def _patches(entries: list[tuple[str, str]]) -> list[Patch]:
    from matplotlib.patches import Patch

    shown = [Patch(facecolor=colour, edgecolor="#8a8f98", label=name) for name, colour in entries[:_MOST_ENTRIES]]
    more = len(entries) - len(shown)
    return [*shown, Patch(facecolor="none", edgecolor="none", label=f"and {more} more")] if more else shown


def _is_ours(path: Path) -> bool:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return _SOFTWARE.items() <= image.info.items()
    except (OSError, UnidentifiedImageError):
        return False
