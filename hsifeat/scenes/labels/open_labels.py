"""Labels from files, brought onto a scene's grid: rasters, vectors, or pixels in a CSV."""

from __future__ import annotations

from pathlib import Path

from hsifeat.errors import SceneError
from hsifeat.scenes.label_map import Labels
from hsifeat.scenes.labels.classes import drop_zero, read_classes
from hsifeat.scenes.labels.points import read_points
from hsifeat.scenes.labels.resampling import align_to_grid
from hsifeat.scenes.labels.vectors import read_vectors, split_vector_source
from hsifeat.scenes.readers import read_raster
from hsifeat.scenes.readers.source_paths import split_variable
from hsifeat.scenes.scene import Scene


def open_labels(source: str | Path, scene: Scene | None = None) -> Labels:
    """Open labels from a file, and bring them onto a scene's grid.

    Parameters
    ----------
    source : str or Path
        One of these:

        - A raster of shape (rows, cols) in any format that a scene can have, as ``FILE`` or, when it holds several
          variables, ``FILE:VARIABLE``. Values are whole numbers, 0 = unlabelled; what the file calls nodata becomes 0.
        - Polygons or points (``.gpkg``, ``.geojson``, ``.shp``, ``.fgb``, ``.kml``, ``.gml``) as ``FILE``, ``FILE:COLUMN`` or
          ``FILE:LAYER:COLUMN``, where the column holds a number or a name for each feature's class.
        - A ``.csv`` of row, col (both from 0) and class, a number or a name.

        Names become numbers from 1 in their alphabetical order in the whole file.
    scene : Scene, optional
        The scene whose grid the labels are wanted on. A raster can do without.

    Returns
    -------
    Labels
        Named after the file, or after the variable, layer or column that is given. Their notes say what was guessed,
        resampled or left out.

    Raises
    ------
    SceneError
        No such file, a damaged file, several candidates, values that are not whole numbers from 0 up, or labels that
        can't be brought onto the scene's grid, or lie outside it.

    Notes
    -----
    A raster on the scene's grid is taken as it is. Of a raster with k x k cells for each of the scene's pixels, a pixel
    takes the class that all its cells have; where they differ it becomes 0. Any other raster is resampled by nearest
    neighbour, and reprojected where its CRS differs. A polygon labels the pixels whose centres lie in it, a point the
    pixel that it lies in; where features of different classes meet in a pixel, it becomes 0.
    """
    vectors, column = split_vector_source(source)
    path, variable = split_variable(source)
    if vectors is None and path.suffix.lower() != ".csv":
        return _open_raster(path, variable, scene)
    if scene is None:
        raise SceneError(f"{source} has no grid of its own: give the scene that it belongs to")
    if vectors is not None:
        return read_vectors(vectors, column, scene)
    if variable is not None:
        raise SceneError(f"{path}: a CSV of labels has no variables; leave out {variable!r}")
    return read_points(path, scene)


def _open_raster(path: Path, variable: str | None, scene: Scene | None) -> Labels:
    raster = read_raster(path, 2, variable)
    classes, notes = read_classes(raster.array, raster.nodata, path.name)
    class_names, zero = drop_zero(raster.class_names, classes, path.name)
    notes = (*raster.notes, *notes, *zero)
    if scene is not None:
        classes, changes = align_to_grid(classes, raster.georeference, scene, path.name)
        notes += changes
    # A variable of HDF5 can be a path.
    name = (variable or "").rpartition("/")[2] or Path(path.name.removesuffix(".gz")).stem
    return Labels(name, classes, class_names, raster.class_colours, notes)
