"""Decoding of natural images from folders and archives."""

import numpy as np
import pytest
from PIL import Image

from hsifeat.pretraining.image_files import load_images
from hsifeat.runtime.events import Note, silent


def test_folder_and_archive_give_the_files_pixels(pictures, folder, archive, tmp_path):
    for source in (folder, archive):
        images = load_images(source, 32, tmp_path / "model", silent)
        assert isinstance(images, np.memmap)
        np.testing.assert_array_equal(images, pictures)
    assert len(list(tmp_path.glob("model.images-*.npy"))) == 2


def test_images_are_decoded_once(folder, tmp_path, monkeypatch):
    load_images(folder, 32, tmp_path / "model", silent)
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("decoded again"))
    load_images(folder, 32, tmp_path / "model", silent)


def test_unusable_files_are_left_out_and_named(pictures, tmp_path):
    location = tmp_path / "images"
    location.mkdir()
    Image.fromarray(pictures[0]).save(location / "good.png")
    (location / "cut.png").write_bytes((location / "good.png").read_bytes()[:1500])
    (location / "README.md").write_text("not an image")
    Image.fromarray(pictures[0][:20]).save(location / "small.png")
    Image.fromarray(np.zeros((40, 40), np.uint16)).save(location / "deep.png")
    notes = []
    assert len(load_images(location, 32, tmp_path / "model", notes.append)) == 1
    said = " / ".join(note.message for note in notes if isinstance(note, Note))
    assert "2 files left out, not a readable image: README.md, cut.png" in said
    assert "1 file left out, smaller than 32 px: small.png" in said
    assert "1 file left out, more than 8 bits per channel: deep.png" in said


def test_other_shapes_and_modes(tmp_path):
    """Gray images get three channels, transparency is dropped, and larger squares are reduced."""
    location = tmp_path / "images"
    location.mkdir()
    wide = np.random.default_rng(1).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    Image.fromarray(wide[:60, :60]).save(location / "1.png")
    Image.fromarray(wide[:32, :32, 0]).save(location / "2.png")
    Image.fromarray(np.dstack([wide, wide[..., :1]])[:32, :32]).save(location / "3.png")
    images = load_images(location, 32, tmp_path / "model", silent)
    assert len(images) == 3
    np.testing.assert_array_equal(images[0], Image.fromarray(wide[:60, :60]).resize((32, 32), Image.Resampling.BOX))
    np.testing.assert_array_equal(images[1], np.repeat(wide[:32, :32, :1], 3, 2))
    np.testing.assert_array_equal(images[2], wide[:32, :32])


def test_large_images_become_tiles_at_halved_sizes(tmp_path):
    """The middle square gives four tiles, and a fifth tile of half the resolution."""
    location = tmp_path / "images"
    location.mkdir()
    wide = np.random.default_rng(1).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    Image.fromarray(wide).save(location / "1.png")
    images = load_images(location, 32, tmp_path / "model", silent)
    middle = wide[:, 16:80]
    assert len(images) == 5
    for i in range(4):
        row, col = 32 * (i // 2), 32 * (i % 2)
        np.testing.assert_array_equal(images[i], middle[row : row + 32, col : col + 32])
    assert np.abs(images[4] - middle.reshape(32, 2, 32, 2, 3).mean((1, 3))).max() <= 1
