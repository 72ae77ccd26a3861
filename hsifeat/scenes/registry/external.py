"""Scenes of other packages: rs-fusion-datasets' by name where it is installed, and samples of torchgeo's datasets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError, nearest
from hsifeat.scenes.scene import Labels, Scene

_PREFIX = "rs-fusion-datasets:"
# The package's own names: its function is ``fetch_`` with the name.
_NAMES = ("augsburg_ouc", "berlin_ouc", "houston2013", "houston2013_mmr", "houston2018_ouc", "muufl", "trento")
# Of the other scenes the package gives evenly spaced numbers, which it marks as still to be checked.
_WAVELENGTHS_KNOWN = {"houston2013", "houston2013_mmr", "muufl"}
_MAPS = {1: ("ground-truth",), 2: ("train", "test"), 3: ("train", "test", "ground-truth")}


@dataclass(frozen=True)
class FusionScene:
    """A scene that rs-fusion-datasets downloads and reads."""

    name: str

    def load(self) -> Scene:
        """Let the package fetch the scene, into its own folder, and take it over."""
        own = self.name.removeprefix(_PREFIX)
        if own not in _NAMES:
            raise SceneError(f"rs-fusion-datasets has no scene {own!r}; {nearest(own, _NAMES)}")
        if find_spec("rs_fusion_datasets") is None:
            raise SceneError(f"{self.name} is read by a package that is not installed: pip install rs-fusion-datasets")
        try:
            package = import_module("rs_fusion_datasets")
            cube, companion, *maps, info = getattr(package, f"fetch_{own}")()
        except Exception as error:  # the package downloads, unpacks and imports what may be missing
            raise SceneError(f"rs-fusion-datasets could not give {own}: {type(error).__name__}: {error}") from error
        nm = np.asarray(info["wavelength"], np.float64) if own in _WAVELENGTHS_KNOWN else None
        names = {int(number): str(name) for number, name in info["label_name"].items() if int(number) != 0}
        scene = Scene(own, _bands_last(cube), nm, companion=_bands_last(companion), licence=info.get("license", ""))
        for name, sparse in zip(_MAPS[len(maps)], maps, strict=True):
            scene = scene.with_labels(Labels(name, np.asarray(sparse.toarray()).astype(np.int64), names))
        return scene


def find_other(name: str) -> FusionScene | None:
    """Return a scene of another package, named ``PACKAGE:SCENE``, or None for any other name."""
    return FusionScene(name) if name.startswith(_PREFIX) else None


def from_torchgeo(sample: Mapping[str, Any], name: str) -> Scene:
    """Take over a sample of one of torchgeo's datasets, such as ``HySpecNet11k(root)[0]``.

    Parameters
    ----------
    sample : mapping
        Has ``image`` (bands, rows, cols); may have ``wavelength`` (bands,) in nm or micrometres, and ``mask``, a label
        map (rows, cols).
    name : str
        The scene's name.

    Returns
    -------
    Scene
        Without a georeference.

    Raises
    ------
    SceneError
        No image, or a mask on another grid.
    """
    if "image" not in sample:
        raise SceneError(f"a sample of torchgeo has an image; found {', '.join(map(str, sample)) or 'nothing'}")
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
