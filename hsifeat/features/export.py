"""Export the features of labelled pixels, or of all valid pixels, as a table in a file for other tools."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hsifeat.errors import StoreError
from hsifeat.features.export_table import ExportTable, TableBlock
from hsifeat.features.export_writers import writer_for
from hsifeat.features.features import Features, PlaneLike
from hsifeat.features.stack import StoreLike, open_stack
from hsifeat.runtime.events import Advanced, Finished, Listener, Note, Started, check_listener, silent
from hsifeat.scenes import Labels
from hsifeat.types import check_path, check_switches


def export_features(
    stores: StoreLike | Sequence[StoreLike],
    out: str | Path,
    *,
    planes: Sequence[PlaneLike] | None = None,
    labels: str | None = None,
    all_pixels: bool = False,
    spectra: bool = False,
    listen: Listener = silent,
) -> list[Path]:
    """Write the features of pixels to a table in a file.

    Row and column numbers of pixels start at 0 in all formats. The suffix of `out` selects the format:

    - ``.npy``: an (n, D) float32 array for n pixels and D features. Beside ``fields.npy``, ``fields.pixels.csv`` has the
      row, column and class of each pixel, and ``fields.columns.json`` has the names of the features.
    - ``.parquet``: the columns row, col, class and class_name, and one column per feature.
    - ``.mat``: the variables X (features), y (classes), rows, cols, columns (names of the features), class_numbers, and
      classes (the name of each class number). The table is built in memory and must be smaller than 2 GiB.

    The ``.npy`` and ``.parquet`` formats are written in blocks, so that memory does not grow with the scene.

    Parameters
    ----------
    stores : str, Path, Features or a sequence of them
        The store to export, or several stores of one scene, whose columns are joined.
    out : str or Path
        File to write; an earlier table is replaced.
    planes : sequence, optional
        Names or patterns of the planes to export; see `Features.select`. None exports all planes, and an empty sequence
        exports no planes.
    labels : str, optional
        Name of the label map. Can be omitted if the store has only one label map.
    all_pixels : bool
        Export all pixels with features instead of only the labelled pixels. These are the valid pixels, or the listed pixels
        of a store with ``pixels``. Unlabelled pixels get class 0.
    spectra : bool
        Export the scene's bands as additional columns, before the columns of the planes. Columns of context planes come
        before those of other planes.
    listen : callable
        Receives progress events.

    Returns
    -------
    list of Path
        The written files; the first is `out`.

    Raises
    ------
    StoreError
        If the suffix is not supported, or the folder of `out` does not exist. If `out` exists, and is no table that hsifeat wrote. If a plane or label map does not exist. If no
        pixel is selected. If the table is too large for a ``.mat`` file.
    HsifeatError
        If an option has another type than listed above.

    Examples
    --------
    >>> import hsifeat
    >>> features = hsifeat.open_features("fields.zarr")
    >>> hsifeat.export_features(features, "fields.parquet", planes=["t300/*"])
    [PosixPath('fields.parquet')]
    """
    check_listener(listen)
    check_switches(all_pixels=all_pixels, spectra=spectra)
    check_path("the file of a table", out)
    path = Path(out)
    writer = writer_for(path)
    features = open_stack(stores)
    table = _table(features, planes, labels, all_pixels=all_pixels, spectra=spectra)
    writer.check(path, table)
    valid = np.count_nonzero(features.valid)
    if all_pixels and table.pixels < valid:
        listen(
            Note(f"{features.name} has features of {table.pixels:,} of {valid:,} valid pixels: only these are exported")
        )
    task = f"export {features.name}"
    listen(Started(task, table.pixels, "pixels"))

    def blocks_with_progress() -> Iterator[TableBlock]:
        done = 0
        for block in table.blocks():
            yield block
            done += len(block.rows)
            listen(Advanced(task, done))

    files = writer.write(path, table, blocks_with_progress())
    listen(Finished(task))
    return files


def _table(
    features: Features, planes: Sequence[PlaneLike] | None, labels: str | None, *, all_pixels: bool, spectra: bool
) -> ExportTable:
    # Context planes come first, as in `PixelTable`.
    selected = sorted(features.select(planes), key=lambda plane: not features.owner(plane)[0].is_context)
    label_maps = features.label_maps
    if not selected and not spectra:
        raise StoreError(f"no columns of {features.name} to export: select planes with `planes`, or add `spectra=True`")
    if labels is None and not label_maps:
        if not all_pixels:
            raise StoreError(
                f"{features.name} holds no label map: export all valid pixels with `all_pixels=True`, or add labels with "
                "hsifeat extract SCENE --labels FILE"
            )
        label_map = Labels("unlabelled", np.zeros(features.valid.shape, np.uint8))
    else:
        label_map = features.labels(labels)
    label_map = features.valid_labels(label_map)
    everywhere = features.readable if selected else features.valid
    mask = everywhere if all_pixels else label_map.classes != 0
    if not mask.any():
        kind = "valid" if all_pixels else "labelled"
        raise StoreError(f"{features.name} has no {kind} pixel: there is nothing to export")
    return ExportTable(features, selected, spectra, mask, label_map)
