"""Features at labelled or at all pixels as one table in a file for other tools, written a block at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import StoreError
from hsifeat.features.features import Features, PlaneLike
from hsifeat.files import whole, write_whole
from hsifeat.runtime.events import Advanced, Finished, Listener, Started, silent
from hsifeat.scenes import Labels
from hsifeat.store.layout import PlaneSpec

# A block is what is held in memory at once, and a row group of a Parquet file; beside its values a pixel has a place, a
# class and a line of text.
_BLOCK_BYTES = 2**26
_PIXEL_BYTES = 256
# A variable of MATLAB's format 5 is smaller than this.
_MAT_BYTES = 2**31


@dataclass(frozen=True, eq=False)
class Block:
    """Some rows of the table: n pixels in row-major order of the scene.

    Attributes
    ----------
    rows, cols : (n,) integer arrays
        Where each pixel lies, from 0.
    classes : (n,) integer array
        Class of each pixel, 0 = unlabelled.
    values : (n, D) float32 array
        Features, as `Table.columns` names them.
    """

    rows: NDArray[np.intp]
    cols: NDArray[np.intp]
    classes: NDArray[np.integer]
    values: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Table:
    """What is exported: settled before any feature is read.

    Attributes
    ----------
    features : Features
        The store.
    planes : list of PlaneSpec
        Planes whose channels are columns.
    spectra : bool
        Whether the bands of the scene come before them.
    mask : (rows, cols) bool array
        Pixels that are rows of the table.
    labels : Labels
        Where their classes come from.
    """

    features: Features
    planes: list[PlaneSpec]
    spectra: bool
    mask: NDArray[np.bool_]
    labels: Labels

    @cached_property
    def columns(self) -> list[str]:
        """Name of each feature: ``band[3]``, ``t50/up_blocks.2[17]``; bands and channels count from 0."""
        bands = [f"band[{band}]" for band in range(self.features.scene.bands)] if self.spectra else []
        return bands + [f"{plane.id}[{channel}]" for plane in self.planes for channel in range(plane.channels)]

    @cached_property
    def pixels(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.mask))

    def facts(self) -> dict[str, Any]:
        """Return what a reader should know besides the values, as plain JSON values."""
        scene = self.features.scene
        return {
            "store": self.features.name,
            "recipe_key": self.features.key,
            "scene": scene.name,
            "licence": scene.licence,
            "citation": scene.citation,
            "labels": self.labels.name,
            "class_names": {str(number): name for number, name in self.labels.class_names.items()},
        }

    def blocks(self) -> Iterator[Block]:
        """Read the table in blocks of bounded size, pixels in row-major order of the scene."""
        before = np.concatenate([[0], np.cumsum(self.mask.sum(axis=1))])
        ends = np.append(before[:: self.features.store.layout.cube_shard_px], before[-1])
        for start, stop in cuts(ends, max(_BLOCK_BYTES // (4 * len(self.columns) + _PIXEL_BYTES), 1)):
            rows, cols = _between(self.mask, before, start, stop)
            yield Block(rows, cols, self.labels.classes[rows, cols], self._values(rows, cols))

    def _values(self, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[np.float32]:
        values = np.empty((len(rows), len(self.columns)), np.float32)
        first = self.features.scene.bands if self.spectra else 0
        if self.spectra:
            values[:, :first] = self.features.spectra(rows, cols)
        for plane in self.planes:
            values[:, first : first + plane.channels] = self.features.sample(rows, cols, [plane])
            first += plane.channels
        return values


def export(
    features: Features,
    out: str | Path,
    *,
    planes: Sequence[PlaneLike] | None = None,
    labels: str | None = None,
    every: bool = False,
    spectra: bool = False,
    listen: Listener = silent,
) -> list[Path]:
    """Write features at pixels into a file for other tools; memory is bounded whatever the scene's size.

    Parameters
    ----------
    features : Features
        The store.
    out : str or Path
        ``.npy`` (an (n, D) float32 array; beside it ``.pixels.csv`` with row, col, class of each of its rows, and
        ``.columns.json`` with the columns' names), ``.parquet`` (columns row, col, class, class_name, then one a
        feature) or ``.mat`` (X, y, rows, cols, columns, and the names in classes of the class_numbers; held in memory, less than 2 GiB). Rows and columns
        of the scene count from 0 in all of them. A file that is there is replaced.
    planes : sequence, optional
        As `Features.select` takes them; None takes all, an empty sequence none.
    labels : str, optional
        Name of a label map; by default the only one there.
    every : bool
        Take all valid pixels; those without a label have class 0. By default the labelled ones.
    spectra : bool
        Whether the spectra come before the planes.
    listen : callable
        Gets events of progress.

    Returns
    -------
    list of Path
        The files, the one asked for first.

    Raises
    ------
    StoreError
        Another suffix, a missing folder, no such plane or labels, no pixel, more than a ``.mat`` holds.
    """
    path = Path(out)
    write = _writer(path)
    table = _settle(features, planes, labels, every=every, spectra=spectra)
    if write is _write_mat:
        _check_mat(path, table)
    task = f"export {features.name}"
    listen(Started(task, table.pixels, "pixels"))

    def told() -> Iterator[Block]:
        done = 0
        for block in table.blocks():
            yield block
            done += len(block.rows)
            listen(Advanced(task, done))

    files = write(path, table, told())
    listen(Finished(task))
    return files


def cuts(ends: NDArray[np.integer], most: int) -> Iterator[tuple[int, int]]:
    """Cut 0 … ends[-1] into slices of at most `most`, at one of the `ends` where one is in reach.

    >>> list(cuts(np.array([0, 40, 70, 300]), 100))
    [(0, 70), (70, 170), (170, 270), (270, 300)]
    """
    start = 0
    while start < ends[-1]:
        reach = start + most
        end = int(ends[np.searchsorted(ends, reach, "right") - 1])
        stop = end if end > start else reach
        yield start, stop
        start = stop


def _between(
    mask: NDArray[np.bool_], before: NDArray[np.integer], start: int, stop: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pixels `start` to `stop` of a mask in row-major order; `before` counts those above each row."""
    top, bottom = int(np.searchsorted(before, start, "right")) - 1, int(np.searchsorted(before, stop))
    rows, cols = np.nonzero(mask[top:bottom])
    chosen = slice(start - int(before[top]), stop - int(before[top]))
    return rows[chosen] + top, cols[chosen]


