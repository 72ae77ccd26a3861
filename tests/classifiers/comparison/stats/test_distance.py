"""Accuracy against the distance to the nearest training pixel, against loops over pixels and a scene with a known answer."""

import itertools

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, label

import hsifeat
from classifiers import compare
from classifiers.comparison.report.write import write_report
from classifiers.comparison.results.results_io import read_json
from classifiers.comparison.run_records import RunRecords
from classifiers.comparison.stats import distance as distance_module
from classifiers.comparison.stats.distance import assess_distances
from classifiers.distance_bins import distance_bins
from classifiers.splits import Footprint, SplitDraw, parse_split
from hsifeat.cache import catalogue
from hsifeat.errors import HeadError
from hsifeat.scenes import Labels, Scene
from hsifeat.scenes.label_map import ScenePart
from hsifeat.types import Window
from tests.helpers.comparisons import draw_counts, entry, scored_run
from tests.helpers.small import small_labels

SPLITS, SEEDS = ("random:0.05", "blocks:9+0:0.2", "far:9+8:0.2"), 3
SPECTRA, WINDOW, OTHER = (
    entry("", "spectra", "svm"),
    entry("", "spectra+window", "svm"),
    entry("", "spectra+window", "lda"),
)
FOOTPRINTS = {"spectra": frozenset({Footprint(1)}), "spectra+window": frozenset({Footprint(1), Footprint(9)})}
ENDS = ((0, 4), (4, 9), (9, np.inf))


