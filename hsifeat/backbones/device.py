"""Choice and description of the device on which a network runs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from runpy import run_path

from hsifeat.errors import BackboneError


def pick_device(device: str) -> str:
    """Replace ``auto`` by a device, and check that the device works on this machine.

    ``auto`` means ``cuda`` if there is a GPU, and ``cpu`` otherwise.

    Raises
    ------
    BackboneError
        If the device can't be used on this machine.
    """
    if not isinstance(device, str):
        raise BackboneError(f"a device is named by a text: auto, cpu or cuda; found {device!r:.60}")
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


def auto_device_name() -> str:
    """Return a description of the device that ``auto`` selects: ``cpu``, or the name of the GPU.

    PyTorch is imported only if it was built for GPUs, because the import takes a second or more.
    """
    package = find_spec("torch")
    if package is None or package.origin is None:
        return "cpu"
    build = run_path(str(Path(package.origin).with_name("version.py")))
    if build.get("cuda") is None and build.get("hip") is None:
        return "cpu"
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def device_name(device: str) -> str:
    """Return a description of a device, such as ``cpu (threads: 2)`` or ``cuda`` with the name of the GPU."""
    import torch

    if torch.device(device).type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu (threads: {torch.get_num_threads()})" if device == "cpu" else device
