"""The noise field: tied to coordinates, standard normal, and guarded by a golden digest."""

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from hsifeat.extraction.noise.noise_field import noise_field
from hsifeat.types import Window

near = st.integers(-150, 150)
side = st.integers(1, 140)


@given(near, near, side, side, near, near, side, side, st.integers(0, 2**64 - 1))
def test_windows_agree_where_they_overlap(r1, c1, h1, w1, r2, c2, h2, w2, seed):
    one, two = Window(r1, c1, h1, w1), Window(r2, c2, h2, w2)
    top, left = max(r1, r2), max(c1, c2)
    bottom, right = min(r1 + h1, r2 + h2), min(c1 + w1, c2 + w2)
    if top < bottom and left < right:
        parts = (
            noise_field(w, 2, seed)[:, top - w.row : bottom - w.row, left - w.col : right - w.col] for w in (one, two)
        )
        np.testing.assert_array_equal(*parts)


def test_a_channel_does_not_depend_on_the_number_of_channels():
    window = Window(-9, 60, 20, 20)
    np.testing.assert_array_equal(noise_field(window, 5, 3)[:2], noise_field(window, 2, 3))


def test_the_field_is_standard_normal_and_does_not_repeat():
    field = noise_field(Window(-256, -256, 512, 512), 3, 0)
    assert kstest(field.ravel()[::7], "norm").pvalue > 0.01
    blocks = field.reshape(3, 8, 64, 8, 64).transpose(0, 1, 3, 2, 4).reshape(192, -1)
    assert len(np.unique(blocks[:, 0])) == 192
    correlation = np.corrcoef(blocks) - np.eye(192)
    assert np.abs(correlation).max() < 0.1
    assert abs(np.corrcoef(field[0, :, 1:].ravel(), field[0, :, :-1].ravel())[0, 1]) < 0.01


def test_seeds_differ():
    window = Window(0, 0, 64, 64)
    assert not np.array_equal(noise_field(window, 1, 0), noise_field(window, 1, 1))


def test_golden_digest():
    """The key of a store says "field" and the seed, so the values of a field must never change."""
    field = noise_field(Window(-70, -3, 140, 90), 2, 12345)
    assert hashlib.sha256(field.astype("<f4").tobytes()).hexdigest() == GOLDEN


GOLDEN = "cd997c62893098d62b6570ea94eca88b4aab191bc8526164ba458c95f035a560"