def footprints_of(labels):
    """Return the footprints of each scene in a label map."""
    return {columns: (own,) * len(labels.windows) for columns, own in FOOTPRINTS.items()}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Runs with random predictions, their records and draws, and the result of `assess_distances`."""
    labels = Labels("fields", small_labels())
    run_records, runs, draws = RunRecords(tmp_path_factory.mktemp("record")), [], {}
    for split, seed in itertools.product(SPLITS, range(SEEDS)):
        draws[split, seed] = draw = parse_split(split).draw(labels, seed)
        truth = labels.classes[draw.test]
        for index, who in enumerate((SPECTRA, WINDOW, OTHER)):
            wrong = np.random.default_rng([seed, index]).random(len(truth)) < 0.2 + 0.2 * index
            predicted = np.where(wrong, truth % 4 + 1, truth)
            runs.append(
                scored_run(who, split, seed, truth, predicted, key=f"{who.head}{index}{seed}{SPLITS.index(split)}")
            )
            run_records.add(runs[-1], predicted)
    found = assess_distances(runs, run_records, labels, draws, footprints_of(labels), (4, 9))
    return labels, runs, run_records, draws, *found


def pixels_of(recorded, who, split, seed):
    """Return distance, leakage, region, and whether the prediction is right, of each test pixel, one pixel at a time."""
    labels, runs, run_records, draws, *_ = recorded
    draw = draws[split, seed]
    nearest = distance_transform_edt(~draw.train)
    reach = 4 if "window" in who.inputs else 0
    regions, count = np.zeros(draw.shape, int), 0
    for number in labels.counts:
        fields, found = label(labels.classes == number, np.ones((3, 3)))
        regions[fields > 0] = fields[fields > 0] + count
        count += found
    (key,) = (run.key for run in runs if (run.entry, run.split, run.seed) == (who, split, seed))
    right = run_records.read_predictions(key) == labels.classes[draw.test]
    leaks = [
        draw.train[max(row - reach, 0) : row + reach + 1, max(col - reach, 0) : col + reach + 1].any()
        for row, col in np.argwhere(draw.test)
    ]
    return nearest[draw.test], np.array(leaks), regions[draw.test], right


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("who", [SPECTRA, WINDOW, OTHER], ids=str)
def test_scores_are_those_of_the_pixels(recorded, who, split):
    (found,) = (one for one in recorded[5] if (one.entry, one.split) == (who, split))
    seeds = [pixels_of(recorded, who, split, seed) for seed in range(SEEDS)]
    rivals = [pixels_of(recorded, SPECTRA, split, seed)[3] for seed in range(SEEDS)]
    masks = [
        [(d > one.low_px) & (d <= (one.high_px or np.inf)) for d, *_ in seeds] for one in (*found.bins, *found.curve)
    ]
    masks.append([~leaks for _, leaks, *_ in seeds])
    assert [(one.low_px, one.high_px or np.inf) for one in found.bins] == list(ENDS)
    for score, parts in zip((*found.bins, *found.curve, found.leak_free), masks, strict=True):
        filled = [part.any() for part in parts]
        assert score.seeds == sum(filled) and score.test_pixels == np.mean([part.sum() for part in parts])
        if not any(filled):
            assert score.oa is None and score.gain is None
            continue
        oa = [right[part].mean() for (*_, right), part in zip(seeds, parts, strict=True) if part.any()]
        assert (score.oa.mean, score.oa.sd) == pytest.approx((np.mean(oa), np.std(oa, ddof=1) if len(oa) > 1 else 0))
        gain = [
            right[part].mean() - rival[part].mean()
            for (*_, right), rival, part in zip(seeds, rivals, parts, strict=True)
            if part.any()
        ]
        assert (score.gain is None) == (who != WINDOW), "spectra have no gain, and lda was not run on them"
        assert score.gain is None or score.gain.mean == pytest.approx(np.mean(gain))
    points = found.curve
    assert points[0].low_px == 0 and points[-1].high_px == max(d.max() for d, *_ in seeds) and len(points) <= 12
    assert sum(point.test_pixels for point in points) == pytest.approx(np.mean([len(d) for d, *_ in seeds]))
    assert all(a.high_px == b.low_px and a.mean_px < b.mean_px for a, b in itertools.pairwise(points))
    assert points[0].mean_px == pytest.approx(np.mean(np.concatenate([d[d <= points[0].high_px] for d, *_ in seeds])))


def test_runs_state_the_same(recorded):
    runs, scored = recorded[1], recorded[4]
    assert [run.model_copy(update={"distance_scores": {}}) for run in scored] == runs
    for run in scored:
        distance, leaks, _, right = pixels_of(recorded, run.entry, run.split, run.seed)
        masks = {
            one.key: (distance > low) & (distance <= high)
            for one, (low, high) in zip(distance_bins((4, 9)), ENDS, strict=True)
        }
        expected = {}
        for name, mask in {**masks, "leak_free": ~leaks}.items():
            expected |= {f"test_pixels_{name}": mask.sum()} | ({f"oa_{name}": right[mask].mean()} if mask.any() else {})
        assert run.distance_scores == expected


def test_intervals_are_those_of_resampled_regions(recorded):
    split = SPLITS[1]
    (found,) = (one for one in recorded[5] if (one.entry, one.split) == (WINDOW, split))
    seeds = [pixels_of(recorded, WINDOW, split, seed) for seed in range(SEEDS)]
    rivals = [pixels_of(recorded, SPECTRA, split, seed)[3] for seed in range(SEEDS)]
    numbers = np.unique(np.concatenate([regions for _, _, regions, _ in seeds]))
    random, values = np.random.default_rng(0), []
    for start in range(0, 2000, 1000):
        of_region = draw_counts(random, len(numbers), 1000)
        of_seed = draw_counts(random, SEEDS, 1000)
        for weights, counts in zip(of_region[: 400 - start // 5], of_seed, strict=False):
            means = []
            for (distance, _, regions, right), rival in zip(seeds, rivals, strict=True):
                weight = weights[np.searchsorted(numbers, regions)] * ((distance > 4) & (distance <= 9))
                means.append((np.average(right, weights=weight), np.average(right * 1.0 - rival, weights=weight)))
            values.append(np.average(means, axis=0, weights=counts))
    bounds = np.quantile(values, [0.025, 0.975], axis=0).T
    for score, expected in zip((found.bins[1].oa, found.bins[1].gain), bounds, strict=True):
        assert score.interval == pytest.approx(expected, abs=0.012), "600 of the 2,000 resamples"


def test_few_regions_or_one_seed_have_no_interval(recorded, monkeypatch):
    labels, runs, run_records, draws, *_ = recorded
    first = [run for run in runs if run.seed == 0]
    _, found, _ = assess_distances(first, run_records, labels, draws, footprints_of(labels), (4, 9))
    assert all(score.oa is None or score.oa.interval is None for one in found for score in (*one.bins, *one.curve))
    monkeypatch.setattr(distance_module, "MIN_REGIONS", 1000)
    _, found, _ = assess_distances(runs, run_records, labels, draws, footprints_of(labels), (4, 9))
    assert all(score.oa is None or score.oa.interval is None for one in found for score in one.bins)


def test_pixels_of_a_scene_without_training_pixels_have_no_distance(tmp_path):
    """Two scenes: both have training pixels with seed 0, one has with seed 1, and no test pixel has a distance with seed 2."""
    windows = (Window(0, 0, 30, 40), Window(30, 0, 20, 40))
    classes = np.random.default_rng(0).integers(1, 4, (50, 40)).astype(np.uint8)
    parts = tuple(ScenePart((name,), window) for name, window in zip("ab", windows, strict=True))
    labels, run_records, runs, draws = Labels("fields", classes, parts=parts), RunRecords(tmp_path), [], {}
    columns, first = np.indices(classes.shape)[1], np.indices(classes.shape)[0] < 30
    trained = (columns < 3, (columns < 2) & first, ~first)
    for seed, train in enumerate(trained):
        draws[SPLITS[1], seed] = draw = SplitDraw.from_masks(train, ~train)
        truth = classes[draw.test]
        for index, who in enumerate((SPECTRA, WINDOW)):
            wrong = np.random.default_rng([seed, index]).random(len(truth)) < 0.3 + 0.2 * index
            predicted = np.where(wrong, truth % 3 + 1, truth)
            runs.append(scored_run(who, SPLITS[1], seed, truth, predicted, key=f"{index}{seed}"))
            run_records.add(runs[-1], predicted)
    scored, found, (split,) = assess_distances(runs, run_records, labels, draws, footprints_of(labels), (4, 9))
    nearest = [np.full(classes.shape, np.inf) for _ in trained]
    for map_px, train in zip(nearest, trained, strict=True):
        for window in windows:
            if train[window.slices].any():
                map_px[window.slices] = distance_transform_edt(~train[window.slices])
    tested = [px[~train] for px, train in zip(nearest, trained, strict=True)]
    assert (split.pixels_without_distance, split.seeds_without_distance) == ((20 * 40 + 30 * 40) / 3, 2)
    assert split.median_px is None and split.min_px == 1
    for one in found:
        right = [
            run_records.read_predictions(r.key) == classes[draws[SPLITS[1], r.seed].test]
            for r in runs
            if r.entry == one.entry
        ]
        for score in (*one.bins, *one.curve):
            high = score.high_px if score.high_px is not None else 1000
            masks = [(px > score.low_px) & (px <= high) for px in tested]
            oa = [hit[mask].mean() for hit, mask in zip(right, masks, strict=True) if mask.any()]
            assert (score.oa.mean, score.oa.sd) == pytest.approx((np.mean(oa), np.std(oa, ddof=1)))
            assert (score.seeds, score.test_pixels) == (2, np.mean([mask.sum() for mask in masks]))
            inside = np.concatenate([px[mask] for px, mask in zip(tested, masks, strict=True)])
            assert score.mean_px == pytest.approx(inside.mean())
        reach = 4 if "window" in one.entry.inputs else 0
        assert one.leak_free.test_pixels == np.mean([(px > reach).sum() for px in tested])
        assert one.leak_free.oa.mean == pytest.approx(
            np.mean([hit[px > reach].mean() for hit, px in zip(right, tested, strict=True)])
        )
    (last,) = (run for run in scored if (run.entry, run.seed) == (SPECTRA, 2))
    assert last.distance_scores == {
        **{f"test_pixels_{one.key}": 0 for one in distance_bins((4, 9))},
        "test_pixels_leak_free": 30 * 40,
        "oa_leak_free": last.scores["oa"],
    }
    others = [run for run in runs if run.seed == 2]
    unchanged, none, (split,) = assess_distances(others, run_records, labels, draws, footprints_of(labels), (4, 9))
    assert (unchanged, none, split.pixels_without_distance) == (others, (), 30 * 40)


@pytest.mark.parametrize("ends", [(), (0, 4), (4, 4), (9, 4)])
def test_ends_that_are_not_ascending_are_refused(ends):
    with pytest.raises(HeadError, match="need positive, ascending ends in pixels, such as 4,9,16; found"):
        distance_bins(ends)


@pytest.mark.usefixtures("remembered_plots")
def test_a_scene_with_a_known_answer(backbone_folder, tmp_path, monkeypatch):
    """Spectra tell the class up to 9 px from the training pixels, and the other class beyond."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalogue, "add_entry", lambda *_, **__: None)
    rows, cols = np.indices((40, 32))
    classes = np.where(rows // 4 % 2, 1, 2).astype(np.uint8)
    train = cols < 3
    misleading = distance_transform_edt(~train) > 9
    told = np.where(misleading, 3 - classes, classes)
    signal = np.stack([told == 1, told == 2, np.zeros_like(rows)], axis=-1) * 1000
    cube = (signal + np.random.default_rng(0).integers(0, 50, signal.shape)).astype(np.uint16)
    scene = Scene("known", cube, None, {"fields": Labels("fields", classes)})
    options = {"timesteps": [0], "layers": ["mid_block"], "tile": 8, "halo": 0, "out": "known.zarr"}
    hsifeat.extract(scene, backbone=backbone_folder, projection="bands:0,1,2", **options)
    np.save("train.npy", train.astype(np.uint8))
    found = compare(
        "known.zarr", heads=["lda"], splits=["mask:train.npy"], seeds=1, inputs=["spectra", "planes"], sweep=False
    )
    spectra, planes = (
        next(one for one in found.distances if one.entry.inputs == name) for name in ("spectra", "planes")
    )
    assert [score.oa and score.oa.mean for score in spectra.bins] == [1, 1, 0, 0]
    assert [score.test_pixels for score in spectra.bins] == [40 * width for width in (4, 5, 7, 13)]
    assert spectra.leak_free.test_pixels == 40 * 29 and spectra.leak_free.oa.mean == pytest.approx(9 / 29)
    assert planes.leak_free.test_pixels == 40 * 22, (
        "tiles of 8 px without a halo; interpolation between cells of 4 px sees 2 px more"
    )
    assert planes.bins[0].gain.mean == pytest.approx(planes.bins[0].oa.mean - 1)
    assert found.splits[0].question == "" and found.scene.pixel_size_m is None
    assert write_report(found, tmp_path / "report")
    assert read_json(tmp_path / "report" / "results.json").distances == found.distances
    row = found.frame[found.frame.inputs == "spectra"].iloc[0]
    assert (row["oa_4-9_px"], row["oa_over_16_px"], row["test_pixels_leak_free"]) == (1, 0, 40 * 29)
