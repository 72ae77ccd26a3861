"""A value of a wrong type is an `HsifeatError`, never a bare error of Python, in all functions of `hsifeat` and in `NAMES` of its methods.

One parameter at a time gets a wrong value. What is wrong only together with another option is not found here, and whether a value is
accepted is not checked: a wrong value that is no error may be right for a parameter, such as None.
"""

import inspect
from itertools import count

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hsifeat
from hsifeat import Labels, Scene, Window
from tests.helpers.wrong_values import accepted_labelled_arrays, accepted_masks, array_parameters, bare_errors

RNG = np.random.default_rng(0)
CUBE = RNG.normal(size=(16, 18, 6)).astype(np.float32)
CLASSES = np.repeat(np.arange(4, dtype=np.uint8), 5)[None, :18].repeat(16, 0)
NANOMETRES = np.linspace(450, 900, 6)
NAMES = [
    "Scene",
    "Scene.with_bands",
    "Scene.without_bands",
    "Scene.with_labels",
    "Scene.matched_to",
    "Labels",
    "open_scene",
    "open_labels",
    "extract",
    "prepare",
    "run",
    "extract_scenes",
    "import_planes",
    "fit_projection",
    "Projection",
    "Projection.apply",
    "Projection.save",
    "NoiseSchedule",
    "rank_timesteps",
    "open_features",
    "Features.sample",
    "Features.read",
    "Features.read_scene",
    "Features.patches",
    "Features.select",
    "Features.labels",
    "Features.with_bands",
    "Features.to_dask",
    "PixelTable.from_store",
    "PixelTable.cv",
    "SplitCV.split",
    "make_head",
    "parse_split",
    "fit_model",
    "Model.save",
    "load_model",
    "predict_map",
    "compare",
    "write_report",
    "export_features",
    "local_executor",
    "pretrain",
    "open_backbone",
    "dask_executor",
    "connect",
]
# These parameters only have a truth value; nothing but the speed depends on it.
SWITCHES = {"Features.sample": {"keep"}}
# Masked cells are cells without features.
USED_MASKS = {"import_planes": {"features"}}
# Coordinates of a cube are used, see tests/scenes/test_cube_arrays.py. A split reads only the number of rows of its table.
USED_COORDINATES = {"Scene": {"cube", "companion"}, "SplitCV.split": {"X"}}
_numbers = count()


def scene():
    return Scene("m", CUBE, wavelengths_nm=NANOMETRES, labels={"gt": Labels("gt", CLASSES, {1: "a", 2: "b", 3: "c"})})


def new_path(suffix=""):
    return f"new-{next(_numbers)}{suffix}"


def open_and_close(workers, task_bytes, *, listen=print):
    with hsifeat.local_executor(workers, task_bytes, listen=listen):
        pass


