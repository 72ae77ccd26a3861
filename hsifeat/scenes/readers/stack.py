"""Folders and lists of single-band files, stacked into one scene."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hsifeat.scenes.readers import Raster


def read_stack(paths: Sequence[Path]) -> Raster:
    """Stack single-band files in the order given."""
    raise NotImplementedError(paths)
