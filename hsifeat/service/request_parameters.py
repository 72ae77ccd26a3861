"""Path parameters that several routes have."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

IDENTIFIER = "^[0-9a-f]{16}$"
"""Pattern of the identifiers of jobs and uploads."""

StoreKey = Annotated[
    str, Path(pattern="^[0-9a-f]{8,64}$", description="Key of a store, or its first 8 digits or more.")
]
JobId = Annotated[str, Path(pattern=IDENTIFIER, description="Identifier of a job.")]
UploadId = Annotated[str, Path(pattern=IDENTIFIER, description="Identifier of an upload.")]