def _settle(
    features: Features, planes: Sequence[PlaneLike] | None, labels: str | None, *, every: bool, spectra: bool
) -> Table:
    picked, there = features.select(planes), features.store.labels
    if not picked and not spectra:
        raise StoreError(f"nothing of {features.name} to export: name planes with --planes, or take --spectra")
    if labels is None and not there:
        if not every:
            raise StoreError(
                f"{features.name} holds no label map: take all valid pixels with --all, or add labels with "
                "hsifeat extract SCENE --labels FILE"
            )
        nothing = Labels("", np.zeros(features.valid.shape, np.uint8))
    chosen = features.usable(features.labels(labels) if there or labels else nothing)
    mask = features.valid if every else chosen.classes != 0
    if not mask.any():
        raise StoreError(f"{features.name} has no {'valid' if every else 'labelled'} pixel: there is nothing to export")
    return Table(features, picked, spectra, mask, chosen)


Writer = Callable[[Path, Table, Iterator[Block]], list[Path]]


def _writer(path: Path) -> Writer:
    """Return the writer for a path; `StoreError` where none fits or nothing can be written there."""
    writers: dict[str, Writer] = {".npy": _write_npy, ".parquet": _write_parquet, ".mat": _write_mat}
    if path.suffix.lower() not in writers:
        raise StoreError(f"features are exported as {', '.join(writers)}; found {path.name!r}")
    if not path.parent.is_dir():
        raise StoreError(f"no such folder: {path.parent}")
    if path.is_dir():
        raise StoreError(f"{path} is a folder: name a file")
    return writers[path.suffix.lower()]


