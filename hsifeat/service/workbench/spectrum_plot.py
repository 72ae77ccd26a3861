"""Plot of spectra, described by paths in the syntax of SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from classifiers.labelling.label_set import LabelClass
from hsifeat.service.workbench.class_spectra import ClassSpectrum

WIDTH, HEIGHT = 340, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 8, 24
# A line is broken where neighbouring bands are more than this many typical steps apart, because bands are missing there.
_GAP_STEPS = 4


@dataclass(frozen=True)
class Curve:
    """Mean spectrum of a class as a line, with an area of one standard deviation on each side of the line.

    Attributes
    ----------
    name, colour : str
        Name and colour of the class.
    line, area : str
        SVG paths of the line and of the area.
    """

    name: str
    colour: str
    line: str
    area: str


@dataclass(frozen=True)
class SpectrumPlot:
    """Lines, areas and ticks of a plot of spectra. Positions are in the units of the drawing.

    Attributes
    ----------
    pixel : str
        SVG path of the spectrum of the one pixel in the plot; empty if this pixel is invalid.
    curves : tuple of Curve
        Mean and standard deviation of each class.
    x_ticks, y_ticks : tuple of (float, str)
        Position and text of each tick.
    axis : str
        Label of the horizontal axis.
    """

    pixel: str
    curves: tuple[Curve, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    axis: str
    width: int = WIDTH
    height: int = HEIGHT


def plot_spectra(
    wavelengths_nm: NDArray[np.float64] | None,
    pixel: NDArray[np.float32] | None,
    classes: Sequence[ClassSpectrum],
    legend: Sequence[LabelClass],
) -> SpectrumPlot:
    """Plot the spectrum of a pixel and the spectra of classes.

    Parameters
    ----------
    wavelengths_nm : (bands,) float64 array or None
        Centre wavelengths in nm for the horizontal axis. None for band numbers on this axis.
    pixel : (bands,) float32 array or None
        Spectrum of the pixel; None for an invalid pixel.
    classes : sequence of ClassSpectrum
        Mean and standard deviation of the spectra of each class.
    legend : sequence of LabelClass
        Names and colours of the classes.
    """
    bands = len(pixel) if pixel is not None else len(classes[0].mean) if classes else 2
    x = np.arange(bands, dtype=np.float64) if wavelengths_nm is None else np.asarray(wavelengths_nm)
    order = np.argsort(x, kind="stable")
    x = x[order]
    lows = [one.mean - one.deviation for one in classes] + ([] if pixel is None else [pixel])
    highs = [one.mean + one.deviation for one in classes] + ([] if pixel is None else [pixel])
    low = float(np.nanmin(lows)) if lows else 0.0
    high = float(np.nanmax(highs)) if highs else 1.0
    high = high if high > low else low + 1
    across = _LEFT + (WIDTH - _LEFT - _RIGHT) * (x - x[0]) / max(x[-1] - x[0], 1e-9)

    def up(values: NDArray[np.floating]) -> NDArray[np.float64]:
        shares = (np.nan_to_num(values[order].astype(np.float64), nan=low) - low) / (high - low)
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * np.clip(shares, 0, 1)

    runs = _runs(x)
    entries = {entry.number: entry for entry in legend}
    curves = tuple(
        Curve(
            entries[one.number].name,
            entries[one.number].colour,
            "".join(_line(across[run], up(one.mean)[run]) for run in runs),
            "".join(_area(across[run], up(one.mean + one.deviation)[run], up(one.mean - one.deviation)[run]) for run in runs),
        )
        for one in classes
        if one.number in entries
    )  # fmt: skip
    shown = "" if pixel is None else "".join(_line(across[run], up(pixel)[run]) for run in runs)
    x_values = np.linspace(x[0], x[-1], 5)
    x_ticks = tuple(
        (float(_LEFT + (WIDTH - _LEFT - _RIGHT) * n / 4), f"{value:.0f}") for n, value in enumerate(x_values)
    )
    y_ticks = tuple(
        (float(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * n / 3), f"{low + (high - low) * n / 3:.4g}")
        for n in range(4)
    )
    return SpectrumPlot(shown, curves, x_ticks, y_ticks, "band" if wavelengths_nm is None else "wavelength in nm")


def _runs(x: NDArray[np.float64]) -> list[slice]:
    """Divide the ascending positions `x` of the bands into runs without a gap."""
    steps = np.diff(x)
    typical = max(float(np.median(steps)), 1e-9) if len(steps) else 1.0
    breaks = np.flatnonzero(steps > _GAP_STEPS * typical) + 1
    ends = [0, *map(int, breaks), len(x)]
    return [slice(start, stop) for start, stop in pairwise(ends)]


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _area(x: NDArray[np.float64], top: NDArray[np.float64], bottom: NDArray[np.float64]) -> str:
    return _line(np.concatenate([x, x[::-1]]), np.concatenate([top, bottom[::-1]])) + "Z"
