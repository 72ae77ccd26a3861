"""Choice and description of the device on which a network runs."""

from __future__ import annotations

from hsifeat.errors import BackboneError


def pick_device(device: str) -> str:
    """Replace ``auto`` by a device, and check that the device works on this machine.

    ``auto`` means ``cuda`` if there is a GPU, and ``cpu`` otherwise.

    Raises
    ------
    BackboneError
        If the device can't be used on this machine.
    """
    if device == "cpu":
        return device
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise BackboneError(f"the device {device!r} can't be used here ({reason}); allowed: auto, cpu, cuda") from error
    return device


def device_name(device: str) -> str:
    """Return a description of a device, such as ``cpu (threads: 2)`` or ``cuda`` with the name of the GPU."""
    import torch

    if torch.device(device).type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu (threads: {torch.get_num_threads()})" if device == "cpu" else device
