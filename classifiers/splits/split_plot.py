"""Plot of a split: training, test, unused and unlabelled pixels.

The colours are from the palette of Okabe and Ito (https://jfly.uni-koeln.de/color/). The colours also differ in
lightness, so that colour-blind readers and readers of grey prints can distinguish them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifiers.splits.split_draw import SplitDraw
from hsifeat.errors import SplitError
from hsifeat.files import atomic_write, check_replaced
from hsifeat.formatting import is_hsifeat_png, literal_figure_text, save_png
from hsifeat.scenes import Labels

UNLABELLED, TRAIN, TEST, DROPPED = range(4)
NAMES = {TRAIN: "training", TEST: "test", DROPPED: "dropped", UNLABELLED: "unlabelled"}
COLOURS = {TRAIN: "#d55e00", TEST: "#56b4e9", DROPPED: "#000000", UNLABELLED: "#ece9e2"}
_INCHES, _DPI = 7.0, 150


def make_split_map(draw: SplitDraw, labels: Labels) -> NDArray[np.uint8]:
    """Return a map of the role of each pixel: 0 unlabelled, 1 training, 2 test, 3 labelled but dropped.

    A pixel is dropped for one of four reasons. It may lie within the buffer of a test pixel. It may lie too near a
    training pixel to be tested. Its class may lack training or test pixels. It may have been removed to match the
    number of training pixels of other splits.

    Returns
    -------
    (rows, cols) uint8 array
        Role of each pixel, 0 to 3, on the grid of the label map.
    """
    roles = np.where(labels.classes != 0, DROPPED, UNLABELLED).astype(np.uint8)
    roles[draw.train], roles[draw.test] = TRAIN, TEST
    return roles


def write_split_plot(path: str | Path, draw: SplitDraw, labels: Labels, title: str = "") -> None:
    """Write a PNG image of the training and test pixels of a split, with a legend and pixel counts.

    Parameters
    ----------
    path : str or Path
        File to write, ending in ``.png``. The file appears under its name only when it is complete.
    draw : SplitDraw
        Training and test pixels.
    labels : Labels
        The label map that was divided.
    title : str
        Title of the plot, such as the split's text.

    Raises
    ------
    SplitError
        If the file name does not end in ``.png``.
    StoreError
        If the file exists, and is no picture that hsifeat wrote.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    path = Path(path)
    if path.suffix.lower() != ".png":
        raise SplitError(f"a split plot is written as .png; found {path.name!r}")
    check_replaced(path, "picture", is_hsifeat_png)
    roles = make_split_map(draw, labels)
    counts = np.bincount(roles.ravel(), minlength=len(NAMES))
    rows, cols = roles.shape
    scale = _INCHES / max(rows, cols)
    with literal_figure_text():
        figure = Figure(figsize=(max(cols * scale, 1), max(rows * scale, 1)), dpi=_DPI)
        axes = figure.add_axes((0, 0, 1, 1))
        colours = ListedColormap([COLOURS[side] for side in sorted(COLOURS)])
        axes.imshow(roles, cmap=colours, vmin=-0.5, vmax=len(COLOURS) - 0.5, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(title)
        axes.legend(
            handles=[
                Patch(facecolor=COLOURS[side], edgecolor="#808080", label=f"{name}, {counts[side]:,} pixels")
                for side, name in NAMES.items()
            ],
            loc="upper left",
            bbox_to_anchor=(1.01, 1),
            borderaxespad=0,
            frameon=False,
        )
        with atomic_write(path) as part:
            save_png(figure, part, path.name, bbox_inches="tight", pad_inches=0.1)
