"""Texts, numbers, paths and arrays of a wrong type, and masked arrays, are an `HsifeatError` in the functions of `classifiers`.

An object in place of one that hsifeat makes may end in Python's own error; see `OBJECTS`.
"""

import inspect
from itertools import count
from pathlib import Path

import numpy as np
import pytest

import classifiers
import hsifeat
from classifiers import LabelDatabase, LabelEdit, PixelTable, QuickMapper, Suggester
from hsifeat import Labels, Scene
from tests.helpers.wrong_values import accepted_labelled_arrays, accepted_masks, array_parameters, bare_errors

RNG = np.random.default_rng(0)
CLASSES = np.repeat(np.arange(4, dtype=np.uint8), 5)[None, :18].repeat(16, 0)
CUBE = (RNG.normal(size=(16, 18, 6)) + CLASSES[..., None]).astype(np.float32)
NAMES = [
    "draw_check_places",
    "export_labels",
    "import_labels",
    "open_scene_columns",
    "open_segments",
    "score_check",
    "score_labels",
    "score_predictions",
    "measure_leakage",
    "tune_head",
    "parse_smoothing",
    "describe_head",
    "load_head",
    "save_head",
    "predict_probabilities",
    "write_scene_map",
    "QuickMapper",
    "QuickMapper.fit",
    "QuickMapper.fit_rows",
    "QuickMapper.probabilities",
    "QuickMapper.scene_probabilities",
    "Suggester",
    "Suggester.suggest",
    "Suggester.uncertainty",
    "Segments.pixels_at",
    "LabelDatabase.open_set",
    "LabelDatabase.add_class",
    "LabelDatabase.paint",
    "LabelDatabase.undo",
    "LabelDatabase.class_map_at",
    "LabelDatabase.labels",
    "LabelEdit",
    "LabelEdit.of_class",
    "LabelDatabase.edits",
    "PixelTable.__getitem__",
    "PixelTable.concatenate",
    "PixelTable.select_groups",
    "Head.fit",
    "Head.predict",
    "Head.predict_proba",
]
# An object of a wrong class, in place of one that hsifeat makes or of a function, ends in Python's own error when it is used. So does a
# table of which scikit-learn can't make numbers.
OBJECTS = {
    "export_labels": {"labels"},
    "import_labels": {"database"},
    "open_scene_columns": {"features"},
    "open_segments": {"columns"},
    "score_check": {"mapper", "check"},
    "score_labels": {"mapper", "check"},
    "measure_leakage": {"draw", "footprints", "scenes"},
    "tune_head": {"head", "train", "validation"},
    "QuickMapper": {"columns"},
    "QuickMapper.probabilities": {"head", "check"},
    "QuickMapper.scene_probabilities": {"head"},
    "Suggester": {"mapper", "segments"},
    "PixelTable.concatenate": {"tables"},
    "Head.fit": {"X"},
    "Head.predict": {"X"},
    "Head.predict_proba": {"X"},
}
# A mask is refused when the edit is painted.
CHECKED_LATER = {"LabelEdit"}
# scikit-learn compares the names of columns, and the order of rows is the order of the labels.
TABLES = {"Head.fit": {"X"}, "Head.predict": {"X"}, "Head.predict_proba": {"X"}}
# These are tested as names of `hsifeat`, or take no plain values.
OF_HSIFEAT = set(dir(hsifeat)) | {"head_names", "smoothing_names", "plot_mixing"}
_numbers = count()


def new_path(suffix=""):
    return Path(f"new-{next(_numbers)}{suffix}")


