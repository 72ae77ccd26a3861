"""Imports of diffusers and transformers under a lock, because their lazy modules fail if two threads load them at once."""

from __future__ import annotations

from threading import Lock

_LOCK = Lock()


def load_diffusers() -> None:
    """Load the classes of diffusers that hsifeat uses. Call this function before importing from diffusers."""
    with _LOCK:
        from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel, UNet2DModel  # noqa: F401


def load_transformers() -> None:
    """Load the classes of transformers that hsifeat uses. Call this function before importing from transformers."""
    with _LOCK:
        from transformers import CLIPTextModel, CLIPTokenizer  # noqa: F401
