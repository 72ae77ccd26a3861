"""Routes for supervisors: whether the process runs, whether it can answer, and its metrics."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(tags=["operation"])


class Health(BaseModel):
    """State of the process."""

    status: Literal["ok"] = "ok"


@router.get("/health")
async def health() -> Health:
    """Answer as long as the process runs."""
    return Health()
