"""Public scenes by name: their facts, licence and citation, and how they get here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hsifeat.scenes.scene import Labels, Scene


@dataclass(frozen=True)
class PublicScene:
    """What is known of a public scene before it is opened.

    Attributes
    ----------
    name, title : str
        What a user types, and what a paper calls it.
    rows, cols, bands : int
        Shape.
    classes : int
        Number of classes of its usual label map.
    sensor, licence, citation, source : str
        As the providers state them, and where the data come from here.
    """

    name: str
    title: str
    rows: int
    cols: int
    bands: int
    classes: int
    sensor: str
    licence: str
    citation: str
    source: str
    load: Callable[[PublicScene], Scene]

    def facts(self) -> dict[str, Any]:
        """Return the entry as plain JSON values."""
        return {k: v for k, v in asdict(self).items() if k != "load"}


_INDIAN_PINES_CLASSES = (
    "Alfalfa",
    "Corn-notill",
    "Corn-mintill",
    "Corn",
    "Grass-pasture",
    "Grass-trees",
    "Grass-pasture-mowed",
    "Hay-windrowed",
    "Oats",
    "Soybean-notill",
    "Soybean-mintill",
    "Soybean-clean",
    "Wheat",
    "Woods",
    "Buildings-Grass-Trees-Drives",
    "Stone-Steel-Towers",
)


def _indian_pines(entry: PublicScene) -> Scene:
    from tensorly.datasets import load_indian_pines

    data = load_indian_pines()
    ground_truth, wavelengths = data.ticks
    # The package hands out float64; the sensor's counts are whole numbers below 2**14.
    cube = np.asarray(data.tensor).astype(np.uint16)
    names = dict(enumerate(_INDIAN_PINES_CLASSES, start=1))
    labels = Labels("ground-truth", np.asarray(ground_truth, dtype=np.uint8), names)
    return Scene(
        name=entry.name,
        cube=cube,
        wavelengths_nm=np.asarray(wavelengths, dtype=np.float64),
        labels={labels.name: labels},
        licence=entry.licence,
        citation=entry.citation,
    )


_SCENES = (
    PublicScene(
        name="indian-pines",
        title="Indian Pines, 12 June 1992",
        rows=145,
        cols=145,
        bands=200,
        classes=16,
        sensor="AVIRIS",
        licence="CC BY 3.0",
        citation=(
            "Baumgardner, M. F., Biehl, L. L., Landgrebe, D. A. (2015). 220 Band AVIRIS Hyperspectral Image Data Set: "
            "June 12, 1992 Indian Pine Test Site 3. Purdue University Research Repository. doi:10.4231/R7RX991C"
        ),
        source="the Python package tensorly, installed with hsifeat; water absorption bands already removed",
        load=_indian_pines,
    ),
)

REGISTRY: dict[str, PublicScene] = {scene.name: scene for scene in _SCENES}
