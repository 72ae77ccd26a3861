"""Quick maps, in parts and on coarse grids, against fitting and predicting."""

import pickle
from dataclasses import dataclass, replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import SGDClassifier
from threadpoolctl import threadpool_info, threadpool_limits

from classifiers import (
    Suggester,
    load_head,
    make_head,
    open_scene_columns,
    open_segments,
    predict_map,
    predict_probabilities,
    save_head,
    score_check,
    score_labels,
)
from classifiers.columns import read_columns
from classifiers.heads.sklearn_head import SklearnHead
from classifiers.labelling import column_prediction, quick_map
from classifiers.labelling.column_prediction import predict_columns
from classifiers.labelling.quick_map import QuickMapper
from classifiers.scene_sample import SceneSample
from hsifeat import Window, fit_model
from hsifeat.errors import HeadError, HsifeatError, StoreError
from hsifeat.features.features import Features
from hsifeat.scenes import Labels


def with_labels(features, classes):
    """Features whose only label map is `classes`."""
    features.__dict__["scene"] = features.scene.with_labels(Labels("clicks", classes))
    return features


@pytest.mark.parametrize("smooth", ["guided:4,0.001", "none", "gaussian:1"])
def test_maps_equal_those_of_fit_and_predict(context, columns, clicks, smooth):
    features = with_labels(Features(context.store), clicks)
    model = fit_model(features, "lda", labels="clicks", smooth=smooth)
    mapper = QuickMapper(columns, smooth=smooth)
    found = mapper.predict(mapper.fit(clicks))
    expected = np.full((75, 53, len(model.head.classes_)), np.nan, np.float32)
    for window, values in predict_probabilities(features, model):
        expected[window.slices] = values
    np.testing.assert_allclose(found.confidence, expected.max(axis=2), atol=2e-3)
    ranked = np.sort(expected, axis=2)
    certain = ranked[..., -1] - ranked[..., -2] > 4e-3
    assert certain.mean() > 0.95
    np.testing.assert_array_equal(found.classes[certain], predict_map(features, model)[certain])
    assert found.classes.dtype == np.uint16


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("head", ["lda", "logistic", "random-forest"])
def test_heads_on_reduced_columns_equal_heads_on_table_rows(context, columns, clicks, head, classes):
    rows, cols = np.nonzero((clicks > 0) & (clicks <= classes))
    X = read_columns(context, columns.layout, rows, cols)
    sample = SceneSample.draw(context, columns.layout).X
    y = clicks[rows, cols]
    params = {"n_estimators": 5} if head == "random-forest" else {}
    plain = make_head(head, columns.layout, **params).fit(X, y, unlabelled=sample)
    quick = make_head(head, columns.layout, **params).fit_reduced(plain.reducer_.transform(X), y, plain.reducer_)
    np.testing.assert_array_equal(quick.predict_proba(X), plain.predict_proba(X))
    found = predict_columns(quick, plain.reducer_.transform(sample))
    np.testing.assert_allclose(found, plain.predict_proba(sample), atol=1e-3)


@dataclass(eq=False, repr=False, kw_only=True)
class OneVersusRest(SklearnHead):
    """A head of another package: linear, with probabilities that are no softmax."""

    def _classifier(self):
        return SGDClassifier(loss="log_loss", random_state=0)


def test_a_linear_head_of_another_package_has_the_probabilities_of_its_classifier(columns, clicks):
    rows = columns.row_of_pixel[np.flatnonzero(clicks)]
    head = OneVersusRest().fit_reduced(columns.values[rows], clicks[clicks > 0], columns.reducer)
    expected = head.classifier_.predict_proba(columns.values)
    np.testing.assert_allclose(predict_columns(head, columns.values), expected, atol=1e-5)


