"""Loading of public scenes from downloaded files, or from the Python package that ships the scene."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError, raise_resource_error
from hsifeat.formatting import format_count
from hsifeat.scenes.array_views import BandSubset
from hsifeat.scenes.label_map import Labels
from hsifeat.scenes.readers import read_raster
from hsifeat.scenes.registry.local_files import (
    file_exists,
    is_downloadable,
    missing_files,
    placement_instructions,
    scene_folder,
)
from hsifeat.scenes.registry.models import ArraySource, LabelSource, PublicScene
from hsifeat.scenes.scene import Scene
from hsifeat.types import Cube


def load_public_scene(public: PublicScene) -> Scene:
    """Load a public scene with its label maps and companion image.

    If the scene has an official split, the label maps ``train`` and ``test`` contain it.

    Raises
    ------
    SceneError
        If a file is missing. If an array differs from the description of the scene.
    """
    missing = missing_files(public)
    if missing:
        downloadable = all(is_downloadable(public, file) for file in missing)
        hint = f"run `hsifeat scenes fetch {public.name}`, or " if downloadable else ""
        raise SceneError(f"{public.name} is not on this machine: {hint}{placement_instructions(public, missing)}")
    scene = _load_from_package(public) if public.package else _load_from_files(public)
    for name, source in public.labels.items():
        if file_exists(public, source.file):
            scene = scene.with_labels(_load_labels(public, scene, name, source))
    return scene


def _load_from_files(public: PublicScene) -> Scene:
    assert public.cube is not None  # noqa: S101  # validated: a scene without a package has a cube
    dropped = public.cube.dropped_bands
    cube: Cube = _load_array(public, public.cube, (public.rows, public.cols, public.bands + len(dropped)))
    if dropped:
        cube = BandSubset(cube, [band for band in range(public.bands + len(dropped)) if band not in dropped])
    nm: NDArray[np.float64] | None = np.array(public.wavelengths_nm, np.float64) if public.wavelengths_nm else None
    if public.cube.wavelengths is not None:
        wavelengths = _load_struct_field(scene_folder(public) / public.cube.file, public.cube.wavelengths)
        nm = np.asarray(wavelengths, np.float64).ravel()
    companion = None
    if public.companion is not None:
        channels = public.companion.channels
        shape = (public.rows, public.cols, channels)[: 2 if channels == 1 else 3]
        companion = _load_array(public, public.companion, shape)
        companion = np.asarray(companion)[..., None] if channels == 1 else companion
    return Scene(public.name, cube, nm, companion=companion, licence=public.licence, citation=public.citation)


def _load_from_package(public: PublicScene) -> Scene:
    """Load Indian Pines from the files of the package tensorly. The package is not imported, because its import is slow."""
    package = find_spec(public.package)
    if package is None or not package.submodule_search_locations:
        raise SceneError(f"{public.name} is in the package {public.package}, which is not installed")
    folder = Path(package.submodule_search_locations[0], "datasets", "data")
    cube, classes = (np.load(folder / f"Indian_pines_{name}.npy") for name in ("corrected", "gt"))
    labels = Labels("ground-truth", classes.astype(np.uint8), dict(public.classes), public.class_colours)
    return Scene(
        public.name,
        cube.astype(np.uint16),  # The sensor counts are integers below 2**14.
        np.array(public.wavelengths_nm, np.float64),
        {labels.name: labels},
        licence=public.licence,
        citation=public.citation,
    )


def _load_labels(public: PublicScene, scene: Scene, name: str, source: LabelSource) -> Labels:
    """Load a label map, and convert its values to the class numbers of the scene.

    If the map has more or fewer labelled pixels than the version used in papers, a note reports both numbers.
    """
    path = scene_folder(public) / source.file
    if source.listed_pixels_of:
        pixels = _load_array(public, source, (-1, 2))
        classes = _classes_of_pixels(scene.labels[source.listed_pixels_of].classes, pixels, path)
    else:
        stored = np.asarray(_load_array(public, source, (public.rows, public.cols)))
        stored = np.where(stored == source.unlabelled, 0, stored)
        numbers = dict(source.class_numbers) or {number: number for number in public.classes}
        foreign = sorted(set(np.unique(stored).tolist()) - {0} - set(numbers))
        if foreign:
            allowed = ", ".join(f"{number} {class_name}" for number, class_name in public.classes.items())
            raise SceneError(f"{path} has the classes {foreign[:5]}, which {public.name} does not have: {allowed}")
        classes = np.zeros(stored.shape, np.uint8)
        for stored_number, number in numbers.items():
            classes[stored == stored_number] = number
    labelled, notes = int(np.count_nonzero(classes)), list[str]()
    if source.labelled_pixels not in {None, labelled}:
        notes.append(
            f"{source.file}: has {labelled} labelled pixels; the map that papers use has {source.labelled_pixels}"
        )
    return Labels(name, classes, dict(public.classes), public.class_colours, tuple(notes))


def _classes_of_pixels(classes: NDArray[np.integer], pixels: Cube, path: Path) -> NDArray[np.uint8]:
    """Return a label map in which the listed (row, col) `pixels` keep their class, and all other pixels are 0.

    Raise `SceneError` if a listed pixel has no class in `classes`.
    """
    rows, cols = np.asarray(pixels).astype(np.int64).T
    inside = (rows >= 0) & (rows < classes.shape[0]) & (cols >= 0) & (cols < classes.shape[1])
    unlabelled = int(np.count_nonzero(~inside)) + int(np.count_nonzero(classes[rows[inside], cols[inside]] == 0))
    if unlabelled:
        raise SceneError(
            f"{path} lists {format_count(len(rows), 'pixel')}, {unlabelled} of them without a class: it belongs to another label map"
        )
    selection = np.zeros(classes.shape, np.uint8)
    selection[rows, cols] = classes[rows, cols]
    return selection


def _load_array(public: PublicScene, source: ArraySource, shape: tuple[int, ...]) -> Cube:
    """Load an array and check that its shape is `shape`; -1 allows any length of an axis."""
    path = scene_folder(public) / source.file
    if source.variable and "." in source.variable:
        array: Cube = np.asarray(_load_struct_field(path, source.variable))
    else:
        array = read_raster(path, len(shape), source.variable).array
    stored_shape = tuple(int(side) for side in array.shape)
    if len(stored_shape) != len(shape) or any(
        side not in {-1, stored} for side, stored in zip(shape, stored_shape, strict=True)
    ):
        sizes = [" x ".join("n" if side < 0 else str(side) for side in sides) for sides in (stored_shape, shape)]
        array_name = f"{path}:{source.variable}" if source.variable else str(path)
        raise SceneError(
            f"{array_name} is {sizes[0]}, but {public.name} requires {sizes[1]}: it is another file or another version"
        )
    return array


def _load_struct_field(path: Path, variable: str) -> Any:
    """Load a field of nested MATLAB structs and cells by its dotted path, such as ``hsi.Lidar.0.z``."""
    from scipy.io import loadmat

    head, *fields = variable.split(".")
    try:
        value: Any = loadmat(path, variable_names=[head], simplify_cells=True)[head]
        for name in fields:
            value = value[int(name) if name.isdigit() else name]
    except Exception as error:  # a damaged file can make SciPy raise anything
        raise_resource_error(error)
        raise SceneError(f"{path} has no {variable}, it may be truncated or another file: {error}") from error
    return value
