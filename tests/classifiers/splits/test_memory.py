"""Draws, leakage and keys, computed block by block, against computations on whole maps."""

import hashlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from classifiers.comparison.run_records import draw_key
from classifiers.splits import BlocksSplit, Footprint, measure_leakage, parse_split
from classifiers.splits import distances as distances_module
from classifiers.splits.leakage import TileGrid
from hsifeat.errors import SplitError
from hsifeat.scenes import Labels


def blocks_over_whole_maps(classes, block_px, buffer_px, fraction, seed):
    """Return train, test and the classes left out of a draw of blocks; None where fewer than two classes are left."""
    numbers = [int(n) for n in np.unique(classes) if n]
    random = np.random.default_rng(seed)
    best = None
    for _ in range(30):
        found = one_try(classes, numbers, block_px, buffer_px, fraction, random)
        if len(numbers) - len(found[2]) < 2:
            return None
        if best is None or len(found[2]) < len(best[2]):
            best = found
        if len(best[2]) == found[3]:
            break
    return best


def one_try(classes, numbers, block_px, buffer_px, fraction, random):
    """Return the training and test pixels, the classes left out, and the number of classes that lie in a single block."""
    rows, cols = classes.shape
    across = -(-cols // block_px)
    blocks = (np.arange(rows) // block_px)[:, None] * across + np.arange(cols) // block_px
    members = {n: np.unique(blocks[classes == n]) for n in numbers}
    on_both = {n: set(members[n].tolist()) for n in numbers if len(members[n]) >= 2}
    pixels = np.bincount(blocks[classes != 0], minlength=blocks.max() + 1)
    labelled = np.isin(classes, list(on_both))
    chosen = set()

    def cleared(train, test):
        return train & (distance_transform_edt(~test) > buffer_px) if buffer_px and test.any() else train

    def may_train(block):
        return block not in chosen and all(of - chosen - {block} for of in on_both.values() if block in of)

    def survives(number, block):
        train = labelled & np.isin(blocks, [*chosen, block])
        return (cleared(train, labelled & ~train) & (blocks == block) & (classes == number)).any()

    for n in sorted(on_both, key=lambda n: len(on_both[n])):
        if any(survives(n, block) for block in on_both[n] & chosen):
            continue
        allowed = [b for b in random.permutation(members[n]).tolist() if may_train(b)]
        chosen.update([next((b for b in allowed if survives(n, b)), allowed[0])] if allowed else [])
    for block in random.permutation(np.flatnonzero(pixels)).tolist():
        if pixels[list(chosen)].sum() >= fraction * pixels.sum():
            break
        if may_train(block):
            chosen.add(block)
    train = np.isin(blocks, list(chosen)) & labelled
    test = labelled & ~train
    train = cleared(train, test)
    kept = set(classes[train].tolist()) & set(classes[test].tolist())
    inside = np.isin(classes, list(kept))
    return train & inside, test & inside, set(numbers) - kept, len(numbers) - len(on_both)


@settings(max_examples=30)
@given(
    st.integers(0, 999),
    st.tuples(st.integers(6, 40), st.integers(6, 40)),
    st.integers(1, 5),
    st.integers(1, 9),
    st.integers(0, 5),
    st.floats(0.05, 0.95),
)
def test_blocks_are_those_of_whole_maps(seed, shape, field, block, buffer, fraction):
    random = np.random.default_rng(seed)
    fields = random.integers(0, 5, (-(-shape[0] // field), -(-shape[1] // field)))
    classes = np.kron(fields, np.ones((field, field), int))[: shape[0], : shape[1]].astype(np.uint8)
    want = blocks_over_whole_maps(classes, block, buffer, fraction, seed)
    # Distances are measured in bands of a few rows, as in a scene of many columns.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances_module, "_STRIP_PIXELS", 3 * shape[1])
        if want is None:
            with pytest.raises(SplitError):
                BlocksSplit(block, buffer, fraction).draw(Labels("x", classes), seed)
            return
        draw = BlocksSplit(block, buffer, fraction).draw(Labels("x", classes), seed)
    np.testing.assert_array_equal(draw.train, want[0])
    np.testing.assert_array_equal(draw.test, want[1])
    assert set(draw.left_out) == want[2]


@pytest.fixture(scope="module")
def large():
    """Labels of several blocks of rows, a fifth of them unlabelled."""
    random = np.random.default_rng(1)
    return Labels("large", np.kron(random.integers(0, 5, (40, 30)), np.ones((40, 40), int)).astype(np.uint8))


@pytest.mark.parametrize("split", ["random:0.1", "blocks:48+4:0.1"])
def test_leakage_is_that_of_the_whole_map(large, split):
    large = Labels("half", large.classes[::2, ::2])
    draw = parse_split(split).draw(large, 3)
    context = Footprint(3, TileGrid(64, 16, 4))
    train, test = np.argwhere(draw.train), np.argwhere(draw.test)
    far = cKDTree(train).query(test)[0]
    counts = np.pad(draw.train.astype(int).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    top, bottom = context.span(test[:, 0], draw.shape[0])
    left, right = context.span(test[:, 1], draw.shape[1], axis=1)
    seen = counts[bottom, right] - counts[top, right] - counts[bottom, left] + counts[top, left] > 0
    found = measure_leakage(draw, [context])
    assert (found.share, found.median_px, found.min_px) == (seen.mean(), np.median(far), far.min())


@pytest.mark.parametrize("kind", ["u1", "<i4", "<i8"])
def test_the_key_of_a_draw_is_that_of_masks_and_classes_in_full(large, kind):
    labels = Labels("large", large.classes.astype(kind))
    draw = parse_split("random:0.1").draw(labels, 0)
    bits = [np.packbits(mask).tobytes() for mask in (draw.train, draw.test)]
    whole = str(draw.train.shape).encode() + b"".join(bits) + labels.classes.astype("<i8").tobytes()
    assert draw_key(draw, labels) == hashlib.sha256(whole).hexdigest()[:32]


def test_a_draw_is_small_while_it_is_made_and_held(large):
    pixels = large.classes.size

    def bytes_a_pixel(work):
        tracemalloc.start()
        done = work()
        held, peak = (size / pixels for size in tracemalloc.get_traced_memory())
        tracemalloc.stop()
        return done, held, peak

    draw, held, peak = bytes_a_pixel(lambda: parse_split("blocks:48+4:0.1").draw(large, 0))
    assert draw.train_bits.nbytes + draw.test_bits.nbytes == pixels / 4
    assert held < 1 < peak < 20, "46 bytes a pixel over whole maps"
    _, _, peak = bytes_a_pixel(lambda: draw_key(draw, large))
    assert peak < 2