def test_columns_are_mapped_in_chunks_each_with_one_thread_of_blas(columns, clicks, monkeypatch):
    """With more threads of BLAS than free cores, a click takes ten times the processor time, because they wait for each other."""

    def threads():
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    fits, chunks, fit_reduced = [], [], SklearnHead.fit_reduced

    def fit(*arguments):
        fits.append(threads())
        return fit_reduced(*arguments)

    monkeypatch.setattr(SklearnHead, "fit_reduced", fit)
    monkeypatch.setattr(column_prediction, "_CHUNK_ROWS", 1000)
    with threadpool_limits(2):
        head = QuickMapper(columns).fit(clicks)
        found = predict_columns(head, columns.values, lambda: chunks.append(threads()))
    assert fits + chunks == [{1}] * 5
    expected = head.classifier_.predict_proba(columns.values * head.gain_)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    with pytest.raises(ZeroDivisionError):
        predict_columns(head, columns.values, lambda: 1 / 0)


def test_a_prepared_mapper_makes_no_filter_for_the_first_map(columns, clicks, monkeypatch):
    mapper, other = QuickMapper(columns), QuickMapper(columns)
    expected = other.predict(other.fit(clicks), step=2)
    mapper.prepare(Window(0, 0, 30, 30), 2)
    assert not mapper._filters, "a filter of the whole scene can be large"
    mapper.prepare(Window(0, 0, 75, 53), 2)
    monkeypatch.setattr(quick_map, "GuidedFilter", None)
    found = mapper.predict(mapper.fit(clicks), step=2)
    np.testing.assert_array_equal(found.confidence, expected.confidence)
    QuickMapper(columns, smooth="none").prepare(Window(0, 0, 75, 53))


def test_reduced_columns_are_checked_as_table_rows_are(context, columns, clicks):
    rows, cols = np.nonzero(clicks)
    X, y = read_columns(context, columns.layout, rows, cols), clicks[rows, cols]
    reducer = columns.reducer
    reduced, wrong = reducer.transform(X), make_head("lda", columns.layout)
    for values, labels, message in (
        (np.where(np.arange(reduced.shape[1]) == 2, np.nan, reduced), y, "contains NaN"),
        (reduced[:, 1:], y, f"the reducer returns {reduced.shape[1]} columns; found {reduced.shape[1] - 1}"),
        (reduced, y[1:], "inconsistent numbers of samples"),
        (reduced, y * 0 + 3, "rows are of one class, 3; give at least two classes"),
    ):
        with pytest.raises(HeadError, match=message):
            make_head("lda", columns.layout).fit_reduced(values, labels, reducer)
    wrong.shrinkage = "much"
    with pytest.raises(HeadError, match="LDAClassifier can't be fitted with these parameters"):
        wrong.fit_reduced(reduced, y, reducer)


def test_a_coarse_map_has_the_classes_of_its_pixels(columns, clicks):
    mapper = QuickMapper(columns, smooth="none")
    head = mapper.fit(clicks)
    full, coarse = mapper.predict(head), mapper.predict(head, step=4)
    assert (coarse.step, full.step) == (4, 1)
    np.testing.assert_array_equal(coarse.classes, full.classes[::4, ::4])
    window = Window(11, 7, 30, 22)
    part = mapper.predict(head, window=window, step=2)
    assert (part.step, part.window) == (2, window)
    np.testing.assert_array_equal(part.classes, full.classes[12:41:2, 8:29:2])
    for step in (0, -1, 3, 32, "2"):
        with pytest.raises(HeadError, match=f"the step of a map is one of 16, 8, 4, 2, 1; found {step!r}"):
            mapper.predict(head, step=step)


def test_a_window_is_smoothed_like_the_whole(columns, clicks):
    mapper = QuickMapper(columns)
    head = mapper.fit(clicks)
    whole = mapper.predict(head)
    window = Window(30, 0, 21, 40)
    part = mapper.predict(head, window=window)
    np.testing.assert_allclose(part.confidence, whole.confidence[window.slices], atol=1e-5)
    coarse = mapper.predict(head, step=2)
    assert np.mean(coarse.classes == whole.classes[::2, ::2]) > 0.9


