"""From what a user types to a scene: a registry name, or one or more paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hsifeat.errors import SceneError, nearest
from hsifeat.scenes.array_views import Bands
from hsifeat.scenes.axes import parse_axes, put_in_order
from hsifeat.scenes.band_ranges import parse_bands
from hsifeat.scenes.labels.open_labels import open_labels
from hsifeat.scenes.readers import Raster, is_address, read_raster, split_variable
from hsifeat.scenes.readers.conventions import with_spectrum
from hsifeat.scenes.readers.rechunked import walkable
from hsifeat.scenes.registry import REGISTRY
from hsifeat.scenes.registry.external import find_other
from hsifeat.scenes.scene import Scene

PathLike = str | Path


def open_scene(
    source: PathLike | Sequence[PathLike],
    *,
    variable: str | None = None,
    axes: str | None = None,
    rows: int | None = None,
    cols: int | None = None,
    bad_bands: str = "drop",
    nodata: float | None = None,
    companion: PathLike | None = None,
    labels: PathLike | Sequence[PathLike] | None = None,
) -> Scene:
    """Open a scene by registry name or path; large files are not read, but sliced when they are needed.

    Parameters
    ----------
    source : str, Path, or sequence of these
        A registry name such as ``indian-pines``, or ``rs-fusion-datasets:NAME`` where that is installed; a file that one
        of the readers takes, see `hsifeat.scenes.readers`; a folder of single-band files; or several single-band files
        in the order of their bands.
    variable : str, optional
        The variable to take from a file that holds several. By default there must be a single candidate.
    axes : str, optional
        The order of the axes where the format does not tell it, such as ``bands,rows,cols``, or ``bands,pixels`` where
        the columns of the scene follow one another in one axis (``pixels-by-row``: the rows). Guessed by default.
    rows, cols : int, optional
        The scene's shape where its pixels are in one axis; one of them is enough.
    bad_bands : str
        ``drop`` leaves out bands that the file marks as bad, ``keep`` keeps them. A list such as ``103-108,149`` leaves
        out these too, of the bands that are there with ``drop``, from 0.
    nodata : float, optional
        The value that stands for no data, where the file does not say so.
    companion : str or Path, optional
        A co-registered image with k x k pixels for each of the scene's, as ``FILE`` or ``FILE:VARIABLE``.
    labels : str, Path, or sequence of these, optional
        Label maps as `open_labels` takes them, each attached under the name of its file, which no other has.

    Returns
    -------
    Scene

    Raises
    ------
    SceneError
        No such name or file, a damaged file, several candidates, axes that don't fit, or labels that can't be brought
        onto the scene's grid.

    Examples
    --------
    >>> open_scene("indian-pines").cube.shape
    (145, 145, 200)
    """
    sources = [source] if isinstance(source, str | Path) else list(source)
    name = str(sources[0]) if len(sources) == 1 else ""
    entry = REGISTRY.get(name) or find_other(name)
    if entry is not None:
        if any(option is not None for option in (variable, axes, rows, cols, nodata)):
            raise SceneError(f"{entry.name} is a scene of the registry: leave out what says how a file is to be read")
        scene = entry.load()
    else:
        scene = _from_files([Path(s) for s in sources], variable, parse_axes(axes), rows, cols, bad_bands, nodata)
    if bad_bands not in {"drop", "keep"}:
        scene = scene.without_bands(parse_bands(bad_bands, scene.bands))
    if companion is not None:
        scene = with_companion(scene, companion)
    for one in [labels] if isinstance(labels, str | Path) else labels or ():
        found = open_labels(one, scene)
        if found.name in scene.labels:
            raise SceneError(
                f"two label maps are named {found.name!r}, the second of them {one}: rename one, since a map goes by its name"
            )
        scene = scene.with_labels(found)
    return scene


def _from_files(
    paths: list[Path],
    variable: str | None,
    axes: tuple[str, ...] | None,
    rows: int | None,
    cols: int | None,
    bad_bands: str,
    nodata: float | None,
) -> Scene:
    path = paths[0]
    if len(paths) == 1 and not path.exists() and path.suffix == "" and not is_address(path):
        raise SceneError(f"no scene or file named {str(path)!r}; scenes: {nearest(str(path), REGISTRY)}")
    if len(paths) > 1:
        from hsifeat.scenes.readers.band_files import read_stack

        raster = read_stack(paths)
    else:
        raster = read_raster(path, 3 if axes is None else len(axes), variable)
    if raster.ordered and (axes or rows or cols):
        raise SceneError(f"{path} says itself which axis is which: leave out --axes, --rows and --cols")
    array, notes = raster.array, raster.notes
    if not raster.ordered:
        array, guessed = put_in_order(array, axes, rows, cols, path.name)
        notes += guessed
    array, slow = walkable(array, path.name)
    raster = replace(raster, array=array, notes=(*notes, *slow))
    if raster.beside:
        raster = with_spectrum(raster, path.name)
    if bad_bands != "keep":
        raster = _without_bad_bands(raster, path.name)
    return Scene(
        name=path.name if path.is_dir() else path.name.removesuffix(".gz").rpartition(".")[0] or path.name,
        cube=raster.array,
        wavelengths_nm=raster.wavelengths_nm,
        fwhm_nm=raster.fwhm_nm,
        band_names=raster.band_names,
        nodata=raster.nodata if nodata is None else (*raster.nodata, nodata),
        scale=raster.scale,
        georeference=raster.georeference,
        notes=raster.notes,
    )


def _without_bad_bands(raster: Raster, name: str) -> Raster:
    """Leave out the bands that a file marks as bad; a file that marks all of them is not believed."""
    if not raster.bad_bands:
        return raster
    bands, bad = int(raster.array.shape[2]), set(raster.bad_bands)
    kept = [band for band in range(bands) if band not in bad]
    if len(kept) in {0, bands}:
        return raster
    return replace(
        raster,
        array=Bands(raster.array, kept),
        wavelengths_nm=None if raster.wavelengths_nm is None else raster.wavelengths_nm[kept],
        fwhm_nm=None if raster.fwhm_nm is None else raster.fwhm_nm[kept],
        band_names=tuple(raster.band_names[band] for band in kept) if raster.band_names else (),
        notes=(*raster.notes, f"{name}: left out {bands - len(kept)} of {bands} bands, which it marks as bad"),
    )


def with_companion(scene: Scene, source: PathLike) -> Scene:
    """Return a scene with its companion image, read from FILE or FILE:VARIABLE; `SceneError` if it lies elsewhere."""
    path, variable = split_variable(source)
    raster = read_raster(path, 3, variable)
    paired = replace(scene, companion=raster.array, notes=(*scene.notes, *raster.notes))
    here, there = scene.georeference, raster.georeference
    if here is not None and there is not None:
        finer = here.finer(paired.companion_factor)
        corners = np.array([(0, 0, 1), (raster.array.shape[1], 0, 1), (0, raster.array.shape[0], 1)])
        apart = np.abs(corners @ (np.reshape(finer.transform, (2, 3)) - np.reshape(there.transform, (2, 3))).T).max()
        if not here.same_crs(there) or apart > 0.5 * max(finer.pixel_size):
            raise SceneError(
                f"{path} does not lie on the scene {scene.name}: a companion image has the scene's CRS and corners (here in "
                f"{there.crs_name}, up to {apart:g} units off): cut and resample it to the scene's extent first"
            )
    return paired