def open_dask(address, *, listen=print):
    with hsifeat.dask_executor(address, scheduler_timeout_s=0.01, listen=listen):
        pass


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """Map names of public functions to the functions and to makers of arguments that they accept."""
    folder = tmp_path_factory.mktemp("wrong")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HSIFEAT_CACHE", str(folder / "cache"))
        np.save("cube.npy", CUBE)
        np.save("classes.npy", CLASSES)
        context = {"backbone": "context", "layers": ["mean-3"]}
        hsifeat.extract(scene(), **context, out="store.zarr")
        features = hsifeat.open_features("store.zarr")
        model = hsifeat.fit_model(features, head="lda")
        model.save("model")
        table = hsifeat.PixelTable.from_store(features)
        comparison = hsifeat.compare(
            features, heads=["lda"], inputs=["spectra"], seeds=1, sweep=False, jobs=1, out="report"
        )
        yield {
            "Scene": (
                Scene,
                lambda: {"name": "m", "cube": CUBE, "mask": CLASSES > 0, "companion": CUBE.repeat(2, 0).repeat(2, 1)},
            ),
            "Scene.with_bands": (scene().with_bands, lambda: {"bands": [0, 1]}),
            "Scene.without_bands": (scene().without_bands, lambda: {"bands": [0]}),
            "Scene.with_labels": (scene().with_labels, lambda: {"labels": Labels("n", CLASSES)}),
            "Scene.matched_to": (
                scene().matched_to,
                lambda: {"wavelengths_nm": NANOMETRES[1:], "bands": 5, "name": "other", "band_names": tuple("abcde")},
            ),
            "Labels": (Labels, lambda: {"name": "gt", "classes": CLASSES, "class_names": {1: "a"}}),
            "open_scene": (hsifeat.open_scene, lambda: {"source": "cube.npy"}),
            "open_labels": (hsifeat.open_labels, lambda: {"source": "classes.npy", "scene": scene()}),
            "extract": (hsifeat.extract, lambda: {"scene": scene(), **context, "out": new_path(".zarr")}),
            "prepare": (
                hsifeat.prepare,
                lambda: {"scene": scene(), "config": hsifeat.ExtractionConfig(**context), "out": new_path(".zarr")},
            ),
            "run": (
                hsifeat.run,
                lambda: {"job": hsifeat.prepare(scene(), hsifeat.ExtractionConfig(**context), out=new_path(".zarr"))},
            ),
            "extract_scenes": (hsifeat.extract_scenes, lambda: {"scenes": [scene()], **context, "out": new_path()}),
            "import_planes": (
                hsifeat.import_planes,
                lambda: {"scene": scene(), "features": {"e": CUBE}, "out": new_path(".zarr")},
            ),
            "fit_projection": (hsifeat.fit_projection, lambda: {"spec": "pca:2", "image": scene()}),
            "Projection": (
                hsifeat.Projection,
                lambda: {"spec": "own", "weights": np.eye(6, 2), "offset": np.zeros(2), "clip": False},
            ),
            "Projection.apply": (
                hsifeat.Projection("own", np.eye(6, 2), np.zeros(2), clip=False).apply,
                lambda: {"spectra": CUBE},
            ),
            "Projection.save": (
                hsifeat.Projection("own", np.eye(6, 2), np.zeros(2), clip=False).save,
                lambda: {"path": new_path(".safetensors")},
            ),
            "NoiseSchedule": (hsifeat.NoiseSchedule, lambda: {"alphas_cumprod": np.linspace(0.99, 0.01, 100)}),
            "rank_timesteps": (
                hsifeat.rank_timesteps,
                lambda: {"scene": scene(), "timesteps": [0, 500], "budget": 1, "projection": "pca:2", "patch": 1},
            ),
            "open_features": (hsifeat.open_features, lambda: {"store": "store.zarr"}),
            "Features.sample": (features.sample, lambda: {"rows": np.arange(2), "cols": np.arange(2)}),
            "Features.read": (features.read, lambda: {"window": Window(0, 0, 2, 2)}),
            "Features.read_scene": (features.read_scene, lambda: {"window": Window(0, 0, 2, 2)}),
            "Features.patches": (features.patches, lambda: {"rows": np.arange(2), "cols": np.arange(2), "size": 3}),
            "Features.select": (features.select, dict),
            "Features.labels": (features.labels, dict),
            "Features.with_bands": (features.with_bands, lambda: {"bands": [0, 1]}),
            "Features.to_dask": (features.to_dask, lambda: {"plane": features.planes[0]}),
            "PixelTable.from_store": (hsifeat.PixelTable.from_store, lambda: {"store": features}),
            "PixelTable.cv": (table.cv, lambda: {"split": "random:0.1"}),
            "SplitCV.split": (
                lambda X, y, groups: next(table.cv("random:0.1").split(X, y, groups)),
                lambda: {"X": table.X, "y": table.y, "groups": table.pixels},
            ),
            "make_head": (hsifeat.make_head, lambda: {"name": "lda"}),
            "parse_split": (hsifeat.parse_split, lambda: {"text": "random:0.1"}),
            "fit_model": (hsifeat.fit_model, lambda: {"stores": features, "head": "lda"}),
            "Model.save": (model.save, lambda: {"folder": new_path()}),
            "load_model": (hsifeat.load_model, lambda: {"folder": "model"}),
            "predict_map": (hsifeat.predict_map, lambda: {"stores": features, "model": model}),
            "compare": (
                hsifeat.compare,
                lambda: {"stores": features, "heads": ["lda"], "inputs": ["spectra"], "seeds": 1, "out": new_path()},
            ),
            "write_report": (
                hsifeat.write_report,
                lambda: {"comparison": comparison, "folder": new_path()},
            ),
            "export_features": (hsifeat.export_features, lambda: {"stores": features, "out": new_path(".parquet")}),
            "local_executor": (open_and_close, lambda: {"workers": 1, "task_bytes": 0}),
            "pretrain": (
                hsifeat.pretrain,
                lambda: {
                    "data": Scene("square", RNG.normal(size=(40, 40, 6))),
                    "network": "mtmsd",
                    "size": "small",
                    "steps": 1,
                    "out": new_path(),
                },
            ),
            "open_backbone": (hsifeat.open_backbone, lambda: {"source": "untrained:natural32"}),
            "dask_executor": (open_dask, lambda: {"address": "local:1"}),
            "connect": (hsifeat.connect, lambda: {"url": "http://localhost:1"}),
        }


def test_each_public_function_is_called(calls):
    functions = {name for name in hsifeat.__all__ if inspect.isfunction(getattr(hsifeat, name))}
    assert {name for name in functions if inspect.signature(getattr(hsifeat, name)).parameters} <= set(NAMES)
    assert calls.keys() == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_type_is_an_error_of_hsifeat(calls, name):
    function, make_arguments = calls[name]
    assert not bare_errors(function, make_arguments, skip=SWITCHES.get(name, ()))


@pytest.mark.parametrize("name", NAMES)
def test_a_masked_array_is_refused_or_its_mask_is_used(calls, name):
    function, make_arguments = calls[name]
    assert not set(accepted_masks(function, make_arguments)) - USED_MASKS.get(name, set())


def test_an_array_with_coordinates_is_refused_or_they_are_used(calls):
    taking = {name: array_parameters(make_arguments) for name, (_, make_arguments) in calls.items()}
    assert taking["Scene"] == ["cube", "mask", "companion"] and sum(map(len, taking.values())) > 6
    accepted = {name: accepted_labelled_arrays(*calls[name]) for name, parameters in taking.items() if parameters}
    assert {name: parameters for name, parameters in accepted.items() if parameters} == USED_COORDINATES


@pytest.mark.parametrize("kind", [xr.DataArray, pd.Series])
def test_a_projection_takes_no_axis_with_labels(kind):
    with pytest.raises(hsifeat.HsifeatError, match="offset must be a NumPy array; found"):
        hsifeat.Projection("own", np.eye(6, 2), kind(np.zeros(2)), clip=False)
    projection = hsifeat.Projection("own", np.eye(6, 2), np.zeros(2), clip=False)
    with pytest.raises(hsifeat.HsifeatError, match="spectra must be a NumPy array; found"):
        projection.apply(kind(np.zeros(6)))
