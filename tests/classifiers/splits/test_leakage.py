"""Leakage of splits against brute force, the model itself, PyTorch's interpolation and a published split."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

import hsifeat
from classifiers import fit_model
from classifiers.columns import make_layout
from classifiers.comparison.compare import compare
from classifiers.splits import (
    Footprint,
    SplitDraw,
    layout_footprints,
    limit_training_pixels,
    measure_leakage,
    merge_official_maps,
    parse_split,
)
from classifiers.splits.leakage import TileGrid
from classifiers.table import PixelTable
from hsifeat.errors import SplitError
from hsifeat.scenes import Labels, Scene

tilings = st.builds(
    lambda stride, cores, frames: TileGrid(stride * cores, stride * frames, stride),
    st.sampled_from([1, 2, 4]),
    st.integers(1, 5),
    st.integers(0, 4),
)


def footprint_along(footprint, pixel, length):
    """Pixels of an axis that decide a pixel's features: by NumPy's padding and PyTorch's interpolation."""
    import torch

    window = range(pixel - footprint.window_px // 2, pixel - footprint.window_px // 2 + footprint.window_px)
    window = [at for at in window if 0 <= at < length]
    if footprint.tiles is None:
        return set(window)
    core, frame, stride = footprint.tiles.core_px, footprint.tiles.halo_px, footprint.tiles.stride
    cells = -(-length // stride)
    cores = -(-length // core)
    mirrored = np.pad(np.arange(length), (frame, cores * core + frame), mode="reflect")
    weights = torch.nn.functional.interpolate(torch.eye(cells)[None], scale_factor=stride, mode="linear")[0].numpy()
    used = {cell for at in window for cell in np.flatnonzero(weights[:, at])}
    tiles = {cell * stride // core for cell in used}
    return {int(p) for tile in tiles for p in mirrored[tile * core : tile * core + core + 2 * frame]}


@settings(max_examples=60)
@given(st.integers(1, 45), st.sampled_from([1, 2, 3, 5]), st.none() | tilings)
def test_a_footprint_equals_brute_force_padding_and_interpolation(length, window, tiles):
    footprint = Footprint(window, tiles)
    first, stop = footprint.span(np.arange(length), length)
    for pixel in range(length):
        assert set(range(first[pixel], stop[pixel])) == footprint_along(footprint, pixel, length)


@settings(max_examples=20)
@given(st.integers(0, 999), st.integers(6, 24), st.integers(6, 24), st.none() | tilings, st.sampled_from([1, 3, 5]))
def test_shares_and_distances_equal_brute_force(seed, rows, cols, tiles, window):
    side = np.random.default_rng(seed).choice(3, (rows, cols), p=[0.5, 0.05, 0.45])
    side[0, 0], side[-1, -1] = 1, 2
    draw = SplitDraw.from_masks(side == 1, side == 2)
    footprints = {Footprint(window), Footprint(1, tiles)}
    train, test = np.argwhere(draw.train), np.argwhere(draw.test)
    expected = [
        any(
            {(r, c) for r, c in train.tolist()}
            & {(r, c) for r in footprint_along(one, row, rows) for c in footprint_along(one, col, cols)}
            for one in footprints
        )
        for row, col in test.tolist()
    ]
    distances = cdist(test, train).min(axis=1)
    found = measure_leakage(draw, footprints)
    assert found.share == pytest.approx(np.mean(expected))
    assert found.median_px == pytest.approx(np.median(distances))
    assert found.min_px == pytest.approx(distances.min())


TILES = {"tile": 32, "halo": 8}
WAYS = [
    ("mid_block", TILES),
    ("up_blocks.2", TILES),
    ("up_blocks.0", {**TILES, "stitch": "mean"}),
    ("up_blocks.2", {**TILES, "stitch": "hann", "origin": (-20, -12), "padding": "zero"}),
    ("up_blocks.0", {**TILES, "origin": (-12, -16)}),
    ("up_blocks.2", {**TILES, "padding": "zero"}),
    ("up_blocks.0", {"stitch": "whole"}),
]


@pytest.mark.parametrize(("layer", "tiling"), WAYS, ids=["-".join(map(str, [a, *b.values()])) for a, b in WAYS])
def test_changing_a_pixel_changes_the_planes_exactly_within_its_footprint(
    scene, backbone_folder, tmp_path, layer, tiling
):
    # Two pixels change places, so that all that is fitted on the scene stays as it is.
    places = [(3, 40), (70, 9)]
    cube = scene.cube.copy()
    cube[places[0]], cube[places[1]] = scene.cube[places[1]], scene.cube[places[0]]
    options = {"backbone": backbone_folder, "timesteps": [0], "layers": [layer], **tiling}
    one = hsifeat.extract(scene, **options, dtype="float32", out=tmp_path / "one.zarr")
    other = hsifeat.extract(
        dataclasses.replace(scene, cube=cube), **options, dtype="float32", out=tmp_path / "other.zarr"
    )
    one, other = hsifeat.open_features(tmp_path / "one.zarr"), hsifeat.open_features(tmp_path / "other.zarr")
    rows, cols = (axis.ravel() for axis in np.indices((75, 53)))
    changed = (one.sample(rows, cols) != other.sample(rows, cols)).any(axis=1)
    (footprint,) = layout_footprints(one, make_layout(one, spectra=False))
    (top, bottom), (left, right) = footprint.span(rows, 75), footprint.span(cols, 53, axis=1)
    claimed = np.zeros(len(rows), bool)
    for row, col in places:
        claimed |= (top <= row) & (row < bottom) & (left <= col) & (col < right)
    np.testing.assert_array_equal(changed, claimed)
    assert claimed.all() if "stitch" in tiling and tiling["stitch"] == "whole" else 0.1 < claimed.mean() < 0.9


def test_footprints_of_a_table(features):
    layout = make_layout(features, window=5, planes=["t0/*"])
    tiles = {TileGrid(16, 8, stride) for stride in (1, 2, 4)}
    assert layout_footprints(features, layout) == {Footprint(1), Footprint(5), *(Footprint(1, one) for one in tiles)}
    assert sorted(str(one) for one in {Footprint(1), Footprint(5), Footprint(3, TileGrid(16, 8))}) == [
        "32x32 px tile of a 3x3 px window", "5x5 px window", "its own pixel",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def published(data_folder):
    import rasterio

    folder = data_folder / "indian_pines_official_split"
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        return {
            name: Labels(name, rasterio.open(folder / f"Hong_Indian{code}123_temp123.tif").read(1))
            for name, code in (("train", "TR"), ("test", "TE"))
        }


def test_the_published_split_of_indian_pines_leaks(published):
    draw = parse_split("official", published).draw(merge_official_maps(published), 0)
    assert (draw.train.sum(), draw.test.sum(), draw.left_out, draw.notes) == (695, 9671, (), ())
    alone = measure_leakage(draw, {Footprint(1)})
    assert (alone.share, round(alone.median_px, 1)) == (0, 2.2)
    assert measure_leakage(draw, {Footprint(1, TileGrid(32, 16))}).share == 1
    assert "the features of 0.0% of the test pixels depend on a training pixel; the nearest one is 2.2 px away" in str(
        alone
    )


def test_the_published_split_has_a_class_order_of_its_own(published):
    truth = hsifeat.open_scene("indian-pines").labels["ground-truth"]
    with pytest.raises(
        SplitError, match=r"train has class numbers, and \d+ of its 695 pixels disagree with the labels"
    ):
        parse_split("official", published).draw(truth, 0)


def test_fit_reports_leakage_and_a_disjoint_score_beside_a_random_one(features, monkeypatch):
    from classifiers.fit import fit_model

    trees = []
    monkeypatch.setattr("scipy.spatial.cKDTree", lambda at: trees.append(at) or cKDTree(at))
    model = fit_model(features, "svm", inputs="spectra+window", split="random:0.2", smooth="none")
    said = model.describe()
    assert len(trees) == 2, "distances are computed once for each draw"
    assert said[0].startswith("random:0.2, fill in: OA ")
    table = PixelTable.from_store(features, planes=[])
    draw = parse_split("random:0.2").draw(table.labels, 0)
    near = np.abs(np.argwhere(draw.test)[:, None] - np.argwhere(draw.train)).max(axis=2).min(axis=1) <= 2
    assert model.evaluation.leakage.share == pytest.approx(near.mean())
    assert f"leakage: the features of {near.mean():.1%} of the test pixels" in said[1]
    assert "(features depend on: 5x5 px window)" in said[1]
    assert any(line.startswith("blocks:12+4:0.1, carry over: OA ") for line in said)
    assert model.disjoint_evaluation.train_pixels <= model.evaluation.train_pixels == model.train_pixels
    disjoint = fit_model(features, "svm", inputs="spectra", split="blocks:9+1:0.3")
    assert disjoint.disjoint_evaluation is None
    assert sum("carry over: OA" in line for line in disjoint.describe()) == 1
    assert fit_model(features, "svm", inputs="spectra").describe() == []


def test_fit_says_when_no_disjoint_split_is_possible(features, monkeypatch):
    from classifiers import evaluate as trials
    from classifiers.fit import fit_model

    monkeypatch.setattr(trials, "DISJOINT_SPLIT", "blocks:99+4:0.1")
    model = fit_model(features, "svm", inputs="spectra", split="per-class:9")
    assert model.disjoint_evaluation is None
    assert "the labels can't be split by blocks:12+4:0.1" in model.describe()[-1]


def test_imported_features_of_each_scene_have_their_own_window(tmp_path):
    """The window of the first scene counted for all scenes."""
    rng, stores = np.random.default_rng(0), []
    for name, window in (("a", 1), ("b", 15)):
        truth = np.where(rng.random((40, 36)) < 0.3, np.kron(rng.integers(1, 4, (5, 4)), np.ones((8, 9), int)), 0)
        scene = Scene(name, rng.random((40, 36, 3))).with_labels(Labels("gt", truth.astype(np.uint8)))
        values = rng.normal(size=(40, 36, 2)).astype(np.float32)
        store = hsifeat.import_planes(scene, {"e": values}, window=window, out=tmp_path / f"{name}.zarr")
        stores.append(store.location.path)
    options = {"heads": ["lda"], "inputs": ["planes"], "splits": ["random:0.1"], "seeds": 1, "sweep": False, "jobs": 1}
    for order, reach in ((stores, (0, 7)), (stores[::-1], (7, 0))):
        labels = PixelTable.from_store(order).labels
        draw = parse_split("random:0.1").draw(labels, seed=0)

        def share(one, reach=reach, second=labels.windows[1].row):
            train = np.argwhere(one.train)
            return np.mean([
                (np.abs(train - pixel).max(axis=1) <= reach[int(pixel[0] >= second)]).any() for pixel in np.argwhere(one.test)
            ])  # fmt: skip

        assert 0.2 < share(draw) < 0.8
        found = fit_model(order, "lda", inputs="planes", split="random:0.1").evaluation.leakage.share
        assert found == pytest.approx(share(draw))
        report = compare(order, **options, out=tmp_path / f"report-of-{order[0].stem}")
        (run,) = [one for one in report.runs if one.split == "random:0.1"]
        (summary,) = [one for one in report.splits if one.split == "random:0.1"]
        thinned = limit_training_pixels(draw, labels, run.train_pixels, 0)
        assert list(summary.leakage.values()) == pytest.approx([share(thinned)])
