"""Importing diffusers from several threads: its modules load on first use, and fail when two threads do that at once."""

from __future__ import annotations

from threading import Lock

_LOCK = Lock()


def load_diffusers() -> None:
    """Load the parts of diffusers that this package uses; call it before importing from diffusers."""
    with _LOCK:
        from diffusers import DDPMScheduler, UNet2DModel  # noqa: F401
