"""The data model of a scene: one hyperspectral image with its metadata and label maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.cube_digest import CubeDigest, changed_scene_error
from hsifeat.errors import SceneError
from hsifeat.formatting import format_count
from hsifeat.mapped_arrays import own_copy
from hsifeat.objects_with_arrays import ReadOnlyArrays, read_only
from hsifeat.scenes.array_coordinates import check_coordinates, companion_notes
from hsifeat.scenes.array_metadata import add_array_metadata, add_array_nodata, channel_labels, join_notes
from hsifeat.scenes.array_views import SelectedBands, is_in_memory, opened_bands
from hsifeat.scenes.band_matching import SceneBands, match_bands, matching_notes
from hsifeat.scenes.band_ranges import check_band_numbers, check_bands, format_bands
from hsifeat.scenes.cube_shape import CubeShape
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.label_map import Labels, check_label_map
from hsifeat.scenes.nodata import NoData, select_bands
from hsifeat.scenes.readers.raster import Raster
from hsifeat.scenes.scene_blocks import blocks
from hsifeat.scenes.scene_checks import (
    as_lengths,
    as_texts,
    check_image,
    check_mask,
    check_type,
    convert_nodata,
)
from hsifeat.scenes.scene_summary import describe_scene, summarise_scene
from hsifeat.scenes.valid_pixels import Validity, bands_without_values, drop_missing_values, valid_pixels
from hsifeat.types import Cube, check_integers, plain_values


@dataclass(frozen=True, eq=False)
class Scene(ReadOnlyArrays, CubeShape):
    """A hyperspectral image with its metadata and label maps.

    Attributes
    ----------
    name : str
        Name shown to users. It does not affect cache keys.
    cube : array-like of shape (rows, cols, bands)
        Values as stored in the file, of any real dtype. The array may lie in memory or on disk. It must not be changed
        afterwards: give a copy, or make a new scene from the changed array. The dimensions of an `xarray.DataArray` must
        have this order. Its coordinates of rows and columns, if any, must be those of a given `georeference`. Its other
        metadata are used as those of a NetCDF file. The cube of a file, of a store or of selected bands takes integers, slices
        with a positive step and an ellipsis as indices; `numpy.asarray` reads it as a whole.
    wavelengths_nm, fwhm_nm : (bands,) float64 array or None
        Centre wavelength and full width at half maximum of each band in nm; None if unknown. In place of None, the
        coordinates of an `xarray.DataArray` are used. They need not ascend. The arrays are read-only copies.
    labels : dict of str to Labels
        Label maps on the scene's grid, by name. A map with a georeference has that of the scene.
    band_names : tuple of str
        Band names, or an empty tuple. A list is converted.
    nodata : tuple of float, or tuple of one tuple of float per band
        One tuple of no-data values for all bands, or one tuple for each band. NaN and infinities always count as no
        data, and so do the values that an `xarray.DataArray` declares. Numbers and lists are converted:
        ``nodata=-9999`` becomes ``(-9999.0,)``.
    blank_pixels : {"drop", "keep"}
        Whether blank pixels are invalid (``drop``) or valid (``keep``). A pixel is blank if all its bands are 0. In a cube
        of integers, a pixel is also blank if all its bands have the largest value of the dtype.
    scale : float
        Value in `cube` that means a reflectance of 1. If 1, the scale that an `xarray.DataArray` declares is used.
    georeference : Georeference or None
        CRS and transform of the grid; None if unknown. In place of None, the coordinates of an `xarray.DataArray` are used.
    companion : array-like of shape (k * rows, k * cols, channels) or None
        A co-registered image, such as an aerial photograph, with k x k pixels per pixel of the scene.
    companion_nodata : tuple of float, or tuple of one tuple of float per band
        No-data values of the companion image, in the form of `nodata`.
    companion_names : tuple of str
        Names of the channels of the companion image, such as their colours; empty if unknown. They are dropped like `band_numbers`.
    band_numbers : tuple of int
        Number of each band in the file, counted from 0, if bands were selected; otherwise empty. Dropped if not one per band.
    mask : (rows, cols) bool array or None
        Mask of the valid pixels. Pixels with NaN, infinities or values beyond the range of float32 are invalid in any case. If
        None, `valid_pixels` computes the mask from the cube. The array is a read-only copy.
    licence, citation : str
        Licence and citation, as stated by the provider of the scene.
    notes : tuple of str
        Messages to the user on assumptions that were made when the file was read, and on data that were dropped.

    Raises
    ------
    SceneError
        If the cube does not have three dimensions, or its file was closed. If its values are not real numbers of at most 64 bits. If another
        attribute has another type, shape or length than listed above. If wavelengths, bandwidths or the scale are not
        positive. If a label map, or the coordinates of an array, have another georeference than the scene. If wavelengths or
        bandwidths differ from the coordinates of the bands by more than 0.5 nm.

    Examples
    --------
    >>> scene = Scene("demo", np.ones((4, 5, 3), np.uint16), wavelengths_nm=np.array([450.0, 550.0, 650.0]))
    >>> scene.rows, scene.cols, scene.bands, int(scene.valid.sum())
    (4, 5, 3, 20)
    """

    name: str
    cube: Cube
    wavelengths_nm: NDArray[np.float64] | None = None
    labels: dict[str, Labels] = field(default_factory=dict)
    fwhm_nm: NDArray[np.float64] | None = None
    band_names: tuple[str, ...] = ()
    nodata: NoData = ()
    blank_pixels: str = "drop"
    scale: float = 1.0
    georeference: Georeference | None = None
    companion: Cube | None = None
    companion_nodata: NoData = ()
    mask: NDArray[np.bool_] | None = None
    licence: str = ""
    citation: str = ""
    notes: tuple[str, ...] = ()
    band_numbers: tuple[int, ...] = ()
    companion_names: tuple[str, ...] = ()
    _read_only = ("wavelengths_nm", "fwhm_nm", "mask", "valid")

    def __post_init__(self) -> None:
        for attribute in ("name", "licence", "citation"):
            check_type(getattr(self, attribute), str, f"{self.name}: {attribute} must be a text")
        check_image(self.cube, self.name, "cube")
        self._convert_lists()
        self._convert_nodata()
        check_type(self.blank_pixels, str, f"{self.name}: blank_pixels must be drop or keep")
        if self.blank_pixels not in {"drop", "keep"}:
            raise SceneError(f"{self.name}: blank_pixels must be drop or keep; found {self.blank_pixels!r}")
        check_type(self.scale, int | float | np.number, f"{self.name}: scale must be a number")
        if not 0 < self.scale < np.inf:
            raise SceneError(f"{self.name}: scale must be a positive number; found {self.scale}")
        check_type(self.georeference, Georeference | None, f"{self.name}: georeference must be a Georeference or None")
        check_coordinates(self.cube, self.georeference, self.name, "cube")
        self._add_array_metadata()
        if self.mask is not None:
            check_mask(self.mask, (self.rows, self.cols), self.name)
            object.__setattr__(self, "mask", own_copy(self.mask))
        if self.companion is not None:
            self._check_companion(self.companion)
        check_type(self.labels, dict, f"{self.name}: labels must be a dict such as {{'gt': Labels('gt', array)}}")
        object.__setattr__(self, "labels", dict(self.labels))  # scenes made from this one have dicts of their own
        self.check_label_maps()
        self._set_read_only()

    def _convert_lists(self) -> None:
        for attribute in ("wavelengths_nm", "fwhm_nm"):
            lengths = as_lengths(getattr(self, attribute), self.bands, f"{self.name}: {attribute}", self.cube)
            object.__setattr__(self, attribute, None if lengths is None else lengths.copy())
        for attribute in ("band_names", "companion_names", "notes"):
            object.__setattr__(self, attribute, as_texts(getattr(self, attribute), f"{self.name}: {attribute}"))
        if (count := len(self.band_names)) not in {0, self.bands}:
            raise SceneError(f"{self.name}: {count} band_names for {self.bands} bands: give one per band")
        numbers = check_band_numbers(self.band_numbers, self.name)
        object.__setattr__(self, "band_numbers", numbers if len(numbers) == self.bands else ())

    def _convert_nodata(self) -> None:
        for attribute in ("nodata", "companion_nodata"):
            nodata = convert_nodata(getattr(self, attribute), f"{self.name}: {attribute}")
            object.__setattr__(self, attribute, nodata)
        per_band = [values for values in self.nodata if isinstance(values, tuple)]
        if per_band and len(per_band) != self.bands:
            raise SceneError(
                f"{self.name}: no-data values of {format_count(len(per_band), 'band')} for {format_count(self.bands, 'band')}: give one tuple per band"
            )

    def _add_array_metadata(self) -> None:
        names = ("wavelengths_nm", "fwhm_nm", "band_names", "nodata", "scale", "georeference", "notes")
        given = Raster(self.cube, **{attribute: getattr(self, attribute) for attribute in names})
        described = add_array_metadata(given, self.name)
        for attribute in names:
            object.__setattr__(self, attribute, getattr(described, attribute))

    def _check_companion(self, companion: Cube) -> None:
        check_image(companion, self.name, "companion image")
        if self.companion_factor < 1:
            raise SceneError(
                f"{self.name}: the companion image has the shape {' x '.join(map(str, companion.shape))}; its height and "
                f"width must be k * {self.rows} and k * {self.cols} pixels, with a whole number k"
            )
        grid = None if self.georeference is None else self.georeference.refine(self.companion_factor)
        check_coordinates(companion, grid, self.name, "companion image")
        image = Raster(companion, nodata=self.companion_nodata, notes=self.notes)
        declared = add_array_nodata(image, f"{self.name}: companion image")
        object.__setattr__(self, "companion_nodata", declared.nodata)
        names = channel_labels(companion) or self.companion_names
        object.__setattr__(self, "companion_names", names if len(names) == companion.shape[2] else ())
        notes = companion_notes(companion, grid, self.name)
        object.__setattr__(self, "notes", join_notes(declared.notes, notes))

    def __repr__(self) -> str:
        return describe_scene(self)

    @property
    def companion_factor(self) -> int:
        """Number of pixels of the companion image along each side of a scene pixel.

        0 if the scene has no companion image. Also 0 if the shape of the image is not (k * rows, k * cols, channels) for an
        integer k.
        """
        if self.companion is None or len(self.companion.shape) != 3:
            return 0
        factor = int(self.companion.shape[0]) // self.rows
        return factor if tuple(self.companion.shape[:2]) == (factor * self.rows, factor * self.cols) else 0

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """Mask of the valid pixels, a (rows, cols) bool array.

        If `mask` is None, `valid_pixels` computes it from the cube. Otherwise, this is `mask` without the pixels that have NaN,
        infinities or values beyond the range of float32. The first access reads the cube, unless `mask` is
        set and the values are integers.
        """
        check_image(self.cube, self.name, "cube")  # its file may have been closed
        return read_only(self._validity.mask if self.mask is None else drop_missing_values(self.mask, self.cube))

    @property
    def validity_notes(self) -> tuple[str, ...]:
        """Messages on pixels that were assumed to be valid or invalid. The first access may read the whole cube."""
        if self.mask is None:
            return self._validity.renumbered(opened_bands(self.cube)).notes(self.name, self.blank_pixels)
        dropped = int(np.count_nonzero(self.mask & ~self.valid))
        if not dropped:
            return ()
        note = "with NaN, infinities or values beyond the range of float32, which always mean no data"
        return (f"{self.name}: the mask includes {format_count(dropped, 'pixel')} {note}",)

    @property
    def label_notes(self) -> tuple[str, ...]:
        """Messages on labels of invalid pixels. No head learns from these labels. The first access may read the whole cube."""
        self.check_label_maps()
        found = (labels.describe_invalid(self.valid) for labels in self.labels.values())
        return tuple(f"{self.name}: {note}" for note in found if note)

    @cached_property
    def _validity(self) -> Validity:
        return valid_pixels(self.cube, self.nodata, blank_pixels=self.blank_pixels)

    @cached_property
    def digest(self) -> str:
        """SHA-256 hex digest of shape, dtype, values and valid pixels. File name and format do not affect it."""
        check_image(self.cube, self.name, "cube")
        digest = CubeDigest(self.cube.shape, self.cube.dtype)
        for block in blocks(self.rows, self.cols, self.bands):
            digest.add(plain_values(self.cube[block.slices]))
        return digest.hexdigest(self.valid)

    def check_unchanged(self) -> None:
        """Check that an array in memory has the values from which `valid`, `validity_notes` and `digest` were computed. Of other cubes, only single pixels are read.

        Raises
        ------
        SceneError
            If the array was changed. If the file of the array was closed. If a map in the dict `labels` does not fit the scene.
        """
        self.check_label_maps()
        current = replace(self)  # has read no values; checks that the array can still be read
        used = {"_validity": "valid", "valid": "valid", "digest": "digest"}
        cached = {name for computed, name in used.items() if computed in vars(self)}
        if not cached or not is_in_memory(self.cube):
            return
        if not all(np.array_equal(getattr(current, name), getattr(self, name)) for name in cached):
            raise changed_scene_error(self.name)

    def empty_bands(self) -> tuple[int, ...]:
        """Return the indices of the bands in which no pixel has a value.

        NaN, infinities and no-data values other than 0 do not count as values.
        """
        check_image(self.cube, self.name, "cube")
        return bands_without_values(self.cube, self.nodata)

    def without_bands(self, bands: Sequence[int]) -> Scene:
        """Return the scene without the bands at the given indices, which count from 0.

        Raises
        ------
        SceneError
            If the scene lacks a band. If no band would remain.
        """
        bands = check_bands(bands, self.bands, self.name)
        remaining = [band for band in range(self.bands) if band not in bands]
        if not remaining:
            raise SceneError(f"{self.name}: no band remains without {format_bands(bands)}")
        dropped = self.bands - len(remaining)
        return self.with_bands(remaining, f"dropped {dropped} of {self.bands} bands: {format_bands(bands)}")

    def with_bands(self, bands: Sequence[int], note: str = "") -> Scene:
        """Return the scene with the bands at the given indices, in this order.

        Parameters
        ----------
        bands : sequence of int
            Indices of the bands, which count from 0.
        note : str
            Reason for the selection, which is added to the notes of the result; an empty string adds no note.

        Raises
        ------
        SceneError
            If the scene lacks a band.
        """
        check_image(self.cube, self.name, "cube")
        bands = check_bands(bands, self.bands, self.name)
        check_type(note, str, "the note on a selection of bands must be a text")
        return replace(
            self,
            cube=SelectedBands(self.cube, bands),
            nodata=select_bands(self.nodata, bands),
            wavelengths_nm=None if self.wavelengths_nm is None else self.wavelengths_nm[list(bands)],
            fwhm_nm=None if self.fwhm_nm is None else self.fwhm_nm[list(bands)],
            band_names=tuple(self.band_names[band] for band in bands) if self.band_names else (),
            band_numbers=tuple((self.band_numbers or range(self.bands))[band] for band in bands),
            notes=(*self.notes, f"{self.name}: {note}") if note else self.notes,
        )

    def matched_to(
        self,
        wavelengths_nm: NDArray[np.float64] | None,
        bands: int,
        name: str,
        band_names: tuple[str, ...] = (),
        scale: float | None = None,
    ) -> Scene:
        """Return this scene with one band for each band of another scene, matched by wavelength with `match_bands`.

        Parameters
        ----------
        wavelengths_nm : (bands,) float64 array or None
            Centre wavelengths of the other scene in nm, or None if unknown.
        bands : int
            Number of bands of the other scene.
        name : str
            Name of the other scene, for messages.
        band_names : tuple of str
            Names of the bands of the other scene, for notes; empty if unknown.
        scale : float, optional
            Reflectance scale of the other scene, for a note. [default: scales are not compared]

        Returns
        -------
        Scene
            This scene with `bands` bands, in the order of the other scene. Notes are added on bands that may be matched
            wrongly.

        Raises
        ------
        SceneError
            If a band of the other scene matches no band of this scene. If the scenes have different numbers of bands, and
            the wavelengths of either scene are unknown.
        """
        check_integers(1, bands=bands)
        nm, names = as_lengths(wavelengths_nm, bands, "the wavelengths"), as_texts(band_names, "band_names")
        wanted, found = SceneBands(name, bands, nm, names, scale), SceneBands.of(self, self.name)
        matched, notes = match_bands(wanted, found), matching_notes(wanted, found)
        scene = replace(self, notes=(*self.notes, *notes)) if notes else self
        if matched is None:
            return scene
        taken = f"{len(np.unique(matched))} of {self.bands} bands are taken, at the wavelengths of {name}"
        return scene.with_bands(matched.tolist(), taken)

    def with_labels(self, labels: Labels) -> Scene:
        """Return the scene with an additional label map.

        The notes of the label map are appended to the notes of the scene. A label map without a georeference is assumed to
        cover exactly the scene.

        Raises
        ------
        SceneError
            If the label map and the scene differ in shape or in georeference. If the scene has a label map of this name.
        """
        self.check_labels(labels)
        if labels.name in self.labels:
            raise SceneError(
                f"{self.name} already has a label map named {labels.name!r}: rename the second, with "
                "dataclasses.replace(labels, name=…), or leave out the first, with dataclasses.replace(scene, labels={})"
            )
        return replace(self, labels={**self.labels, labels.name: labels}, notes=(*self.notes, *labels.notes))

    def summary(self) -> dict[str, Any]:
        """Return the metadata that `hsifeat scenes show` prints, as JSON-compatible values."""
        self.check_label_maps()
        check_image(self.cube, self.name, "cube")
        return summarise_scene(self)

    def check_label_maps(self) -> None:
        """Raise `SceneError` if a map in the dict `labels` does not fit the scene, or has another name than its key."""
        for key, labels in self.labels.items():
            self.check_labels(labels)
            if key != labels.name:
                raise SceneError(f"{self.name}: the label map {labels.name!r} has the key {key!r}; both must be equal")

    def check_labels(self, labels: Labels) -> None:
        """Raise `SceneError` if a label map and the scene differ in shape or in georeference."""
        check_label_map(labels, (self.rows, self.cols), self.georeference, self.name)
