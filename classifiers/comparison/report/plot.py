"""A plot of a report as SVG for the page, and as SVG and PNG files."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hsifeat.formatting import literal_figure_text, printable, save_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

# Text and lines are drawn in these two placeholder colours. In an SVG for the page, they are replaced by colours from the style
# sheet, which depend on the reader's colour scheme.
INK, PAPER = "#010203", "#fffefd"
_STYLE = (
    "<style>svg{color:#1b1d20;--paper:#fdfcfa}"
    "@media screen and (prefers-color-scheme:dark){svg{color:#e3e1dc;--paper:#15171a}}"
    "text{font-family:system-ui,'Segoe UI',Roboto,'Liberation Sans',Arial,sans-serif}</style>"
)
_RC: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hsifeat",
    "font.size": 8.5,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}
_PNG_DPI, _MARGIN_IN = 200, 0.03


@contextmanager
def new_figure(width_in: float, height_in: float) -> Iterator[Figure]:
    """Yield a new figure. Inside the ``with`` block, matplotlib uses the settings that all plots of a report share."""
    from matplotlib.figure import Figure

    with literal_figure_text(**_RC):
        yield Figure(figsize=(width_in, height_in), dpi=_PNG_DPI)


class Plot:
    """A drawn figure in several formats. Each format is rendered on first access. All formats have the same cropped margins.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Figure from `new_figure`.
    """

    def __init__(self, figure: Figure) -> None:
        self._figure = figure

    @cached_property
    def svg(self) -> bytes:
        """SVG for a white background."""
        # In Python 3.11, every cached property has a lock. `_content` is read before the block, because computing it takes its
        # lock first and that of `literal_figure_text` second: in the other order, two threads could wait for each other.
        vector, content = io.StringIO(), self._content
        with literal_figure_text(**_RC):
            self._figure.savefig(vector, format="svg", transparent=True, metadata={"Date": None}, bbox_inches=content)
        # Names may contain control characters, which XML forbids.
        return printable(vector.getvalue()).encode()

    @property
    def png(self) -> bytes:
        """PNG with a white background."""
        return self._png[0]

    @property
    def png_notes(self) -> tuple[str, ...]:
        """A note if letters are drawn as boxes in the PNG, because no font of figures has them. It is the same for all plots."""
        return self._png[1]

    @cached_property
    def _png(self) -> tuple[bytes, tuple[str, ...]]:
        raster, content = io.BytesIO(), self._content
        options: Any = {"dpi": _PNG_DPI, "facecolor": "white", "metadata": {"Software": None}}
        with literal_figure_text(**_RC):
            notes = save_png(self._figure, raster, "PNG figures", bbox_inches=content, **options)
        return raster.getvalue(), notes

    @property
    def page(self) -> bytes:
        """SVG that follows the reader's dark or light colour scheme."""
        text = self.svg.decode().replace(INK, "currentColor").replace(PAPER, "var(--paper)")
        text = re.sub(r" font-family: [^;\"]*;", "", text)
        return re.sub(r"<svg\b[^>]*>", lambda tag: tag.group() + _STYLE, text, count=1).encode()

    @cached_property
    def _content(self) -> Bbox:
        """The part of the figure that is drawn on, with a margin, in inches."""
        with literal_figure_text(**_RC):
            return self._figure.get_tightbbox().padded(_MARGIN_IN)
