"""The pictures of a report, as bytes: maps are PNG with one colour a class, plots are SVG that follow the page's colours.

Maps are pixels, so they are drawn without resampling: a small scene is enlarged by repeating pixels, a large one keeps
every n-th pixel (`step`). Pixels that say nothing are transparent. Colours chosen here are those of Okabe and Ito
(https://jfly.uni-koeln.de/color/), which stay apart for colour-blind eyes.
"""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifiers.splits.picture import COLOURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, VERMILLION = "#0072b2", "#d55e00"
RIGHT, WRONG = "#5a9bc9", VERMILLION

MIN_PX, MAX_PX = 580, 1000

# Text, lines and background are drawn in colours that nothing else has, which then give way to those of the picture's
# own style sheet: it knows whether the reader's screen is dark.
_INK, _PAPER = "#010203", "#040506"
_STYLE = (
    "<style>svg{color:#1b1d20;--paper:#fdfcfa}"
    "@media screen and (prefers-color-scheme:dark){svg{color:#e3e1dc;--paper:#15171a}}"
    "text{font-family:system-ui,'Segoe UI',Roboto,'Liberation Sans',Arial,sans-serif}</style>"
)
_RC: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hsifeat",
    "text.parse_math": False,
    "font.size": 8.5,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK),
}


@dataclass(frozen=True)
class Interval:
    """A mean and its standard deviation, drawn as a dot with a whisker; `open_dot` marks what should be trusted less."""

    mean: float
    sd: float
    open_dot: bool


