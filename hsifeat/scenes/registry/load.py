"""From the files of a public scene, or the package that ships it, to a scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.array_views import Bands
from hsifeat.scenes.readers import read_raster
from hsifeat.scenes.registry.local_files import folder_of, how_to_get, is_known, is_there, missing
from hsifeat.scenes.registry.models import LabelFacts, PublicScene, Variable
from hsifeat.scenes.scene import Labels, Scene
from hsifeat.types import Cube


def load(facts: PublicScene) -> Scene:
    """Open a public scene: cube, label maps, official split as ``train`` and ``test``, companion image.

    Raises
    ------
    SceneError
        Files are missing, or hold something else than the registry says.
    """
    lacking = missing(facts)
    if lacking:
        fetched = all(is_known(facts, file) for file in lacking)
        hint = f"hsifeat scenes fetch {facts.name} downloads what it needs, or " if fetched else ""
        raise SceneError(f"{facts.name} is not on this machine: {hint}{how_to_get(facts, lacking)}")
    scene = _from_tensorly(facts) if facts.package else _from_files(facts)
    for name, part in facts.labels.items():
        if is_there(facts, part.file):
            scene = scene.with_labels(_labels(facts, scene, name, part))
    return scene


def _from_files(facts: PublicScene) -> Scene:
    assert facts.cube is not None  # noqa: S101  # the facts are validated: a scene without a package has one
    left_out = facts.cube.left_out
    cube: Cube = _array(facts, facts.cube, (facts.rows, facts.cols, facts.bands + len(left_out)))
    if left_out:
        cube = Bands(cube, [band for band in range(facts.bands + len(left_out)) if band not in left_out])
    nm: NDArray[np.float64] | None = np.array(facts.wavelengths_nm, np.float64) if facts.wavelengths_nm else None
    if facts.cube.wavelengths is not None:
        nm = np.asarray(_in_struct(folder_of(facts) / facts.cube.file, facts.cube.wavelengths), np.float64).ravel()
    companion = None
    if facts.companion is not None:
        channels = facts.companion.channels
        companion = _array(facts, facts.companion, (facts.rows, facts.cols, channels)[: 2 if channels == 1 else 3])
        companion = np.asarray(companion)[..., None] if channels == 1 else companion
    return Scene(facts.name, cube, nm, companion=companion, licence=facts.licence, citation=facts.citation)


def _from_tensorly(facts: PublicScene) -> Scene:
    from tensorly.datasets import load_indian_pines

    data = load_indian_pines()
    ground_truth, wavelengths = data.ticks
    # The package hands out float64; the sensor's counts are whole numbers below 2**14.
    cube = np.asarray(data.tensor).astype(np.uint16)
    classes = np.asarray(ground_truth, dtype=np.uint8)
    labels = Labels("ground-truth", classes, dict(facts.classes), facts.class_colours)
    return Scene(
        facts.name,
        cube,
        np.asarray(wavelengths, dtype=np.float64),
        {labels.name: labels},
        licence=facts.licence,
        citation=facts.citation,
    )


def _labels(facts: PublicScene, scene: Scene, name: str, part: LabelFacts) -> Labels:
    """Read a label map in the scene's own class numbers, with a note when it is not the map that is known."""
    where = f"{folder_of(facts) / part.file}"
    if part.pixels_of:
        classes = _at_pixels(scene.labels[part.pixels_of].classes, _array(facts, part, (-1, 2)), where)
    else:
        read = np.asarray(_array(facts, part, (facts.rows, facts.cols)))
        read = np.where(read == part.unlabelled, 0, read)
        numbers = dict(part.numbers) or {number: number for number in facts.classes}
        foreign = sorted(set(np.unique(read).tolist()) - {0} - set(numbers))
        if foreign:
            raise SceneError(f"{where} has classes {foreign[:5]}, which {facts.name} does not have: {_known(facts)}")
        classes = np.zeros(read.shape, np.uint8)
        for found, number in numbers.items():
            classes[read == found] = number
    labelled, notes = int(np.count_nonzero(classes)), list[str]()
    if part.labelled not in {None, labelled}:
        notes.append(f"{part.file}: {labelled} labelled pixels, not the {part.labelled} of the map that papers use")
    return Labels(name, classes, dict(facts.classes), facts.class_colours, tuple(notes))


def _at_pixels(classes: NDArray[np.integer], pixels: Cube, where: str) -> NDArray[np.uint8]:
    """Keep the classes of listed pixels (row, col), counted from 0; each must have one."""
    rows, cols = np.asarray(pixels).astype(np.int64).T
    inside = (rows >= 0) & (rows < classes.shape[0]) & (cols >= 0) & (cols < classes.shape[1])
    without = int(np.count_nonzero(~inside)) + int(np.count_nonzero(classes[rows[inside], cols[inside]] == 0))
    if without:
        raise SceneError(
            f"{where} lists {without} of {len(rows)} pixels that have no class: it is of another label map"
        )
    kept = np.zeros(classes.shape, np.uint8)
    kept[rows, cols] = classes[rows, cols]
    return kept


def _array(facts: PublicScene, part: Variable, shape: tuple[int, ...]) -> Cube:
    """Read an array of a shape (-1: any length), or refuse it."""
    path = folder_of(facts) / part.file
    if part.variable and "." in part.variable:
        array: Cube = np.asarray(_in_struct(path, part.variable))
    else:
        array = read_raster(path, len(shape), part.variable).array
    found = tuple(int(side) for side in array.shape)
    if len(found) != len(shape) or any(side not in {-1, there} for side, there in zip(shape, found, strict=True)):
        sizes = [" x ".join("n" if side < 0 else str(side) for side in sides) for sides in (found, shape)]
        what = f"{path}:{part.variable}" if part.variable else str(path)
        raise SceneError(
            f"{what} is {sizes[0]}, but in {facts.name} it is {sizes[1]}: another file, or another version"
        )
    return array


def _in_struct(path: Path, variable: str) -> Any:
    """Follow the dots of a variable into MATLAB's structs and cells."""
    from scipy.io import loadmat

    head, *rest = variable.split(".")
    try:
        value: Any = loadmat(path, variable_names=[head], simplify_cells=True)[head]
        for step in rest:
            value = value[int(step) if step.isdigit() else step]
    except Exception as error:  # SciPy raises anything at all for a damaged file
        raise SceneError(f"{path} has no {variable}, it may be truncated or another file: {error}") from error
    return value


def _known(facts: PublicScene) -> str:
    return ", ".join(f"{number} {name}" for number, name in facts.classes.items())
