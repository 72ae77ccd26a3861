"""Import and export of label sets: GeoTIFF, GeoPackage, GeoJSON and CSV."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from classifiers.labelling.edit_log import LabelEdit
from classifiers.labelling.geojson_polygons import as_longitudes_and_latitudes
from classifiers.labelling.label_set import is_number
from classifiers.labelling.labels_db import LabelDatabase
from hsifeat.errors import SceneError
from hsifeat.files import atomic_write, check_output, check_replaced, check_utf8
from hsifeat.formatting import SOFTWARE, escape_formula, format_count, list_some
from hsifeat.scenes import Labels
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.label_map import check_class_texts
from hsifeat.scenes.labels.open_labels import open_labels
from hsifeat.scenes.maps import Legend, write_map
from hsifeat.scenes.maps.geotiff_writer import is_map as is_map_geotiff
from hsifeat.scenes.pixel_grid import PixelGrid
from hsifeat.scenes.scene_checks import check_mask
from hsifeat.types import check_path

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

_LAYER = "labels"
_CSV_COLUMNS, _POLYGON_COLUMNS = ("row", "col", "class"), ("class", "number", "colour")
_GEOTIFF_MARK = f"{SOFTWARE} labels"
# GDAL takes the name of the layer from the member `name`.
_GEOJSON_START = f'{{"type": "FeatureCollection", "name": "{_LAYER}", "features": ['
SUFFIXES = (".tif", ".gpkg", ".geojson", ".csv")
MAX_IMPORTED_CLASSES = 500


def export_labels(labels: Labels, path: str | Path) -> tuple[str, ...]:
    """Write labels to a file that `hsifeat.open_labels` and other programs read.

    Parameters
    ----------
    labels : Labels
        The labels, for example from `LabelDatabase.labels`. For polygons, the labels must have a georeference with a CRS.
    path : str or Path
        File to write; an earlier file of labels is replaced. The suffix selects the format:

        - ``.tif``: GeoTIFF of class numbers with a palette, and class names in ``.tif.aux.xml``;
        - ``.gpkg``: polygons in the CRS of the labels, with the columns ``class`` (name), ``number`` and ``colour``, as the layer ``labels``;
        - ``.geojson``: the polygons of ``.gpkg``, but in longitude and latitude, and cut at the 180th meridian (RFC 7946);
        - ``.csv``: one line per labelled pixel, with the columns ``row``, ``col`` and ``class`` (name).

    Returns
    -------
    tuple of str
        Remarks on what the file lacks, such as a CRS.

    Raises
    ------
    SceneError
        If the suffix is unknown. If no pixel is labelled. If a class number is above 65535 and the file is a ``.tif``. If
        class names are numbers, and the file is no ``.tif``. If polygons are requested and the labels have no CRS, or if a
        ``.gpkg`` file can't hold their CRS, such as a rotated pole. If a polygon of a ``.geojson`` file lies around a pole or
        touches it, or reaches beyond the edge of the map in its CRS.
    StoreError
        If the file lies in a store or a model, or in a folder that is not writable. If it exists, and does not have the columns of such
        a file or, for ``.tif``, the mark of hsifeat. If the path of a ``.tif`` or ``.gpkg`` file
        is not UTF-8.

    Examples
    --------
    >>> labels = Labels("trees", np.array([[0, 1]], np.uint8), {1: "oak"})
    >>> export_labels(labels, Path("trees.csv"))
    ()
    >>> Path("trees.csv").read_text().split()
    ['row,col,class', '0,1,oak']
    """
    check_path("a label file", path)
    path = Path(path)
    check_output(path)
    suffix = path.suffix.lower()
    if suffix == ".gpkg":
        check_utf8(path)
    if suffix not in SUFFIXES:
        raise SceneError(f"labels can be written as {', '.join(SUFFIXES)}; found {path.name!r}")
    check_replaced(path, "label file", _is_label_file)
    check_class_texts(labels.class_names, labels.class_colours, f"labels {labels.name!r}")
    codes = [name for name in labels.class_names.values() if is_number(name)]
    is_numbered = all(name == str(number) for number, name in labels.class_names.items())
    if suffix != ".tif" and codes and not is_numbered:
        raise SceneError(
            f"the class names {list_some(codes)} are numbers, which would be read from a {suffix} file as class numbers: write a .tif file, or "
            f"rename the classes, such as 'code {codes[0]}'"
        )
    if not labels.counts:
        raise SceneError(f"the labels {labels.name!r} have no labelled pixel: label some before the export")
    if suffix == ".tif":
        legend = Legend.from_mappings(labels.counts, labels.class_names, labels.class_colours)
        return write_map(path, labels.classes, legend, labels.georeference, mark=_GEOTIFF_MARK)
    if suffix == ".csv":
        _write_csv(labels, path)
    else:
        _write_polygons(labels, path, suffix)
    return ()


def import_labels(
    database: LabelDatabase,
    set_id: int,
    person: str,
    source: str | Path,
    scene: PixelGrid,
    *,
    valid: NDArray[np.bool_] | None = None,
    request: str | None = None,
) -> tuple[int, tuple[str, ...]]:
    """Add the labels of a file to a label set, as one edit that can be undone.

    Classes are matched by name. Classes without a name in the file are matched by number. Classes that the label set
    lacks are added; undoing the edit removes them. At pixels that are labelled already, the labels of the file replace
    the labels of the set.

    Parameters
    ----------
    database : LabelDatabase
        Database of the label set.
    set_id : int
        Number of the label set.
    person : str
        Name of the person who imports the labels.
    source : str or Path
        Raster, vector or CSV file that `hsifeat.open_labels` can read.
    scene : PixelGrid
        Scene of the label set, or a label map of this scene.
    valid : (rows, cols) bool array, optional
        Pixels that may get a label. Labels of the file at other pixels are dropped, and a note states how many.
        [default: all pixels]
    request : str, optional
        See `LabelDatabase.paint`.

    Returns
    -------
    version : int
        Version of the label set after the import.
    notes : tuple of str
        Remarks on data that were assumed, resampled or dropped during the import.

    Raises
    ------
    SceneError
        If the file can't be read, has no label on the scene, or has more than 500 classes. If `valid` is not a bool array of the
        shape of the scene. If the label set belongs to another person.

    Examples
    --------
    >>> scene = Labels("grid", np.zeros((1, 2), np.uint8))
    >>> export_labels(Labels("trees", np.array([[0, 1]], np.uint8), {1: "oak"}), Path("trees.csv"))
    ()
    >>> with LabelDatabase(Path("labels.sqlite")) as database:
    ...     labels = database.open_set("digest of a scene", (1, 2), person="ada")
    ...     version, notes = import_labels(database, labels.id, "ada", "trees.csv", scene)
    ...     database.labels(labels.id).class_names
    {1: 'oak'}
    """
    labels = open_labels(source, scene)
    if valid is not None:
        check_mask(valid, labels.classes.shape, "valid")
    classes = labels.classes if valid is None else np.where(valid, labels.classes, 0)
    if not classes.any():
        raise SceneError(f"{Path(source).name} has no labelled pixel on the scene {scene.name}")
    pixels, notes = np.flatnonzero(classes), labels.notes
    if left_out := int(np.count_nonzero(labels.classes)) - len(pixels):
        notes += (f"{Path(source).name}: {format_count(left_out, 'labelled pixel')} without data left out",)
    found, index = np.unique(classes.ravel()[pixels], return_inverse=True)
    with database.transaction():
        numbers = _add_missing_classes(database, set_id, person, labels)
        values = np.array([numbers[number] for number in found.tolist()], np.uint16)
        edit = LabelEdit("import", pixels, values[index])
        return database.paint(set_id, person, edit, request=request), notes


def _add_missing_classes(database: LabelDatabase, set_id: int, person: str, labels: Labels) -> dict[int, int]:
    """Add the classes of a label map that a label set lacks. Map class numbers of the map to those of the set."""
    entries = database.classes(set_id)
    known, colours = {entry.name: entry.number for entry in entries}, {entry.colour for entry in entries}
    if len(labels.class_names) > MAX_IMPORTED_CLASSES:
        raise SceneError(
            f"{labels.name} has {len(labels.class_names)} classes; a label set takes at most {MAX_IMPORTED_CLASSES} from a file: "
            "check that the classes are not identifiers of single pixels or polygons"
        )
    numbers: dict[int, int] = {}
    for number, name in labels.class_names.items():
        is_unnamed = name == f"class {number}"
        if name in known:
            numbers[number] = known[name]
        elif is_unnamed and number in known.values():
            numbers[number] = number
        else:
            # A file without colours has the default colours of its own numbers, which other classes of the set may have.
            colour = labels.class_colours[number] if labels.class_colours[number] not in colours else None
            free = number if number not in known.values() else None
            added = database.add_class(set_id, person, name, colour=colour, number=free, imported=True)
            numbers[number] = known[name] = added.number
            colours.add(added.colour)
    return numbers


def _is_label_file(path: Path) -> bool:
    """Return whether an existing file may be one that `export_labels` wrote. A text or vector file has only its columns as a mark."""
    suffix = path.suffix.lower()
    if suffix == ".tif":
        return is_map_geotiff(path, _GEOTIFF_MARK)
    if suffix == ".gpkg":
        if any(
            path.with_name(f"{path.name}-{log}").exists() for log in ("wal", "journal")
        ):  # another program changes it
            return False
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as file:
            columns = [name for _, name, *_ in file.execute(f"PRAGMA table_info({_LAYER})")]
            # Users may have added layers and styles.
            tables = [name for (name,) in file.execute("SELECT table_name FROM gpkg_contents")]
            styles = file.execute("SELECT 1 FROM sqlite_master WHERE name = 'layer_styles'").fetchone()
        return columns[2:] == list(_POLYGON_COLUMNS) and tables == [_LAYER] and styles is None
    table = path.name.removesuffix(".pixels.csv")
    if path.with_name(f"{table}.columns.json").exists() and table != path.name:  # pixels of an exported table
        return False
    start = _GEOJSON_START if suffix == ".geojson" else f"{','.join(_CSV_COLUMNS)}\n"
    with path.open(encoding="utf-8") as file:
        return file.read(len(start)) == start


def _write_csv(labels: Labels, path: Path) -> None:
    rows, cols = np.nonzero(labels.classes)
    names = {number: escape_formula(name) for number, name in labels.class_names.items()}
    with atomic_write(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(_CSV_COLUMNS)
        for row, col in zip(rows.tolist(), cols.tolist(), strict=True):
            lines.writerow((row, col, names[int(labels.classes[row, col])]))


def _write_polygons(labels: Labels, path: Path, suffix: str) -> None:
    georeference = labels.georeference
    if georeference is None or georeference.crs is None:
        raise SceneError(f"{path.name} needs map coordinates, but the scene has no CRS: write .tif or .csv")
    frame = _polygons(labels, georeference)
    if suffix == ".gpkg":
        _check_geopackage_crs(frame, path.name)
    else:
        frame = as_longitudes_and_latitudes(frame, min(georeference.pixel_size), path.name)
    with atomic_write(path) as part:
        if suffix == ".geojson":
            _write_geojson(frame, part)
            return
        # GDAL checks the suffix of the file, and writes auxiliary files next to a GeoPackage.
        file = part.with_name(f"{part.name}{suffix}")
        try:
            frame.to_file(file, driver="GPKG", layer=_LAYER, index=False)
            file.replace(part)
        finally:
            file.unlink(missing_ok=True)


def _write_geojson(frame: GeoDataFrame, path: Path) -> None:
    """Write polygons in longitude and latitude, one per line. GDAL would cut them at the 180th meridian again."""
    import shapely

    with path.open("w", encoding="utf-8") as file:
        file.write(_GEOJSON_START)
        separator = "\n"
        for geometry, properties in zip(frame.geometry, frame.drop(columns="geometry").to_dict("records"), strict=True):
            feature = f'"properties": {json.dumps(properties)}, "geometry": {shapely.to_geojson(geometry)}'
            file.write(f'{separator}{{"type": "Feature", {feature}}}')
            separator = ",\n"
        file.write("\n]}\n")


def _check_geopackage_crs(frame: GeoDataFrame, name: str) -> None:
    """Raise `SceneError` if the CRS has no WKT of version 1, in which a GeoPackage holds it."""
    from pyproj.exceptions import CRSError

    try:
        frame.crs.to_wkt("WKT1_GDAL")
    except CRSError as error:
        raise SceneError(
            f"{name}: a GeoPackage can't hold the CRS of the scene ({frame.crs.name}): write .geojson, .tif or .csv"
        ) from error


def _polygons(labels: Labels, georeference: Georeference) -> GeoDataFrame:
    """Return one polygon for each connected area of a class."""
    import geopandas
    import shapely
    from rasterio import Affine
    from rasterio.features import shapes

    values = labels.classes.astype(np.int32)
    areas = list(shapes(values, mask=values > 0, connectivity=4, transform=Affine(*georeference.transform)))
    numbers = [int(number) for _, number in areas]
    return geopandas.GeoDataFrame(
        {
            "class": [labels.class_names[number] for number in numbers],
            "number": numbers,
            "colour": [labels.class_colours[number] for number in numbers],
        },
        geometry=[shapely.geometry.shape(area) for area, _ in areas],
        crs=georeference.crs,
    )
