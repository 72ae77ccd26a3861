"""Maps of whole scenes: read back by GDAL with the scene's georeference, independent of blocks, and refused before any work."""

import json
import re

import numpy as np
import pytest
import rasterio
import scipy.io
from PIL import Image

from classifiers.block_prediction import block_side_px
from classifiers.columns import read_columns
from classifiers.fit import fit_model
from classifiers.heads.registry import head_names, make_head
from classifiers.layout import ColumnGroup, Layout
from classifiers.model import load_model
from classifiers.predict import predict_map, predict_probabilities, write_scene_map
from classifiers.table import PixelTable
from hsifeat import open_features
from hsifeat.errors import HeadError, SceneError
from hsifeat.scenes import Georeference, Labels, Scene
from tests.helpers.heads import NAMES, NETWORKS, quick
from tests.helpers.small import small_cube, small_labels

TRANSFORM = (28.5, 0.0, 630000.25, 0.0, -28.5, 228500.75)


@pytest.fixture(scope="module")
def location(tmp_path_factory, backbone_folder):
    """A store of a georeferenced scene with a masked corner. The folder also contains the scene as a GeoTIFF of rasterio."""
    from hsifeat.cache import catalogue
    from hsifeat.extraction.run import run
    from tests.helpers.extraction import prepare

    folder = tmp_path_factory.mktemp("georeferenced")
    cube = small_cube()
    cube[:40, :20] = 0
    profile = {"driver": "GTiff", "width": 53, "height": 75, "count": 12, "dtype": "uint16"}
    with rasterio.open(folder / "scene.tif", "w", crs=32617, transform=rasterio.Affine(*TRANSFORM), **profile) as file:
        file.write(np.moveaxis(cube, 2, 0))
        where = Georeference(file.crs.to_wkt(), TRANSFORM)
    labels = Labels("fields", small_labels(), {1: "corn", 2: "wheat", 3: "woods", 4: "grass"}, {1: "#ff0000"})
    scene = Scene("small", cube, np.linspace(450, 900, 12), {"fields": labels}, georeference=where)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "add_entry", lambda *_, **__: None)
        out = folder / "store.zarr"
        run(prepare(scene, backbone=backbone_folder, timesteps=[300], tile=32, halo=8, out=out))
    return folder


@pytest.fixture
def features(location):
    return open_features(location / "store.zarr")


@pytest.fixture(scope="module")
def model(location):
    return fit_model(
        open_features(location / "store.zarr"), "mlp", params={"epochs": 5, "device": "cpu"}, smooth="none"
    )


@pytest.fixture
def table(features, model):
    """Valid pixels as (rows, cols) and their columns, read at once."""
    at = np.nonzero(features.valid)
    return at, read_columns(features, model.layout, *at)


@pytest.mark.parametrize(
    ("classes", "found"),
    [(("oak", "elm"), "'elm'"), ((1, 0), "0"), ((True, False), "False"), ((2, -1), "-1")],
)
def test_a_map_of_classes_that_are_no_numbers_from_1_is_refused(features, model, table, classes, found):
    (rows, _), X = table
    head = make_head("lda", model.layout).fit(X, np.where(rows < 40, *classes))
    with pytest.raises(HeadError, match=f"whole numbers from 1, because 0 .* found {found}: fit the head to class"):
        predict_map(features, head)


@pytest.mark.parametrize("model", [None, "model", make_head("lda")], ids=str)
def test_a_map_needs_a_fitted_model(features, model):
    with pytest.raises(HeadError, match=r"a map needs a fitted model or head, such as load_model\(folder\); found"):
        predict_map(features, model)


def test_a_map_has_the_georeference_of_the_scene(gdal, location, features, model, table, tmp_path):
    at, X = table
    expected = np.zeros((75, 53), np.uint8)
    expected[at] = model.head.predict(X)
    for suffix in ("tif", "npy", "mat", "png"):
        assert write_scene_map(features, model, tmp_path / f"m.{suffix}") == ()
    scene, told = (json.loads(gdal("gdalinfo", "-json", p)) for p in (location / "scene.tif", tmp_path / "m.tif"))
    for fact in ("size", "geoTransform", "coordinateSystem", "cornerCoordinates"):
        assert told[fact] == scene[fact]
    (band,) = told["bands"]
    assert band["categories"] == ["no data", "corn", "wheat", "woods", "grass"]
    assert band["colorTable"]["entries"][1] == [255, 0, 0, 255] and band["noDataValue"] == 0
    with rasterio.open(tmp_path / "m.tif") as file:
        np.testing.assert_array_equal(file.read(1), expected)
        np.testing.assert_array_equal(file.read_masks(1) != 0, features.valid)
    np.testing.assert_array_equal(np.load(tmp_path / "m.npy"), expected)
    np.testing.assert_array_equal(scipy.io.loadmat(tmp_path / "m.mat")["map"], expected)
    with Image.open(tmp_path / "m.png") as image:
        drawn = np.asarray(image)[: 8 * 75 : 8, : 8 * 53 : 8]
        assert ((drawn == (255, 0, 0)).all(axis=2) == (expected == 1)).all()


