"""Options of `hsifeat.import_planes`. The command line and the options page derive from this module."""

from __future__ import annotations

from typing import Annotated

from hsifeat.base_config import BaseConfig, PathText, Whole, option
from hsifeat.extraction.config import StoredDtype


class ImportConfig(BaseConfig):
    """Options of `hsifeat.import_planes`."""

    stride: Annotated[
        Whole | None,
        option(
            "Side of a cell of the features, in scene pixels. Features on another grid are resampled to this cell size.",
            unit="px",
            default="computed from the grids of the features and the scene",
            ge=1,
            le=2**16,
        ),
    ] = None
    window: Annotated[
        Whole | None,
        option(
            "Side of the window of scene pixels from which the encoder computes the features of a cell; the stride if it processes "
            "each cell alone. Reports compute the leakage from this window.",
            unit="px",
            default="unknown, which counts as the whole scene",
            ge=1,
            le=2**20,
        ),
    ] = None
    grid: Annotated[
        PathText | None,
        option(
            "Raster with the CRS and transform of feature files that have none, such as the land mask of a TESSERA tile.",
            metavar="FILE",
            default="none",
        ),
    ] = None
    dequantise: Annotated[
        PathText | None,
        option(
            "Restores values that are stored as integers: 'alphaearth', or a file of factors, as FILE or FILE:VARIABLE, with one "
            "factor per cell or per value.",
            metavar="alphaearth|FILE",
            default="X_scales.npy beside an integer X.npy, else none",
        ),
    ] = None
    feature_axes: Annotated[
        str | None,
        option(
            "Order of the axes of feature files whose format defines none, such as bands,rows,cols, where bands are the "
            "channels.",
            metavar="AXES",
            default="the order that fits the scene",
        ),
    ] = None
    feature_nodata: Annotated[
        float | None,
        option("Value of cells without features.", default="as declared by the files"),
    ] = None
    dtype: Annotated[
        StoredDtype | None,
        option(
            "Data type of the stored features.",
            default="float16 for files of 8-bit or float16 values that declare no scale or offset, else float32",
        ),
    ] = None
