"""Fonts for class names in pictures of maps."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path


def find_font(text: str) -> Path | None:
    """Return the file of a font that has all letters of a text; None if no installed font has them.

    DejaVu Sans, which comes with matplotlib and has the letters of most alphabets, is preferred. Names in Chinese or Japanese, for
    example, need a font of the system.
    """
    letters = {ord(letter) for letter in text if not letter.isspace()}
    return next((file for file in _font_files() if letters <= _letters(file)), None)


def _font_files() -> Iterator[Path]:
    import matplotlib as mpl

    yield Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    yield from _system_fonts()


@cache
def _system_fonts() -> tuple[Path, ...]:
    from matplotlib.font_manager import fontManager

    # "Last Resort" draws boxes. Upright fonts of normal weight come first.
    fonts = [font for font in fontManager.ttflist if not font.name.startswith("Last Resort")]
    fonts.sort(
        key=lambda font: (font.style != "normal", abs(int(font.weight) - 400) if str(font.weight).isdigit() else 0)
    )
    return tuple(dict.fromkeys(Path(font.fname) for font in fonts))


@cache
def _letters(file: Path) -> frozenset[int]:
    """Return the code points of the letters in a font; an empty set if the file can't be read."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(str(file)).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()
