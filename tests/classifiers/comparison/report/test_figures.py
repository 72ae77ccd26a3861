"""The pictures of a report: maps against their pixels, plots against their text."""

import io
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score

from classifiers.comparison.report import figures, maps
from classifiers.comparison.report.report_plots import ReportPlots
from classifiers.comparison.results.ranking import rank
from tests.helpers.comparisons import add_all, build


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGBA"))


def test_maps_keep_the_pixels_of_small_scenes_and_thin_large_ones():
    truth = np.array([[1, 2], [0, 1]])
    shown = pixels(maps.class_map(truth, {1: "#ff0000", 2: "#00ff00"}))
    assert shown.tolist() == [[[255, 0, 0, 255], [0, 255, 0, 255]], [[0, 0, 0, 0], [255, 0, 0, 255]]]
    large = np.zeros((2400, 900), dtype=np.uint8)
    large[1::3, 1::3] = 1
    assert maps.map_step(large.shape) == 3
    shown = pixels(maps.split_map(large))
    assert shown.shape == (800, 300, 4)
    assert (shown == [0xD5, 0x5E, 0x00, 255]).all(), "the middle of each 3 x 3 is what is seen"


def test_error_map_shows_wrong_test_pixels_alone():
    truth, predicted = np.array([[1, 1, 1, 0]]), np.array([[1, 2, 2, 2]])
    shown = pixels(maps.error_map(truth, predicted, np.array([[2, 2, 1, 0]], dtype=np.uint8)))[0]
    assert [f"#{bytes(p[:3]).hex()}" for p in shown[:2]] == [maps.RIGHT, maps.WRONG]
    assert shown[2:, 3].tolist() == [0, 0]


def test_confidence_map_grows_lighter_and_leaves_out_what_was_not_mapped():
    confidence = np.array([[0, 31, 32, 128, 255, 255]], dtype=np.uint8)
    shown = pixels(maps.confidence_map(confidence, np.array([[1, 1, 2, 2, 1, 0]])))[0]
    assert [f"#{bytes(p[:3]).hex()}" for p in shown[:5]] == [maps.confidence_colours()[i] for i in (0, 0, 1, 4, 7)]
    lightness = shown[[0, 2, 3, 4], :3].astype(int) @ [2126, 7152, 722]
    assert (np.diff(lightness) > 0).all()
    assert shown[5, 3] == 0


def test_a_map_of_many_classes_keeps_every_colour():
    numbers = np.arange(1, 401).reshape(20, 20)
    shown = pixels(maps.class_map(numbers, {c: f"#{c:06x}" for c in range(1, 401)}))[..., :3].astype(int)
    assert (shown @ [65536, 256, 1] == numbers).all()


def test_the_opacity_of_a_confusion_is_that_of_its_cell():
    opacity = np.array([[1, 0], [0.5, 0.25]])
    shown = pixels(maps.confusion_map(opacity))
    assert shown[..., 3].tolist() == [[255, 0], [128, 64]]
    assert f"#{bytes(shown[0, 0, :3]).hex()}" == figures.BLUE
    assert f"#{bytes(shown[1, 0, :3]).hex()}" == figures.VERMILLION


@pytest.mark.parametrize("shape", [(3, 4), (600, 700)])
def test_pixels_are_counted_by_class_and_role(shape):
    rng = np.random.default_rng(0)
    classes = np.array([0, 1, 2, 5, 2**31 - 1], np.int32)
    truth, roles = rng.choice(classes, shape), rng.integers(0, 3, shape).astype(np.uint8)
    counts = maps.count_roles(truth, roles)
    assert set(counts) == set(classes.tolist())
    for number, found in counts.items():
        assert found.tolist() == [np.sum((truth == number) & (roles == role)) for role in range(4)]


def texts(svg):
    root = ET.fromstring(svg)  # noqa: S314 -- our own picture
    return [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]


def test_confusion_matrix_is_svg_with_its_numbers_as_text():
    counts = np.array([[8, 2], [0, 0]])
    assert {"80", "20", "$a_1$", "<b>"} <= set(texts(figures.confusion_matrix(counts, ["$a_1$", "<b>"]).svg))
    assert figures.confusion_matrix(counts, ["a", "b"]).svg == figures.confusion_matrix(counts, ["a", "b"]).svg


def test_heat_map_writes_every_value_and_leaves_gaps():
    values = {(0, "a"): 10.0, (100, "a"): 20.0, (100, "b"): 35.5}
    expected = ["10.0", "20.0", "35.5", "0", "100", "timestep t · OA, %", "a", "b"]
    assert sorted(texts(figures.heat_map(values, "OA, %").svg)) == sorted(expected)


def test_learning_curves_say_how_many_pixels_they_learn_from_where_that_is_known():
    line = figures.Line("svm", (5, 20), (0.4, 0.5), (0.01, 0.02))
    assert {"5", "62 px", "20", "1,210 px"} <= set(
        texts(figures.learning_curves([line], "OA, %", {5: 62.4, 20: 1210}).svg)
    )
    assert not [text for text in texts(figures.learning_curves([line], "OA, %").svg) if "px" in text]


def test_plots_are_drawn_once_for_the_page_and_as_files():
    comparison = add_all(build()[0])
    plots = ReportPlots(comparison, rank(comparison))
    kinds = ["overall-accuracy", "confusion", "learning-curves", "distance", "weights", "panels", "planes"]
    assert list(dict.fromkeys(kind for kind, *_ in plots)) == kinds
    for key in plots:
        plot = plots[key]
        assert plots[key] is plot
        assert texts(plot.svg) == texts(plot.page)
        assert b"currentColor" in plot.page and b"currentColor" not in plot.svg
        shown = pixels(plot.png)
        assert (shown[0, 0] == 255).all() and shown[..., :3].min() < 50
        # All formats show the same part of the figure: points are 1/72 inch.
        root = ET.fromstring(plot.svg)  # noqa: S314 -- our own picture
        size_in = [float(root.get(side).removesuffix("pt")) / 72 for side in ("height", "width")]
        assert np.allclose(np.array(shown.shape[:2]) / 200, size_in, atol=0.02)
        edge = np.concatenate([shown[0, :, :3], shown[-1, :, :3], shown[:, 0, :3], shown[:, -1, :3]])
        assert (edge == 255).all(), "nothing is cut off"


@pytest.mark.parametrize("shape", [(3, 40), (600, 70)])
def test_calibration_is_on_test_pixels_alone(shape):
    rng = np.random.default_rng(0)
    truth, predicted, sides = (rng.integers(0, 4, shape) for _ in range(3))
    confidence = np.where(sides == 2, rng.integers(200, 256, shape), 0).astype(np.uint8)
    sure, right = maps.calibration(confidence, predicted, truth, sides.astype(np.uint8))
    test = [(i, j) for i in range(shape[0]) for j in range(shape[1]) if sides[i, j] == 2]
    assert sure == pytest.approx(sum(int(confidence[at]) / 255 for at in test) / len(test))
    assert right == accuracy_score([truth[at] for at in test], [predicted[at] for at in test])
