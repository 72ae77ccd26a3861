"""Damaged files of every format give a scene or an error of one line, in bounded time and memory.

Files are written by other programs and then truncated, overwritten, or changed in their headers, reproducibly by seed.
"""

import logging
import re
import resource
import shutil
import time
from collections import Counter

import numpy as np
import pytest

from hsifeat import open_scene
from hsifeat.errors import SceneError
from tests.helpers.scene_formats import CUBE, FORMATS

CASES = 28
WORDS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**40, 2**62, 2**64 - 1)


def truncated(data, draw):
    return data[: draw.integers(0, len(data))]


def extended(data, draw):
    return data + draw.bytes(int(draw.integers(1, 400)))


def flipped(data, draw):
    """Change a few bytes, more often near the start, where headers are."""
    out = bytearray(data)
    for _ in range(draw.integers(1, 9)):
        out[draw.integers(0, max(min(len(out), draw.choice([64, 600, len(out)])), 1))] = draw.integers(0, 256)
    return bytes(out)


def word(data, draw):
    """Overwrite 2, 4 or 8 bytes by an extreme integer, as in a corrupt header."""
    width = int(draw.choice([2, 4, 8]))
    location = int(draw.integers(0, max(len(data) - width, 1)))
    value = WORDS[draw.integers(0, len(WORDS))] % 256**width
    return data[:location] + value.to_bytes(width, str(draw.choice(["little", "big"]))) + data[location + width :]


def moved(data, draw):
    """Remove some bytes, or repeat them."""
    first, last = sorted(draw.integers(0, len(data) + 1, 2))
    return data[:first] + data[last:] if draw.integers(0, 2) else data[:last] + data[first:]


def number(data, draw):
    """Replace a number in a text header by another number or a word."""
    result = list(re.finditer(rb"-?\d+(\.\d+)?", data[:4096]))
    if not result:
        return flipped(data, draw)
    match = result[draw.integers(0, len(result))]
    other = draw.choice(
        [b"0", b"-1", b"3", b"8", b"99", b"4294967296", b"1e999", b"nan", b"{", b"\xff", b"", b"1.5", b"7"]
    )
    return data[: match.start()] + bytes(other) + data[match.end() :]


CHANGES = (truncated, extended, flipped, word, moved, number)


def damage(path, draw):
    """Change one of the files of a scene, most often its header; return what was changed."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    if path.suffix == ".hdr":
        files.append(path.with_suffix(".img"))
    heads = [file for file in files if file.name in {"zarr.json", ".zarray", ".zattrs", "x.hdr"}]
    file = (
        (heads or files)[draw.integers(0, len(heads or files))]
        if draw.integers(0, 3)
        else files[draw.integers(0, len(files))]
    )
    change = CHANGES[draw.integers(0, len(CHANGES))]
    if not (data := file.read_bytes()):
        return change.__name__
    file.write_bytes(change(data, draw))
    return f"{change.__name__} {file.name}"


def open_and_read(path):
    """Open a scene and read its corners; return the scene, or None if it is refused."""
    try:
        scene = open_scene(path)
        rows, cols, bands = scene.cube.shape
        assert min(rows, cols, bands) >= 1 and np.dtype(scene.cube.dtype).kind in "biuf"
        for key in ((0, 0, 0), (-1, -1, -1), (slice(0, 2), slice(0, 3), slice(0, 2))):
            values = np.asarray(scene.cube[key])
            assert values.dtype == scene.cube.dtype
        assert scene.wavelengths_nm is None or len(scene.wavelengths_nm) == bands
    except SceneError as error:
        assert str(error).strip() and "\n" not in str(error) and len(str(error)) < 2000
        return None
    return scene


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    folder = tmp_path_factory.mktemp("intact")
    for name, (file, write) in FORMATS.items():
        (folder / name).mkdir()
        write(folder / name / file, CUBE)
    return folder


# Rasterio can't decode GDAL's message where that quotes bytes of a damaged ERDAS file, and says so beside the error.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files(tmp_path, intact, name, caplog):
    caplog.set_level(logging.CRITICAL)
    file, _ = FORMATS[name]
    outcomes = Counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in range(CASES):
        case = tmp_path / str(seed)
        shutil.copytree(intact / name, case)
        change = damage(case / file, np.random.default_rng([seed, *name.encode()]))
        start = time.monotonic()
        scene = open_and_read(case / file)
        assert time.monotonic() - start < 10, (seed, change)
        outcomes[scene is not None] += 1
        if scene is not None:
            stored = sum(one.stat().st_size for one in case.rglob("*") if one.is_file())
            claimed = scene.cube.dtype.itemsize * np.prod(scene.cube.shape, dtype=float)
            # Nothing compresses more than deflate's 1032 times; blocks may be absent where that is said.
            noted = re.search("chunks|is not in the file", " ".join(scene.notes))
            assert claimed <= 1032 * stored or noted, (seed, change)
        shutil.rmtree(case)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 2**20, "a damaged file took more than a gigabyte"
    assert outcomes[False], "no file was damaged enough to be refused"


def test_there_are_enough_cases():
    assert CASES * len(FORMATS) >= 500