@pytest.mark.parametrize("window", [Window(-5, -5, 20, 20), Window(0, 0, 500, 5)])
def test_a_window_beyond_the_scene_is_refused(columns, clicks, window):
    """A window above the scene was mapped as pixels inside of it."""
    mapper = QuickMapper(columns)
    with pytest.raises(StoreError, match="reaches beyond the scene"):
        mapper.predict(mapper.fit(clicks), window=window)


@pytest.mark.parametrize(("radius", "step"), [(2, 4), (3, 2), (3, 8)])
def test_a_window_of_a_coarse_map_is_smoothed_like_the_whole(columns, clicks, radius, step):
    """The rounded radius can be larger than the radius, and the window needs the margin of the rounded one."""
    mapper = QuickMapper(columns, smooth=f"guided:{radius},0.001")
    head = mapper.fit(clicks)
    part = mapper.predict(head, window=Window(32, 24, 24, 16), step=step)
    whole = mapper.predict(head, step=step).confidence[32 // step : 56 // step, 24 // step : 40 // step]
    np.testing.assert_allclose(part.confidence, whole, atol=1e-5)


@pytest.mark.parametrize("smooth", ["guided:3,0.001", "gaussian:1", "none"])
def test_single_pixels_have_the_probabilities_of_the_whole_map(columns, clicks, smooth):
    kept = columns.pixels % 53 != 20
    mapper = QuickMapper(replace(columns, pixels=columns.pixels[kept], values=columns.values[kept]), smooth=smooth)
    head = mapper.fit(clicks)
    rows = mapper.columns.row_of_pixel[[0, 52, 53 * 40 + 19, 53 * 40 + 22, 75 * 53 - 1, 53 * 9 + 9]]
    whole = mapper.scene_probabilities(head)
    row, col = np.divmod(mapper.columns.pixels[rows], 53)
    np.testing.assert_allclose(mapper.probabilities(head, rows), whole[:, row, col].T, atol=1e-5)


def test_the_filter_stops_as_soon_as_a_map_is_outdated(columns, clicks):
    mapper = QuickMapper(columns)
    head, calls = mapper.fit(clicks), []

    def check():
        calls.append(1)
        if len(calls) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        mapper.predict(head, check=check)


def test_pixels_without_features_are_empty(columns, clicks):
    kept = columns.pixels % 53 > 4
    part = replace(columns, pixels=columns.pixels[kept], values=columns.values[kept])
    for smooth in ("guided:2", "gaussian:2", "none"):
        mapper = QuickMapper(part, smooth=smooth)
        head = mapper.fit(clicks)
        assert not mapper.scene_probabilities(head)[:, :, :5].any()
        found = mapper.predict(head)
        assert not found.classes[:, :5].any()
        assert found.classes[:, 5:].all()
        assert not found.confidence[:, :5].any()


def test_labels_of_another_shape_or_range_are_refused(columns, clicks):
    mapper, segments = QuickMapper(columns), open_segments(columns)
    calls = (
        mapper.fit,
        lambda labels: score_labels(mapper, labels),
        lambda labels: score_check(mapper, labels, clicks),
        lambda labels: score_check(mapper, clicks, labels),
        Suggester(mapper, segments).suggest,
    )
    wide = clicks.astype(np.int64)
    for labels, message in (
        (wide[:, :30], "for the 75 x 53 pixels of the scene; found an array of int64 and shape"),
        (wide.astype(float), "found an array of float64"),
        (wide * 65536, "from 1 to 65535, and 0 is unlabelled; found"),
        (-wide, "0 is unlabelled; found -"),
    ):
        for call in calls:
            with pytest.raises(HeadError, match=message):
                call(labels)


@pytest.mark.parametrize("rows", [[-1, 0, 1], [0, 1, 75 * 53], np.array([2**64 - 1, 0, 1], np.uint64)], ids=str)
def test_rows_beyond_the_columns_are_refused(columns, clicks, rows):
    """The row -1, of a pixel without features, was the last row."""
    mapper = QuickMapper(columns)
    for use in (lambda: mapper.fit_rows(rows, [1, 2, 2]), lambda: mapper.probabilities(mapper.fit(clicks), rows)):
        with pytest.raises(HeadError, match="^rows have numbers from 0 to 3974; found"):
            use()


@pytest.mark.parametrize("labels", [5, [1, 2], [1.0, 2.0, 2.0], [[1, 2, 2]], ["a", "b", "b"], None], ids=str)
def test_labels_of_rows_are_a_number_for_each(columns, labels):
    with pytest.raises(HeadError, match="^labels are a whole number for each of the 3 rows; found"):
        QuickMapper(columns).fit_rows(np.arange(3), labels)


def test_too_few_labels_say_what_to_do(columns, clicks):
    mapper = QuickMapper(columns)
    with pytest.raises(HsifeatError, match="label a pixel of another class"):
        mapper.fit(np.zeros_like(clicks))
    with pytest.raises(HsifeatError, match="label a pixel of another class"):
        mapper.fit(np.where(clicks == 1, 1, 0))
    one_each = np.zeros_like(clicks)
    one_each.ravel()[:2] = 1, 2
    with pytest.raises(HsifeatError, match="found one pixel for each of 2: label a second one"):
        mapper.fit(one_each)
    with pytest.raises(HsifeatError, match="found 'svm'"):
        QuickMapper(columns, "svm")


def test_a_head_of_another_scene_is_refused(columns, clicks):
    other = replace(
        columns, reducer=clone(columns.reducer).fit(columns.reducer.mean_ + np.eye(len(columns.reducer.mean_)))
    )
    head = QuickMapper(columns).fit(clicks)
    for use in (lambda m: m.predict(head), lambda m: m.probabilities(head, [0])):
        use(QuickMapper(columns))
        with pytest.raises(HeadError, match="the head was fitted on columns of another scene or of other stores"):
            use(QuickMapper(other))


def test_a_head_of_columns_that_are_reduced_for_another_head_is_refused(context, clicks, tmp_path, monkeypatch):
    """With few bands, the columns for logistic regression are as many as those for the others, but differ from them. Maps were wrong."""
    monkeypatch.setenv("HSIFEAT_CACHE", str(tmp_path / "cache"))
    names = ["lda", "logistic", "random-forest"]
    opened = {name: open_scene_columns(context, name, inputs="spectra") for name in names}
    mappers = {name: QuickMapper(opened[name], name, smooth="none") for name in names}
    assert len({columns.values.shape for columns in opened.values()}) == 1
    row, col = np.divmod(opened["lda"].pixels, 53)
    for name, mapper in mappers.items():
        head = mapper.fit(clicks)
        save_head(head, tmp_path / name)
        expected = head.predict(read_columns(context, opened[name].layout, row, col))
        for same in (head, pickle.loads(pickle.dumps(head)), load_head(tmp_path / name)[0]):  # noqa: S301
            for other in names:
                if (other == "logistic") == (name == "logistic"):
                    found = mappers[other].predict(same).classes[row, col]
                    assert np.mean(found == expected) > 0.999  # single precision
                    continue
                for use in (mappers[other].predict, mappers[other].scene_probabilities):
                    with pytest.raises(HeadError, match="or on columns that are reduced for another head: fit it with"):
                        use(same)


@pytest.mark.parametrize("head", ["logistic", "random-forest"])
def test_columns_that_are_reduced_for_another_head_are_refused(columns, head):
    """The maps were others than those of `predict_map` with the same head."""
    with pytest.raises(HeadError, match=rf"open_scene_columns\(features, '{head}'\)"):
        QuickMapper(columns, head)
    reducer = make_head(head, columns.layout).unfitted_reducer()
    QuickMapper(replace(columns, reducer=reducer), head, params={"spectral_components": 5})
    with pytest.raises(HeadError, match=r"open_scene_columns\(features, 'lda'\)"):
        QuickMapper(replace(columns, reducer=reducer))