def test_probabilities_have_the_georeference_of_the_scene(gdal, location, features, model, table, tmp_path):
    at, X = table
    expected = np.full((75, 53, 4), np.nan, np.float32)
    expected[at] = model.head.predict_proba(X)
    for suffix in ("tif", "npy", "mat"):
        assert write_scene_map(features, model, tmp_path / f"p.{suffix}", probabilities=True) == ()
    scene, told = (json.loads(gdal("gdalinfo", "-json", p)) for p in (location / "scene.tif", tmp_path / "p.tif"))
    for fact in ("size", "geoTransform", "coordinateSystem"):
        assert told[fact] == scene[fact]
    assert [band["description"] for band in told["bands"]] == ["corn", "wheat", "woods", "grass"]
    with rasterio.open(tmp_path / "p.tif") as file:
        read = np.moveaxis(file.read(), 0, 2)
    np.testing.assert_allclose(read, expected, atol=1e-6)
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), read)
    np.testing.assert_array_equal(scipy.io.loadmat(tmp_path / "p.mat")["probabilities"], read)
    np.testing.assert_allclose(read[at].sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_masked_pixels_cost_no_prediction(features, model, tmp_path, monkeypatch, method):
    asked, does = [], getattr(model.head, method)
    monkeypatch.setattr(model.head, method, lambda X: asked.append(len(X)) or does(X), raising=False)
    write_scene_map(features, model, tmp_path / "m.tif", probabilities=method == "predict_proba")
    assert sum(asked) == 75 * 53 - 40 * 20


def test_a_head_without_probabilities_is_refused_before_work(features, tmp_path):
    svm = fit_model(features, "svm", inputs="spectra")
    with pytest.raises(
        HeadError, match=r"SVMClassifier has no class probabilities: fit a head that has them \((.*)\)"
    ) as refused:
        predict_probabilities(features, svm)
    told = re.search(r"\((.*)\)", str(refused.value))[1].split(", ")
    assert {"film", "lightgbm", "mlp"} <= set(told) <= set(head_names()) - {"svm"}
    with pytest.raises(HeadError, match="has no class probabilities"):
        write_scene_map(features, svm, tmp_path / "p.tif", probabilities=True)
    assert not list(tmp_path.glob("*.tif*"))


@pytest.mark.parametrize("block_px", [0, -1])
def test_a_block_has_at_least_one_pixel(features, model, block_px):
    with pytest.raises(HeadError, match=f"at least 1 pixel; found {block_px}"):
        predict_map(features, model, block_px=block_px)


def test_a_map_that_cannot_be_written_costs_no_prediction(features, model, tmp_path, monkeypatch):
    monkeypatch.setattr(model.head, "predict", lambda _: pytest.fail("predicted"), raising=False)
    with pytest.raises(SceneError, match="no such folder"):
        write_scene_map(features, model, tmp_path / "nowhere" / "m.tif")
    for out in (tmp_path / "m.jpg", str(tmp_path / "m.jpg")):
        with pytest.raises(SceneError, match="a map can be written as"):
            write_scene_map(features, model, out)


def test_the_legend_survives_saving(model, tmp_path):
    model.save(tmp_path / "model")
    legend = load_model(tmp_path / "model").legend
    assert legend == model.legend
    assert legend.names == ("corn", "wheat", "woods", "grass") and legend.colours[0] == "#ff0000"


def with_every_column(location, planes):
    """The store, and a table of all kinds of columns."""
    features = open_features(location / "store.zarr")
    options = {"window": 5, "spectral_patch": 3, "means": 9, "patch": 3, "position": True}
    return features, PixelTable.from_store(features, planes=planes, **options)


@pytest.fixture(scope="module")
def everything(location):
    """A head fitted on all kinds of columns, and its predictions for the whole scene, which was read at once."""
    features, table = with_every_column(location, ["t300/mid_block", "t300/up_blocks.2"])
    head = make_head("lda", table.layout).fit(table.X, table.y)
    at = np.nonzero(features.valid)
    X = read_columns(features, table.layout, *at)
    classes, probabilities = np.zeros((75, 53), int), np.full((75, 53, 4), np.nan)
    classes[at], probabilities[at] = head.predict(X), head.predict_proba(X)
    return features, head, table.layout, classes, probabilities


@pytest.mark.parametrize("block_px", [21, 48, 128])
def test_maps_and_probabilities_do_not_depend_on_the_block_size(everything, block_px):
    features, head, _, classes, probabilities = everything
    np.testing.assert_array_equal(predict_map(features, head, block_px=block_px), classes)
    found = np.full((75, 53, 4), -1.0)
    for window, values in predict_probabilities(features, head, block_px=block_px):
        assert window.rows <= block_px and window.cols <= block_px
        found[window.slices] = values
    np.testing.assert_allclose(found, probabilities, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_maps_of_every_head_do_not_depend_on_the_block_size(location, name):
    """Two block sizes, beside the whole scene read at once; a corner of it is masked."""
    features, table = with_every_column(location, ["t300/mid_block"])
    some = slice(None, None, 12)
    head = quick(name, table.layout, **({"epochs": 3} if name in NETWORKS else {})).fit(table.X[some], table.y[some])
    at = np.nonzero(features.valid)
    expected = np.zeros((75, 53), int)
    expected[at] = head.predict(read_columns(features, table.layout, *at))
    assert len(np.unique(expected[at])) > 1
    for block_px in (29, 128):
        np.testing.assert_array_equal(predict_map(features, head, block_px=block_px), expected)


def test_blocks_are_smaller_where_there_are_many_columns(everything, monkeypatch):
    features, head, layout, classes, _ = everything
    for width, side in ((1, 128), (2048, 128), (2049, 64), (10**5, 16), (10**9, 1)):
        assert block_side_px(Layout((ColumnGroup("spectra", 0, width),))) == side
        assert side in {1, 128} or side**2 * width * 4 <= 2**27
    monkeypatch.setattr("classifiers.block_prediction.MAX_BLOCK_BYTES", layout.width * 4 * 16**2)
    asked, does = [], head.predict
    monkeypatch.setattr(head, "predict", lambda X: asked.append(len(X)) or does(X), raising=False)
    np.testing.assert_array_equal(predict_map(features, head), classes)
    assert max(asked) == 16**2