class OtherPath:
    """A path that is no `pathlib.Path`, such as `os.DirEntry`."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return str(self.path)


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wrong")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HSIFEAT_CACHE", str(folder / "cache"))
        scene = Scene("m", CUBE, labels={"gt": Labels("gt", CLASSES, {1: "a", 2: "b", 3: "c"})})
        hsifeat.extract(scene, backbone="context", layers=["mean-3"], out="store.zarr")
        features = hsifeat.open_features("store.zarr")
        model = hsifeat.fit_model(features, head="lda")
        columns = classifiers.open_scene_columns(features)
        segments = classifiers.open_segments(columns, 9)
        mapper = QuickMapper(columns)
        quick = mapper.fit(CLASSES)
        table = PixelTable.from_store(features)
        head = hsifeat.make_head("lda", layout=table.layout).fit(table.X, table.y)
        classifiers.save_head(head, Path("head"))
        np.save("labels.npy", CLASSES)
        few = np.where(RNG.random(CLASSES.shape) < 0.5, CLASSES, 0)
        database = LabelDatabase()
        labels = database.open_set("m", CLASSES.shape)
        database.add_class(labels.id, "ada", "a")
        edit = LabelEdit.of_class("pixel", np.arange(3), 1)
        database.paint(labels.id, "ada", edit)
        draw = hsifeat.parse_split("random:0.5").draw(scene.labels["gt"], 0)
        yield {
            "draw_check_places": (
                classifiers.draw_check_places,
                lambda: {"columns": columns, "count": 3, "among": CLASSES > 0},
            ),
            "export_labels": (
                classifiers.export_labels,
                lambda: {"labels": scene.labels["gt"], "path": new_path(".tif")},
            ),
            "import_labels": (
                classifiers.import_labels,
                lambda: {
                    "database": database,
                    "set_id": labels.id,
                    "person": "ada",
                    "source": "labels.npy",
                    "scene": scene,
                    "valid": CLASSES >= 0,
                },
            ),
            "open_scene_columns": (classifiers.open_scene_columns, lambda: {"features": features}),
            "open_segments": (classifiers.open_segments, lambda: {"columns": columns, "pixels": 9}),
            "score_check": (
                classifiers.score_check,
                lambda: {"mapper": mapper, "classes": few, "checks": np.where(few == 0, CLASSES, 0)},
            ),
            "score_labels": (classifiers.score_labels, lambda: {"mapper": mapper, "classes": CLASSES}),
            "score_predictions": (
                classifiers.score_predictions,
                lambda: {"truth": np.array([1, 2, 1]), "predicted": np.array([1, 1, 2])},
            ),
            "measure_leakage": (classifiers.measure_leakage, lambda: {"draw": draw, "footprints": []}),
            "tune_head": (
                classifiers.tune_head,
                lambda: {"head": hsifeat.make_head("lda", layout=table.layout), "train": table, "fixed": {}},
            ),
            "parse_smoothing": (classifiers.parse_smoothing, lambda: {"text": "guided:2,0.001"}),
            "describe_head": (classifiers.describe_head, lambda: {"name": "lda"}),
            "load_head": (classifiers.load_head, lambda: {"folder": "head"}),
            "save_head": (classifiers.save_head, lambda: {"head": head, "folder": new_path()}),
            "predict_probabilities": (
                lambda **options: list(classifiers.predict_probabilities(**options)),
                lambda: {"stores": features, "model": model},
            ),
            "write_scene_map": (
                classifiers.write_scene_map,
                lambda: {"stores": features, "model": model, "out": new_path(".npy")},
            ),
            "QuickMapper": (QuickMapper, lambda: {"columns": columns}),
            "QuickMapper.fit": (mapper.fit, lambda: {"classes": CLASSES}),
            "QuickMapper.fit_rows": (mapper.fit_rows, lambda: {"rows": np.arange(288), "labels": CLASSES.ravel() + 1}),
            "QuickMapper.probabilities": (mapper.probabilities, lambda: {"head": quick, "rows": np.arange(3)}),
            "QuickMapper.scene_probabilities": (mapper.scene_probabilities, lambda: {"head": quick}),
            "Suggester": (Suggester, lambda: {"mapper": mapper, "segments": segments}),
            "Suggester.suggest": (
                Suggester(mapper, segments).suggest,
                lambda: {"classes": few, "among": np.ones(CLASSES.shape, bool)},
            ),
            "Suggester.uncertainty": (Suggester(mapper, segments).uncertainty, lambda: {"classes": few}),
            "Segments.pixels_at": (segments.pixels_at, lambda: {"rows": np.array([0, 9]), "cols": np.array([3, 5])}),
            "LabelDatabase.open_set": (database.open_set, lambda: {"scene": "m", "shape": CLASSES.shape}),
            "LabelDatabase.add_class": (
                database.add_class,
                lambda: {"set_id": labels.id, "person": "ada", "name": f"class {next(_numbers)}"},
            ),
            "LabelDatabase.paint": (
                database.paint,
                lambda: {"set_id": labels.id, "person": "ada", "edit": edit},
            ),
            "LabelDatabase.undo": (database.undo, lambda: {"set_id": labels.id, "person": "ada"}),
            "LabelDatabase.class_map_at": (database.class_map_at, lambda: {"set_id": labels.id, "version": 1}),
            "LabelDatabase.labels": (database.labels, lambda: {"set_id": labels.id}),
            "LabelEdit": (
                LabelEdit,
                lambda: {"kind": "pixel", "pixels": np.arange(3), "classes": np.ones(3, np.uint16)},
            ),
            "LabelEdit.of_class": (LabelEdit.of_class, lambda: {"kind": "pixel", "pixels": np.arange(3), "number": 1}),
            "LabelDatabase.edits": (
                lambda set_id, kind: database.edits(set_id, kind),
                lambda: {"set_id": labels.id, "kind": "pixel"},
            ),
            "PixelTable.__getitem__": (table.__getitem__, lambda: {"rows": np.arange(3)}),
            "PixelTable.select_groups": (table.select_groups, lambda: {"keep": lambda group: group.is_spectral}),
            "PixelTable.concatenate": (PixelTable.concatenate, lambda: {"tables": [table]}),
            "Head.fit": (
                hsifeat.make_head("lda", layout=table.layout).fit,
                lambda: {"X": table.X, "y": table.y},
            ),
            "Head.predict": (head.predict, lambda: {"X": table.X}),
            "Head.predict_proba": (head.predict_proba, lambda: {"X": table.X}),
        }


def test_each_public_function_is_called(calls):
    functions = {name for name in classifiers.__all__ if inspect.isfunction(getattr(classifiers, name))}
    assert functions - OF_HSIFEAT <= set(NAMES) and calls.keys() == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_type_is_an_error_of_hsifeat(calls, name):
    assert not bare_errors(*calls[name], skip=OBJECTS.get(name, ()))


@pytest.mark.parametrize(
    ("name", "parameter"), [("export_labels", "path"), ("save_head", "folder"), ("write_scene_map", "out")]
)
def test_a_path_of_another_class_is_a_path(calls, name, parameter):
    function, make_arguments = calls[name]
    arguments = make_arguments()
    path = arguments[parameter]
    function(**arguments | {parameter: OtherPath(path)})
    assert path.exists()


@pytest.mark.parametrize("name", sorted(set(NAMES) - CHECKED_LATER))
def test_a_masked_array_is_refused(calls, name):
    assert not accepted_masks(*calls[name])


def test_an_array_with_coordinates_is_refused(calls):
    taking = {name: array_parameters(make_arguments) for name, (_, make_arguments) in calls.items()}
    assert sum(map(len, taking.values())) > 8
    accepted = {name: accepted_labelled_arrays(*calls[name]) for name, parameters in taking.items() if parameters}
    assert {name: parameters for name, parameters in accepted.items() if parameters} == TABLES
