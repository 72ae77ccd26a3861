"""Imports of diffusers and transformers under a lock: their lazy modules fail when two threads load them at once."""

from __future__ import annotations

from threading import Lock

_LOCK = Lock()


def load_diffusers() -> None:
    """Load the parts of diffusers that hsifeat uses; call it before an import from diffusers."""
    with _LOCK:
        from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel, UNet2DModel  # noqa: F401


def load_transformers() -> None:
    """Load the parts of transformers that hsifeat uses; call it before an import from transformers."""
    with _LOCK:
        from transformers import CLIPTextModel, CLIPTokenizer  # noqa: F401
