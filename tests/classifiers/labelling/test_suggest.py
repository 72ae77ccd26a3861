"""Suggestions equal a search by brute force, are apart from each other and from labels, and cover all parts of simple scenes."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from classifiers.labelling import suggest
from classifiers.labelling.quick_map import QuickMapper
from classifiers.labelling.segments import Segments, open_segments, segment_places
from classifiers.labelling.suggest import Suggester
from hsifeat.errors import HeadError, HsifeatError


@pytest.fixture(scope="module")
def suggester(columns):
    return Suggester(QuickMapper(columns), open_segments(columns))


def brute_force(suggester, classes, count):
    """Numbers of superpixels that most reduce the weighted distance, by loops over superpixels."""
    columns, numbers = suggester.mapper.columns, suggester.segments.numbers
    segments = range(1, suggester.segments.count + 1)
    of_row = numbers.ravel()[columns.pixels]
    means = np.stack([columns.values[of_row == s].astype(float).mean(axis=0) for s in segments])
    distances = cdist(means, means, "sqeuclidean")
    p = suggester.mapper.scene_probabilities(suggester.mapper.fit(classes))
    ranked = np.sort([p[:, numbers == s].mean(axis=1) for s in segments], axis=1)
    weights = (1 - (ranked[:, -1] - ranked[:, -2])) * [np.count_nonzero(numbers == s) for s in segments]
    near = {(a, b) for a, b in suggester.segments.edges.tolist()}
    cluster = {int(s) for s in np.unique(numbers[classes > 0])}
    chosen = []
    while len(chosen) < count:
        nearest = distances[:, [s - 1 for s in cluster]].min(axis=1)
        gains = {
            s: (np.maximum(nearest - distances[:, s - 1], 0) * weights).sum()
            for s in segments
            if s not in cluster and not any((s, c) in near or (c, s) in near for c in cluster)
        }
        chosen.append(max(gains, key=gains.get))
        cluster.add(chosen[-1])
    return chosen


def test_suggestions_are_the_best_by_brute_force(suggester, clicks):
    few = np.where(np.arange(clicks.size).reshape(clicks.shape) % 3 == 0, clicks, 0)
    found = suggester.suggest(few, 4)
    assert [place.segment for place in found] == brute_force(suggester, few, 4)
    numbers = suggester.segments.numbers
    values, of_pixel = suggester.mapper.columns.values, suggester.mapper.columns.row_of_pixel
    for place in found:
        members = np.flatnonzero(numbers == place.segment)
        typical = members[cdist(values[of_pixel[members]], values[of_pixel[members]].mean(axis=0)[None]).argmin()]
        assert place.row * 53 + place.col == typical
        assert 0 <= place.uncertainty <= 1
        assert 0 < place.share < 1
        assert "unsure here" in place.describe()


def test_suggestions_keep_apart_until_nothing_else_is_left(suggester, clicks):
    found = suggester.suggest(clicks, 8)
    edges = set(map(tuple, suggester.segments.edges.tolist()))
    taken = set(np.unique(suggester.segments.numbers[clicks > 0]).tolist())
    for place in found:
        assert place.segment not in taken
        assert not any((min(place.segment, s), max(place.segment, s)) in edges for s in taken)
        taken.add(place.segment)
    assert len(suggester.suggest(clicks, 10_000)) == suggester.segments.count - len(
        np.unique(suggester.segments.numbers[clicks > 0])
    )


def test_suggestions_stay_within_an_area(suggester, clicks):
    area = np.zeros(clicks.shape, bool)
    area[:20, :20] = True
    for place in suggester.suggest(clicks, 5, among=area):
        assert area[place.row, place.col]


def test_without_labels_the_most_common_kind_of_ground_comes_first(columns):
    """Three kinds of ground of 60, 30 and 10 percent: each is suggested once, the largest first."""
    kind = np.repeat([0, 1, 2], [45, 22, 8])[:, None] + np.zeros((1, 53), int)
    noise = np.random.default_rng(0).normal(0, 0.01, columns.values.shape)
    values = (noise + 5 * np.eye(3, columns.values.shape[1])[kind.ravel()[columns.pixels]]).astype(np.float32)
    blocks = np.arange(75)[:, None] // 5 * 11 + np.arange(53) // 5 + 1
    flat = replace(columns, values=values)
    segments = Segments(blocks.astype(np.int32), segment_places(flat, blocks.astype(np.int32)))
    places = Suggester(QuickMapper(flat), segments).suggest(np.zeros((75, 53), int), 3)
    assert kind[places[0].row, places[0].col] == 0
    assert {kind[place.row, place.col] for place in places} == {0, 1, 2}
    assert places[0].uncertainty == 1
    assert places[0].describe().startswith("There is no map here yet")


def striped_suggester(columns):
    """Two classes far apart in alternating columns, and superpixels of 2 x 2 pixels that are half of one and half of the other."""
    kind = np.arange(53) % 2 + np.zeros((75, 1), int)
    noise = np.random.default_rng(0).normal(0, 0.01, columns.values.shape)
    values = (noise + 100 * np.eye(2, columns.values.shape[1])[kind.ravel()[columns.pixels]]).astype(np.float32)
    numbers = (np.arange(75)[:, None] // 2 * 27 + np.arange(53) // 2 + 1).astype(np.int32)
    flat = replace(columns, values=values)
    labels = np.where((np.arange(75)[:, None] < 4) & (np.arange(53) < 20), kind + 1, 0)
    return Suggester(QuickMapper(flat, smooth="none"), Segments(numbers, segment_places(flat, numbers))), labels


def test_a_tie_of_two_classes_is_uncertain_and_has_a_map(columns):
    suggester, labels = striped_suggester(columns)
    places = suggester.suggest(labels, 5)
    assert {place.uncertainty for place in places} == {1}
    for place in places:
        assert place.describe().startswith("The map is unsure here (100 %), and ")


def test_superpixels_between_the_pixels_of_a_coarse_grid_are_not_said_to_have_no_map(columns, monkeypatch):
    """On a grid of every fourth row and column, most superpixels of 2 x 2 pixels have no pixel."""
    monkeypatch.setattr(suggest, "_MAP_PX", 25)
    suggester, labels = striped_suggester(columns)
    reasons = {}
    for segment in (541, 542, 543, 568, 569, 570):
        among = suggester.segments.numbers == segment
        (place,) = suggester.suggest(labels, 1, among=among)
        on_grid = any(row % 4 == 0 and col % 4 == 0 for row, col in np.argwhere(among))
        reasons.setdefault(on_grid, set()).add(place.describe().partition(",")[0].partition(" (")[0])
    assert reasons == {True: {"The map is sure here"}, False: {"The map was not checked at this small place"}}


def test_a_seed_that_only_large_scenes_use_is_checked_for_all(columns, suggester):
    with pytest.raises(HsifeatError, match="seed is an integer from 0; found 'x'"):
        Suggester(QuickMapper(columns), suggester.segments, seed="x")


def test_a_sample_stands_for_many_superpixels(columns, clicks, suggester, monkeypatch):
    monkeypatch.setattr(suggest, "_MAX_SEGMENTS", 60)
    sampled = Suggester(QuickMapper(columns), suggester.segments)
    found = sampled.suggest(clicks, 5)
    assert len({place.segment for place in found}) == 5
    for number in range(1, 9):  # superpixels that are hardly all in the sample
        alone = suggester.segments.numbers == number
        assert [place.segment for place in sampled.suggest(np.zeros_like(clicks), 3, among=alone)] == [number]


def test_the_memory_does_not_grow_with_the_labelled_superpixels(columns, context, monkeypatch):
    """Distances from 3,975 superpixels to 2,000 labelled ones take 32 MB."""
    monkeypatch.setattr(suggest, "_MAX_SEGMENTS", 60)
    numbers = np.arange(1, 75 * 53 + 1, dtype=np.int32).reshape(75, 53)
    suggester = Suggester(QuickMapper(columns), Segments(numbers, segment_places(columns, numbers)))
    labels = np.where(numbers <= 2000, context.labels().classes, 0)
    suggester.suggest(labels, 1)
    tracemalloc.start()
    try:
        assert len(suggester.suggest(labels, 1)) == 1
        assert tracemalloc.get_traced_memory()[1] < 16e6
    finally:
        tracemalloc.stop()


def test_superpixels_of_another_scene_are_refused(suggester):
    segments = suggester.segments
    with pytest.raises(HeadError, match=r"shape \(75, 52\), but the scene has 75 x 53 pixels"):
        Suggester(suggester.mapper, replace(segments, numbers=segments.numbers[:, 1:]))
