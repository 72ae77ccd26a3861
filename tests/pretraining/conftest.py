"""Natural images for trainings: an array, a folder of PNG files and an archive."""

import tarfile

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def folder(pictures, tmp_path_factory):
    """PNG files in two folders, in the order of the array when sorted by name."""
    location = tmp_path_factory.mktemp("images") / "natural"
    for i, picture in enumerate(pictures):
        file = location / ("a" if i < 30 else "b") / f"{i:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(file)
    return location


@pytest.fixture(scope="session")
def archive(folder):
    """The images of `folder` in a compressed archive, in a different order."""
    file = folder.parent / "natural.tar.gz"
    with tarfile.open(file, "w:gz") as tar:
        for path in sorted(folder.rglob("*.png"), key=lambda p: p.name[::-1]):
            tar.add(path, path.relative_to(folder.parent))
    return file
