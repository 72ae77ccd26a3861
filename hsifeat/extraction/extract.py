"""Compute the features of a scene and store them: prepare and run in one call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hsifeat.extraction.config import ExtractionConfig, Padding, Stitch, StoredDtype
from hsifeat.extraction.prepare import prepare
from hsifeat.extraction.resolve import resolve_config
from hsifeat.extraction.run import run
from hsifeat.runtime.events import Listener, silent
from hsifeat.runtime.executor import Executor

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
    batch: int | Literal["auto"] | None = None,
    preset: str | Path | None = None,
    like: Store | str | Path | None = None,
    out: Location | str | Path | None = None,
    device: str = "auto",
    executor: Executor | None = None,
    listen: Listener = silent,
) -> Store:
    """Compute the diffusion features of a scene and store them; planes that the store already has are kept.

    An option that is None is taken from `preset` or `like`, or else is the default given below.

    Parameters
    ----------
    scene : Scene, str or Path
        A scene, or what `open_scene` takes.
    backbone : Backbone, str or Path, optional
        A backbone, or what `open_backbone` takes. Required unless `preset` or `like` names one.
    timesteps : sequence of int or str, optional
        Training timesteps; default 0, 50, 100, 200, 400. ``"auto:5"`` takes the 5 that `rank_timesteps` proposes.
    layers : sequence of str or str, optional
        Names or aliases of the backbone's layers; default the middle block and all decoder blocks.
    projection : Projection or str, optional
        Projection from bands to the backbone's channels: ``"rgb"``, ``"pca:N"``, ``"bands:i,j,k"`` or ``"all"``, with
        options such as ``"rgb:gamma=0.4"``, or a fitted one. Default the projection that the backbone was trained behind,
        else ``"rgb"`` for three channels and ``"pca:N"`` for N.
    tile : int, optional
        Side of a tile, or of the window around each of `pixels`, in scene pixels; default 64.
    halo : int, optional
        Width of a tile's margin around its core, in scene pixels; default 16. Neighbouring tiles overlap by twice as much.
    stitch : {"core", "mean", "hann", "whole"}, optional
        Keep each tile's core, blend overlapping tiles by mean or Hann weights, or take the scene as one tile; default
        ``"core"``.
    padding : {"reflect", "zero"}, optional
        What lies beyond the scene's edge: its mirror image, or zeros; default ``"reflect"``.
    origin : tuple of 2 ints, optional
        Row and column of the first tile's corner; default one halo above and left of the scene.
    pixels : str, Labels, tuple of two arrays or (n, 2) integer array, optional
        Instead of tiling the scene, take a window of `tile` pixels around each of these pixels, and store the features at
        the pixel and their mean over the window. The labelled pixels of a label map of the scene (by name) or of a
        `Labels`, or rows and columns.
    noise : str, optional
        Noise policy: ``"field"`` (one noise field over the scene), ``"shared"`` (the same noise for all tiles), ``"none"``
        or ``"inversion:N"`` (N steps of DDIM inversion); default ``"field"``.
    draws : int, optional
        Number of noise draws over which features are averaged; default 1.
    seed : int, optional
        Seed of the noise, and of an untrained backbone's weights; default 0.
    companion : bool, optional
        Show the backbone the scene's companion image instead of its bands; default False.
    class_label : int or str, optional
        Class label of a class-conditional backbone, or ``"mean"`` for the mean of all label embeddings.
    prompt : str, optional
        Text prompt of a backbone that takes one.
    upsample : int, optional
        Factor by which tiles are enlarged for a latent backbone; default 8.
    dtype : {"float16", "float32"}, optional
        Data type of the stored features; default ``"float16"``.
    batch : int or "auto", optional
        Largest number of tiles in a forward pass; default that of the store if it exists, else 16.
    preset : str or Path, optional
        Published extraction that unset options are taken from: a name, or a ``.toml`` file.
    like : Store, str or Path, optional
        Store that unset options are taken from, its fitted projection included.
    out : Location, str or Path, optional
        The store: a path or the URL of an object store. Default a folder in the cache, named after scene, backbone and key.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    executor : Executor, optional
        Runs the steps of the extraction, such as one from `local_executor`; by default one after the other in this process.
    listen : callable
        Gets the events of the run.

    Returns
    -------
    Store
        With all requested planes complete.

    Raises
    ------
    HsifeatError
        An option is wrong or has no effect in combination with others, something can't be opened, the store has another recipe, or the
        disk is too small.

    Examples
    --------
    >>> import numpy as np
    >>> import hsifeat
    >>> scene = hsifeat.Scene("small", np.random.default_rng(0).random((64, 64, 12), np.float32))
    >>> store = hsifeat.extract(scene, backbone="backbone", timesteps=[0, 50], tile=32, halo=8, out="s.zarr")
    """
    arguments: dict[str, Any] = dict(locals())
    options = {name: arguments[name] for name in ExtractionConfig.model_fields}
    config = resolve_config(options, preset=preset, like=like)
    job = prepare(scene, config, out=out, device=device, listen=listen)
    return run(job, executor=executor, listen=listen)
