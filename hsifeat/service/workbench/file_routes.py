"""Routes of the workbench that send maps, models and labels as files."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
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
from hsifeat.service.pages.rendering import PageRoute
from hsifeat.service.problems import ProblemError
from hsifeat.service.workbench.access import Desk, ReadableDesk
from hsifeat.service.workbench.map_routes import Options

router = APIRouter(prefix="/label/{key}/sets/{set_id}", include_in_schema=False, route_class=PageRoute)
_MEDIA_TYPES = {
    "tif": "image/tiff",
    "gpkg": "application/geopackage+sqlite3",
    "geojson": "application/geo+json",
    "csv": "text/csv; charset=utf-8",
}


@router.get("/map.zip")
def download_map(desk: ReadableDesk, options: Options) -> Response:
    """Return the map of the whole scene as a ZIP file: a GeoTIFF with class colours, and its auxiliary file with class names."""
    mapper = desk.space.mapper(options)
    found = mapper.predict(mapper.fit(desk.database.class_map(desk.labels.id)[1]))
    labels = _labels(desk)
    legend = Legend.from_mappings(np.unique(found.classes), labels.class_names, labels.class_colours)
    name = f"{_file_name(desk)}-map"

    def write(folder: Path) -> None:
        write_map(folder / f"{name}.tif", found.classes, legend, desk.space.features.georeference)

    return _zip(name, write)


@router.get("/map.tif")
def download_geotiff(desk: ReadableDesk, options: Options) -> Response:
    """Return the map of the whole scene as a GeoTIFF with class colours."""
    content = download_map(desk, options).body
    with zipfile.ZipFile(BytesIO(bytes(content))) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".tif"))
        return _attachment(archive.read(name), name, "image/tiff")


@router.get("/model.zip")
def download_model(desk: ReadableDesk, options: Options) -> Response:
    """Return the model that computed the map, as a ZIP file with a folder for ``hsifeat predict``."""
    from classifiers.labelling.labelled_model import labelled_model

    model = labelled_model(desk.space.features_for(options.inputs), desk.space.mapper(options), _labels(desk))
    name = f"{_file_name(desk)}-model"
    return _zip(name, lambda folder: model.save(folder / name))


@router.get("/labels.{suffix}")
def download_labels(desk: ReadableDesk, suffix: str) -> Response:
    """Return the labels as GeoTIFF, GeoPackage, GeoJSON or CSV."""
    if suffix not in _MEDIA_TYPES:
        raise ProblemError(404, f"labels are written as {', '.join(_MEDIA_TYPES)}; found {suffix:.20}")
    return _label_file(_labels(desk), f"{_file_name(desk)}-labels.{suffix}")


@router.get("/checks.csv")
def download_checks(desk: ReadableDesk) -> Response:
    """Return the random pixels that check the map, with their classes, as CSV."""
    answers = read_answers(desk.database, desk.labels.id)
    entries, georeference = desk.database.classes(desk.labels.id), desk.space.features.georeference
    names = {entry.number: entry.name for entry in entries}
    colours = {entry.number: entry.colour for entry in entries}
    checks = Labels("checks", answers.classes, names, colours, georeference=georeference)
    return _label_file(checks, f"{_file_name(desk)}-checks.csv")


def _labels(desk: Desk) -> Labels:
    return desk.database.labels(desk.labels.id, desk.space.features.georeference)


def _label_file(labels: Labels, name: str) -> Response:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        export_labels(labels, path)
        return _attachment(path.read_bytes(), name, _MEDIA_TYPES[path.suffix[1:]])


def _file_name(desk: Desk) -> str:
    return re.sub(r"[^\w.-]+", "-", desk.space.features.scene.name)[:60].strip(".-") or "scene"


def _attachment(content: bytes, name: str, media_type: str) -> Response:
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _zip(name: str, write: Callable[[Path], object]) -> Response:
    """Call `write` with a temporary folder, and return the files in this folder as a ZIP file."""
    out = BytesIO()
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write(folder)
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    archive.write(file, file.relative_to(folder).as_posix())
    return _attachment(out.getvalue(), f"{name}.zip", "application/zip")