def _write_npy(path: Path, table: Table, blocks: Iterator[Block]) -> list[Path]:
    pixels, columns = path.with_suffix(".pixels.csv"), path.with_suffix(".columns.json")
    # Left in reverse order: where the array is, what explains it is there already.
    with ExitStack() as files:
        array = files.enter_context(files.enter_context(whole(path)).open("wb"))
        lines = files.enter_context(files.enter_context(whole(pixels)).open("w", encoding="utf-8"))
        # Not through a memory map: where the disk is full it kills the process, and a plain write raises an error.
        header = {"descr": "<f4", "fortran_order": False, "shape": (table.pixels, len(table.columns))}
        np.lib.format.write_array_header_1_0(array, header)
        lines.write("row,col,class\n")
        for block in blocks:
            array.write(block.values.astype("<f4", copy=False).data)
            numbers = np.column_stack([block.rows, block.cols, block.classes])
            lines.writelines(f"{row},{col},{number}\n" for row, col, number in numbers.tolist())
        write_whole(columns, json.dumps({**table.facts(), "columns": table.columns}, indent=1) + "\n")
    return [path, pixels, columns]


def _write_parquet(path: Path, table: Table, blocks: Iterator[Block]) -> list[Path]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = {0: "unlabelled", **table.labels.class_names}
    numbers = np.array(sorted(names))
    words = pa.array([names[number] for number in sorted(names)])
    fields = [("row", pa.int32()), ("col", pa.int32()), ("class", pa.int32())]
    fields += [("class_name", pa.dictionary(pa.int32(), pa.string()))]
    fields += [(name, pa.float32()) for name in table.columns]
    schema = pa.schema(fields, metadata={"hsifeat": json.dumps(table.facts())})
    with whole(path) as part, pq.ParquetWriter(part, schema, compression="zstd") as file:
        for block in blocks:
            which = pa.array(np.searchsorted(numbers, block.classes), pa.int32())
            columns = [pa.array(values, pa.int32()) for values in (block.rows, block.cols, block.classes)]
            columns.append(pa.DictionaryArray.from_arrays(which, words))
            columns += [pa.array(values) for values in block.values.T]
            file.write_table(pa.table(columns, schema=schema), row_group_size=len(block.rows))
    return [path]


def _check_mat(path: Path, table: Table) -> None:
    size = 4 * table.pixels * len(table.columns)
    if size >= _MAT_BYTES:
        raise StoreError(
            f"{path.name}: {table.pixels} pixels x {len(table.columns)} columns are {size / 2**30:.1f} GiB, and a variable "
            f"of a .mat file is smaller than {_MAT_BYTES / 2**30:g} GiB: write .npy or .parquet, or fewer --planes"
        )


def _write_mat(path: Path, table: Table, blocks: Iterator[Block]) -> list[Path]:
    from scipy.io import savemat

    X = np.empty((table.pixels, len(table.columns)), np.float32, order="F")
    key = np.empty((table.pixels, 3), np.int32)
    done = 0
    for block in blocks:
        some = slice(done, done + len(block.rows))
        X[some] = block.values
        key[some] = np.column_stack([block.rows, block.cols, block.classes])
        done = some.stop
    names = table.labels.class_names
    content = {
        "X": X,
        "rows": key[:, 0],
        "cols": key[:, 1],
        "y": key[:, 2],
        "classes": np.array(list(names.values()), object),
        "class_numbers": np.array(list(names), np.int32),
        "columns": np.array(table.columns, object),
        "recipe_key": table.features.key,
    }
    with whole(path) as part, part.open("wb") as file:
        savemat(file, content, oned_as="column", do_compression=False)
    return [path]
