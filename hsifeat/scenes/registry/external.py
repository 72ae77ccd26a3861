"""Conversion of scenes of the packages rs-fusion-datasets and torchgeo."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError, raise_resource_error, suggest_names
from hsifeat.scenes.label_map import Labels
from hsifeat.scenes.scene import Scene

_PREFIX = "rs-fusion-datasets:"
# Scenes of the package, each returned by a function ``fetch_NAME``.
_NAMES = ("augsburg_ouc", "berlin_ouc", "houston2013", "houston2013_mmr", "houston2018_ouc", "muufl", "trento")
# Scenes with verified wavelengths. For other scenes, the package returns evenly spaced wavelengths marked as unverified.
_WAVELENGTHS_KNOWN = {"houston2013", "houston2013_mmr", "muufl"}
# Names of the label maps, by the number of maps that the package returns.
_MAP_NAMES = {1: ("ground-truth",), 2: ("train", "test"), 3: ("train", "test", "ground-truth")}


def is_fusion_scene(name: str) -> bool:
    """Return whether a name has the form ``rs-fusion-datasets:SCENE``."""
    return name.startswith(_PREFIX)


def load_fusion_scene(name: str) -> Scene:
    """Download and load a scene with the package rs-fusion-datasets.

    rs-fusion-datasets itself chooses the folder for the downloaded files.

    Parameters
    ----------
    name : str
        ``rs-fusion-datasets:SCENE``, such as ``rs-fusion-datasets:muufl``.

    Raises
    ------
    SceneError
        If the package is not installed, lacks the scene, or fails to load the scene.
    """
    package_name = name.removeprefix(_PREFIX)
    if package_name not in _NAMES:
        raise SceneError(f"rs-fusion-datasets has no scene {package_name!r}; {suggest_names(package_name, _NAMES)}")
    if find_spec("rs_fusion_datasets") is None:
        raise SceneError(f"{name} needs a package that is not installed: pip install rs-fusion-datasets")
    try:
        package = import_module("rs_fusion_datasets")
        cube, companion, *maps, info = getattr(package, f"fetch_{package_name}")()
    except Exception as error:  # the package downloads, unpacks and imports optional packages
        raise_resource_error(error)
        raise SceneError(
            f"rs-fusion-datasets failed to load {package_name}: {type(error).__name__}: {error}"
        ) from error
    nm = np.asarray(info["wavelength"], np.float64) if package_name in _WAVELENGTHS_KNOWN else None
    class_names = {int(number): str(text) for number, text in info["label_name"].items() if int(number) != 0}
    scene = Scene(
        package_name, _bands_last(cube), nm, companion=_bands_last(companion), licence=info.get("license", "")
    )
    for map_name, sparse in zip(_MAP_NAMES[len(maps)], maps, strict=True):
        scene = scene.with_labels(Labels(map_name, np.asarray(sparse.toarray()).astype(np.int64), class_names))
    return scene


def from_torchgeo(sample: Mapping[str, Any], name: str) -> Scene:
    """Convert a sample of a torchgeo data set, such as ``HySpecNet11k(root)[0]``, to a scene.

    Parameters
    ----------
    sample : mapping
        Arrays by key. ``image`` has shape (bands, rows, cols). The optional ``wavelength`` has shape (bands,) and is in nm,
        or in micrometres if all values are below 100. The optional ``mask`` is a label map of shape (rows, cols).
    name : str
        Name of the scene.

    Returns
    -------
    Scene
        Scene without a georeference.

    Raises
    ------
    SceneError
        If the sample has no image. If the mask and the image differ in shape.

    Examples
    --------
    >>> from_torchgeo({"image": np.ones((4, 2, 3)), "wavelength": [0.45, 0.55, 0.65, 0.85]}, "x").wavelengths_nm
    array([450., 550., 650., 850.])
    """
    if "image" not in sample:
        raise SceneError(f"a sample of torchgeo must have an image; found {', '.join(map(str, sample)) or 'nothing'}")
    nm = None
    if "wavelength" in sample:
        nm = np.asarray(sample["wavelength"], np.float64)
        nm = nm * 1000 if nm.max() < 100 else nm
    scene = Scene(name, _bands_last(sample["image"]), nm)
    if "mask" in sample:
        scene = scene.with_labels(Labels("mask", np.asarray(sample["mask"]).squeeze()))
    return scene


def _bands_last(array: Any) -> NDArray[Any]:
    return np.moveaxis(np.asarray(array), 0, -1)
