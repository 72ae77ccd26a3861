"""Input sets: words in any order select columns of one or several stores."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.covariance import OAS
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.preprocessing import StandardScaler

import hsifeat
from classifiers.columns import make_layout
from classifiers.fit import fit_model
from classifiers.heads.registry import head_names, make_head
from classifiers.input_sets import WORDS, InputSet, check_input, fits, layout_options, suited_input
from classifiers.model import load_model
from classifiers.predict import predict_map, write_scene_map
from classifiers.splits import parse_split
from classifiers.table import PixelTable
from hsifeat.errors import HeadError, StoreError
from hsifeat.features.open_features import open_features
from hsifeat.features.stack import open_stack
from hsifeat.runtime.events import Note
from tests.helpers.context_stores import context_layers, write_context_store

WIDTHS = {
    "spectra": 12,
    "window": 12,
    "spectral-patches": 108,
    "context": 28,
    "planes": 112,
    "means": 112,
    "patches": 1008,
}


@pytest.fixture(scope="module")
def context(features_of_module, tmp_path_factory):
    return write_context_store(tmp_path_factory.mktemp("context") / "ctx.zarr", features_of_module)


@pytest.fixture(scope="module")
def features_of_module(store_path):
    return open_features(store_path)


@pytest.fixture(scope="module")
def both(features_of_module, context):
    return open_stack([context, features_of_module])


@given(st.permutations(list(WORDS)), st.integers(1, len(WORDS)))
def test_words_have_one_canonical_order(words, count):
    inputs = InputSet.parse(" + ".join(words[:count]))
    assert str(inputs) == "+".join(word for word in WORDS if word in words[:count])
    assert InputSet.parse(str(inputs)) == inputs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("spectra+plane", "'plane' is none of them; .*planes"),
        ("spectra++planes", "'' is none of them; .*spectra, window, spectral-patches, context"),
        ("", "'' is none"),
        ("planes+spectra+planes", "has the word planes twice"),
        ("patches+patches:5", "has the word patches twice"),
        ("spectra:5", "only patches and spectral-patches have a side, such as patches:13; found spectra:5"),
        ("patches:4", "the side of patches is an odd number of pixels from 1 to 99; found '4'"),
        ("spectral-patches:", "the side of spectral-patches is an odd number .* found ''"),
    ],
)
def test_unknown_words_are_refused(text, message):
    with pytest.raises(HeadError, match=message):
        InputSet.parse(text)


def test_every_subset_selects_its_columns(both):
    whole = make_layout(both, window=5, means=48, patch=(3, 5), spectral_patch=3)
    for count in range(1, len(WORDS) + 1):
        for words in combinations(WORDS, count):
            inputs = InputSet.parse("+".join(words))
            width = whole.select_groups(inputs.includes).width
            assert width == sum(WIDTHS[word] for word in words), inputs
            read = make_layout(both, planes=None if inputs.uses_planes else [], **layout_options([inputs], both))
            assert read.select_groups(inputs.includes) == whole.select_groups(inputs.includes)


def test_sides_of_neighbourhoods_select_their_columns(both):
    small, large = (InputSet.parse(text) for text in ("spectra+patches:3", "patches:5+spectral-patches:7"))
    assert (str(small), str(large)) == ("spectra+patches", "spectral-patches:7+patches:5")
    read = make_layout(both, **layout_options([small, large], both))
    assert {group.size for group in read.select_groups(small.includes)} == {None, 3}
    wide = read.select_groups(large.includes)
    assert {(group.input_kind, group.size) for group in wide} == {("patch", 5), ("spectral-patch", 7)}
    assert wide.width == 25 * 112 + 49 * 12


def test_columns_of_two_stores_lie_side_by_side(both, context, features_of_module, scene):
    assert both.stores == (features_of_module, context)  # context comes last, and no name has a number
    table = PixelTable.from_store(both, planes=["t0/mid_block"])
    assert [str(group) for group in table.layout] == [
        "spectra", "t0/mean-5", "t0/mean-9", "t0/profile-3", "t0/profile-5", "t0/mid_block",
    ]  # fmt: skip
    assert [group.kind for group in table.layout] == ["spectra", *["context"] * 4, "plane"]
    layers = context_layers(np.asarray(scene.cube[:]))
    plane = features_of_module.sample(table.rows, table.cols, ["t0/mid_block"])
    expected = [scene.cube[table.rows, table.cols], *(v[table.rows, table.cols] for v in layers.values()), plane]
    np.testing.assert_array_equal(table.X, np.concatenate(expected, axis=1).astype(np.float32))
    with pytest.raises(StoreError, match="no plane 't0/mean-5'"):
        PixelTable.from_store(both, planes=["t0/mean-5"])
    assert PixelTable.from_store(both, planes=[], context=["t0/mean-?"]).layout.width == 36


def test_stores_of_one_kind_are_numbered(features_of_module, context):
    names = [str(plane.id) for plane in open_stack([context, features_of_module, context]).planes]
    assert "t0/1:mean-5" in names and "t0/2:mean-5" in names and "t0/mid_block" in names


def test_each_head_gets_what_suits_it(both, context, features_of_module):
    suited = {head: str(suited_input(head, both)) for head in head_names()}
    assert suited["lda"] == suited["svm"] == suited["mlp"] == suited["film"] == "spectra+window+context"
    assert suited["hyperfeatures"] == "spectra+planes"
    assert suited["mtmsd"] == "spectra+planes+means" and suited["diffcrn"] == "spectra+planes+patches"
    assert suited["spectraldiff"] == "patches:13" and suited["supertoken"] == "spectral-patches:9+patches:9"
    assert str(suited_input("supertoken", context)) == "spectral-patches:9"
    assert str(suited_input("lda", context)) == "spectra+window+context"
    assert str(suited_input("lda", features_of_module)) == "spectra+planes"
    carried = {head: str(suited_input(head, both, other_scenes=True)) for head in head_names()}
    assert carried["lda"] == carried["svm"] == "spectra+window" and carried["film"] == "spectra+window+context"
    assert {head for head in suited if carried[head] == suited[head]} == {
        "film", "hyperfeatures", "mtmsd", "diffcrn", "spectraldiff", "supertoken",
    }  # fmt: skip
    assert str(suited_input("lda", features_of_module, other_scenes=True)) == "spectra+planes"
    for head, inputs in (*suited.items(), *carried.items()):
        assert fits(InputSet.parse(inputs), head)
        check_input(InputSet.parse(inputs), head, both)


@pytest.mark.parametrize(
    ("head", "inputs", "store", "error", "message"),
    [
        ("lda", "spectra+context", "small", StoreError, r"small is none: extract one by hsifeat.extract\(features.scene, backb"),
        ("lda", "spectra+means", "context", StoreError, "ctx has none: extract a store with hsifeat extract SCENE"),
        ("film", "spectra+window", "both", HeadError, "film needs context or planes, which the input spectra.window lacks"),
        ("film", "context", "context", HeadError, "film needs spectra, which the input context lacks"),
        ("hyperfeatures", "spectra+context+planes", "both", HeadError, "hyperfeatures does not use context"),
        ("mtmsd", "planes+spectral-patches", "both", HeadError, "mtmsd does not use spectral-patches"),
        ("spectraldiff", "planes", "both", HeadError, "spectraldiff needs patches, which the input planes lacks"),
        ("hyperfeatures", "suited", "context", StoreError, "needs planes of a diffusion model, and ctx has none"),
        ("lda", "spectra+planes", "none", StoreError, "no plane to learn from is selected"),
    ],
)  # fmt: skip
def test_inputs_that_stores_or_heads_lack_are_refused(
    head, inputs, store, error, message, both, context, features_of_module
):
    stores = {"small": features_of_module, "context": context, "both": both, "none": both}
    with pytest.raises(error, match=message):
        fit_model(stores[store], head, inputs=inputs, planes=[] if store == "none" else None)


def test_a_model_on_two_stores_maps_the_scene(both, context, features_of_module, tmp_path):
    model = fit_model(both, "lda", inputs="context+spectra+planes", split="per-class:9", planes=["t0/*"])
    assert model.card.inputs == "spectra+context+planes"
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    again = open_stack([features_of_module, context])
    found, expected = predict_map(again, loaded, smooth="none"), predict_map(both, model.head)
    np.testing.assert_array_equal(found, expected)
    listed = predict_map([features_of_module, context], loaded, smooth="none")
    np.testing.assert_array_equal(listed, expected)
    write_scene_map([features_of_module, context], loaded, tmp_path / "map.npy", smooth="none")
    np.testing.assert_array_equal(np.load(tmp_path / "map.npy"), expected)
    with pytest.raises(HeadError, match="name 2 stores of one scene in this order"):
        predict_map(features_of_module, loaded)


def test_reduction_on_the_scene_equals_pipelines_fitted_without_labels(context, scene):
    options = {"spectral_components": 5, "context_components": 4}
    model = fit_model(context, "lda", split="per-class:4", params=options, reduction="scene")
    assert model.card.reduction == "scene" and "unlabelled sample of the scene" in model.card.describe()[0]
    table = PixelTable.from_store(context, window=5)
    draw = parse_split("per-class:4").draw(table.labels, 0)
    train = table[draw.train[table.coordinates]]
    rows, cols = map(np.ravel, np.indices(scene.cube.shape[:2]))  # 75 x 53 pixels, fewer than the limit of a sample
    everything = hsifeat.scenes.Labels("all", np.ones(scene.cube.shape[:2], np.uint8), {1: "any"})
    pixels = PixelTable.from_store(context, labels=everything, window=5)
    np.testing.assert_array_equal(pixels.rows * 53 + pixels.cols, rows * 53 + cols)
    fitted, applied = [], []
    for columns, count in (
        (slice(0, 12), 5), (slice(12, 24), 5), (slice(24, 36), 4), (slice(36, 48), 4), (slice(48, 52), 4),
    ):  # fmt: skip
        scaler = StandardScaler().fit(pixels.X[:, columns].astype(float))
        pca = PCA(count, svd_solver="full").fit(scaler.transform(pixels.X[:, columns].astype(float)))
        total = np.sqrt(pca.explained_variance_.sum() * (len(rows) - 1) / len(rows))
        fitted.append(pca.transform(scaler.transform(train.X[:, columns].astype(float))) / total)
        applied.append(pca.transform(scaler.transform(pixels.X[:, columns].astype(float))) / total)
    columns, everything_else = np.hstack(fitted), np.hstack(applied)
    residuals = columns - np.stack([columns[train.y == c].mean(axis=0) for c in train.y])
    within = np.sqrt((residuals**2).sum(axis=0) / (len(columns) - len(np.unique(train.y))))
    shrinkage = OAS(assume_centered=True).fit(residuals / within).shrinkage_
    oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(columns / within, train.y)
    expected = oracle.predict_proba(everything_else / within)
    np.testing.assert_allclose(model.head.predict_proba(pixels.X), expected, atol=2e-3)
    assert (model.head.predict(pixels.X) == oracle.predict(everything_else / within)).mean() > 0.999


def test_a_fit_says_what_its_inputs_leave_out(both, context, features_of_module):
    def remarks(features, head="lda", inputs=None):
        heard = []
        params = {"epochs": 1} if head == "hyperfeatures" else {}
        planes = None if features is context else ["t0/mid_block"]
        fit_model(features, head, inputs=inputs, planes=planes, params=params, listen=heard.append)
        return [event.message for event in heard if isinstance(event, Note)][1:]

    (line,) = remarks(features_of_module)
    assert line.startswith("no context store is given: ") and "hsifeat extract small --backbone context" in line
    (line,) = remarks(both)
    assert (
        line.startswith("planes are not used beside context")
        and "`inputs='spectra+window+context+planes'` adds" in line
    )
    assert not remarks(context) and not remarks(features_of_module, inputs="spectra+planes")
    assert not [line for line in remarks(features_of_module, "hyperfeatures") if "context" in line]


def test_the_scene_is_the_default_of_the_reduction(context):
    assert fit_model(context, inputs="spectra").card.reduction == "scene"
    table = PixelTable.from_store(context, planes=[], context=[], sample=True)
    mean = fit_model(context, inputs="spectra").head.reducer_.mean_
    np.testing.assert_allclose(mean, table.unlabelled.mean(axis=0, dtype=np.float64), rtol=1e-5)


def test_reduction_is_a_choice_of_two(context):
    with pytest.raises(HeadError, match="unknown reduction 'test'; .*scene, train"):
        fit_model(context, "lda", reduction="test")


def test_the_sample_is_of_training_scenes_only(store_path, other_scene):
    table = PixelTable.from_store([store_path, other_scene], planes=["t0/mid_block"], sample=True)
    assert len(table.unlabelled) == 75 * 53 + 40 * 30
    first = table[table.scene == 0]
    assert len(first.unlabelled) == 75 * 53
    spectra = first.select_groups(lambda group: group.kind == "spectra")
    np.testing.assert_array_equal(spectra.unlabelled, first.unlabelled[:, :12])
    head = make_head("lda", table.layout).fit(first.X, first.y, unlabelled=first.unlabelled)
    np.testing.assert_allclose(
        head.reducer_.mean_, first.unlabelled.mean(axis=0, dtype=np.float64), rtol=1e-5, atol=1e-6
    )
    assert PixelTable.from_store(store_path, planes=[]).unlabelled is None
