"""Which device a network runs on."""

from __future__ import annotations

from hsifeat.errors import BackboneError


def pick_device(asked: str) -> str:
    """Return the device for ``auto`` (a GPU if there is one), or the one asked for; `BackboneError` if it is not there."""
    import torch

    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=asked).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise BackboneError(f"the device {asked!r} can't be used here ({reason}); allowed: auto, cpu, cuda") from error
    return asked


def device_name(device: str) -> str:
    """Return what people call a device: ``cpu (threads: 2)``, or ``cuda`` with the name of the GPU."""
    import torch

    if torch.device(device).type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu (threads: {torch.get_num_threads()})" if device == "cpu" else device
