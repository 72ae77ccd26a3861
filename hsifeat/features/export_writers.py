"""Writers of exported tables: NumPy with CSV and JSON beside it, Parquet, and MATLAB."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import numpy as np

from hsifeat.errors import StoreError
from hsifeat.features.export_table import ExportTable, TableBlock
from hsifeat.files import atomic_write, write_file

# Limit of a variable in MATLAB's format 5.
_MAT_BYTES = 2**31


class TableWriter(Protocol):
    """Writes a table in one file format."""

    def check(self, path: Path, table: ExportTable) -> None:
        """Raise `StoreError` if the format cannot hold the table."""
        ...

    def write(self, path: Path, table: ExportTable, blocks: Iterator[TableBlock]) -> list[Path]:
        """Write the table and return the files written; each appears complete or not at all.

        Parameters
        ----------
        path : Path
            The main file; others lie beside it under names derived from it.
        table : ExportTable
            Pixels, labels and columns of the table.
        blocks : iterator of TableBlock
            Rows of the table, in order.

        Returns
        -------
        list of Path
            The files.

        Raises
        ------
        StoreError
            The format cannot hold the table.
        """
        ...


def writer_for(path: Path) -> TableWriter:
    """Return the writer for a path.

    Raises
    ------
    StoreError
        The suffix is unknown, the folder does not exist, or the path is a folder.
    """
    writers: dict[str, TableWriter] = {".npy": NumpyWriter(), ".parquet": ParquetWriter(), ".mat": MatlabWriter()}
    if path.suffix.lower() not in writers:
        raise StoreError(f"features are exported as {', '.join(writers)}; found {path.name!r}")
    if not path.parent.is_dir():
        raise StoreError(f"no such folder: {path.parent}; create it first")
    if path.is_dir():
        raise StoreError(f"{path} is a folder: name a file")
    return writers[path.suffix.lower()]


class NumpyWriter:
    """Writes an (n, D) float32 ``.npy`` file, a ``.pixels.csv`` and a ``.columns.json``."""

    def check(self, path: Path, table: ExportTable) -> None:
        """Accept any table."""

    def write(self, path: Path, table: ExportTable, blocks: Iterator[TableBlock]) -> list[Path]:
        """Write the array and the two files that explain it. See `TableWriter.write`."""
        pixels, columns = path.with_suffix(".pixels.csv"), path.with_suffix(".columns.json")
        # Contexts end in reverse order: when the array appears, the files that explain it are there.
        with ExitStack() as files:
            array = files.enter_context(files.enter_context(atomic_write(path)).open("wb"))
            lines = files.enter_context(files.enter_context(atomic_write(pixels)).open("w", encoding="utf-8"))
            # Not through a memory map: on a full disk it kills the process, while a plain write raises an error.
            header = {"descr": "<f4", "fortran_order": False, "shape": (table.pixels, len(table.columns))}
            np.lib.format.write_array_header_1_0(array, header)
            lines.write("row,col,class\n")
            for block in blocks:
                array.write(block.values.astype("<f4", copy=False).data)
                numbers = np.column_stack([block.rows, block.cols, block.classes])
                lines.writelines(f"{row},{col},{number}\n" for row, col, number in numbers.tolist())
            write_file(columns, json.dumps({**table.metadata(), "columns": table.columns}, indent=1) + "\n")
        return [path, pixels, columns]


class ParquetWriter:
    """Writes a ``.parquet`` file, one row group per block."""

    def check(self, path: Path, table: ExportTable) -> None:
        """Accept any table."""

    def write(self, path: Path, table: ExportTable, blocks: Iterator[TableBlock]) -> list[Path]:
        """Write the Parquet file. See `TableWriter.write`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        class_names = {0: "unlabelled", **table.labels.class_names}
        numbers = np.array(sorted(class_names))
        dictionary = pa.array([class_names[number] for number in sorted(class_names)])
        fields = [("row", pa.int32()), ("col", pa.int32()), ("class", pa.int32())]
        fields += [("class_name", pa.dictionary(pa.int32(), pa.string()))]
        fields += [(name, pa.float32()) for name in table.columns]
        schema = pa.schema(fields, metadata={"hsifeat": json.dumps(table.metadata())})
        with atomic_write(path) as part, pq.ParquetWriter(part, schema, compression="zstd") as file:
            for block in blocks:
                indices = pa.array(np.searchsorted(numbers, block.classes), pa.int32())
                columns = [pa.array(values, pa.int32()) for values in (block.rows, block.cols, block.classes)]
                columns.append(pa.DictionaryArray.from_arrays(indices, dictionary))
                columns += [pa.array(values) for values in block.values.T]
                file.write_table(pa.table(columns, schema=schema), row_group_size=len(block.rows))
        return [path]


class MatlabWriter:
    """Writes a ``.mat`` file of format 5, which is built in memory."""

    def check(self, path: Path, table: ExportTable) -> None:
        """Raise `StoreError` for a table of 2 GiB or more."""
        size_bytes = 4 * table.pixels * len(table.columns)
        if size_bytes >= _MAT_BYTES:
            raise StoreError(
                f"{path.name}: {table.pixels} pixels x {len(table.columns)} columns are {size_bytes / 2**30:.1f} GiB, and a "
                f"variable of a .mat file is smaller than {_MAT_BYTES / 2**30:g} GiB: write .npy or .parquet, or fewer "
                "--planes"
            )

    def write(self, path: Path, table: ExportTable, blocks: Iterator[TableBlock]) -> list[Path]:
        """Write the MATLAB file. See `TableWriter.write`."""
        from scipy.io import savemat

        X = np.empty((table.pixels, len(table.columns)), np.float32, order="F")
        pixels = np.empty((table.pixels, 3), np.int32)
        done = 0
        for block in blocks:
            rows = slice(done, done + len(block.rows))
            X[rows] = block.values
            pixels[rows] = np.column_stack([block.rows, block.cols, block.classes])
            done = rows.stop
        class_names = table.labels.class_names
        content = {
            "X": X,
            "rows": pixels[:, 0],
            "cols": pixels[:, 1],
            "y": pixels[:, 2],
            "classes": np.array(list(class_names.values()), object),
            "class_numbers": np.array(list(class_names), np.int32),
            "columns": np.array(table.columns, object),
            "recipe_key": table.features.key,
        }
        with atomic_write(path) as part, part.open("wb") as file:
            savemat(file, content, oned_as="column", do_compression=False)
        return [path]
