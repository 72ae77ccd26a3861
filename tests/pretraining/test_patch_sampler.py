"""Patch positions and batches against brute force; held-out blocks; memory and reads of scenes on disk."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsifeat.pretraining.data import project_for_patches
from hsifeat.pretraining.patch_grid import PatchGrid, choose_held_out_blocks
from hsifeat.pretraining.patch_sampler import PatchSampler
from hsifeat.pretraining.timestep_sampling import TimestepSampling
from hsifeat.projection import Projection, fit_projection
from hsifeat.runtime.events import silent
from hsifeat.scenes import Scene
from hsifeat.scenes.array_views import ArrayView
from hsifeat.types import Window
from tests.helpers.small import small_cube

ANY = TimestepSampling()


def touches(row, col, side, block):
    return (
        row < block.row + block.rows
        and block.row < row + side
        and col < block.col + block.cols
        and block.col < col + side
    )


def brute_force(valid, side, blocks):
    rows, cols = (size - side + 1 for size in valid.shape)
    return [
        (row, col)
        for row in range(rows)
        for col in range(cols)
        if valid[row + side // 2, col + side // 2] and not any(touches(row, col, side, block) for block in blocks)
    ]


@given(st.data())
def test_patch_positions_are_those_of_brute_force(data):
    side = data.draw(st.integers(1, 6))
    rows, cols = data.draw(st.integers(side, 20)), data.draw(st.integers(side, 20))
    valid = np.random.default_rng(data.draw(st.integers(0, 99))).random((rows, cols)) < data.draw(
        st.sampled_from([0.1, 0.8, 1])
    )
    blocks = tuple(
        Window(data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, cols - 1)), 3, 2)
        for _ in range(data.draw(st.integers(0, 3)))
    )
    grids, expected = PatchGrid(valid, side, blocks), brute_force(valid, side, blocks)
    assert len(grids) == len(expected)
    assert [grids.locate(number) for number in range(len(expected))] == expected


@pytest.mark.parametrize(
    ("shape", "patch", "side", "count"),
    [
        pytest.param((145, 145), 32, 32, 1, id="Indian Pines: one corner"),
        pytest.param((145, 145), 48, 48, 0, id="Indian Pines, large patches: nothing"),
        pytest.param((145, 145), 48, 24, 1, id="Indian Pines, large patches: a small corner"),
        pytest.param((610, 340), 32, 32, 5, id="Pavia University"),
        pytest.param((3000, 2000), 32, 32, 8, id="large: as many as asked for"),
    ],
)
def test_held_out_blocks_cost_a_tenth_of_the_patches_at_most(shape, patch, side, count):
    valid = np.ones(shape, bool)
    blocks = choose_held_out_blocks(valid, patch, side, 8)
    assert len(blocks) >= count and (count > 0 or not blocks)
    for i, block in enumerate(blocks):
        assert (block.rows, block.cols) == (side, side) == valid[block.slices].shape
        assert not any(touches(block.row, block.col, side, other) for other in blocks[:i])
    every = (shape[0] - patch + 1) * (shape[1] - patch + 1)
    assert len(PatchGrid(valid, patch, blocks)) >= 0.9 * every
    assert choose_held_out_blocks(valid, patch, side, 8) == blocks


def test_held_out_blocks_lie_in_valid_parts():
    valid = np.zeros((200, 300), bool)
    valid[20:180, 30:270] = True
    blocks = choose_held_out_blocks(valid, 16, 16, 8)
    assert len(blocks) > 2
    assert all(valid[block.slices].mean() >= 0.5 for block in blocks)


def numbered(rows, cols, start=0):
    """A scene with one band, whose values number the pixels."""
    cube = (start + np.arange(rows * cols, dtype=np.float32)).reshape(rows, cols, 1) + 1
    return Scene(f"numbers from {start}", cube)


ITSELF = Projection("as it is", np.ones((1, 1), np.float32), np.zeros(1, np.float32), clip=False)


def test_patches_are_crops_in_8_symmetries_that_touch_no_held_out_block():
    scene, block = numbered(40, 50), Window(0, 34, 8, 8)
    grids = PatchGrid(scene.valid, 8, (block,))
    sampler = PatchSampler([project_for_patches(scene, ITSELF, silent)], [grids], ANY, 3)
    drawn = sampler.draw(7, 600).clean[:, 0]
    plain = scene.cube[..., 0]
    places, symmetries = set(), set()
    for patch in drawn:
        row, col = divmod(int(patch.min()) - 1, 50)
        places.add((row, col))
        crop = plain[row : row + 8, col : col + 8]
        views = [np.rot90(view, turn) for view in (crop, crop[::-1]) for turn in range(4)]
        symmetries.add(next(i for i, view in enumerate(views) if np.array_equal(view, patch)))
    assert symmetries == set(range(8))
    assert places <= set(brute_force(scene.valid, 8, [block])) and len(places) > 300
    held = sampler.read_held_out()
    assert held.shape == (8, 1, 8, 8)
    assert {value for view in held for value in view.ravel()} == set(plain[block.slices].ravel())
    assert len({view.tobytes() for view in held}) == 8


def test_scenes_are_drawn_by_their_number_of_patches():
    small, large = numbered(20, 20), numbered(40, 80, start=10_000)
    grids = [PatchGrid(scene.valid, 8) for scene in (small, large)]
    sampler = PatchSampler([project_for_patches(s, ITSELF, silent) for s in (small, large)], grids, ANY, 0)
    of_small = np.mean(sampler.draw(0, 4000).clean[:, 0, 0, 0] < 5000)
    assert of_small == pytest.approx(13 * 13 / (13 * 13 + 33 * 73), abs=0.02)


def test_batches_depend_on_seed_and_step_and_invalid_pixels_are_0():
    cube = small_cube().astype(np.float32)
    cube[:40] = np.nan
    half = Scene("half", cube)
    projection = fit_projection("pca:3", half)
    sampler = PatchSampler([project_for_patches(half, projection, silent)], [PatchGrid(half.valid, 16)], ANY, 3)
    one, two = sampler.draw(7, 30), sampler.draw(7, 30)
    for name in ("clean", "noise", "t"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert not np.array_equal(one.clean, sampler.draw(8, 30).clean)
    assert np.isfinite(one.clean).all()
    assert 0 < (one.clean == 0).mean() < 0.5
    assert one.t.min() >= 0 and one.t.max() < 1000 and len(set(one.t.tolist())) > 20


def test_timesteps_of_a_batch_lie_in_one_interval_and_over_batches_anywhere():
    rule, edges = TimestepSampling((442, 631)), [0, 442, 631, 1000]
    batches = [rule.draw(np.random.default_rng(seed), 8) for seed in range(3000)]
    numbers = [np.searchsorted(edges, batch, side="right") for batch in batches]
    assert all(len(set(number)) == 1 for number in numbers)
    shares = np.bincount([number[0] for number in numbers], minlength=4)[1:] / 3000
    np.testing.assert_allclose(shares, np.diff(edges) / 1000, atol=0.03)
    counts, _ = np.histogram(np.concatenate(batches), bins=10, range=(0, 1000))
    np.testing.assert_allclose(counts / 24_000, 0.1, atol=0.02)


class Counted(ArrayView):
    """A lazy cube that records the number of values of each read."""

    def __init__(self, cube):
        super().__init__(cube.shape, cube.dtype)
        self.cube, self.reads = cube, []

    def _read(self, parts):
        self.reads.append(int(np.prod([len(part) for part in parts])))
        return self.cube[tuple(slice(p.start, p.stop, p.step) for p in parts)]


def test_a_scene_in_a_file_is_read_block_by_block_and_unpacked_once(monkeypatch):
    """Mask, digest, projection and patches are computed from small blocks.

    Drawing patches reads nothing after the scene was read once for them.
    """
    monkeypatch.setattr("hsifeat.scenes.scene_blocks.VALUES_AT_A_TIME", 10_000)
    cube = Counted(small_cube(rows=200))
    scene = Scene("file", cube)
    projection, grids = fit_projection("pca:3", scene), PatchGrid(scene.valid, 16)
    assert scene.digest
    before = len(cube.reads)
    sampler = PatchSampler([project_for_patches(scene, projection, silent)], [grids], ANY, 0)
    drawn = [sampler.draw(step, 8).clean for step in range(20)]
    assert max(cube.reads) <= 10_000 < np.prod(cube.shape) / 10
    assert sum(cube.reads[before:]) == np.prod(cube.shape)
    in_memory = Scene("memory", cube.cube)
    other = PatchSampler([project_for_patches(in_memory, projection, silent)], [grids], ANY, 0)
    np.testing.assert_allclose(
        np.concatenate(drawn), np.concatenate([other.draw(s, 8).clean for s in range(20)]), atol=1e-4
    )


def test_without_room_for_a_copy_patches_are_read_from_the_file(monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    cube, notes = Counted(small_cube()), []
    scene = Scene("file", cube)
    channels = project_for_patches(scene, fit_projection("pca:3", scene), notes.append)
    assert "do not fit" in notes[0].message and "TMPDIR" in notes[0].message
    cube.reads.clear()
    PatchSampler([channels], [PatchGrid(scene.valid, 16)], ANY, 0).draw(0, 5)
    assert cube.reads == [16 * 16 * 12] * 5


class Mapped(np.memmap):
    """A mapped cube that notes what is sliced of it."""

    slices = ()

    def __getitem__(self, key):
        Mapped.slices = (*Mapped.slices, key)
        return super().__getitem__(key)


def test_a_mapped_scene_is_read_patch_by_patch_in_little_memory(tmp_path):
    """9 million pixels: a list of all corners would take 72 MB."""
    rows = cols = 3000
    cube = Mapped(tmp_path / "cube", np.float32, "w+", shape=(rows, cols, 2))
    scene = Scene("large", cube, mask=np.ones((rows, cols), bool))
    assert scene.valid.all(), "the whole scene is read once, to find pixels with NaN"
    two = Projection("two", np.eye(2, dtype=np.float32), np.zeros(2, np.float32), clip=False)
    Mapped.slices = ()
    tracemalloc.start()
    sampler = PatchSampler(
        [project_for_patches(scene, two, silent)], [PatchGrid(scene.valid, 32, (Window(64, 64, 32, 32),))], ANY, 0
    )
    for step in range(3):
        sampler.draw(step, 16)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < rows * cols
    assert len(Mapped.slices) == 48
    assert all((key[0].stop - key[0].start, key[1].stop - key[1].start) == (32, 32) for key in Mapped.slices)
