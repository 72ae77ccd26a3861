"""What every registered smoothing rule must satisfy, built-in or from another package."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from classifiers.smoothing import NO_SMOOTHING, parse_smoothing, smooth_blocks, smoothing_names, tiles
from classifiers.smoothing.rules import smoothing_class
from hsifeat.errors import HsifeatError
from hsifeat.types import windows

# An argument for each rule; rules of other packages are tested with 2.
ARGUMENTS = {"gaussian": "1.5", "guided": "2", "mrf": "1", "superpixel": "9"}
CLASSES = 4
few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class ArrayGuide:
    """A guide in memory."""

    def __init__(self, values):
        self.values = values

    def read(self, window):
        return self.values[window.slices]


@pytest.fixture(params=smoothing_names())
def rule(request):
    return parse_smoothing(f"{request.param}:{ARGUMENTS.get(request.param, '2')}")


def probabilities(valid, seed=0):
    values = np.random.default_rng(seed).dirichlet(np.ones(CLASSES), size=valid.shape).astype(np.float32)
    values[~valid] = np.nan
    return values


def guide(shape):
    return np.random.default_rng(9).normal(size=(*shape, 3))


def smoothed(rule, values, block_px=1000, image=None):
    shape = values.shape[:2]
    blocks = ((window, values[window.slices]) for window in windows(*shape, block_px))
    out, covered = np.full(values.shape, -1, np.float32), np.zeros(shape, int)
    for window, block in smooth_blocks(blocks, rule, shape, ArrayGuide(guide(shape) if image is None else image)):
        assert block.dtype == np.float32 and block.shape == (window.rows, window.cols, CLASSES)
        out[window.slices] = block
        covered[window.slices] += 1
    assert (covered == 1).all()
    return out


masks = st.tuples(st.integers(1, 20), st.integers(1, 20)).flatmap(lambda shape: arrays(bool, shape))


def test_the_built_in_rules_are_registered():
    assert set(smoothing_names()) >= {"gaussian", "guided", "mrf", "superpixel"}


def test_the_class_has_the_name_of_its_entry_point_and_its_text_parses_to_itself(rule):
    assert rule.form.partition(":")[0] == rule.name == rule.text.partition(":")[0]
    assert parse_smoothing(rule.text) == rule


@given(valid=masks)
@few
def test_valid_pixels_have_probabilities_and_invalid_pixels_have_none(rule, valid):
    values = smoothed(rule, probabilities(valid))
    np.testing.assert_array_equal(np.isnan(values), np.repeat(~valid[..., None], CLASSES, axis=-1))
    assert (values[valid] >= 0).all()
    np.testing.assert_allclose(values[valid].sum(axis=-1), 1, atol=1e-5)


@given(valid=masks, block_px=st.integers(1, 14), tile_px=st.integers(1, 14))
@few
def test_blocks_and_tiles_do_not_change_a_bit(rule, valid, block_px, tile_px):
    values = probabilities(valid)
    plain = smoothed(rule, values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "_TILE_PX", tile_px)
        np.testing.assert_array_equal(smoothed(rule, values, block_px), plain)


def test_a_wall_of_invalid_pixels_beyond_the_reach_separates_the_sides(rule):
    wall = slice(10, 14) if rule.name == "superpixel" else slice(10, 10 + (rule.reach_px or 0))
    if rule.name == "mrf":
        wall = slice(10, 11)
    valid = np.ones((12, wall.stop + 10), bool)
    valid[:, wall] = False
    values, image = probabilities(valid), guide(valid.shape)
    other = values.copy()
    other[:, wall.stop :] = values[::-1, wall.stop :]
    plain, changed = smoothed(rule, values, image=image), smoothed(rule, other, image=image)
    np.testing.assert_array_equal(changed[:, :10], plain[:, :10])
    assert not np.array_equal(changed[:, wall.stop :], plain[:, wall.stop :])


def test_a_pixel_affects_no_pixel_beyond_the_reach(rule):
    if rule.reach_px is None:
        return
    side = 2 * rule.reach_px + 9
    values = probabilities(np.ones((side, side), bool))
    other, centre = values.copy(), side // 2
    other[centre, centre] = [1, 0, 0, 0]
    rows, cols = np.nonzero((smoothed(rule, values) != smoothed(rule, other)).any(axis=-1))
    assert len(rows)
    assert max(np.abs(rows - centre).max(), np.abs(cols - centre).max()) <= rule.reach_px


def test_values_and_guide_at_invalid_pixels_do_not_matter(rule):
    valid = np.random.default_rng(2).random((20, 24)) > 0.3
    values, image = probabilities(valid), guide(valid.shape)
    image[~valid] = 0
    plain = smoothed(rule, values, image=image)
    image[~valid] = 100
    np.testing.assert_array_equal(smoothed(rule, values, image=image), plain)


def test_equal_probabilities_stay_as_they_are(rule):
    """A scene of one class has no neighbours that disagree; a Markov field only sharpens its class."""
    values = np.tile(np.array([0.7, 0.1, 0.1, 0.1], np.float32), (17, 19, 1))
    result = smoothed(rule, values)
    assert (result.argmax(axis=-1) == 0).all()
    if rule.name != "mrf":
        np.testing.assert_allclose(result, values, atol=1e-6)


def test_an_isolated_pixel_takes_the_class_of_its_neighbours(rule):
    values = np.tile(np.array([0.8, 0.2, 0, 0], np.float32), (15, 15, 1))
    values[7, 7] = [0.4, 0.6, 0, 0]
    image = np.zeros((15, 15, 3))
    assert (smoothed(rule, values, image=image).argmax(axis=-1) == 0).all()


def test_a_scene_without_valid_pixels_stays_empty(rule):
    assert np.isnan(smoothed(rule, probabilities(np.zeros((5, 7), bool)))).all()


@pytest.mark.parametrize("argument", ["", "nonsense", "nan", "inf", "-1", "0", "1e99", "1,2,3"])
def test_bad_arguments_are_refused_with_the_form(rule, argument):
    with pytest.raises(HsifeatError, match=rule.name) as refused:
        parse_smoothing(f"{rule.name}:{argument}")
    assert rule.form in str(refused.value)


def test_superpixels_that_slic_can_not_make_are_refused():
    with pytest.raises(HsifeatError, match="superpixel.* found '3'"):
        parse_smoothing("superpixel:3")


def test_unknown_rules_and_missing_arguments_are_refused():
    assert parse_smoothing(NO_SMOOTHING) is None
    with pytest.raises(HsifeatError, match=r"unknown smoothing 'median'; allowed: gaussian:SIGMA, .*, none"):
        parse_smoothing("median:3")
    with pytest.raises(HsifeatError, match="smoothing 'gaussian' lacks its argument: use gaussian:SIGMA"):
        parse_smoothing("gaussian")
    assert smoothing_class("gaussian").name == "gaussian"


def test_a_scene_that_does_not_fit_in_memory_is_refused(rule, monkeypatch):
    monkeypatch.setattr(tiles, "available_bytes", lambda: 10_000_000)
    tiles.check_memory(rule, (20, 20), 2) if rule.reach_px is None else None
    with pytest.raises(HsifeatError, match=r"smoothing 100000 x 100000 pixels of 9 classes by .* of memory are free: "):
        tiles.check_memory(rule, (100_000, 100_000), 9)


def test_memory_of_rules_with_finite_reach_does_not_grow_with_the_height(rule, monkeypatch):
    """The buffer holds the rows of a tile and its margins, however many rows follow."""
    if rule.reach_px is None:
        return
    monkeypatch.setattr(tiles, "_TILE_PX", 8)
    held = []

    def blocks():
        for window in windows(200, 6, 6):
            held.append(window.row + window.rows)
            yield window, probabilities(np.ones((window.rows, window.cols), bool))

    ahead = [
        held[-1] - window.row for window, _ in smooth_blocks(blocks(), rule, (200, 6), ArrayGuide(guide((200, 6))))
    ]
    assert max(ahead) <= 8 + rule.reach_px + 2 * 6
