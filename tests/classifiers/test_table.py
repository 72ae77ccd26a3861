"""Tables and layouts: the right pixels, the right columns, in the right order."""

import numpy as np
import pytest

from classifiers.layout import ColumnGroup, Layout
from classifiers.metrics import score
from classifiers.table import PixelTable, read_columns
from hsifeat.errors import SceneError, StoreError
from hsifeat.scenes import Labels


def test_rows_and_columns(store_path, features, scene):
    table = PixelTable.from_store(store_path, window=5, planes=["t0/mid_block", "t300/up_blocks.2"])
    assert [str(g) for g in table.layout] == [
        "spectra",
        "spectra mean 5x5",
        "t0/mid_block",
        "t300/up_blocks.2",
    ]
    assert table.layout.width == table.X.shape[1] == 12 + 12 + 16 + 8
    rows, cols = np.nonzero(scene.labels["fields"].classes)
    np.testing.assert_array_equal(table.y, scene.labels["fields"].classes[rows, cols])
    np.testing.assert_array_equal(table.X[:, :12], scene.cube[rows, cols].astype(np.float32))
    np.testing.assert_array_equal(table.X[:, 12:24], features.spectra(rows, cols, pool=5))
    np.testing.assert_array_equal(table.X[:, 24:40], features.sample(rows, cols, ["t0/mid_block"]))
    some = table[np.array([5, 2])]
    np.testing.assert_array_equal(read_columns(features, table.layout, some.rows, some.cols), some.X)


def test_taking_groups(store_path):
    table = PixelTable.from_store(store_path)
    planes = table.take(lambda group: group.t == 300)
    assert planes.layout.width == planes.X.shape[1] == 16 * 3 + 8
    assert planes.layout.groups[0].start == 0
    start = next(g.start for g in table.layout if g.t == 300)
    np.testing.assert_array_equal(planes.X, table.X[:, start:])


def test_layouts_survive_json_and_refuse_gaps():
    layout = Layout(
        (ColumnGroup("spectra", 0, 3), ColumnGroup("plane", 3, 8, t=5, layer="a.b"), ColumnGroup("mean", 8, 9, size=5))
    )
    assert Layout.from_json(layout.to_json()) == layout
    assert [str(g) for g in layout.spectral] == ["spectra", "spectra mean 5x5"]
    assert layout.columns(*layout.learned).tolist() == [3, 4, 5, 6, 7]
    with pytest.raises(ValueError, match="must follow each other"):
        Layout((ColumnGroup("spectra", 1, 3),))


def test_labels_of_another_shape_and_empty_tables(store_path):
    with pytest.raises(SceneError, match="labels 'x' are 3 x 3 pixels, but the scene small is 75 x 53"):
        PixelTable.from_store(store_path, labels=Labels("x", np.ones((3, 3), int)))
    with pytest.raises(StoreError, match="no labelled pixel"):
        PixelTable.from_store(store_path, labels=Labels("x", np.zeros((75, 53), int)))
    with pytest.raises(StoreError, match="gives no columns"):
        PixelTable.from_store(store_path, planes=[], spectra=False)


def test_scores_of_a_small_case():
    # Worked by hand: 3 of 5 right; recalls 1/2, 1, 0 with class 3 predicted 9, which no test pixel is.
    scores = score(np.array([1, 1, 2, 2, 3]), np.array([1, 2, 2, 2, 9]))
    assert scores.oa == 0.6
    assert scores.recall == (0.5, 1.0, 0.0)
    assert scores.aa == 0.5
    # Chance agreement: (2 * 1 + 2 * 3) / 25 = 0.32.
    assert scores.kappa == pytest.approx((0.6 - 0.32) / (1 - 0.32))
    assert scores.confusion.tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]


def test_scores_of_a_single_class():
    scores = score(np.array([4, 4]), np.array([4, 4]))
    assert (scores.oa, scores.aa, scores.kappa, scores.classes) == (1.0, 1.0, 1.0, (4,))


def test_labelled_pixels_that_hold_nothing_are_no_rows(backbone_folder, tmp_path, scene):
    import hsifeat

    cube = scene.cube.copy()
    cube[:9, :9] = 0
    holed = hsifeat.Scene("holed", cube, scene.wavelengths_nm, scene.labels)
    hsifeat.extract(
        holed,
        backbone=backbone_folder,
        timesteps=[0],
        layers=["mid_block"],
        tile=32,
        context=8,
        out=tmp_path / "h.zarr",
    )
    table = PixelTable.from_store(tmp_path / "h.zarr")
    assert (
        len(table) == (scene.labels["fields"].classes != 0).sum() - (scene.labels["fields"].classes[:9, :9] != 0).sum()
    )
    assert not ((table.rows < 9) & (table.cols < 9)).any()
    assert not table.labels.classes[:9, :9].any()
