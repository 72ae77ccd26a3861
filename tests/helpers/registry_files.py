"""Small files in the formats of the public scenes, written with SciPy."""

import types

import numpy as np
import scipy.io
import scipy.sparse

from hsifeat.scenes.registry import REGISTRY
from hsifeat.scenes.registry.local_files import scene_folder

DOWNLOADED = [name for name in REGISTRY if name != "indian-pines"]


def write_scene_files(monkeypatch, name, rows=12, cols=9, bands=5):
    """Write files of a smaller version of a registry scene. Return the cube, the ground truth and the split."""
    description = REGISTRY[name]
    nm = tuple(np.linspace(*description.range_nm, bands)) if description.wavelengths_nm else ()
    left_out = len(description.cube.dropped_bands)
    part = description.cube.model_copy(update={"dropped_bands": tuple(range(bands, bands + left_out))})
    sizes = {"rows": rows, "cols": cols, "bands": bands}
    monkeypatch.setitem(REGISTRY, name, description.model_copy(update={**sizes, "wavelengths_nm": nm, "cube": part}))
    rng = np.random.default_rng(0)
    cube = rng.integers(1, 999, (rows, cols, bands + left_out)).astype(np.uint16)
    numbers = sorted(description.classes)
    truth = np.array([0, *numbers], np.uint8)[np.arange(rows * cols).reshape(rows, cols) % (len(numbers) + 1)]
    train = (np.indices((rows, cols)).sum(0) % 3 == 0) & (truth > 0)
    maps = {"ground-truth": truth, "train": truth * train, "test": truth * ~train}
    content = {file.name: {} for file in description.files}

    def put(part, array):
        head, *rest = part.variable.split(".")
        held = content[part.file]
        if not rest:
            held[head] = array
            return
        held = held.setdefault(head, {})
        if rest == ["Lidar", "0", "z"]:
            cell = np.empty((1, 2), object)
            cell[0, 0], cell[0, 1] = {"z": array}, {"z": array}
            held["Lidar"] = cell
            return
        for step in rest[:-1]:
            held = held.setdefault(step, {})
        held[rest[-1]] = array

    put(description.cube, cube)
    if description.cube.wavelengths:
        put(
            types.SimpleNamespace(file=description.cube.file, variable=description.cube.wavelengths),
            np.linspace(400, 900, bands),
        )
    for which, part in description.labels.items():
        pixels = np.argwhere(maps[which]).astype(np.uint16) if part.listed_pixels_of else None
        unlabelled = np.where(maps[which] == 0, part.unlabelled, maps[which].astype(int))
        put(part, unlabelled if pixels is None else pixels)
    if description.companion:
        put(description.companion, rng.random((rows, cols, description.companion.channels)).squeeze())
    scene_folder(description).mkdir(parents=True)
    for file, variables in content.items():
        scipy.io.savemat(scene_folder(description) / file, variables)
    return cube[..., : -left_out or None], maps
