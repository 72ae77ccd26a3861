"""Importing diffusers and transformers from several threads: their modules load on first use, and fail when two do that."""

from __future__ import annotations

from threading import Lock

_LOCK = Lock()


def load_diffusers() -> None:
    """Load the parts of diffusers that this package uses; call it before importing from diffusers."""
    with _LOCK:
        from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel, UNet2DModel  # noqa: F401


def load_transformers() -> None:
    """Load the parts of transformers that this package uses; call it before importing from transformers."""
    with _LOCK:
        from transformers import CLIPTextModel, CLIPTokenizer  # noqa: F401
