"""Samples: the features of selected pixels of a store, sent as an Arrow stream in blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hsifeat.features.export_table import cut_ranges
from hsifeat.features.features import Features
from hsifeat.service.problems import ProblemError
from hsifeat.store.plane_layout import PlaneSpec

MEDIA_TYPE = "application/vnd.apache.arrow.stream"
_BLOCK_BYTES = 2**24
# The end of an Arrow stream: a continuation marker and a message of length 0.
_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
Pixel = Annotated[int, Field(ge=0, lt=2**31)]


class SampleRequest(BaseModel):
    """Request for a sample: the pixels, and the planes whose features are read at these pixels."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rows: Annotated[list[Pixel] | None, Field(description="Row of each pixel; needs `cols`.")] = None
    cols: Annotated[list[Pixel] | None, Field(description="Column of each pixel; needs `rows`.")] = None
    labels: Annotated[
        str | None, Field(max_length=200, description="Label map whose labelled pixels replace `rows` and `cols`.")
    ] = None
    planes: Annotated[
        list[Annotated[str, Field(max_length=300)]] | None,
        Field(max_length=5000, description="Planes by name, with * and ?; null for all, [] for none."),
    ] = None
    spectra: Annotated[bool, Field(description="Whether to send the spectra of the pixels as well.")] = False
    pool: Annotated[
        int | None, Field(ge=1, le=255, description="Side in pixels of the windows to average over; null for none.")
    ] = None

    @model_validator(mode="after")
    def _check_pixels(self) -> Self:
        if (self.labels is None) == (self.rows is None) or (self.rows is None) != (self.cols is None):
            raise ValueError("send either rows and cols, or labels")
        if self.rows is not None and self.cols is not None and len(self.rows) != len(self.cols):
            raise ValueError("rows and cols must have the same length")
        return self


@dataclass(frozen=True, eq=False)
class Sample:
    """The pixels and planes of a sample. `stream` reads the features.

    Attributes
    ----------
    features : Features
        Features of the store.
    rows, cols : (n,) intp arrays
        Row and column of each pixel.
    classes : (n,) int32 array or None
        If a label map selects the pixels, the class number of each pixel; otherwise None.
    planes : list of PlaneSpec
        Planes to read.
    spectra : bool
        Whether to read the spectra of the pixels.
    pool : int or None
        Side in pixels of a square window around each pixel, over which features are averaged. None for no average.
    metadata : dict of str to str
        Metadata of the Arrow schema.
    """

    features: Features
    rows: NDArray[np.intp]
    cols: NDArray[np.intp]
    classes: NDArray[np.int32] | None
    planes: list[PlaneSpec]
    spectra: bool
    pool: int | None
    metadata: dict[str, str]

    @property
    def pixel_bytes(self) -> int:
        """Size in bytes of all values of one pixel."""
        bands = self.features.shape[2] if self.spectra else 0
        return 12 + 4 * (bands + sum(plane.channels for plane in self.planes))

    def stream(self) -> Iterator[bytes]:
        """Yield the messages of an Arrow stream: the schema, blocks of pixels, and the end."""
        schema = self._schema()
        # The first block is read before the schema is sent, because an error after that can't change the HTTP status.
        first: bytes | None = schema.serialize().to_pybytes()
        for start, stop in self._ranges():
            block = self._block(schema, start, stop)
            if first is not None:
                yield first
                first = None
            yield block
        yield (first or b"") + _END

    def _ranges(self) -> Iterator[tuple[int, int]]:
        length = max(_BLOCK_BYTES // self.pixel_bytes, 1)
        if self.classes is None or not len(self.rows):
            yield from ((start, min(start + length, len(self.rows))) for start in range(0, len(self.rows), length))
            return
        # Pixels of a label map are in row-major order. Blocks end at a row of shards, so that no shard is read twice.
        side = self.features.store.layout.cube_shard_px
        ends = np.searchsorted(self.rows, np.arange(0, self.features.shape[0] + side, side))
        yield from cut_ranges(ends, length)

    def _schema(self) -> pa.Schema:
        fields = [pa.field("row", pa.int32(), nullable=False), pa.field("col", pa.int32(), nullable=False)]
        if self.classes is not None:
            fields.append(pa.field("class", pa.int32(), nullable=False))
        if self.spectra:
            fields.append(_vector("spectrum", self.features.shape[2], {}))
        for plane in self.planes:
            facts = {
                "t": str(plane.id.t),
                "layer": plane.id.layer,
                "stride": str(plane.stride),
                "pool": str(self.pool or 0),
            }
            fields.append(_vector(str(plane.id), plane.channels, facts))
        return pa.schema(fields, metadata=self.metadata)

    def _block(self, schema: pa.Schema, start: int, stop: int) -> bytes:
        rows, cols = self.rows[start:stop], self.cols[start:stop]
        columns = [pa.array(rows.astype(np.int32)), pa.array(cols.astype(np.int32))]
        if self.classes is not None:
            columns.append(pa.array(self.classes[start:stop]))
        if self.spectra:
            columns.append(_vectors(self.features.spectra(rows, cols)))
        columns += [_vectors(self.features.sample(rows, cols, [plane], pool=self.pool)) for plane in self.planes]
        batch = pa.record_batch(columns, schema=schema)
        return bytes(batch.serialize().to_pybytes())


def prepare_sample(features: Features, wanted: SampleRequest, *, max_pixels: int, max_bytes: int) -> Sample:
    """Find the pixels and planes of a sample. No features are read.

    Parameters
    ----------
    features : Features
        Features of the store.
    wanted : SampleRequest
        The requested pixels and planes. A label map may select the pixels.
    max_pixels, max_bytes : int
        Maximum number of pixels of the sample, and maximum size of all values in bytes.

    Returns
    -------
    Sample
        The sample. `Sample.stream` reads the features.

    Raises
    ------
    ProblemError
        If the sample has too many pixels or bytes.
    HsifeatError
        If a plane or label map does not exist, or if a pixel lies outside of the scene.
    """
    planes = features.select(wanted.planes)
    metadata = {"key": features.key, "scene": features.store.manifest.scene.name}
    classes = None
    if wanted.labels is not None:
        labels = features.valid_labels(features.labels(wanted.labels))
        rows, cols = np.nonzero((labels.classes != 0) & features.readable)
        classes = labels.classes[rows, cols].astype(np.int32)
        names = {str(number): name for number, name in labels.class_names.items()}
        metadata |= {"labels": labels.name, "class_names": json.dumps(names)}
    else:
        rows, cols = (np.asarray(indices or [], np.intp) for indices in (wanted.rows, wanted.cols))
        outside = (rows >= features.shape[0]) | (cols >= features.shape[1])
        if outside.any():
            raise ProblemError(
                422,
                f"pixel ({rows[outside][0]}, {cols[outside][0]}) lies outside of the scene of {features.shape[0]} x "
                f"{features.shape[1]} pixels",
            )
    sample = Sample(features, rows, cols, classes, planes, wanted.spectra, wanted.pool, metadata)
    size = len(rows) * sample.pixel_bytes
    if len(rows) > max_pixels or size > max_bytes:
        raise ProblemError(
            413,
            f"the sample has {len(rows)} pixels and {size} bytes; allowed are {max_pixels} pixels and {max_bytes} bytes: ask for "
            "fewer pixels or planes, or read the stored planes",
        )
    return sample


def _vector(name: str, length: int, metadata: dict[str, str]) -> pa.Field:
    return pa.field(name, pa.list_(pa.field("item", pa.float32()), length), nullable=False, metadata=metadata or None)


def _vectors(values: NDArray[np.float32]) -> Any:
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
