"""Opening of label maps from rasters, vector files and CSV lists of pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hsifeat.errors import SceneError
from hsifeat.scenes.array_coordinates import array_pixel_axes, check_pixel_numbers, has_numbers
from hsifeat.scenes.label_map import Labels, safe_label_name
from hsifeat.scenes.labels.classes import drop_zero, note_lost_classes, note_unnamed, read_classes
from hsifeat.scenes.labels.csv_pixels import read_pixel_csv
from hsifeat.scenes.labels.resampling import align_to_grid
from hsifeat.scenes.labels.vectors import read_vectors, split_vector_source
from hsifeat.scenes.nodata import distinct_values
from hsifeat.scenes.pixel_grid import PixelGrid, PlacedGrid
from hsifeat.scenes.readers import read_raster
from hsifeat.scenes.readers.pixel_coordinates import pixel_georeference
from hsifeat.scenes.readers.source_paths import split_variable
from hsifeat.scenes.scene_checks import check_type

# Suffixes of formats that can't declare a no-data value.
_WITHOUT_NODATA = {"npy", "npz", "mat"}


def open_labels(source: str | Path, scene: PixelGrid | None = None) -> Labels:
    """Open a label map and align it with the grid of a scene.

    Parameters
    ----------
    source : str or Path
        One of:

        - A (rows, cols) raster in any format that `open_scene` reads, as ``FILE``, or as ``FILE:VARIABLE`` if the file has
          several variables. Values are whole numbers, and 0 is unlabelled. Declared no-data values become 0.
        - Polygons or points (``.gpkg``, ``.geojson``, ``.shp``, ``.fgb``, ``.kml``, ``.gml``) as ``FILE``, ``FILE:COLUMN``
          or ``FILE:LAYER:COLUMN``. The column contains the class of each polygon or point as a number or a name.
        - A ``.csv`` file with the columns row and col (both counted from 0) and class (a number or a name).

        Class names in a vector or CSV file are numbered from 1 in alphabetical order. A name that occurs only outside the
        scene gets a number as well.
    scene : Scene or Labels, optional
        Scene or label map that defines the target grid. It is required for vector and CSV files. Without it, a raster keeps
        its own grid.

    Returns
    -------
    Labels
        The label map, with the georeference of `scene`; without `scene`, with that of the file. Its name is the variable,
        layer or column in `source`, or otherwise the name of the file. A layer takes precedence over a column. The notes
        state assumptions, and resampled or dropped labels.

    Raises
    ------
    SceneError
        If the file does not exist or is damaged. If the file lacks the variable, layer or column in `source`. If `source`
        states no variable, layer or column, and the file does not have exactly one candidate. If a class number is
        negative, fractional or above 2**31 - 1. If the labels can't be aligned with the scene. If all labels of a raster or
        vector file lie outside the scene. If a pixel of a CSV file lies outside the scene. If `source` or `scene` has another
        type than listed above.

    Notes
    -----
    A raster on the grid of the scene is used unchanged. A raster may have k x k cells per scene pixel. If all cells of a
    pixel share one class, the pixel gets this class, otherwise 0. Any other raster is resampled by nearest neighbour, and
    reprojected if its CRS differs from the CRS of the scene. A polygon labels the pixels whose centres lie inside the
    polygon. A point labels the pixel that contains the point. If polygons or points of different classes label the same
    pixel, the pixel becomes 0.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/gt.npy", np.array([[0, 1], [2, 2]]))
    ...     open_labels(f"{folder}/gt.npy").counts
    {1: 1, 2: 2}
    """
    check_type(source, str | Path, "labels are opened from a file; Labels(name, array) takes an array")
    check_type(scene, PixelGrid | None, "the scene of labels must be a Scene or Labels")
    vector_file, column = split_vector_source(source)
    path, variable = split_variable(source)
    if vector_file is None and path.suffix.lower() != ".csv":
        return _open_raster(path, variable, scene)
    if scene is None:
        raise SceneError(f"{source} does not define a pixel grid: give the scene of these labels")
    if vector_file is not None:
        return read_vectors(vector_file, column, scene)
    if variable is not None:
        raise SceneError(f"{path}: a CSV of labels has no variables; leave out {variable!r}")
    return read_pixel_csv(path, scene)


def _open_raster(path: Path, variable: str | None, scene: PixelGrid | None) -> Labels:
    raster = read_raster(path, 2, variable)
    classes, class_notes = read_classes(
        raster.array,
        distinct_values(raster.nodata),
        path.name,
        can_declare_nodata=path.name.removesuffix(".gz").rpartition(".")[2].lower() not in _WITHOUT_NODATA,
    )
    class_names, zero_notes = drop_zero(raster.class_names, classes, path.name)
    unnamed = note_unnamed(class_names, classes, path.name)
    notes = (*raster.notes, *raster.scale_notes, *class_notes, *zero_notes, *unnamed)
    georeference = raster.georeference
    if scene is not None:
        grid = _pixel_grid(scene) if raster.pixel_axes else None
        if grid is not None:
            georeference = pixel_georeference(raster.pixel_axes, path.name)
        elif raster.pixel_axes:
            cube: Any = getattr(scene, "cube", None)  # has coordinates, see `_pixel_grid`
            check_pixel_numbers(raster.pixel_axes, cube, path.name, scene.name)
        aligned, grid_notes = align_to_grid(classes, georeference, grid or scene, path.name)
        notes += grid_notes
        if aligned is not classes:
            notes += note_lost_classes(classes, aligned, class_names, path.name)
        classes, georeference = aligned, scene.georeference
    # The name of a variable in an HDF5 file may be a path.
    name = (variable or "").rpartition("/")[2] or Path(path.name.removesuffix(".gz")).stem
    class_colours = {number: colour for number, colour in raster.class_colours.items() if number > 0}
    return Labels(safe_label_name(name), classes, class_names, class_colours, notes, georeference)


def _pixel_grid(scene: PixelGrid) -> PixelGrid | None:
    """Return the grid of a scene in pixel coordinates, or None.

    None if the scene has no georeference, and the coordinates of its cube are not in pixels. A georeference without a CRS may
    be that of a part in pixels of the whole scene.
    """
    if scene.georeference is not None:
        return scene if scene.georeference.crs is None else PlacedGrid.in_pixels(scene)
    cube = getattr(scene, "cube", None)
    if axes := array_pixel_axes(cube):
        return PlacedGrid.in_pixels(scene, pixel_georeference(axes, scene.name))
    return None if has_numbers(cube) else PlacedGrid.in_pixels(scene)
