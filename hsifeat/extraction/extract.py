"""Extract the features of a scene into a store, with one function call."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Never

from hsifeat.errors import HsifeatError, suggest_names
from hsifeat.extraction.config import ExtractionConfig, Padding, Stitch, StoredDtype
from hsifeat.extraction.prepare import prepare
from hsifeat.extraction.resolve import resolve_config
from hsifeat.extraction.run import run
from hsifeat.runtime.events import Listener, silent
from hsifeat.runtime.executor import Executor
from hsifeat.runtime.executor_plugins import check_executor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hsifeat.backbones.protocol import Backbone
    from hsifeat.extraction.tiling.pixel_list import PixelsLike
    from hsifeat.projection import Projection
    from hsifeat.scenes import Scene
    from hsifeat.store.location import Location
    from hsifeat.store.store import Store


def extract(
    scene: Scene | str | Path,
    *,
    backbone: Backbone | str | Path | None = None,
    timesteps: Sequence[int] | str | None = None,
    layers: Sequence[str] | str | None = None,
    projection: Projection | str | None = None,
    tile: int | None = None,
    halo: int | None = None,
    stitch: Stitch | None = None,
    padding: Padding | None = None,
    origin: tuple[int, int] | None = None,
    pixels: PixelsLike | None = None,
    noise: str | None = None,
    draws: int | None = None,
    seed: int | None = None,
    companion: bool | None = None,
    class_label: int | str | None = None,
    prompt: str | None = None,
    upsample: int | None = None,
    dtype: StoredDtype | None = None,
    mantissa_bits: int | None = None,
    batch: int | Literal["auto"] | None = None,
    preset: str | Path | None = None,
    like: Store | str | Path | None = None,
    out: Location | str | Path | None = None,
    device: str = "auto",
    executor: Executor | str | None = None,
    listen: Listener = silent,
    **unknown: Never,
) -> Store:
    """Extract diffusion features of a scene into a store.

    Features of one layer at one timestep form a plane of the store. Planes that are already complete in an existing store
    are not computed again.

    If `preset` or `like` is set, options that are None are taken from this preset or store. If neither is set, `backbone`
    decides. If it is None or ``"natural32"``, these options come from the preset ``natural32``. If it is another
    backbone, they have the defaults below.

    Parameters
    ----------
    scene : Scene, str or Path
        A scene, or a path or name that `open_scene` accepts.
    backbone : Backbone, str or Path, optional
        A diffusion model, or a path or name that `open_backbone` accepts. ``"context"`` computes context features, which
        need no model. [default: ``"natural32"``, which is in the package]
    timesteps : sequence of int or str, optional
        Training timesteps, or ``"auto:N"`` for the N timesteps that `rank_timesteps` proposes. [default: 0, 50, 100,
        200 and 400 for a model with 1000 training timesteps, scaled by `NoiseSchedule.scale` for other models; 0 for
        ``"context"``]
    layers : sequence of str or str, optional
        Names or aliases of layers of the backbone. [default: the middle block and all decoder blocks, except blocks
        that the network computes at none of the timesteps; the default filters for ``"context"``]
    projection : Projection or str, optional
        Projection from the bands of the scene to the input channels of the backbone. Either a fitted projection, or
        ``"rgb"``, ``"pca:N"``, ``"bands:i,j,k"`` or ``"all"``. The text can contain options, as in ``"rgb:gamma=0.4"``.
        [default: the projection that the backbone was trained with, else ``"rgb"`` for a backbone with three channels,
        else ``"pca:N"`` for a backbone with N channels]
    tile : int, optional
        Side of a tile, or of the window around each pixel of `pixels`, in scene pixels. [default: 64]
    halo : int, optional
        Width of the margin around the core of each tile, in scene pixels. Neighbouring tiles overlap by twice this width.
        [default: 16]
    stitch : {"core", "mean", "hann", "whole"}, optional
        How feature maps of tiles are combined. ``"core"`` keeps the core of each tile. ``"mean"`` and ``"hann"``
        average overlapping tiles with equal or Hann weights. ``"whole"`` processes the scene as a single tile.
        [default: ``"core"``]
    padding : {"reflect", "zero"}, optional
        Padding of the scene beyond its edge, by reflection or by zeros. [default: ``"reflect"``]
    origin : tuple of 2 ints, optional
        Row and column of the upper left corner of the first tile. [default: one halo above and left of the scene]
    pixels : str, Labels, tuple of two arrays, (n, 2) integer array, DataFrame or Arrow table, optional
        Pixels at which to extract features, instead of the whole scene. The model processes a window of side `tile`
        around each pixel. The store gets the features at the pixel, and their mean over the window. A label map, or the
        name of a label map in the scene, selects all pixels that the map labels. Arrays give rows and columns. A
        DataFrame or an Arrow table must have the columns ``row`` and ``col``.
    noise : str, optional
        Noise policy: ``"field"`` (one noise field over the scene), ``"shared"`` (the same noise for all tiles), ``"none"``
        or ``"inversion:N"`` (N steps of DDIM inversion). [default: ``"field"``]
    draws : int, optional
        Number of noise draws over which features are averaged. [default: 1]
    seed : int, optional
        Seed of the noise, and of the weights of an untrained backbone. [default: 0]
    companion : bool, optional
        Whether the input of the backbone is the companion image of the scene instead of the bands of the scene. A companion
        image is a finer image of the same area, such as an RGB image; ``open_scene(SCENE, companion=FILE)`` attaches it.
        [default: False]
    class_label : int or str, optional
        Class label for a class-conditional backbone, or ``"mean"`` for the mean of all label embeddings.
    prompt : str, optional
        Text prompt for a text-conditional backbone.
    upsample : int, optional
        Factor by which the sides of tiles are enlarged for a latent backbone or an image encoder. [default: 8]
    dtype : {"float16", "float32"}, optional
        Data type of the stored features. [default: ``"float16"``]
    mantissa_bits : int, optional
        Number of bits of the mantissa of float16 to keep, from 1 to 10. Fewer bits compress better. [default: 10]
    batch : int or "auto", optional
        Maximum number of tiles per forward pass. [default: the batch of an existing store, else 16, or fewer (at least 4) for
        large tiles on a CPU]
    preset : str or Path, optional
        Name or ``.toml`` file of a published extraction, from which unset options are taken.
    like : Store, str or Path, optional
        A store from which unset options and the fitted projection are taken.
    out : Location, str or Path, optional
        Path or URL of the store. [default: a folder in the cache, named after the scene, the backbone
        and the key of the store]
    device : str
        ``"cpu"``, ``"cuda"``, or ``"auto"`` for a GPU if there is one.
    executor : Executor or str, optional
        Runs the units (blocks) of the scene, for example in several processes with `local_executor`, or on a cluster with
        `dask_executor`. A text such as ``dask:local:2`` opens an executor for this call; a script needs
        ``if __name__ == "__main__":``. [default: this process computes the units]
    listen : callable
        Receives progress events.
    **unknown
        Refused with an error that names the nearest option, or says that `open_scene` takes the option.

    Returns
    -------
    Store
        The store, in which all requested planes are complete.

    Raises
    ------
    HsifeatError
        If an option is wrong, or has no effect in combination with other options. If the scene or backbone can't be opened.
        If the store has planes of another scene, backbone or options. If the disk has too little free space. If an array in
        memory was changed after a value of its scene was computed, or the file of an array was closed. If a map in the dict
        `scene.labels` does not fit the scene.

    Examples
    --------
    >>> import numpy as np
    >>> import hsifeat
    >>> scene = hsifeat.Scene("small", np.random.default_rng(0).random((64, 64, 12), np.float32))
    >>> store = hsifeat.extract(scene, backbone="backbone", timesteps=[0, 50], tile=32, halo=8, out="s.zarr")
    """
    arguments: dict[str, Any] = dict(locals())
    if "see_companion" in unknown or isinstance(companion, str | Path):
        raise HsifeatError(
            "to extract from the companion image, give hsifeat.open_scene(SCENE, companion=FILE) as the scene, and companion=True"
        )
    if unknown:
        raise _unknown_option(next(iter(unknown)))
    check_executor(executor, listen)
    options = {name: arguments[name] for name in ExtractionConfig.model_fields}
    config = resolve_config(options, preset=preset, like=like, listen=listen)
    job = prepare(scene, config, out=out, device=device, listen=listen)
    return run(job, executor=executor, listen=listen)


def _unknown_option(name: str) -> HsifeatError:
    from hsifeat.scenes import open_scene

    if name in inspect.signature(open_scene).parameters:
        return HsifeatError(f"{name} is an option of reading: give hsifeat.open_scene(SCENE, {name}=…) as the scene")
    return HsifeatError(
        f"{name}: unknown option; {suggest_names(name, list(inspect.signature(extract).parameters)[:-1])}"
    )
