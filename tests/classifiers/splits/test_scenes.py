"""Splits by whole scenes: roles from a text or a file, left-out classes, and refusals."""

import numpy as np
import pytest
from sklearn.model_selection import LeaveOneGroupOut

from classifiers.multi_scene import join_label_maps
from classifiers.splits import parse_split, parse_split_kind, parse_split_question, separate_splits
from hsifeat.errors import SplitError
from hsifeat.scenes import Labels

MAPS = {
    "north": [[1, 2, 0], [3, 1, 2]],
    "south": [[2, 1, 1], [0, 0, 2]],
    "west": [[1, 1, 2], [2, 4, 4]],
    "east": [[0, 0, 0], [0, 0, 0]],
}
CLASSES = {1: "corn", 2: "wheat", 3: "woods", 4: "soil"}


@pytest.fixture(scope="module")
def labels():
    maps = [Labels("gt", np.array(classes), CLASSES) for classes in MAPS.values()]
    return join_label_maps(maps, [(name, f"{name}-context") for name in MAPS])


def scenes_of(labels, mask):
    return {part.names[0] for part in labels.parts if mask[part.window.slices].any()}


@pytest.mark.parametrize(
    ("text", "train", "test", "validate"),
    [
        pytest.param("scenes:north+south/west", {"north", "south"}, {"west"}, set(), id="two parts"),
        pytest.param("scenes:north/south/west", {"north"}, {"south"}, {"west"}, id="three parts"),
        pytest.param("scenes:south-context/west", {"south"}, {"west"}, set(), id="name of a store"),
        pytest.param("scenes:@{file}", {"north", "west"}, {"south"}, set(), id="file"),
    ],
)
def test_whole_scenes_train_test_and_validate(labels, text, train, test, validate, tmp_path):
    file = tmp_path / "roles.csv"
    file.write_text("role, store\ntrain,north\ntest,stores/south.zarr\ntrain, west\nvalidate,east\n\n")
    draw = parse_split(text.format(file=file)).draw(labels, 0)
    found = [scenes_of(labels, mask) for mask in (draw.train, draw.test)]
    assert found == [train, test]
    assert scenes_of(labels, np.zeros(draw.shape, bool) if draw.validate is None else draw.validate) == validate
    common = set(labels.classes[draw.train]) & set(labels.classes[draw.test])
    for scenes, mask in ((train, draw.train), (test, draw.test)):
        expected = sum(np.isin(np.array(MAPS[name]), list(common)).sum() for name in scenes)
        assert mask.sum() == expected
    assert any("scenes to train: " in note for note in draw.notes)
    if text == "scenes:north+south/west":
        assert "classes of the test scenes only are left out, since classes are matched by name: soil" in draw.notes


def test_each_scene_is_left_out_once_as_by_scikit_learn(labels):
    some = join_label_maps(
        [Labels("gt", np.array(MAPS[n]) % 3, CLASSES) for n in ("north", "south", "west")], [(n,) for n in MAPS][:3]
    )
    rows, cols = np.nonzero(some.classes)
    groups = np.searchsorted([part.window.row for part in some.parts], rows, side="right")
    split = parse_split("scenes:leave-one-out")
    for seed, (train, test) in enumerate(LeaveOneGroupOut().split(rows, groups=groups)):
        draw = split.draw(some, seed)
        np.testing.assert_array_equal(np.flatnonzero(draw.train[rows, cols]), train)
        np.testing.assert_array_equal(np.flatnonzero(draw.test[rows, cols]), test)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scenes:north", "must name training scenes, test scenes and"),
        ("scenes:north/", "must name training scenes"),
        ("scenes:north/nroth", "no scene or store is named 'nroth'; nearest: north"),
        ("scenes:north/south+north", "north has the roles train and test: give it one role"),
        ("scenes:north/north-context", "north has the roles train and test"),
        ("scenes:east/north", "the scenes to train have no labelled pixel: extract them with `labels=FILE`"),
        ("scenes:@absent.csv", "absent.csv can't be read .*: give a CSV file with the columns store,role"),
    ],
)
def test_wrong_roles_are_refused(labels, text, message):
    with pytest.raises(SplitError, match=message):
        parse_split(text).draw(labels, 0)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_roles_of_a_table_that_a_spreadsheet_wrote(tmp_path, delimiter):
    file = tmp_path / "roles.csv"
    rows = [
        ("store", " role ", "note"),
        ("north ", " train ", "a,b" if delimiter != "," else ""),
        (' "south"', "test", ""),
    ]
    file.write_text("\r\n".join(delimiter.join(row) for row in rows), encoding="utf-8-sig")
    assert parse_split(f"scenes:@{file}").roles == {"north": "train", "south": "test"}


def test_a_file_with_a_wrong_role_or_column_and_a_single_scene_are_refused(labels, tmp_path):
    file = tmp_path / "roles.csv"
    for content, message in (
        ("store,role\nnorth,training\n", "line 2: .*roles train, test, validate; found 'training' for 'north'"),
        ("name,role\nnorth,train\n", "has the columns name, role; it needs store and role once"),
        ("store,role,role\nnorth,train,test\n", "has the columns store, role, role; it needs store and role once"),
        ("role,store\ntrain,north, east\n", "line 2: found 3 fields for 2 columns in 'train,north,east': put a field"),
        ('role,store\ntrain,"north\ntest,south\n', "line 3, can't be read: unexpected end of data"),
        ("store,role\nnorth,train\n", "no scene has the role test"),
    ):
        file.write_text(content)
        with pytest.raises(SplitError, match=message):
            parse_split(f"scenes:@{file}")
    one = Labels("gt", np.array(MAPS["north"]), CLASSES)
    with pytest.raises(SplitError, match="all stores are of one scene: give the stores of several scenes"):
        parse_split("scenes:leave-one-out").draw(one, 0)
    apart = join_label_maps([one, Labels("gt", np.array([[4, 5]]), {4: "soil", 5: "rock"})], [("a",), ("b",)])
    with pytest.raises(
        SplitError, match="only in training scenes: corn, wheat, woods; only in test scenes: soil, rock.*rename"
    ):
        parse_split("scenes:a/b").draw(apart, 0)


def test_reports_need_no_file_to_describe_a_split_by_scenes():
    assert (
        parse_split_kind("scenes:@gone.csv") == "disjoint" and parse_split_question("scenes:@gone.csv") == "carry over"
    )
    assert separate_splits("scenes:a+b/c,random:0.1") == ["scenes:a+b/c", "random:0.1"]