def step(shape: Sequence[int]) -> int:
    """Return n where a picture of `shape` shows every n-th pixel; 1 for a scene of at most `MAX_PX`."""
    return -(-max(shape[:2]) // MAX_PX)


def class_map(labels: NDArray[np.integer], colours: Mapping[int, str]) -> bytes:
    """Draw a `(rows, cols)` map of classes in their colours; a class without a colour (0 = unlabelled) is transparent."""
    return _paint(labels, colours)


def split_map(split: NDArray[np.uint8]) -> bytes:
    """Draw a `(rows, cols)` split as `classifiers.splits.draw_sides` gives it."""
    return _paint(split, COLOURS)


def error_map(truth: NDArray[np.integer], predicted: NDArray[np.integer], split: NDArray[np.uint8]) -> bytes:
    """Draw which test pixels of `split` were given another class than in `truth`; all `(rows, cols)`."""
    n = step(truth.shape)
    seen = (slice(n // 2, None, n),) * 2
    verdict = np.where(split[seen] == 2, np.where(truth[seen] == predicted[seen], 1, 2), 0)
    return _paint(verdict, {1: RIGHT, 2: WRONG})


def false_colour(image: NDArray[np.uint8]) -> bytes:
    """Draw a `(rows, cols, 3)` uint8 image."""
    return _png(_fit(image))


def confusion_matrix(confusion: NDArray[np.integer], names: Sequence[str]) -> bytes:
    """Draw `(C, C)` counts of true (rows) and predicted (columns) classes as shares of the true class.

    The diagonal is blue and errors are vermillion; the depth of the colour is the square root of the share, so that
    rare confusions show. Shares are written, in percent, while there is room for them (25 classes).
    """
    from matplotlib.colors import to_rgba

    count = len(names)
    totals = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(confusion, totals, out=np.zeros(confusion.shape), where=totals > 0)
    side = max(2.2, 0.27 * count) if count <= 25 else 0.18 * count
    with _figure(side + 1.6, side + 1.3) as figure:
        axes = figure.add_axes((1.5 / (side + 1.6), 0.05 / (side + 1.3), side / (side + 1.6), side / (side + 1.3)))
        cells = np.where(np.eye(count, dtype=bool)[..., None], to_rgba(BLUE), to_rgba(VERMILLION))
        cells[..., 3] = np.sqrt(shares)
        axes.imshow(cells, interpolation="none")
        if count <= 25:
            for (i, j), share in np.ndenumerate(shares):
                if share >= 0.005:
                    colour = "white" if share > 0.4 else _INK
                    axes.text(j, i, f"{100 * share:.0f}", ha="center", va="center", color=colour, size=6.5)
        axes.set_xticks(range(count), names, rotation=55, ha="left", rotation_mode="anchor")
        axes.set_yticks(range(count), names)
        axes.tick_params(length=0, labelsize=7.5, top=False, bottom=False, labeltop=True, labelbottom=False)
        axes.set(xlabel="predicted class", ylabel="true class")
        axes.xaxis.set_label_position("top")
        axes.spines[:].set_linewidth(0.5)
        return _svg(figure)


def dot_plot(rows: Sequence[tuple[str, Sequence[Interval]]], label: str) -> bytes:
    """Draw a line for each named row with a dot and whisker for each of its intervals, in percent.

    A row's name stands above its line, so that the plot stays readable on a narrow screen.
    """
    height = 0.38 * len(rows) + 0.5
    with _figure(4.3, height) as figure:
        axes = figure.add_axes((0.02, 0.46 / height, 0.96, 1 - 0.48 / height))
        for at, (name, intervals) in enumerate(rows):
            means = [100 * i.mean for i in intervals]
            axes.plot([min(means), max(means)], [at, at], color=_INK, alpha=0.25, linewidth=3, solid_capstyle="round")
            for i in intervals:
                colour = VERMILLION if i.open_dot else BLUE
                axes.errorbar(100 * i.mean, at, xerr=100 * i.sd, color=colour, linewidth=1, zorder=2)
                face = _PAPER if i.open_dot else colour
                axes.plot(100 * i.mean, at, "o", color=colour, markerfacecolor=face, markersize=5.5, zorder=3)
            axes.text(0, at - 0.36, name, transform=axes.get_yaxis_transform(), size=7.5, va="center")
        axes.set(ylim=(len(rows) - 0.6, -0.7), yticks=[], xlabel=label)
        axes.margins(x=0.04)
        axes.grid(axis="x", color=_INK, alpha=0.12, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["left", "right", "top"]].set_visible(False)
        return _svg(figure)


def data_uri(picture: bytes) -> str:
    """Return PNG or SVG bytes as an address that a page can hold."""
    kind = "png" if picture.startswith(b"\x89PNG") else "svg+xml"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"


def _paint(values: NDArray[np.integer], colours: Mapping[int, str]) -> bytes:
    seen = _fit(values)
    rgba = np.zeros((*seen.shape, 4), dtype=np.uint8)
    for value, colour in colours.items():
        rgba[seen == value] = (*bytes.fromhex(colour.lstrip("#")), 255)
    return _png(rgba)


def _fit(values: NDArray[Any]) -> NDArray[Any]:
    n = step(values.shape)
    seen = values[n // 2 :: n, n // 2 :: n]
    times = max(1, MIN_PX // max(seen.shape[:2]))
    return seen.repeat(times, axis=0).repeat(times, axis=1)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    image = Image.fromarray(pixels)
    if pixels.shape[2] == 4:
        palette, index = np.unique(pixels.view(np.uint32), return_inverse=True)
        if len(palette) <= 256:  # an index a pixel makes half the bytes
            image = Image.fromarray(index.reshape(pixels.shape[:2]).astype(np.uint8))
            image.putpalette(palette.tobytes(), "RGBA")
    buffer = io.BytesIO()
    image.save(buffer, "png", optimize=True)
    return buffer.getvalue()


@contextmanager
def _figure(width_in: float, height_in: float) -> Iterator[Figure]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_RC), warnings.catch_warnings():
        # Text stays text and the reader's fonts draw it; that matplotlib's own font lacks a letter is no news.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield Figure(figsize=(width_in, height_in))


def _svg(figure: Figure) -> bytes:
    buffer = io.StringIO()
    figure.savefig(
        buffer, format="svg", transparent=True, bbox_inches="tight", pad_inches=0.03, metadata={"Date": None}
    )
    text = buffer.getvalue().replace(_INK, "currentColor").replace(_PAPER, "var(--paper)")
    text = re.sub(r" font-family: [^;\"]*;", "", text)
    return re.sub(r"<svg\b[^>]*>", lambda tag: tag.group() + _STYLE, text, count=1).encode()
