"""Superpixels: connected, kept, and with the neighbours that a loop over pixels finds."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from skimage.measure import label
from skimage.segmentation import slic

from classifiers.labelling.quick_map import QuickMapper
from classifiers.labelling.segments import Segments, open_segments
from hsifeat.errors import HsifeatError


@pytest.fixture(scope="module")
def segments(columns):
    return open_segments(columns)


def test_segments_are_connected_parts_of_slic(columns, segments):
    numbers = segments.numbers
    assert numbers.min() == 1
    np.testing.assert_array_equal(label(numbers, connectivity=1) - numbers, 0)
    guide = columns.guide.astype(np.float64)
    plain = slic(guide, n_segments=round(75 * 53 / 20), compactness=0.1, convert2lab=False, channel_axis=-1)
    pairs = np.unique(np.stack([plain.ravel(), numbers.ravel()]), axis=1)
    assert len(np.unique(pairs[1])) == pairs.shape[1]  # each segment lies in one superpixel


def test_a_noisy_scene_has_a_note_in_segments_and_maps(columns, segments, clicks):
    """The image that guides superpixels is replaced by noise; scikit-image says how many superpixels are left."""
    noise = np.random.default_rng(0).normal(size=columns.guide.shape).astype(np.float32)
    noisy = replace(columns, guide=noise, kept=columns.kept.sibling("noisy"))
    plain = slic(noise.astype(np.float64), n_segments=40, compactness=0.1, convert2lab=False, channel_axis=-1)
    note = f"SLIC found {len(np.unique(plain))} where 40 were asked for"
    assert segments.note == "" and note in open_segments(noisy, 100).note
    for one, notes in ((columns, 0), (noisy, 1)):
        mapper = QuickMapper(one, smooth="superpixel:100")
        found = mapper.predict(mapper.fit(clicks))
        assert len(found.notes) == notes and all(note in text for text in found.notes)


def test_neighbours_equal_those_of_a_loop():
    numbers = np.random.default_rng(0).integers(0, 9, (7, 6)).astype(np.int32)
    expected = set()
    for row, col in np.ndindex(numbers.shape):
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                r, c = row + down, col + right
                if 0 <= r < 7 and 0 <= c < 6 and numbers[row, col] < numbers[r, c] and numbers[row, col]:
                    expected.add((int(numbers[row, col]), int(numbers[r, c])))
    assert set(map(tuple, Segments(numbers, np.zeros((8, 1), np.float32)).edges.tolist())) == expected


def test_places_keep_the_distances_of_mean_columns(columns, segments):
    of_row = segments.numbers.ravel()[columns.pixels]
    means = np.stack([columns.values[of_row == s].mean(axis=0, dtype=float) for s in range(1, segments.count + 1)])
    assert segments.places.shape == (segments.count, min(100, columns.values.shape[1]))
    np.testing.assert_allclose(pdist(segments.places), pdist(means), rtol=1e-4, atol=1e-5)


def test_a_click_selects_its_segment(segments):
    pixels = segments.pixels_at(np.array([10]), np.array([20]))
    assert 10 * 53 + 20 in pixels
    assert len(pixels) == segments.sizes[segments.numbers[10, 20]]
    assert len(set(segments.numbers.ravel()[pixels])) == 1
    both = segments.pixels_at(np.array([10, 40, 10]), np.array([20, 30, 20]))
    assert both.tolist() == sorted({*pixels.tolist(), *segments.pixels_at(np.array([40]), np.array([30])).tolist()})
    for outside in (75, -1):
        with pytest.raises(HsifeatError, match=rf"pixel \({outside}, 0\) lies outside the scene of 75 x 53"):
            segments.pixels_at(np.array([10, outside]), np.array([20, 0]))


def test_segments_are_kept_and_leave_out_pixels_without_features(columns, segments, monkeypatch):
    monkeypatch.setattr("skimage.segmentation.slic", None)
    np.testing.assert_array_equal(open_segments(columns).numbers, segments.numbers)
    monkeypatch.undo()
    kept = columns.pixels % 53 != 7
    part = replace(columns, pixels=columns.pixels[kept], kept=columns.kept.sibling("part"))
    numbers = open_segments(part).numbers
    assert not numbers[:, 7].any()
    with pytest.raises(HsifeatError, match="no segment at row 2, column 7: click a pixel that has features"):
        open_segments(part).pixels_at([3, 2], [8, 7])
    assert not set(numbers[:, :7].ravel()) & set(numbers[:, 8:].ravel())
    with pytest.raises(HsifeatError, match="whole numbers from 4 to 1000000"):
        open_segments(columns, 1)
