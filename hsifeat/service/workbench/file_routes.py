"""Routes of the workbench that send maps, models and labels as files."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from fastapi import APIRouter
from fastapi.responses import Response

from classifiers.labelling.check_answers import read_answers
from classifiers.labelling.label_files import export_labels
from hsifeat.scenes.label_map import Labels
from hsifeat.scenes.maps import Legend, write_map
from hsifeat.service.jobs.results import add_files
from hsifeat.service.pages.rendering import PageRoute
from hsifeat.service.problems import ProblemError
from hsifeat.service.workbench.access import Desk, ReadableDesk
from hsifeat.service.workbench.map_routes import Options
from hsifeat.service.workbench.map_tools import MapOptions

router = APIRouter(prefix="/label/{key}/sets/{set_id}", include_in_schema=False, route_class=PageRoute)
_MEDIA_TYPES = {
    "tif": "image/tiff",
    "gpkg": "application/geopackage+sqlite3",
    "geojson": "application/geo+json",
    "csv": "text/csv; charset=utf-8",
}


@router.get("/map.zip")
def download_map(desk: ReadableDesk, options: Options) -> Response:
    """Return the map of the whole scene as a ZIP file: a GeoTIFF with class colours, and a file with class names."""
    with TemporaryDirectory() as folder:
        path = _write_map(desk, options, Path(folder))
        return _zip(Path(folder), path.stem)


@router.get("/map.tif")
def download_geotiff(desk: ReadableDesk, options: Options) -> Response:
    """Return the map of the whole scene as a GeoTIFF with class colours."""
    with TemporaryDirectory() as folder:
        path = _write_map(desk, options, Path(folder))
        return _attachment(path.read_bytes(), path.name, _MEDIA_TYPES["tif"])


@router.get("/model.zip")
def download_model(desk: ReadableDesk, options: Options) -> Response:
    """Return a ZIP file with the model that maps the scene: a folder that ``hsifeat predict`` accepts."""
    from classifiers.labelling.labelled_model import labelled_model

    mapper, name = desk.space.mapper(options), f"{desk.file_name}-model"
    with desk.space.map_slots:
        model = labelled_model(desk.space.features_for(options.inputs), mapper, _labels(desk))
    with TemporaryDirectory() as folder:
        model.save(Path(folder, name))
        return _zip(Path(folder), name)


@router.get("/labels.{suffix}")
def download_labels(desk: ReadableDesk, suffix: str) -> Response:
    """Return the labels as GeoTIFF, GeoPackage, GeoJSON or CSV."""
    if suffix not in _MEDIA_TYPES:
        raise ProblemError(404, f"labels are written as {', '.join(_MEDIA_TYPES)}; found {suffix:.20}")
    return _label_file(_labels(desk), f"{desk.file_name}-labels.{suffix}")


@router.get("/checks.csv")
def download_checks(desk: ReadableDesk) -> Response:
    """Return the random pixels that check the map, with the classes that people gave them, as CSV."""
    answers = read_answers(desk.database, desk.labels.id)
    entries, georeference = desk.database.classes(desk.labels.id), desk.space.features.georeference
    names = {entry.number: entry.name for entry in entries}
    colours = {entry.number: entry.colour for entry in entries}
    checks = Labels("checks", answers.classes, names, colours, georeference=georeference)
    return _label_file(checks, f"{desk.file_name}-checks.csv")


def _write_map(desk: Desk, options: MapOptions, folder: Path) -> Path:
    """Write the map of the whole scene and its auxiliary file to a folder, and return the path of the map."""
    mapper, labels = desk.space.mapper(options), _labels(desk)
    with desk.space.map_slots:
        classes = mapper.predict(mapper.fit(labels.classes)).classes
    legend = Legend.from_mappings(np.unique(classes), labels.class_names, labels.class_colours)
    path = folder / f"{desk.file_name}-map.tif"
    write_map(path, classes, legend, desk.space.features.georeference)
    return path


def _labels(desk: Desk) -> Labels:
    return desk.database.labels(desk.labels.id, desk.space.features.georeference)


def _label_file(labels: Labels, name: str) -> Response:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        export_labels(labels, path)
        return _attachment(path.read_bytes(), name, _MEDIA_TYPES[path.suffix[1:]])


def _attachment(content: bytes, name: str, media_type: str) -> Response:
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _zip(folder: Path, name: str) -> Response:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        add_files(archive, folder, folder)
    return _attachment(out.getvalue(), f"{name}.zip", "application/zip")
