"""Writer of classification maps as PNG, with a legend to the right of the map."""

from __future__ import annotations

from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsifeat.files import atomic_write
from hsifeat.formatting import SOFTWARE, is_hsifeat_png, list_some
from hsifeat.scenes.maps.fonts import find_font
from hsifeat.scenes.maps.legend import Legend
from hsifeat.scenes.scene_blocks import blocks

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont
    from PIL.PngImagePlugin import PngInfo

MIN_PX, MAX_PX = 600, 2000
# Tag of a picture of a map, which other pictures lack.
MARK = f"{SOFTWARE} map"
_PAPER, _INK, _EDGE = "#ffffff", "#1b1d20", "#8a8f98"
_NO_DATA = (0, 0, 0)
_MIN_LINES, _MAX_LETTERS = 20, 40


def write_map_image(path: Path, classes: NDArray[np.integer], legend: Legend) -> tuple[str, ...]:
    """Write a classification map as PNG.

    If a map has fewer than `MIN_PX` rows and fewer than `MIN_PX` columns, each pixel is drawn as a square. The longer side
    of the enlarged map is at most `MIN_PX`, and the squares are as large as this limit allows.

    Parameters
    ----------
    path : Path
        The file.
    classes : (rows, cols) integer array
        Class of each pixel; 0 is no data and is drawn in black.
    legend : Legend
        Legend that includes all classes of the map.

    Returns
    -------
    tuple of str
        A note if rows and columns are left out of the image, because the map has more than `MAX_PX` rows or columns. A note if no
        installed font has the letters of a class name.
    """
    step = -(-max(classes.shape) // MAX_PX)
    drawn = classes[step // 2 :: step, step // 2 :: step]
    enlargement = max(1, MIN_PX // max(classes.shape))
    drawn = drawn.repeat(enlargement, axis=0).repeat(enlargement, axis=1)
    picture = _add_legend(_paint(drawn, legend), legend, no_data=bool((drawn == 0).any()))
    with atomic_write(path) as part:
        picture.save(part, format="PNG", optimize=True, pnginfo=_written_by_hsifeat())
    notes = []
    if unreadable := [
        number for number, name in zip(legend.numbers, legend.names, strict=True) if find_font(_shorten(name)) is None
    ]:
        notes.append(
            f"{path.name}: the legend has numbers in place of the names of the classes {list_some(map(str, unreadable), 8)}, because no "
            "installed font has their letters"
        )
    if step > 1:
        size = " x ".join(map(str, classes.shape))
        notes.append(
            f"{path.name} shows one of {step} x {step} pixels, because the map has {size}; a .tif file has all pixels"
        )
    return tuple(notes)


def _paint(classes: NDArray[np.integer], legend: Legend) -> NDArray[np.uint8]:
    palette = np.full((max(legend.numbers, default=0) + 1, 3), _NO_DATA, np.uint8)
    palette[list(legend.numbers)] = legend.rgb
    painted = np.empty((*classes.shape, 3), np.uint8)
    for block in blocks(classes.shape[0], classes.shape[1], 3):
        painted[block.slices] = palette[classes[block.slices]]
    return painted


def _add_legend(painted: NDArray[np.uint8], legend: Legend, *, no_data: bool) -> Image:
    """Return a copy of the image `painted` with a legend to its right.

    The entries of the legend form columns. The columns are about as high as the image. The font size grows with the image.
    """
    from PIL import Image, ImageDraw

    rows, cols, _ = painted.shape
    text_px = max(13, max(rows, cols) // 70)
    gap, box, line = text_px, round(1.1 * text_px), round(1.6 * text_px)
    entries = [
        (*_drawn_name(number, name, text_px), tuple(map(int, rgb)))
        for number, name, rgb in zip(legend.numbers, legend.names, legend.rgb, strict=True)
    ]
    entries += [(*_drawn_name(0, "no data", text_px), _NO_DATA)] if no_data else []
    length = max((rows - 2 * gap) // line, _MIN_LINES, isqrt(3 * len(entries)))
    columns = [entries[at : at + length] for at in range(0, len(entries), length)]
    widths = [box + gap // 2 + round(max(font.getlength(name) for name, font, _ in column)) + gap for column in columns]
    height = max(rows, 2 * gap + line * max(map(len, columns), default=0))
    picture = Image.new("RGB", (cols + gap + sum(widths), height), _PAPER)
    picture.paste(Image.fromarray(painted), (0, 0))
    draw, left = ImageDraw.Draw(picture), cols + gap
    for column, width in zip(columns, widths, strict=True):
        for row, (name, font, rgb) in enumerate(column):
            middle = gap + line * row + line // 2
            top = middle - box // 2
            draw.rectangle((left, top, left + box - 1, top + box - 1), fill=rgb, outline=_EDGE)
            draw.text((left + box + gap // 2, middle), name, fill=_INK, font=font, anchor="lm")
        left += width
    return picture


def _drawn_name(number: int, name: str, size_px: int) -> tuple[str, FreeTypeFont]:
    """Return the name of a class as it is drawn, and a font that has its letters. It is the number if no font has the letters of the name."""
    from PIL import ImageFont

    short = _shorten(name)
    file = find_font(short)
    if file is None:
        short = f"class {number}"
        file = find_font(short)
    return short, ImageFont.truetype(str(file), size_px)


def _written_by_hsifeat() -> PngInfo:
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("Software", MARK)
    return text


def is_map_image(path: Path) -> bool:
    """Return whether a file is the PNG picture of a map that hsifeat wrote."""
    return is_hsifeat_png(path, MARK)


def _shorten(name: str) -> str:
    return name if len(name) <= _MAX_LETTERS else f"{name[: _MAX_LETTERS - 1].rstrip()}…"
