"""Picture of a scene in false colours, next to its label maps and a legend of the classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.files import atomic_write, check_output, check_replaced
from hsifeat.formatting import format_count, is_hsifeat_png, literal_figure_text, save_png
from hsifeat.scenes.colours import false_colour, rgb_bands
from hsifeat.scenes.label_map import Labels
from hsifeat.scenes.scene import Scene

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch

MAX_PX = 1000
_PANEL_INCHES, _DPI = 4.2, 150
# Panels and legend of a scene with a larger ratio of width to height are stacked vertically.
_WIDE_RATIO = 1.6
_MAX_LINES, _MAX_ENTRIES, _MAX_LETTERS = 22, 110, 40


def scene_plot_path(scene: Scene, out: Path | None) -> Path:
    """Return the path of the PNG file for the picture of a scene.

    Parameters
    ----------
    scene : Scene
        The scene.
    out : Path or None
        Path that the user asked for. None for ``NAME.png`` in the current folder, where NAME is the name of the scene.

    Raises
    ------
    SceneError
        If the suffix is not ``.png``. If the folder does not exist.
    StoreError
        If the file exists, and is no picture that hsifeat wrote.
    """
    path = Path(f"{scene.name.replace('/', '-')}.png") if out is None else out
    if path.suffix.lower() != ".png":
        raise SceneError(f"the picture of a scene must be a .png file; found {path.name!r}")
    check_output(path)
    if not path.parent.is_dir():
        raise SceneError(f"no such folder: {path.parent}; create it first")
    check_replaced(path, "picture", is_hsifeat_png)
    return path


def write_scene_plot(scene: Scene, path: Path) -> tuple[str, ...]:
    """Write the picture of a scene as PNG, and return a note if letters of names are drawn as boxes.

    If the scene has more than `MAX_PX` rows or columns, it is subsampled to at most `MAX_PX` rows and columns.
    """
    from matplotlib.figure import Figure

    step = -(-max(scene.rows, scene.cols) // MAX_PX)
    labels = list(scene.labels.values())
    wide = scene.cols / scene.rows > _WIDE_RATIO
    count = 1 + len(labels)
    height = _PANEL_INCHES if not wide else max(2 * _PANEL_INCHES * scene.rows / scene.cols, 0.6) + 0.4
    width = 2 * _PANEL_INCHES if wide else max(_PANEL_INCHES * scene.cols / scene.rows, 1.6)
    grid, size = ((count, 1), (width, count * height)) if wide else ((1, count), (count * width, height))
    common = _common_legend(labels)
    lines = min(len(common), _MAX_ENTRIES + 1)
    letters = 6 + max((len(name) for name, _ in common), default=0)
    if wide:
        columns = max(1, int(14 * width / letters))
        size = (width, size[1] + 0.2 * -(-lines // columns))
    else:
        columns = -(-lines // _MAX_LINES)
        size = (size[0] + columns * 0.075 * letters, height)
    with literal_figure_text(**{"font.size": 8}):
        figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
        axes = figure.subplots(*grid, squeeze=False).ravel()
        _draw_panel(axes[0], false_colour(scene.cube, scene.wavelengths_nm, scene.valid, step), _band_title(scene))
        for label_map, panel in zip(labels, axes[1:], strict=True):
            title = f"{label_map.name}: {format_count(sum(label_map.counts.values()), 'pixel')}"
            _draw_panel(panel, _paint_labels(label_map, step), title)
            if not common:
                panel.legend(
                    handles=_patches(_legend_entries(label_map)), loc="upper center", bbox_to_anchor=(0.5, 0), ncols=2
                )
        if common:
            location = "outside lower center" if wide else "outside right upper"
            figure.legend(handles=_patches(common), loc=location, ncols=columns, frameon=False)
        with atomic_write(path) as part:
            return save_png(figure, part, path.name)


def _draw_panel(axes: Axes, image: NDArray[np.uint8], title: str) -> None:
    axes.imshow(image, interpolation="none")
    axes.set_title(title, fontsize=8)
    axes.set_axis_off()


def _band_title(scene: Scene) -> str:
    bands, nm = rgb_bands(scene.bands, scene.wavelengths_nm), scene.wavelengths_nm
    names = [f"{band}" if nm is None else f"{nm[band]:.0f}" for band in bands]
    return f"{scene.name}: {'bands ' if nm is None else ''}{', '.join(names)}{'' if nm is None else ' nm'}"


def _paint_labels(labels: Labels, step: int) -> NDArray[np.uint8]:
    """Draw every `step`-th row and column of a label map as an RGB image; unlabelled pixels are black."""
    drawn = labels.classes[::step, ::step]
    picture = np.zeros((*drawn.shape, 3), np.uint8)
    for number, colour in labels.class_colours.items():
        picture[drawn == number] = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return picture


def _legend_entries(labels: Labels) -> list[tuple[str, str]]:
    """Return the name and colour of each class of a label map."""
    return [(name[:_MAX_LETTERS], labels.class_colours[number]) for number, name in sorted(labels.class_names.items())]


def _common_legend(maps: list[Labels]) -> list[tuple[str, str]]:
    """Return the name and colour of each class that occurs in any of the maps.

    The list is empty if two maps have different names or colours for the same class number.
    """
    entries: dict[int, tuple[str, str]] = {}
    for labels in maps:
        for number, name in labels.class_names.items():
            entry = (name[:_MAX_LETTERS], labels.class_colours[number])
            if entries.setdefault(number, entry) != entry:
                return []
    return [entries[number] for number in sorted(entries)]


def _patches(entries: list[tuple[str, str]]) -> list[Patch]:
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=colour, edgecolor="#8a8f98", label=name) for name, colour in entries[:_MAX_ENTRIES]]
    more = len(entries) - len(patches)
    return [*patches, Patch(facecolor="none", edgecolor="none", label=f"and {more} more")] if more else patches
