"""Export of features, at labelled or at all pixels, as one table in a file for other tools."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hsifeat.errors import StoreError
from hsifeat.features.export_table import ExportTable, TableBlock
from hsifeat.features.export_writers import writer_for
from hsifeat.features.features import Features, PlaneLike
from hsifeat.runtime.events import Advanced, Finished, Listener, Started, silent
from hsifeat.scenes import Labels


def export_features(
    features: Features,
    out: str | Path,
    *,
    planes: Sequence[PlaneLike] | None = None,
    labels: str | None = None,
    all_pixels: bool = False,
    spectra: bool = False,
    listen: Listener = silent,
) -> list[Path]:
    """Write features at pixels into a file for other tools; memory is bounded whatever the scene's size.

    Rows and columns of the scene count from 0 in all formats:

    - ``.npy``: an (n, D) float32 array; beside it ``.pixels.csv`` with the row, column and class of each pixel, and
      ``.columns.json`` with the names of the columns.
    - ``.parquet``: the columns row, col, class and class_name, then one per feature.
    - ``.mat``: the variables X, y, rows, cols and columns, and the names ``classes`` of ``class_numbers``. The table is held
      in memory and must be smaller than 2 GiB.

    Parameters
    ----------
    features : Features
        The store.
    out : str or Path
        File to write; an existing one is replaced.
    planes : sequence, optional
        As for `Features.select`; None takes all planes, an empty sequence none.
    labels : str, optional
        Name of a label map; by default the only one.
    all_pixels : bool
        Export all valid pixels, unlabelled ones with class 0, instead of the labelled ones.
    spectra : bool
        Export the scene's bands too, before the planes.
    listen : callable
        Listener for events.

    Returns
    -------
    list of Path
        The files written, `out` first.

    Raises
    ------
    StoreError
        Another suffix, a missing folder, no such planes or labels, no pixel, or more than a ``.mat`` file holds.

    Examples
    --------
    >>> import hsifeat
    >>> features = hsifeat.open_features("fields.zarr")
    >>> hsifeat.export_features(features, "fields.parquet", planes=["t300/*"])
    [PosixPath('fields.parquet')]
    """
    path = Path(out)
    writer = writer_for(path)
    table = _table(features, planes, labels, all_pixels=all_pixels, spectra=spectra)
    writer.check(path, table)
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
    selected, label_maps = features.select(planes), features.store.labels
    if not selected and not spectra:
        raise StoreError(f"nothing of {features.name} to export: name planes with --planes, or add --spectra")
    if labels is None and not label_maps:
        if not all_pixels:
            raise StoreError(
                f"{features.name} holds no label map: export all valid pixels with --all, or add labels with "
                "hsifeat extract SCENE --labels FILE"
            )
        label_map = Labels("", np.zeros(features.valid.shape, np.uint8))
    else:
        label_map = features.labels(labels)
    label_map = features.valid_labels(label_map)
    mask = features.valid if all_pixels else label_map.classes != 0
    if not mask.any():
        kind = "valid" if all_pixels else "labelled"
        raise StoreError(f"{features.name} has no {kind} pixel: there is nothing to export")
    return ExportTable(features, selected, spectra, mask, label_map)
