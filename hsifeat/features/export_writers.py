"""Write exported tables to NumPy, Parquet and MATLAB files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import numpy as np

from hsifeat.errors import StoreError
from hsifeat.features.export_table import ExportTable, TableBlock
from hsifeat.files import atomic_write, check_output, check_replaced, check_utf8

# Maximum size of a variable in a MATLAB file of format 5.
_MAT_BYTES = 2**31


class TableWriter(Protocol):
    """Writer of tables in one file format."""

    def is_table(self, path: Path) -> bool:
        """Return whether an existing file is a table that this writer wrote."""
        ...

    def check(self, path: Path, table: ExportTable) -> None:
        """Raise `StoreError` if the format cannot hold the table."""
        ...

    def write(self, path: Path, table: ExportTable, blocks: Iterator[TableBlock]) -> list[Path]:
        """Write a table to a file.

        A file is renamed to its final name once it is complete, so that an error leaves no partial file.

        Parameters
        ----------
        path : Path
            The main file. Additional files are written to the same folder, under names derived from this path.
        table : ExportTable
            Column names and metadata of the table.
        blocks : iterator of TableBlock
            Rows of the table, in order.

        Returns
        -------
        list of Path
            The written files.

        Raises
        ------
        StoreError
            If the format cannot hold the table.
        """
        ...


def writer_for(path: Path) -> TableWriter:
    """Return the writer for the suffix of a path.

    Raises
    ------
    StoreError
        If the suffix is unknown. If the path is a folder, or lies in a folder that does not exist. If the path of a
        ``.parquet`` file is not UTF-8. If the file exists, and is no table that hsifeat wrote.
    """
    writers: dict[str, TableWriter] = {".npy": NumpyWriter(), ".parquet": ParquetWriter(), ".mat": MatlabWriter()}
    if path.suffix.lower() not in writers:
        raise StoreError(f"features are exported as {', '.join(writers)}; found {path.name!r}")
    check_output(path)
    if path.suffix.lower() == ".parquet":
        check_utf8(path)
    if not path.parent.is_dir():
        raise StoreError(f"no such folder: {path.parent}; create it first")
    if path.is_dir():
        raise StoreError(f"{path} is a folder: name a file")
    writer = writers[path.suffix.lower()]
    check_replaced(path, "table", writer.is_table)
    return writer


class NumpyWriter:
    """Writer of an (n, D) float32 ``.npy`` file, a ``.pixels.csv`` file and a ``.columns.json`` file."""

    def is_table(self, path: Path) -> bool:
        """Return whether the file of columns beside an array is that of this array."""
        facts = json.loads(self._companions(path)[1].read_bytes())
        if not isinstance(facts, dict) or "recipe_key" not in facts:
            return False
        if not path.exists():  # A killed process may leave the other files.
            return True
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        return bool(array.dtype == np.float32 and array.shape[1:] == (len(facts["columns"]),))

    def check(self, path: Path, table: ExportTable) -> None:  # noqa: ARG002  # the format can hold any table
        """Raise `StoreError` if the file of pixels or columns exists, but none of an earlier table."""
        for file in self._companions(path):
            check_replaced(file, "table", lambda _: self.is_table(path))

    def write(self, path: Path, table: ExportTable, blocks: Iterator[TableBlock]) -> list[Path]:
        """Write the array, the file of pixels and the file of column names. See `TableWriter.write`."""
        pixels, columns = self._companions(path)
        # The exit stack renames the array last, so that an array never exists without its pixels and column names.
        with ExitStack() as files:
            array = files.enter_context(files.enter_context(atomic_write(path)).open("wb"))
            lines = files.enter_context(files.enter_context(atomic_write(pixels)).open("w", encoding="utf-8"))
            # On a full disk, a plain write raises an error, whereas a write to a memory map kills the process.
            header = {"descr": "<f4", "fortran_order": False, "shape": (table.pixels, len(table.columns))}
            np.lib.format.write_array_header_1_0(array, header)
            lines.write("row,col,class\n")
            for block in blocks:
                array.write(block.values.astype("<f4", copy=False).data)
                numbers = np.column_stack([block.rows, block.cols, block.classes])
                lines.writelines(f"{row},{col},{number}\n" for row, col, number in numbers.tolist())
            names = files.enter_context(atomic_write(columns))
            names.write_text(
                json.dumps({**table.metadata(), "columns": table.columns}, indent=1) + "\n", encoding="utf-8"
            )
            # A process that is killed between the renames must not leave an old array beside new column names.
            path.unlink(missing_ok=True)
        return [path, pixels, columns]

    def _companions(self, path: Path) -> tuple[Path, Path]:
        return path.with_suffix(".pixels.csv"), path.with_suffix(".columns.json")


class ParquetWriter:
    """Writer of a ``.parquet`` file with one row group per block."""

    def is_table(self, path: Path) -> bool:
        """Return whether the metadata of a Parquet file have the entry of this writer."""
        import pyarrow.parquet as pq

        return b"hsifeat" in (pq.read_schema(path).metadata or {})

    def check(self, path: Path, table: ExportTable) -> None:
        """Do nothing, since the format can hold any table."""

    def write(self, path: Path, table: ExportTable, blocks: Iterator[TableBlock]) -> list[Path]:
        """Write a Parquet file. See `TableWriter.write`."""
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
    """Writer of a ``.mat`` file of format 5, which is built in memory."""

    def is_table(self, path: Path) -> bool:
        """Return whether a MATLAB file has the variables that this writer writes."""
        from scipy.io import whosmat

        names = {name for name, _, _ in whosmat(path)}
        return {"X", "y", "columns", "recipe_key"} <= names

    def check(self, path: Path, table: ExportTable) -> None:
        """Raise `StoreError` for a table of 2 GiB or more."""
        size_bytes = 4 * table.pixels * len(table.columns)
        if size_bytes >= _MAT_BYTES:
            raise StoreError(
                f"{path.name}: {table.pixels} pixels x {len(table.columns)} columns are {size_bytes / 2**30:.1f} GiB, and a "
                f"variable of a .mat file is smaller than {_MAT_BYTES / 2**30:g} GiB: write .npy or .parquet, or fewer "
                "`planes`"
            )

    def write(self, path: Path, table: ExportTable, blocks: Iterator[TableBlock]) -> list[Path]:
        """Write a MATLAB file. See `TableWriter.write`."""
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
