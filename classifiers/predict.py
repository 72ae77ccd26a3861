"""Predict classification maps of whole scenes, smooth them by the rule of the model, and write them to files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifiers.block_prediction import predict_classes, probability_blocks
from classifiers.block_workers import BlockWorkers
from classifiers.heads.base import Head, ProbabilisticHead
from classifiers.heads.registry import head_class, head_names
from classifiers.model import Model
from classifiers.scene_sample import readable_pixels
from classifiers.smoothing import SmoothingRule, check_memory, parse_smoothing
from hsifeat.errors import HeadError
from hsifeat.features.features import Features
from hsifeat.features.stack import StoreLike, open_stack
from hsifeat.formatting import format_count, format_value
from hsifeat.runtime.events import Listener, silent
from hsifeat.runtime.executor import Executor
from hsifeat.runtime.executor_plugins import open_executor
from hsifeat.scenes.maps import check_map_fits, check_map_path, check_replaces_map, write_map, write_probabilities
from hsifeat.types import Window, check_path, check_switches


def predict_map(
    stores: StoreLike | Sequence[StoreLike],
    model: Model | Head,
    *,
    smooth: str | None = None,
    block_px: int | None = None,
    executor: Executor | str | None = None,
    listen: Listener = silent,
) -> NDArray[np.integer]:
    """Predict the class of every pixel of a scene.

    Parameters
    ----------
    stores : str, Path, Features or a sequence of them
        The store of the scene to map. If the model was trained on several stores of one scene, the scene to map needs
        stores of the same kinds, in the same order.
    model : Model or Head
        A fitted model, or a fitted head with a layout. For a model, `Model.match_store` checks the stores before the
        prediction.
    smooth : str, optional
        Rule that smooths the class probabilities, see `classifiers.parse_smoothing`; ``none`` turns smoothing off. [default:
        the rule of the model]
    block_px : int, optional
        Side in pixels of the blocks in which the scene is read. [default: 128, or less if the head takes many columns]
    executor : Executor or str, optional
        Executor that predicts the blocks, for example on a cluster, or a text such as ``dask:local:2``. The model must then
        come from `load_model`. [default: this process]
    listen : callable
        Callback for progress events.

    Returns
    -------
    (rows, cols) integer array
        Class numbers in the smallest integer dtype that holds them. Invalid pixels are 0. If the store has planes of
        listed pixels only (``--pixels``), all other pixels are 0 too.

    Raises
    ------
    HsifeatError
        If the stores lack columns that the model was trained on, or are of several scenes. If the classes of the head are
        not whole numbers from 1. If the smoothing rule is unknown. If the smoothing does not fit in memory.

    Examples
    --------
    >>> import hsifeat
    >>> features = hsifeat.open_features("fields.zarr")
    >>> predict_map(features, hsifeat.load_model("model")).shape
    (75, 53)
    """
    features, head = _matched(stores, model, listen)
    rule = smoothing_rule(model, smooth)
    with open_executor(executor, listen) as opened:
        workers = _workers(features, model, opened)
        return predict_classes(features, head, rule, block_px=block_px, workers=workers, listen=listen)


def predict_probabilities(
    stores: StoreLike | Sequence[StoreLike],
    model: Model | Head,
    *,
    smooth: str | None = None,
    block_px: int | None = None,
    executor: Executor | None = None,
    listen: Listener = silent,
) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    """Predict the probability of every class for every pixel of a scene, block by block.

    Parameters
    ----------
    stores : str, Path, Features or a sequence of them
        The store of the scene to map. If the model was trained on several stores of one scene, the scene to map needs
        stores of the same kinds, in the same order.
    model : Model or Head
        A fitted model, or a fitted head with a layout. For a model, `Model.match_store` checks the stores before the
        prediction.
    smooth : str, optional
        Rule that smooths the class probabilities, see `classifiers.parse_smoothing`; ``none`` turns smoothing off. [default:
        the rule of the model]
    block_px : int, optional
        Side in pixels of the blocks in which the scene is read. [default: 128, or less if the head takes many columns]
    executor : Executor, optional
        Open executor that predicts the blocks, for example on a cluster. The model must then come from `load_model`.
        [default: this process]
    listen : callable
        Callback for progress events.

    Returns
    -------
    iterator of (Window, (rows, cols, classes) float32 array)
        Position and probabilities of each block. The blocks cover the scene, and the classes are in the order of the
        head's `classes_`. Invalid pixels are NaN. If the store has planes of listed pixels only (``--pixels``), all other
        pixels are NaN too.

    Raises
    ------
    HsifeatError
        If the head can't predict probabilities. If the stores lack columns that the model was trained on, or are of
        several scenes. If the smoothing rule is unknown. If the smoothing does not fit in memory.

    Examples
    --------
    >>> import hsifeat
    >>> features = hsifeat.open_features("fields.zarr")
    >>> for window, probabilities in predict_probabilities(features, hsifeat.load_model("model")):
    ...     print(window, probabilities.shape)
    Window(row=0, col=0, rows=75, cols=53) (75, 53, 4)
    """
    features, head = _matched(stores, model, listen)
    if not isinstance(head, ProbabilisticHead):
        capable = ", ".join(name for name in head_names() if issubclass(head_class(name), ProbabilisticHead))
        raise HeadError(
            f"{type(head).__name__} has no class probabilities: fit a head that has them ({capable}), or map classes"
        )
    workers = _workers(features, model, executor)
    return probability_blocks(
        features, head, smoothing_rule(model, smooth), block_px=block_px, workers=workers, listen=listen
    )


def write_scene_map(
    stores: StoreLike | Sequence[StoreLike],
    model: Model,
    out: str | Path,
    *,
    probabilities: bool = False,
    smooth: str | None = None,
    executor: Executor | str | None = None,
    listen: Listener = silent,
) -> tuple[str, ...]:
    """Predict a whole scene and write the map to a file.

    Parameters
    ----------
    stores : str, Path, Features or a sequence of them
        The store or stores of the scene, see `predict_map`.
    model : Model
        The fitted model.
    out : str or Path
        File to write; its suffix selects the format: ``.tif``, ``.png``, ``.npy`` or ``.mat``.
    probabilities : bool
        Write the probability of each class instead of the predicted class.
    smooth : str, optional
        Rule that smooths the class probabilities, see `classifiers.parse_smoothing`; ``none`` turns smoothing off. [default:
        the rule of the model]
    executor : Executor or str, optional
        Executor that predicts the blocks, for example on a cluster, or a text such as ``dask:local:2``. The model must
        then come from `load_model`. The calling process writes the file. [default: this process]
    listen : callable
        Callback for progress events.

    Returns
    -------
    tuple of str
        Remarks on the file, such as the number of pixels without planes.

    Raises
    ------
    HsifeatError
        If the stores lack columns that the model was trained on, or are of several scenes. If probabilities are
        requested and the head can't predict them. If the smoothing rule is unknown. If the smoothing does not fit in
        memory. If the file can't be written. All of this is checked before the prediction.

    Examples
    --------
    >>> import hsifeat
    >>> features = hsifeat.open_features("fields.zarr")
    >>> notes = write_scene_map(features, hsifeat.load_model("model"), Path("map.npy"))
    """
    check_path("a map", out)
    check_switches(probabilities=probabilities)
    if not isinstance(model, Model):
        raise HeadError(f"a map file takes a fitted model, such as load_model(folder); found {format_value(model)}")
    out = Path(out)
    check_map_path(out, probabilities=probabilities)
    check_replaces_map(out)
    stack = open_stack(stores)
    features = model.match_store(stack)
    rows, cols, _ = features.shape
    if rule := smoothing_rule(model, smooth):
        check_memory(rule, (rows, cols), len(model.head.classes_))
    check_map_fits(out, (rows, cols), model.legend, probabilities=probabilities)
    with open_executor(executor, listen) as opened:
        if probabilities:
            blocks = predict_probabilities(stack, model, smooth=smooth, executor=opened, listen=listen)
            notes = write_probabilities(out, blocks, (rows, cols), model.legend, features.georeference)
        else:
            classes = predict_map(stack, model, smooth=smooth, executor=opened, listen=listen)
            notes = write_map(out, classes, model.legend, features.georeference)
    mapped = int(np.count_nonzero(readable_pixels(features, model.layout)))
    if mapped < np.count_nonzero(features.valid):
        notes += (f"{features.name} holds planes at {format_count(mapped, 'pixel')} only: the others are left empty",)
    return notes


def smoothing_rule(model: Model | Head, smooth: str | None = None) -> SmoothingRule | None:
    """Return the rule that smooths the map of a model, or None if the map is not smoothed.

    Parameters
    ----------
    model : Model or Head
        A model, or a head. A head has no rule of its own.
    smooth : str, optional
        Rule that replaces the rule of the model, see `classifiers.parse_smoothing`. [default: the rule of the model]
    """
    if smooth is None:
        smooth = model.smooth if isinstance(model, Model) else None
    return None if smooth is None else parse_smoothing(smooth)


def _matched(stores: StoreLike | Sequence[StoreLike], model: Model | Head, listen: Listener) -> tuple[Features, Head]:
    features = open_stack(stores)
    if not isinstance(model, Model | Head) or not hasattr(getattr(model, "head", model), "classes_"):
        raise HeadError(f"a map needs a fitted model or head, such as load_model(folder); found {format_value(model)}")
    return (features, model) if isinstance(model, Head) else (model.match_store(features, listen), model.head)


def _workers(features: Features, model: Model | Head, executor: Executor | None) -> BlockWorkers | None:
    if executor is None:
        return None
    if isinstance(model, Head):
        raise HeadError(
            "an executor loads the model in each of its workers: save it, and predict with load_model(folder)"
        )
    return BlockWorkers(executor, features, model)
