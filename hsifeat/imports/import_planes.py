"""Import, with one function call, features that another tool computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsifeat.extraction.job import Job
from hsifeat.extraction.prepare import default_path
from hsifeat.extraction.run import run
from hsifeat.imports.config import ImportConfig
from hsifeat.imports.open_feature_maps import FeatureSource, open_feature_maps
from hsifeat.imports.prepare_import import prepare_import
from hsifeat.runtime.events import Listener, check_listener, silent
from hsifeat.scenes import Scene, open_scene
from hsifeat.store.location import as_location

if TYPE_CHECKING:
    from hsifeat.extraction.config import StoredDtype
    from hsifeat.store.location import Location
    from hsifeat.store.store import Store


def import_planes(
    scene: Scene | str | Path,
    features: Mapping[str, FeatureSource] | Sequence[str | Path] | str | Path,
    *,
    stride: int | None = None,
    window: int | None = None,
    grid: str | Path | None = None,
    dequantise: str | Path | None = None,
    feature_axes: str | None = None,
    feature_nodata: float | None = None,
    dtype: StoredDtype | None = None,
    out: Location | str | Path | None = None,
    listen: Listener = silent,
) -> Store:
    """Import features of another tool into a store, on the grid of a scene.

    The features of an encoder, such as TESSERA, AlphaEarth or DINO, become planes at timestep 0. Heads and reports use these
    planes like planes of a diffusion model. Pixels without features are invalid in the store.

    Parameters
    ----------
    scene : Scene, str or Path
        A scene, or a path or name that `open_scene` accepts.
    features : mapping, sequence of str or Path, str or Path
        Features to import. The keys of a mapping are the names of the planes. Each value is a file, as ``FILE`` or
        ``FILE:VARIABLE``, or an array of shape (rows, cols, channels) with any integer or floating-point dtype. Masked
        cells of a masked array have no features. An `xarray.DataArray` is placed by its coordinates if the scene has a
        georeference. Otherwise, pixel coordinates must be those of the scene. Its no-data values, scale and offset are used
        as those of a NetCDF file. An item of a sequence is a file, or ``NAME=FILE`` with the name of the plane. Without a
        name, the plane is named after the variable or the file. A file is a raster or a table. A raster has any format that
        `open_scene` reads, such as ``.npy``, GeoTIFF, NetCDF or Zarr. A table is a ``.npy`` file that `export_features`
        wrote, and has the names of its planes.
    stride : int, optional
        Side of a cell of the features, in pixels of the scene. Features on another grid are resampled to this cell size.
        [default: computed from the grids of the features and the scene]
    window : int, optional
        Side in scene pixels of the window from which the encoder computes the features of a cell. Reports use this side to
        compute the leakage between training and test pixels. [default: unknown, which counts as the whole scene]
    grid : str or Path, optional
        Raster whose CRS and transform are used for feature files without georeference.
    dequantise : str or Path, optional
        How to restore values that are stored as integers: ``"alphaearth"``, or a file with one factor per cell or per value.
        [default: ``X_scales.npy`` beside an integer ``X.npy``, which may be given as ``np.load(…, mmap_mode="r")``, else
        None]
    feature_axes : str, optional
        Order of the axes of feature files whose format defines none, such as ``"bands,rows,cols"``. [default: the order that
        fits the scene]
    feature_nodata : float, optional
        Value that marks cells without features. NaN, infinities and the no-data values of a file or of an
        `xarray.DataArray` also mark such cells.
    dtype : {"float16", "float32"}, optional
        Data type of the stored features. [default: ``"float16"`` for files of 8-bit or float16 values that declare no
        scale or offset, else ``"float32"``]
    out : Location, str or Path, optional
        Path or URL of the store. [default: a folder in the cache, named after the scene, the planes and the key of the
        store]
    listen : callable
        Receives progress events.

    Returns
    -------
    Store
        The store, in which all planes are complete.

    Raises
    ------
    HsifeatError
        If a file can't be read. If features can't be placed on the grid of the scene, for example because a georeference is
        missing and the shapes do not fit. If no valid pixel has features. If `out` is a store of other features. If
        `feature_axes` is set for an array. If an array in memory was changed after a value of its scene was computed, or the
        file of an array was closed. If a map in the dict `scene.labels` does not fit the scene.

    Notes
    -----
    Scale factors and offsets that a file or an `xarray.DataArray` declares are applied. They are not applied to values that
    are dequantised, nor to the floating-point values of an array, which may already be scaled. Notes state what is applied
    and what is not.

    Cells that are squares of whole pixels are copied. If each pixel has k x k cells, the mean of these cells is stored.
    Features on any other grid or in another CRS are interpolated bilinearly, as by ``gdalwarp -r bilinear -et 0``.

    Examples
    --------
    >>> import numpy as np
    >>> import hsifeat
    >>> rng = np.random.default_rng(0)
    >>> scene = hsifeat.Scene("small", rng.random((64, 64, 12), np.float32))
    >>> store = hsifeat.import_planes(scene, {"encoder": rng.random((16, 16, 32), np.float32)}, out="encoder.zarr")
    >>> [(str(plane.id), plane.stride, plane.channels) for plane in store.planes]
    [('t0/encoder', 4, 32)]
    """
    arguments: dict[str, Any] = dict(locals())
    check_listener(listen)
    config = ImportConfig.from_options({name: arguments[name] for name in ImportConfig.model_fields})
    return run(prepare_job(scene, features, config, out=out, listen=listen), listen=listen)


def prepare_job(
    scene: Scene | str | Path,
    features: Mapping[str, FeatureSource] | Sequence[str | Path] | str | Path,
    config: ImportConfig,
    *,
    out: Location | str | Path | None = None,
    listen: Listener = silent,
) -> Job:
    """Prepare an import without writing anything; see `import_planes`."""
    if isinstance(scene, Scene):
        scene.check_unchanged()
    else:
        scene = open_scene(scene)
    prepared = prepare_import(scene, open_feature_maps(features, scene, config), config, listen)
    location = as_location(default_path(scene, prepared) if out is None else out)
    return Job(prepared.config, prepared.extractor, prepared.planes, prepared.recipe, location, "cpu")
