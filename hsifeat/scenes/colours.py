"""Default class colours, and RGB renderings of a scene."""

from __future__ import annotations

import colorsys
from collections.abc import Collection, Iterable
from itertools import count

import numpy as np
from numpy.typing import NDArray

from hsifeat.scenes.scene_blocks import blocks, read_bands, sample_bands
from hsifeat.types import Cube

# Any two of the first sixteen colours have a CIEDE2000 difference of at least 20 for normal vision and at least 16 for
# protanopes and deuteranopes (Machado et al. 2009). They differ as much from black (unlabelled pixels) and from the light
# background of the report's maps. A search from random starts found these sixteen colours. Each of the last four colours
# has the largest possible difference from all earlier colours.
_PALETTE = (
    "#ffffa5", "#9d35ff", "#9b400d", "#014856", "#927a73", "#bd7608", "#63aaac", "#020035", "#2b00bb", "#555146",
    "#60728c", "#412000", "#eab702", "#9f9fff", "#efd5ff", "#a0b88a", "#5a002d", "#b45a4b", "#5a4bb4", "#ff785a",
)  # fmt: skip

RGB_NM = (640.0, 550.0, 460.0)


def default_colours(classes: Iterable[int]) -> dict[int, str]:
    """Return a colour ``#rrggbb`` for each class number; a number always has the same colour.

    >>> default_colours([1, 3])
    {1: '#ffffa5', 3: '#9b400d'}
    """
    return {c: _PALETTE[c - 1] if 1 <= c <= len(_PALETTE) else _golden_ratio_colour(c) for c in classes}


def unused_colour(number: int, used: Collection[str]) -> str:
    """Return the default colour of a class number, or of the next number whose default colour is not in `used`.

    >>> unused_colour(3, ["#ffffa5"]), unused_colour(1, ["#ffffa5"])
    ('#9b400d', '#9d35ff')
    """
    colours = (default_colours([other])[other] for other in count(number))
    return next(colour for colour in colours if colour not in used)


def _golden_ratio_colour(number: int) -> str:
    # Hues in steps of the golden ratio never repeat, and consecutive hues differ clearly.
    red, green, blue = colorsys.hsv_to_rgb(
        number * 0.618034 % 1.0, 0.55 + 0.4 * (number % 2), 0.55 + 0.2 * (number % 3)
    )
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def rgb_bands(bands: int, wavelengths_nm: NDArray[np.float64] | None) -> tuple[int, int, int]:
    """Return the indices of the bands nearest to red, green and blue (640, 550 and 460 nm).

    Without wavelengths, the bands of a three-band cube are assumed to be red, green and blue. For any other cube without
    wavelengths, the bands at 3/4, 1/2 and 1/4 of the band axis are returned.

    Parameters
    ----------
    bands : int
        Number of bands.
    wavelengths_nm : (bands,) float64 array or None
        Centre wavelengths in nm.

    Examples
    --------
    >>> rgb_bands(4, np.array([460.0, 640.0, 550.0, 900.0]))
    (1, 2, 0)
    """
    if wavelengths_nm is None and bands == 3:
        return 0, 1, 2
    if wavelengths_nm is None:
        return (3 * (bands - 1)) // 4, (bands - 1) // 2, (bands - 1) // 4
    red, green, blue = (int(np.argmin(np.abs(wavelengths_nm - nm))) for nm in RGB_NM)
    return red, green, blue


def false_colour(
    cube: Cube,
    wavelengths_nm: NDArray[np.float64] | None = None,
    valid: NDArray[np.bool_] | None = None,
    step: int = 1,
) -> NDArray[np.uint8]:
    """Render three bands of a cube as an RGB image. Each band is stretched between its 2nd and 98th percentiles.

    The percentiles are computed from the valid pixels or, if the cube is large, from a sample of the valid pixels.

    Parameters
    ----------
    cube : array-like of shape (rows, cols, bands)
        The cube.
    wavelengths_nm : (bands,) float64 array, optional
        Centre wavelengths in nm for `rgb_bands`, which selects the three bands.
    valid : (rows, cols) bool array, optional
        Mask of the valid pixels; all other pixels are black. [default: all pixels are valid]
    step : int
        Draw every `step`-th row and column.

    Returns
    -------
    (ceil(rows / step), ceil(cols / step), 3) uint8 array
        Red, green and blue of each drawn pixel.
    """
    rows, cols, bands = cube.shape
    mask = np.ones((rows, cols), dtype=bool) if valid is None else valid
    drawn = mask[::step, ::step]
    image = np.zeros((*drawn.shape, 3), dtype=np.uint8)
    if not mask.any():
        return image
    selection = rgb_bands(bands, wavelengths_nm)
    low, high = np.percentile(sample_bands(cube, selection, mask), [2, 98], axis=0)
    for block in blocks(drawn.shape[0], drawn.shape[1], 3):
        good = drawn[block.slices]
        height, width = (
            slice(s.start * step, min(s.stop * step, n), step) for s, n in zip(block.slices, mask.shape, strict=True)
        )
        values = read_bands(cube, height, width, selection)[good].astype(np.float64)
        stretched = np.clip((values - low) / np.maximum(high - low, 1e-12), 0, 1)
        image[block.slices][good] = np.round(stretched * 255).astype(np.uint8)
    return image
