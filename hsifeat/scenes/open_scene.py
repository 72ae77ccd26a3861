"""Opening a scene by registry name or path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hsifeat.errors import SceneError, suggest_names
from hsifeat.formatting import format_value
from hsifeat.scenes.array_views import BandSubset
from hsifeat.scenes.axes import order_axes, parse_axes
from hsifeat.scenes.band_matching import COUNT
from hsifeat.scenes.band_ranges import check_bands, parse_bands
from hsifeat.scenes.labels.open_labels import open_labels
from hsifeat.scenes.nodata import add_values, select_bands
from hsifeat.scenes.pixel_grid import PIXELS
from hsifeat.scenes.readers import Raster, read_raster
from hsifeat.scenes.readers.band_files import stack_band_files
from hsifeat.scenes.readers.pixel_coordinates import pixel_georeference
from hsifeat.scenes.readers.source_paths import is_url, path_exists, split_variable
from hsifeat.scenes.readers.spectral_vectors import attach_spectrum, count_wavelengths
from hsifeat.scenes.registry.external import is_fusion_scene, load_fusion_scene
from hsifeat.scenes.registry.load import load_public_scene
from hsifeat.scenes.registry.public_scenes import REGISTRY
from hsifeat.scenes.scene import Scene
from hsifeat.scenes.scene_checks import check_type, convert_nodata
from hsifeat.scenes.scene_in_store import is_scene_in_store, open_scene_in_store
from hsifeat.scenes.temporary_copy import rechunk_for_blocks
from hsifeat.types import as_int

PathLike = str | Path


def open_scene(
    source: PathLike | Sequence[PathLike],
    *,
    variable: str | None = None,
    axes: str | None = None,
    rows: int | None = None,
    cols: int | None = None,
    bad_bands: str | Sequence[int] = "drop",
    nodata: float | Sequence[float] | None = None,
    blank_pixels: str = "drop",
    companion: PathLike | None = None,
    labels: PathLike | Iterable[PathLike] | None = None,
) -> Scene:
    """Open a scene by registry name or path; large files are read lazily.

    Parameters
    ----------
    source : str, Path, or sequence of these
        One of:

        - a registry name such as ``indian-pines``
        - ``rs-fusion-datasets:NAME``, if the package rs-fusion-datasets is installed
        - a file whose format has a reader in `hsifeat.scenes.readers`
        - a Zarr folder, or a folder of single-band files
        - ``STORE/scene``, the copy of the scene in a feature store, with its mask and label maps
        - a list of single-band files, in band order.
    variable : str, optional
        Name of the variable to read from the file. By default the file must have exactly one variable with the right
        number of dimensions.
    axes : str, optional
        Axis order, such as ``bands,rows,cols``, for a format that does not define the order. If one axis holds all pixels,
        its name is ``pixels`` for pixels in column order, or ``pixels-by-row`` for pixels in row order. By default, the order
        is guessed, and a note states the guess.
    rows, cols : int, optional
        Height and width of the scene in pixels. If one axis holds all pixels, at least one of the two numbers is required.
    bad_bands : str or sequence of int
        ``drop`` drops the bands that the file marks as bad; ``keep`` keeps them. With a list such as ``103-108,149`` or
        ``[103, 149]``, the marked bands are dropped first. The remaining bands are then counted from 0, and the bands in the
        list are dropped too.
    nodata : float or sequence of float, optional
        No-data values of all bands, in addition to the no-data values that the file declares.
    blank_pixels : {"drop", "keep"}
        Whether blank pixels are invalid (``drop``) or valid (``keep``). A pixel is blank if all its bands are 0. In a cube
        of integers, a pixel is also blank if all its bands have the largest value of the dtype. If 0 is the no-data value,
        pixels with 0 in all bands are always invalid.
    companion : str or Path, optional
        File of a co-registered image with k x k pixels per pixel of the scene, as ``FILE`` or ``FILE:VARIABLE``.
    labels : str, Path, or iterable of these, optional
        Label maps to attach, in any form that `open_labels` accepts.

    Returns
    -------
    Scene
        The scene; its notes state every assumption made while reading.

    Raises
    ------
    SceneError
        If the name or file does not exist, or the file is damaged. If the file lacks `variable`. If `variable` is None, and
        the file has no suitable variable, or several suitable variables. If `axes`, `rows` or `cols` contradict the file.
        If `variable`, `axes`, `rows`, `cols` or `nodata` is set for a scene of the registry or in a store. If `bad_bands`
        lists a band that the scene lacks. If the companion image or a label map can't be aligned with the scene. If an
        option has another type than listed above.

    Examples
    --------
    >>> open_scene("indian-pines").cube.shape
    (145, 145, 200)
    """
    _check_options(variable, rows, cols, blank_pixels, companion)
    all_axes, nodata_values, label_sources = parse_axes(axes), _checked_nodata(nodata), _checked_labels(labels)
    sources = _checked_sources(source)
    name = str(sources[0]) if len(sources) == 1 else ""
    in_registry = name in REGISTRY or is_fusion_scene(name)
    in_store = not in_registry and bool(name) and is_scene_in_store(Path(name))
    if (in_registry or in_store) and any(option is not None for option in (variable, axes, rows, cols, nodata)):
        raise SceneError(
            f"{name} is a scene {'of the registry' if in_registry else 'in a store'}: leave out the options that say how "
            "to read a file (variable, axes, rows, cols, nodata)"
        )
    if in_store:
        scene = open_scene_in_store(Path(name))
    elif in_registry:
        scene = load_public_scene(REGISTRY[name]) if name in REGISTRY else load_fusion_scene(name)
    else:
        keeps_bad_bands = isinstance(bad_bands, str) and bad_bands == "keep"
        paths = [Path(path) for path in sources]
        scene = _open_files(paths, variable, all_axes, rows, cols, nodata_values, keeps_bad_bands=keeps_bad_bands)
    scene = replace(scene, blank_pixels=blank_pixels)
    if bands := _bands_to_drop(bad_bands, scene):
        scene = scene.without_bands(bands)
    if companion is not None:
        scene = attach_companion(scene, companion)
    for label_source in label_sources:
        label_map = open_labels(label_source, scene)
        if label_map.name in scene.labels:
            raise SceneError(
                f"two label maps are named {label_map.name!r}, the second from {label_source}: rename one of the files, "
                "because maps are identified by name"
            )
        scene = scene.with_labels(label_map)
    return scene


def _checked_sources(source: PathLike | Sequence[PathLike]) -> list[PathLike]:
    sources = [source] if isinstance(source, str | Path) else list(source) if isinstance(source, Sequence) else []
    if not sources or not all(isinstance(one, str | Path) and str(one).strip() for one in sources):
        raise SceneError(
            f"a scene is the name of a public scene, a path, or a list of paths; found {format_value(source)}"
        )
    return sources


def _check_options(variable: object, rows: object, cols: object, blank_pixels: object, companion: object) -> None:
    check_type(variable, str | None, "variable must be the name of a variable")
    for side, value in (("rows", rows), ("cols", cols)):
        if value is not None and (as_int(value) or 0) < 1:
            raise SceneError(f"{side} must be a whole number from 1; found {format_value(value)}")
    if not isinstance(blank_pixels, str) or blank_pixels not in {"drop", "keep"}:
        raise SceneError(f"blank_pixels must be drop or keep; found {format_value(blank_pixels)}")
    check_type(companion, str | Path | None, "companion must be a file; Scene(companion=…) takes an array")


def _checked_nodata(nodata: float | Sequence[float] | None) -> tuple[float, ...]:
    values = () if nodata is None else convert_nodata(nodata, "nodata")
    numbers = tuple(value for value in values if not isinstance(value, tuple))
    if len(numbers) != len(values):
        raise SceneError(
            f"nodata applies to all bands: give a number or several numbers; found {format_value(nodata)}; Scene(nodata=…) takes one tuple per "
            "band"
        )
    return numbers


def _checked_labels(labels: object) -> list[PathLike]:
    if labels is None:
        return []
    is_single = isinstance(labels, str | Path | Mapping) or not isinstance(labels, Iterable)
    sources = [labels] if is_single else list(labels)  # type: ignore[call-overload]
    paths = [one for one in sources if isinstance(one, str | Path)]
    if len(paths) != len(sources):
        raise SceneError(
            f"labels are files of label maps, such as gt.tif; found {format_value(labels)}: attach an array with "
            "scene.with_labels(Labels(name, array))"
        )
    return paths


def _bands_to_drop(bad_bands: str | Sequence[int], scene: Scene) -> tuple[int, ...]:
    """Return the bands that `bad_bands` lists; none for ``drop`` and ``keep``."""
    if not isinstance(bad_bands, str):
        return check_bands(bad_bands, scene.bands, scene.name)
    return () if bad_bands in {"drop", "keep"} else parse_bands(bad_bands, scene.bands)


def _open_files(
    paths: list[Path],
    variable: str | None,
    axes: tuple[str, ...] | None,
    rows: int | None,
    cols: int | None,
    nodata: Sequence[float],
    *,
    keeps_bad_bands: bool,
) -> Scene:
    path = paths[0]
    if path.name in {"", ".."} and path.is_dir():
        path = path.resolve()
    if len(paths) == 1 and not path_exists(path) and path.suffix == "" and not is_url(path):
        raise SceneError(f"no scene or file named {str(path)!r}; scenes: {suggest_names(str(path), REGISTRY)}")
    if len(paths) > 1:
        raster = stack_band_files(paths)
    else:
        raster = read_raster(path, 3 if axes is None else len(axes), variable)
    if raster.ordered and (axes or rows or cols):
        raise SceneError(f"{path}: its format defines the axes: leave out `axes`, `rows` and `cols`")
    array, notes = raster.array, (*raster.scale_notes, *raster.notes)
    if not raster.ordered:
        # If the file has several cubes, a vector of the file may belong to another one.
        wavelengths = count_wavelengths(raster, own=variable is not None)
        array, axis_notes = order_axes(array, axes, rows, cols, path.name, wavelengths)
        notes += axis_notes
    array, copy_notes = rechunk_for_blocks(array, path.name)
    raster = replace(raster, array=array, notes=(*notes, *copy_notes))
    if raster.spectral_vectors:
        raster = attach_spectrum(raster, path.name)
    if not keeps_bad_bands:
        raster = _drop_bad_bands(raster, path.name)
    raster = _with_pixel_georeference(raster, path.name)
    return Scene(
        name=path.name if path.is_dir() else path.name.removesuffix(".gz").rpartition(".")[0] or path.name,
        cube=raster.array,
        wavelengths_nm=raster.wavelengths_nm,
        fwhm_nm=raster.fwhm_nm,
        band_names=raster.band_names,
        band_numbers=tuple(map(int, raster.array.bands)) if isinstance(raster.array, BandSubset) else (),
        nodata=add_values(raster.nodata, nodata) if nodata else raster.nodata,
        scale=raster.scale,
        georeference=raster.georeference,
        notes=raster.notes,
    )


def _with_pixel_georeference(raster: Raster, name: str) -> Raster:
    """Use coordinates in pixels of a scene as the georeference of a file, unless the file has all pixels of the scene."""
    if not raster.pixel_axes:
        return raster
    try:
        found = pixel_georeference(raster.pixel_axes, name)
    except SceneError as error:
        return replace(raster, notes=(*raster.notes, str(error)))
    rows, cols = map(int, raster.array.shape[:2])
    return raster if found.same_grid(PIXELS, rows, cols) else replace(raster, georeference=found)


def _drop_bad_bands(raster: Raster, name: str) -> Raster:
    """Drop the bands that the file marks as bad, unless the file marks every band."""
    if not raster.bad_bands:
        return raster
    bands, bad_bands = int(raster.array.shape[2]), set(raster.bad_bands)
    good_bands = [band for band in range(bands) if band not in bad_bands]
    if not good_bands:
        return replace(raster, notes=(*raster.notes, f"{name}: marks all of its bands as bad; all are kept"))
    dropped = bands - len(good_bands)
    return replace(
        raster,
        array=BandSubset(raster.array, good_bands),
        wavelengths_nm=None if raster.wavelengths_nm is None else raster.wavelengths_nm[good_bands],
        fwhm_nm=None if raster.fwhm_nm is None else raster.fwhm_nm[good_bands],
        band_names=tuple(raster.band_names[band] for band in good_bands) if raster.band_names else (),
        band_colours=tuple(raster.band_colours[band] for band in good_bands) if raster.band_colours else (),
        nodata=select_bands(raster.nodata, good_bands),
        notes=(*raster.notes, f"{name}: dropped {dropped} of {bands} bands, which the file marks as bad"),
    )


# Smaller offsets are rounding errors of coordinates in files, and get no note.
_UNNOTED_OFFSET_PX = 0.001


def attach_companion(scene: Scene, source: PathLike) -> Scene:
    """Return a scene with a companion image.

    The companion image is co-registered with the scene and has k x k pixels per pixel of the scene.

    Parameters
    ----------
    scene : Scene
        The scene.
    source : str or Path
        File of the companion image, as ``FILE`` or ``FILE:VARIABLE``.

    Raises
    ------
    SceneError
        If the image can't be read. If the height and width of the image are not the same multiple of the height and
        width of the scene. If the georeferences of the image and the scene do not match.
    """
    path, variable = split_variable(source)
    raster = _drop_bad_bands(read_raster(path, 3, variable), path.name)
    notes = (*scene.notes, *raster.scale_notes, *raster.notes)
    with_companion = replace(
        scene,
        companion=raster.array,
        companion_nodata=raster.nodata,
        companion_names=raster.band_colours if all(map(COUNT.fullmatch, raster.band_names)) else raster.band_names,
        notes=notes,
    )
    scene_grid, companion_grid = scene.georeference, raster.georeference
    if scene_grid is not None and companion_grid is not None:
        expected = scene_grid.refine(with_companion.companion_factor)
        corners = np.array([(0, 0, 1), (raster.array.shape[1], 0, 1), (0, raster.array.shape[0], 1)])
        difference = np.reshape(expected.transform, (2, 3)) - np.reshape(companion_grid.transform, (2, 3))
        offset = np.abs(corners @ difference.T).max()
        if not scene_grid.same_crs(companion_grid) or offset > 0.5 * max(expected.pixel_size):
            raise SceneError(
                f"{path} does not lie on the scene {scene.name}: a companion image must have the scene's CRS and corners; found "
                f"the CRS {companion_grid.crs_name} and corners up to {offset:g} units away: cut and resample the image to "
                "the extent of the scene first"
            )
        pixels = offset / max(expected.pixel_size)
        if pixels > _UNNOTED_OFFSET_PX:
            note = f"{path.name}: its corners lie up to {pixels:.2g} of its pixels from those of the scene; this offset is ignored"
            return replace(with_companion, notes=(*with_companion.notes, note))
    elif scene_grid is not companion_grid:
        owner = "the companion image" if companion_grid is None else "the scene"
        note = f"{path.name}: aligned with the scene by its shape, because {owner} has no georeference"
        return replace(with_companion, notes=(*with_companion.notes, note))
    return with_companion
