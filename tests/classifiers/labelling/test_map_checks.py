"""Label maps and areas on the grid of a scene: what would be taken for something else is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from classifiers.labelling.check_sample import draw_check_places, score_check
from classifiers.labelling.label_files import export_labels, import_labels
from classifiers.labelling.labels_db import LabelDatabase
from classifiers.labelling.quick_map import QuickMapper
from classifiers.labelling.score import score_labels
from classifiers.labelling.segments import Segments, segment_places
from classifiers.labelling.suggest import Suggester
from hsifeat.errors import HeadError, SceneError
from hsifeat.scenes import Labels


@pytest.fixture(scope="module")
def tools(columns):
    """A mapper and a suggester of the small scene; each row of the scene is a superpixel."""
    numbers = np.repeat(np.arange(1, 76, dtype=np.int32)[:, None], 53, axis=1)
    mapper = QuickMapper(columns)
    return SimpleNamespace(
        columns=columns, mapper=mapper, suggester=Suggester(mapper, Segments(numbers, segment_places(columns, numbers)))
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda area: area.astype(np.uint8), "must be a bool array, .* found uint8"),
        (lambda area: np.where(area, 254, 0), "must be a bool array, .* found int64"),
        (lambda area: np.ma.masked_array(area), "must be a bool array"),
        (lambda area: area.tolist(), "must be a bool array"),
        (lambda area: area[:1], "the shape .* the scene has 75 x 53 pixels"),
    ],
    ids=["classes", "even", "masked", "list", "row"],
)
@pytest.mark.parametrize("use", ["draw", "suggest", "import"])
def test_an_area_is_a_bool_map_of_the_scene(tools, clicks, tmp_path, use, wrong, message):
    """Of an area of class numbers, places were drawn at odd classes only; of one of even numbers, nowhere."""
    area = wrong(clicks > 0)
    with pytest.raises(SceneError, match=message):
        if use == "draw":
            draw_check_places(tools.columns, 5, among=area)
        elif use == "suggest":
            tools.suggester.suggest(clicks, 2, among=area)
        else:
            labels = Labels("clicks", clicks)
            export_labels(labels, tmp_path / "clicks.csv")
            with LabelDatabase(tmp_path / "labels.sqlite") as database:
                set_id = database.open_set("scene", clicks.shape).id
                import_labels(database, set_id, "ada", tmp_path / "clicks.csv", labels, valid=area)


USES = pytest.mark.parametrize(
    "use",
    [
        lambda tools, masked, plain: tools.mapper.fit(masked),
        lambda tools, masked, plain: score_labels(tools.mapper, masked),
        lambda tools, masked, plain: tools.suggester.suggest(masked, 2),
        lambda tools, masked, plain: score_check(tools.mapper, masked, plain),
        lambda tools, masked, plain: score_check(tools.mapper, plain, masked),
    ],
    ids=["fit", "score_labels", "suggest", "classes", "checks"],
)


@USES
def test_masked_labels_are_refused(tools, clicks, use):
    """Labels of a file that `rasterio` reads with ``masked=True``: 255 became a class, which most of the map had."""
    masked = np.ma.masked_equal(np.where(clicks > 0, clicks, 255), 255)
    with pytest.raises(HeadError, match=r"found a masked array: give classes.filled\(0\)"):
        use(tools, masked, clicks)
    assert tools.mapper.fit(masked.filled(0)).classes_.tolist() == [number for number in np.unique(clicks) if number]


@USES
@pytest.mark.parametrize("table", [False, True], ids=["DataArray", "DataFrame"])
def test_labels_with_coordinates_are_refused(tools, clicks, use, table):
    """The order of the rows was that of the array, also if its coordinates ran from south to north."""
    flipped = xr.DataArray(clicks, {"y": -np.arange(len(clicks)), "x": np.arange(clicks.shape[1])}, ("y", "x")).sortby(
        "y"
    )
    with pytest.raises(HeadError, match="labels are a NumPy array; found Data.*, whose coordinates would be ignored"):
        use(tools, flipped.to_pandas() if table else flipped, clicks)
