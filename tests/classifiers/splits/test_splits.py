"""Splits: what the grammar promises, on random label maps and on Indian Pines; distances by SciPy."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from classifiers.splits import (
    BlocksSplit,
    PerClassSplit,
    RandomSplit,
    SplitDraw,
    limit_training_pixels,
    merge_official_maps,
    parse_split,
    separate_splits,
)
from classifiers.table import PixelTable
from hsifeat import open_scene
from hsifeat.errors import SceneError, SplitError
from hsifeat.scenes import Labels
from tests.helpers.small import small_labels


@pytest.fixture(scope="module")
def pines():
    return open_scene("indian-pines").labels["ground-truth"]


def sides_agree(labels, draw):
    """What holds for every draw: sides apart, labelled, with the same classes; what is left out is on neither."""
    assert not (draw.train & draw.test).any()
    assert (labels.classes[draw.train | draw.test] != 0).all()
    trained, tested = (set(np.unique(labels.classes[side]).tolist()) for side in (draw.train, draw.test))
    assert trained == tested
    assert set(draw.left_out) == set(labels.counts) - trained


@given(st.integers(0, 10**6), st.floats(0.02, 0.9))
@settings(max_examples=20)
def test_random_takes_the_fraction_of_each_class(pines, seed, fraction):
    draw = RandomSplit(fraction).draw(pines, seed)
    sides_agree(pines, draw)
    for number, count in pines.counts.items():
        if number not in draw.left_out:
            taken = (pines.classes[draw.train] == number).sum()
            assert taken == max(3, round(fraction * count))


def test_per_class_takes_that_many(pines):
    draw = PerClassSplit(20).draw(pines, 0)
    assert draw.left_out == (9,), "Oats has 20 pixels: none would be left to test"
    _, counts = np.unique(pines.classes[draw.train], return_counts=True)
    assert (counts == 20).all() and len(counts) == 15


@pytest.mark.parametrize("seed", range(8))
def test_blocks_on_indian_pines(pines, seed):
    rule = BlocksSplit(12, 4, 0.1)
    draw = rule.draw(pines, seed)
    sides_agree(pines, draw)
    assert draw.left_out == (7, 9), "the two classes that lie in a single block"
    apart = cKDTree(np.argwhere(draw.test)).query(np.argwhere(draw.train))[0]
    assert apart.min() > 4
    whole = BlocksSplit(12, 0, 0.1).draw(pines, seed)
    blocks = np.arange(145) // 12
    number = blocks[:, None] * 13 + blocks
    assert not set(number[whole.train]) & set(number[whole.test]), "a block is on one side"
    labelled = sum(n for c, n in pines.counts.items() if c not in (7, 9))
    assert 0.1 * labelled <= whole.train.sum() <= 0.1 * labelled + 144


maps = st.builds(
    lambda seed, size: Labels("x", np.random.default_rng(seed).integers(0, 4, (size, size)).astype(np.uint8)),
    st.integers(0, 999),
    st.integers(8, 40),
)


@settings(max_examples=60)
@given(maps, st.integers(1, 9), st.integers(0, 5), st.floats(0.05, 0.95), st.integers(0, 99))
def test_blocks_never_break_their_promises(labels, block, buffer, fraction, seed):
    rule = BlocksSplit(block, buffer, fraction)
    try:
        draw = rule.draw(labels, seed)
    except SplitError as error:
        assert "classes have pixels on both sides" in str(error)
        return
    sides_agree(labels, draw)
    apart = cKDTree(np.argwhere(draw.test)).query(np.argwhere(draw.train))[0]
    assert apart.min() > buffer
    again = rule.draw(labels, seed)
    assert np.array_equal(draw.train, again.train)
    assert np.array_equal(draw.test, again.test)


@pytest.mark.parametrize("seed", range(40))
def test_classes_stand_on_both_sides_wherever_some_choice_of_blocks_allows_it(seed):
    random = np.random.default_rng(seed)
    classes = np.zeros((9, 9), np.uint8)
    for number in range(1, random.integers(4, 8)):
        for block in random.choice(9, random.integers(1, 4), replace=False):
            classes[block // 3 * 3 + random.integers(3), block % 3 * 3 + random.integers(3)] = number
    labels = Labels("x", classes)
    blocks = np.kron(np.arange(9).reshape(3, 3), np.ones((3, 3), int))
    members = {number: set(blocks[classes == number].tolist()) for number in labels.counts}
    several = {number: of for number, of in members.items() if len(of) > 1}
    choices = (set(c) for size in range(10) for c in combinations(range(9), size))
    possible = any(all(of & chosen and of - chosen for of in several.values()) for chosen in choices)
    if not possible or len(several) < 2:
        return
    assert BlocksSplit(3, 0, 0.3).draw(labels, 0).left_out == tuple(sorted(set(members) - set(several)))


def test_seeds_give_different_draws(pines):
    for rule in ("random:0.1", "per-class:5", "blocks:12+4:0.1"):
        assert not np.array_equal(*(parse_split(rule).draw(pines, seed).train for seed in (0, 1)))


@given(st.integers(1, 400), st.integers(0, 99))
@settings(max_examples=25)
def test_thinning_keeps_number_classes_and_test(pines, count, seed):
    draw = RandomSplit(0.1).draw(pines, 0)
    thinned = limit_training_pixels(draw, pines, count, seed)
    assert not (thinned.train & ~draw.train).any()
    assert np.array_equal(thinned.test, draw.test)
    numbers, kept = np.unique(pines.classes[thinned.train], return_counts=True)
    assert len(numbers) == 16
    assert kept.sum() == max(count, 16)
    assume(count >= 200)
    whole = np.array([(pines.classes[draw.train] == n).sum() for n in numbers])
    np.testing.assert_allclose(kept / kept.sum(), whole / whole.sum(), atol=0.02)


@pytest.fixture
def fields():
    return Labels("fields", small_labels())


def test_masks_from_files(fields, tmp_path):
    train = np.zeros((75, 53), bool)
    train[:30] = True
    np.save(tmp_path / "train.npy", train)
    np.save(tmp_path / "test.npy", np.where(np.arange(75)[:, None] > 50, fields.classes, 0))
    draw = parse_split(f"mask:{tmp_path}/train.npy,{tmp_path}/test.npy").draw(fields, 0)
    sides_agree(fields, draw)
    assert np.array_equal(draw.train, train & (fields.classes != 0))
    assert not draw.test[:51].any()
    rest = parse_split(f"mask:{tmp_path}/train.npy").draw(fields, 0)
    assert np.array_equal(rest.test, ~train & (fields.classes != 0))
    with pytest.raises(SplitError, match="pixels are in both the training and the test map"):
        parse_split(f"mask:{tmp_path}/train.npy,{tmp_path}/train.npy").draw(fields, 0)
    np.save(tmp_path / "other.npy", (fields.classes + 1) % 5)
    with pytest.raises(SplitError, match="disagree with the labels 'fields'"):
        parse_split(f"mask:{tmp_path}/other.npy").draw(fields, 0)
    np.save(tmp_path / "small.npy", train[:9])
    with pytest.raises(SceneError, match="labels are 9 x 53 pixels, but the scene fields is 75 x 53"):
        parse_split(f"mask:{tmp_path}/small.npy").draw(fields, 0)


@pytest.mark.parametrize(
    "text", ["random", "random:0", "random:1", "blocks:12:0.1", "blocks:0+4:0.1", "per-class:0", "odd:1"]
)
def test_what_is_not_in_the_grammar(text):
    with pytest.raises(SplitError, match="allowed: random:F|between 0 and 1"):
        parse_split(text)


@pytest.mark.parametrize("text", ["random:0.1", "per-class:20", "blocks:12+4:0.1", "mask:a.npy", "mask:a.npy,b.npy"])
def test_text_survives(text):
    assert parse_split(text).text == text


@given(st.floats(1e-6, 1 - 1e-6), st.integers(1, 99), st.integers(0, 99))
def test_any_text_reads_back_as_the_same_rule(fraction, block, buffer):
    for rule in (RandomSplit(fraction), BlocksSplit(block, buffer, fraction)):
        assert parse_split(rule.text) == rule


def test_splits_in_one_text():
    text = "mask:a.npy,official,mask:b.mat:TR,b.mat:TE, blocks:9+0:0.3,random:0.1"
    assert separate_splits(text) == ["mask:a.npy", "official", "mask:b.mat:TR,b.mat:TE", "blocks:9+0:0.3", "random:0.1"]


@pytest.fixture
def official(fields):
    """A train and a test map that share the fields, and leave some pixels out."""
    side = np.random.default_rng(5).choice(3, fields.classes.shape)
    return {
        name: Labels(name, np.where(side == at, fields.classes, 0), {1: "corn", 2: "wheat"})
        for at, name in enumerate(["train", "test"], 1)
    }


def test_the_official_split_is_the_scenes_own(fields, official):
    draw = parse_split("official", official).draw(fields, 3)
    sides_agree(fields, draw)
    assert np.array_equal(draw.train, official["train"].classes != 0)
    assert np.array_equal(draw.test, official["test"].classes != 0)
    assert draw.notes == ()
    together = merge_official_maps(official)
    assert np.array_equal(together.classes, np.where(draw.train | draw.test, fields.classes, 0))
    assert together.class_names == {1: "corn", 2: "wheat", 3: "class 3", 4: "class 4"}
    assert merge_official_maps({**official, "fields": fields}) is None


def test_classes_go_by_their_names_where_each_file_numbers_its_own(fields):
    """Train holds corn, oat and wheat; test corn and wheat: numbered alphabetically, wheat is 3 in one and 2 in the other."""
    side = np.random.default_rng(5).choice(3, fields.classes.shape)
    crops = np.where(fields.classes > 3, 0, fields.classes)
    train = Labels("train", np.where(side == 1, crops, 0), {1: "corn", 2: "oat", 3: "wheat"})
    test = Labels("test", np.where((side == 2) & (crops != 2), crops - (crops == 3), 0), {1: "corn", 2: "wheat"})
    together = merge_official_maps({"train": train, "test": test})
    assert together.class_names == {1: "corn", 2: "oat", 3: "wheat"}
    np.testing.assert_array_equal(together.classes, np.where((side == 1) | ((side == 2) & (crops != 2)), crops, 0))
    draw = parse_split("official", {"train": train, "test": test}).draw(together, 0)
    assert set(np.unique(together.classes[draw.test])) == {1, 3}
    named = Labels("fields", crops, {1: "corn", 2: "oat", 3: "wheat"})
    again = parse_split("official", {"train": train, "test": test}).draw(named, 0)
    assert np.array_equal(again.test, draw.test) and np.array_equal(again.train, draw.train)


def test_a_mask_lies_where_its_file_says(tmp_path, fields):
    """A raster with its first row in the south trains on the same ground; one of another place is refused."""
    import rasterio
    from rasterio.transform import Affine

    from hsifeat.scenes import Georeference

    crs = rasterio.CRS.from_epsg(32633)
    here = replace(fields, georeference=Georeference(crs.to_wkt(), (30, 0, 500000, 0, -30, 4000000)))
    rows, cols = fields.classes.shape
    mask = np.zeros((rows, cols), np.uint8)
    mask[:20] = 1

    def write(name, values, transform):
        with rasterio.open(
            tmp_path / name,
            "w",
            driver="GTiff",
            height=rows,
            width=cols,
            count=1,
            dtype="uint8",
            crs=crs,
            transform=transform,
        ) as file:
            file.write(values, 1)

    write("south.tif", mask[::-1], Affine(30, 0, 500000, 0, 30, 4000000 - 30 * rows))
    write("far.tif", mask, Affine(30, 0, 700000, 0, -30, 4500000))
    draw = parse_split(f"mask:{tmp_path}/south.tif").draw(here, 0)
    assert np.array_equal(draw.train, (mask == 1) & (fields.classes != 0))
    with pytest.raises((SplitError, SceneError)):
        parse_split(f"mask:{tmp_path}/far.tif").draw(here, 0)


def test_an_official_split_that_is_not_there_or_disagrees(fields, official):
    with pytest.raises(
        SplitError, match="no official split, which is a pair of label maps named train and test; found train;"
    ):
        parse_split("official", {"train": official["train"]})
    with pytest.raises(SplitError, match="no official split.*found none"):
        parse_split("official")
    numbers = replace(official["test"], classes=(5 - official["test"].classes) % 5)
    with pytest.raises(
        SplitError, match=r"test has class numbers, and \d+ of its \d+ pixels disagree with the labels 'fields'"
    ):
        parse_split("official", {**official, "test": numbers}).draw(fields, 0)
    with pytest.raises(SplitError, match="official: [0-9]+ pixels are in both the training and the test map"):
        parse_split("official", {**official, "test": fields}).draw(fields, 0)
    with pytest.raises(SplitError, match=r"train has \(9, 53\) pixels, but the labels have \(75, 53\)"):
        parse_split("official", {**official, "train": replace(fields, classes=fields.classes[:9])}).draw(fields, 0)


def test_pixels_of_a_map_that_have_no_class_are_counted(fields, official):
    holed = fields.classes.copy()
    holed[:20] = 0
    draw = parse_split("official", official).draw(replace(fields, classes=holed), 0)
    lost = np.count_nonzero(official["train"].classes[:20])
    assert f"train: {lost} of its {np.count_nonzero(official['train'].classes)} pixels have no class" in draw.notes[0]
    assert not draw.train[:20].any() and not draw.test[:20].any()


@pytest.fixture(scope="module")
def official_store(backbone_folder, scene, tmp_path_factory):
    """A store whose scene has a train and a test map alone, as many public ones."""
    import hsifeat

    classes = scene.labels["fields"].classes
    side = np.random.default_rng(5).choice(3, classes.shape)
    maps = {n: Labels(n, np.where(side == at, classes, 0)) for at, n in enumerate(["train", "test"], 1)}
    path = tmp_path_factory.mktemp("official") / "o.zarr"
    options = {"backbone": backbone_folder, "timesteps": [0], "layers": ["mid_block"], "tile": 32, "halo": 8}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HSIFEAT_CACHE", str(path.parent / "cache"))
        hsifeat.extract(replace(scene, labels=maps), **options, out=path)
    return path


def test_a_store_with_an_official_split_is_fitted_and_compared(official_store, tmp_path):
    from classifiers import compare
    from classifiers.fit import fit_model
    from hsifeat import open_features

    features = open_features(official_store)
    model = fit_model(features, "svm", inputs="spectra", split="official")
    assert model.train_pixels == np.count_nonzero(features.labels("train").classes)
    assert model.evaluation.scores.confusion.sum() == np.count_nonzero(features.labels("test").classes)
    assert model.disjoint_evaluation is None, "nobody drew it at random"
    found = compare(features, heads=["svm"], inputs=["spectra"], splits=["official"], seeds=1, out=tmp_path)
    assert {r.run.split for r in found.results} == {"official"}
    assert found.scene["labels"] == "train+test"
    table = PixelTable.from_store(features, planes=[])
    ((train, test),) = table.cv("official", 1).split(table.X)
    assert len(train) + len(test) == len(table)


def test_a_store_without_an_official_split_says_what_it_holds(store_path):
    with pytest.raises(SplitError, match="found fields; add them"):
        PixelTable.from_store(store_path, planes=[]).cv("official")


def test_a_draw_with_one_class_is_refused():
    labels = Labels("x", np.repeat([[1, 2]], 9, axis=0).repeat(5, axis=1))
    with pytest.raises(SplitError, match="only 0 of 2 classes"):
        BlocksSplit(5, 9, 0.5).draw(labels, 0)


def test_a_bound_split_is_a_scikit_learn_cv(store_path):
    table = PixelTable.from_store(store_path, planes=[])
    cv = table.cv("blocks:9+0:0.4", n_splits=3)
    assert cv.get_n_splits() == 3
    for k, (train, test) in enumerate(cv.split(table.X, table.y)):
        draw: SplitDraw = parse_split("blocks:9+0:0.4").draw(table.labels, k)
        assert draw.train[table.rows[train], table.cols[train]].all()
        assert len(train) == draw.train.sum()
        assert len(test) == draw.test.sum()
    search = GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 3]}, cv=cv).fit(table.X, table.y)
    assert search.n_splits_ == 3
    with pytest.raises(SplitError, match=r"belongs to a table of \d+ rows and 12 columns; found 5 x 3 values"):
        next(cv.split(table.X[:5, :3]))


@pytest.mark.parametrize("rule", ["random:0.3", "blocks:6+0:0.4"])
def test_a_split_of_a_training_side_stays_within_it(store_path, rule):
    table = PixelTable.from_store(store_path, planes=[])
    outer = parse_split("random:0.5").draw(table.labels, 0)
    inner = table[outer.train[table.rows, table.cols]]
    for train, test in inner.cv(rule, n_splits=3).split(inner.X, inner.y):
        assert not set(train) & set(test)
        assert set(inner.y[train]) == set(inner.y[test])
        assert len(train) + len(test) == len(inner)


class Recorder(KNeighborsClassifier):
    """Keeps which rows it was ever fitted on and asked for, by the first column: the number of the pixel."""

    seen = []  # noqa: RUF012  # clones share it

    def fit(self, X, y):
        Recorder.seen.append(("fit", X[:, 0].astype(int)))
        return super().fit(X, y)

    def predict(self, X):
        Recorder.seen.append(("predict", X[:, 0].astype(int)))
        return super().predict(X)


@pytest.mark.parametrize("by", ["values", "groups"])
def test_a_search_within_a_cross_validation_splits_in_space_within_the_outer_training_pixels(store_path, by):
    table = PixelTable.from_store(store_path, planes=[])
    X = table.X if by == "values" else np.zeros_like(table.X)  # without values only groups can tell the pixels
    X = np.concatenate([table.pixels[:, None], X], axis=1).astype(np.float32)
    if by == "values":
        table = replace(table, X=X)
    outer, inner = table.cv("blocks:18+2:0.5", 2), table.cv("blocks:9+2:0.5", n_splits=3, seed=7)
    Recorder.seen = []
    search = GridSearchCV(Recorder(), {"n_neighbors": [1]}, cv=inner)
    params = {"groups": table.pixels} if by == "groups" else None
    assert len(cross_val_score(search, X, table.y, cv=outer, params=params)) == 2
    at = [np.stack(np.unravel_index(rows, table.labels.classes.shape), axis=1) for _, rows in Recorder.seen]
    steps = [kind for kind, _ in Recorder.seen]
    # For each outer draw: three times fitted and scored within, then fitted on all and scored outside.
    assert steps == ["fit", "predict"] * 8
    for k in range(2):
        *within, (whole, outside) = zip(at[8 * k : 8 * k + 8 : 2], at[8 * k + 1 : 8 * k + 8 : 2], strict=True)
        assert cKDTree(outside).query(whole)[0].min() > 2
        mine = set(map(tuple, whole.tolist()))
        for train, test in within:
            assert cKDTree(test).query(train)[0].min() > 2
            assert {tuple(p) for p in train.tolist()} | {tuple(p) for p in test.tolist()} <= mine
            blocks = [set(map(tuple, (side // 9).tolist())) for side in (train, test)]
            assert not blocks[0] & blocks[1]


def test_rows_in_another_order_are_found(store_path):
    table = PixelTable.from_store(store_path, planes=[])
    table = replace(table, X=table.X + np.arange(len(table), dtype=np.float32)[:, None])
    order = np.random.default_rng(0).permutation(len(table))
    cv = table.cv("blocks:9+1:0.4", 1)
    ((train, test),), ((shuffled, tested),) = cv.split(table.X), cv.split(table.X[order])
    assert set(order[shuffled]) == set(train) and set(order[tested]) == set(test)
    # Scaled columns, or some, say nothing of their pixels: the labels tell whether they are in the table's order.
    names = np.array(["", "corn", "wheat", "woods", "grass"])[table.y]
    for other in (table.X * 2 - 1e6, table.X[:, :5]):
        for y in (table.y, names):
            ((scaled, _),) = cv.split(other, y)
            assert np.array_equal(scaled, train)
        with pytest.raises(
            SplitError, match="rows of other columns than this splitter's table come with labels in another"
        ):
            next(cv.split(other[order], table.y[order]))
        with pytest.raises(SplitError, match=r"come with no labels.*groups=table\.pixels"):
            next(cv.split(other))
        ((scaled, _),) = cv.split(other[order], groups=table.pixels[order])
        assert set(order[scaled]) == set(train)


def test_rows_whose_pixels_are_not_known_are_refused(store_path):
    table = PixelTable.from_store(store_path, planes=[])
    alike = replace(table, X=np.repeat(table.X[:1], len(table), axis=0))
    with pytest.raises(SplitError, match=r"9 of 9 rows equal others at other pixels.*groups=table\.pixels"):
        next(alike.cv("random:0.5").split(alike.X[:9]))
    with pytest.raises(SplitError, match=r"9 of 9 rows are not of this table of \d+ rows"):
        next(table.cv("random:0.5").split(table.X[:9] * 3 + 1))
    with pytest.raises(SplitError, match="2 are not of this table"):
        next(table.cv("random:0.5").split(table.X[:3], groups=[table.pixels[0], -1, 10**9]))
    with pytest.raises(SplitError, match="at least one split; found n_splits=0"):
        table.cv("random:0.5", 0)
