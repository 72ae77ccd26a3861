"""A scene: one hyperspectral image with what is known about it, and label maps on its grid."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.array_views import Bands
from hsifeat.scenes.band_ranges import say_bands
from hsifeat.scenes.blocks import blocks, count_values
from hsifeat.scenes.colours import default_colours
from hsifeat.scenes.georeference import Georeference
from hsifeat.types import Cube


@dataclass(frozen=True)
class Labels:
    """A label map on a scene's grid.

    Attributes
    ----------
    name : str
        Name of the map, such as ``ground-truth``.
    classes : (rows, cols) integer array
        Class of each pixel, 0 = unlabelled.
    class_names : dict of int to str
        Name of each class that occurs.
    class_colours : dict of int to str
        Colour of each class that occurs, as ``#rrggbb``.
    notes : tuple of str
        What was guessed, resampled or left out while reading.
    georeference : Georeference or None
        Where the scene's grid lies, if that is known.
    """

    name: str
    classes: NDArray[np.integer]
    class_names: dict[int, str] = field(default_factory=dict)
    class_colours: dict[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    georeference: Georeference | None = None

    def __post_init__(self) -> None:
        whole = self.classes.ndim == 2 and np.issubdtype(self.classes.dtype, np.integer)
        present = list(self.counts) if whole else []
        if not whole or min(present, default=0) < 0:
            raise SceneError(
                f"labels {self.name!r} must be a 2-D map of whole numbers with 0 for unlabelled; "
                f"found {self.classes.dtype} of shape {self.classes.shape}"
            )
        object.__setattr__(self, "class_names", {c: self.class_names.get(c, f"class {c}") for c in present})
        object.__setattr__(self, "class_colours", {**default_colours(present), **self.class_colours})

    @cached_property
    def counts(self) -> dict[int, int]:
        """How many pixels each class has."""
        return {number: count for number, count in count_values(self.classes).items() if number != 0}


@dataclass(frozen=True)
class Scene:
    """One hyperspectral image.

    Attributes
    ----------
    name : str
        What people call it; never part of a key.
    cube : array-like of shape (rows, cols, bands)
        Values as delivered, in memory or on disk; sliced like a NumPy array.
    wavelengths_nm, fwhm_nm : (bands,) float64 array or None
        Centre wavelengths, not necessarily ascending, and full widths at half maximum.
    band_names : tuple of str
        Names of the bands, or nothing.
    nodata : tuple of float
        Values that stand for no data; what is not finite is no data anyway.
    scale : float
        What a value has to be divided by to give reflectance; the cube holds what was delivered.
    georeference : Georeference or None
        Where the scene lies.
    companion : array-like of shape (k rows, k cols, channels) or None
        A co-registered image with k x k pixels for each of the scene's, such as an aerial photograph.
    labels : dict of str to Labels
        Label maps on the scene's grid.
    mask : (rows, cols) bool array or None
        Which pixels are valid, where that is known already; by default it follows from the values, see `valid`.
    licence, citation : str
        As the source states them.
    notes : tuple of str
        What was guessed while reading.
    """

    name: str
    cube: Cube
    wavelengths_nm: NDArray[np.float64] | None = None
    labels: dict[str, Labels] = field(default_factory=dict)
    fwhm_nm: NDArray[np.float64] | None = None
    band_names: tuple[str, ...] = ()
    nodata: tuple[float, ...] = ()
    scale: float = 1.0
    georeference: Georeference | None = None
    companion: Cube | None = None
    mask: NDArray[np.bool_] | None = None
    licence: str = ""
    citation: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.cube.shape) != 3 or min(self.cube.shape) < 1:
            raise SceneError(f"{self.name}: a scene has shape (rows, cols, bands); found {tuple(self.cube.shape)}")
        if not np.issubdtype(self.cube.dtype, np.number) or np.issubdtype(self.cube.dtype, np.complexfloating):
            raise SceneError(f"{self.name}: a scene holds real numbers; found dtype {self.cube.dtype}")
        for what in ("wavelengths_nm", "fwhm_nm", "band_names"):
            values = getattr(self, what)
            if values is not None and len(values) not in {self.bands, 0 if what == "band_names" else self.bands}:
                raise SceneError(f"{self.name}: {len(values)} {what.removesuffix('_nm')} for {self.bands} bands")
        if self.mask is not None and self.mask.shape != (self.rows, self.cols):
            raise SceneError(f"{self.name}: a mask of shape {self.mask.shape} for {self.rows} x {self.cols} pixels")
        if self.companion is not None and self.companion_factor < 1:
            raise SceneError(
                f"{self.name}: its companion image is {' x '.join(map(str, self.companion.shape))}; wanted a whole number "
                f"of times {self.rows} x {self.cols} pixels, the same along both sides"
            )
        for labels in self.labels.values():
            self._check_grid(labels)

    @property
    def rows(self) -> int:
        """Height in pixels."""
        return int(self.cube.shape[0])

    @property
    def cols(self) -> int:
        """Width in pixels."""
        return int(self.cube.shape[1])

    @property
    def bands(self) -> int:
        """Number of bands."""
        return int(self.cube.shape[2])

    @property
    def companion_factor(self) -> int:
        """Pixels of the companion image along a side of one of the scene's; 0 where it does not fit, or is none."""
        if self.companion is None or len(self.companion.shape) != 3:
            return 0
        factor = int(self.companion.shape[0]) // self.rows
        return factor if tuple(self.companion.shape[:2]) == (factor * self.rows, factor * self.cols) else 0

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """Mask (rows, cols) of the pixels that hold something.

        False where a band is not finite or holds a value of `nodata`, where all bands are zero, and where all bands of
        whole numbers hold the highest that their dtype can: saturated. A `nodata` of 0 is met by a pixel of zeros only,
        since a single band may well be dark.
        """
        if self.mask is not None:
            return self.mask
        mask = np.empty((self.rows, self.cols), dtype=bool)
        for block in blocks(self.rows, self.cols, self.bands):
            values = np.asarray(self.cube[block.slices])
            good = np.isfinite(values).all(axis=2) & (values != 0).any(axis=2)
            for value in self.nodata:
                if value != 0:
                    good &= (values != value).all(axis=2)
            if (most := self._saturation) is not None:
                good &= (values != most).any(axis=2)
            mask[block.slices] = good
        return mask

    @property
    def _saturation(self) -> int | None:
        kind = np.dtype(self.cube.dtype)
        return int(np.iinfo(kind).max) if kind.kind in "iu" else None

    @cached_property
    def digest(self) -> str:
        """sha256 of the content: shape, dtype, values and valid mask, wherever the file lies."""
        dtype = np.dtype(self.cube.dtype).newbyteorder("<")
        digest = hashlib.sha256(f"{self.rows},{self.cols},{self.bands},{dtype.str};".encode())
        for block in blocks(self.rows, self.cols, self.bands):
            digest.update(np.ascontiguousarray(self.cube[block.slices], dtype=dtype).data)
        digest.update(np.packbits(self.valid).data)
        return digest.hexdigest()

    def empty_bands(self) -> tuple[int, ...]:
        """Return the bands, from 0, that are not finite or hold a value of `nodata` (other than 0) in every pixel."""
        seen = np.zeros(self.bands, dtype=bool)
        for block in blocks(self.rows, self.cols, self.bands):
            values = np.asarray(self.cube[block.slices])
            good = np.isfinite(values)
            for value in self.nodata:
                if value != 0:
                    good &= values != value
            seen |= good.any(axis=(0, 1))
            if seen.all():
                break
        return tuple(np.flatnonzero(~seen).tolist())

    def without_bands(self, bands: Sequence[int]) -> Scene:
        """Return the scene without some of its bands, from 0; `SceneError` where none would be left."""
        kept = [band for band in range(self.bands) if band not in set(bands)]
        if not kept:
            raise SceneError(f"{self.name}: no band is left without {say_bands(bands)}")
        left_out = self.bands - len(kept)
        return replace(
            self,
            cube=Bands(self.cube, kept),
            wavelengths_nm=None if self.wavelengths_nm is None else self.wavelengths_nm[kept],
            fwhm_nm=None if self.fwhm_nm is None else self.fwhm_nm[kept],
            band_names=tuple(self.band_names[band] for band in kept) if self.band_names else (),
            notes=(*self.notes, f"{self.name}: left out {left_out} of {self.bands} bands: {say_bands(bands)}"),
        )

    def with_labels(self, labels: Labels) -> Scene:
        """Return the scene with one more label map and its notes; `SceneError` if it is not on the scene's grid."""
        self._check_grid(labels)
        return replace(self, labels={**self.labels, labels.name: labels}, notes=(*self.notes, *labels.notes))

    def facts(self) -> dict[str, Any]:
        """Return what `hsifeat scenes show` prints, as plain JSON values."""
        nm, where = self.wavelengths_nm, self.georeference
        return {
            "name": self.name,
            "rows": self.rows,
            "cols": self.cols,
            "bands": self.bands,
            "dtype": str(self.cube.dtype),
            "wavelengths_nm": None if nm is None else [float(nm.min()), float(nm.max())],
            "fwhm_nm": None if self.fwhm_nm is None else [float(self.fwhm_nm.min()), float(self.fwhm_nm.max())],
            "band_names": list(self.band_names),
            "nodata": [value for value in self.nodata if np.isfinite(value)],
            "reflectance_scale": self.scale,
            "crs": None if where is None else where.crs_name,
            "transform": None if where is None else list(where.transform),
            "pixel_size": None if where is None else list(where.pixel_size),
            "companion": None if self.companion is None else list(map(int, self.companion.shape)),
            "valid_pixels": int(self.valid.sum()),
            "digest": self.digest,
            "licence": self.licence,
            "citation": self.citation,
            "labels": {
                name: [
                    {"class": c, "name": labels.class_names[c], "pixels": n, "colour": labels.class_colours[c]}
                    for c, n in labels.counts.items()
                ]
                for name, labels in self.labels.items()
            },
        }

    def _check_grid(self, labels: Labels) -> None:
        if labels.classes.shape != (self.rows, self.cols):
            found = " x ".join(map(str, labels.classes.shape))
            raise SceneError(
                f"labels {labels.name!r} are {found} pixels, but the scene {self.name} is {self.rows} x {self.cols}: "
                "give a label map on the scene's grid"
            )
