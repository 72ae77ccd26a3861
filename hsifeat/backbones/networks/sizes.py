"""Arguments of our networks: a size for two CPU cores, and one like a paper's. Needs no torch."""

from __future__ import annotations

from typing import Any


def diffcrn_small(channels: int) -> dict[str, Any]:
    """Return the arguments of a `DiffCRN` for two CPU cores; `channels` are the components that it sees."""
    return {"in_channels": channels, "width": 40, "heads": 2, "groups": 4, "patch_px": 16}


def diffcrn_paper(channels: int) -> dict[str, Any]:
    """Return the arguments of a `DiffCRN` for a GPU. The published sizes could not be read: these are ours."""
    return {"in_channels": channels, "width": 192, "heads": 6, "groups": 8, "patch_px": 16}
