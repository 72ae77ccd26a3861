"""`hsifeat info`: show package versions, the device and the cache folder."""

from __future__ import annotations

from typing import Any

from hsifeat.commands import terminal
from hsifeat.commands.shared_options import Json

_PACKAGES = ("hsifeat", "torch", "diffusers", "zarr", "scikit-learn", "lightgbm")


def info(as_json: Json = False) -> None:
    """Show package versions, the device, the number of threads and the cache folder.

    Example: `hsifeat info`
    """
    import platform
    from importlib.metadata import version

    import torch

    from hsifeat.files import cache_folder

    facts: dict[str, Any] = {"python": platform.python_version()}
    facts |= {name: version(name) for name in _PACKAGES}
    facts["device"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    facts["threads"] = torch.get_num_threads()
    facts["cache"] = str(cache_folder())
    if as_json:
        terminal.show_json([facts])
    else:
        terminal.show_facts("hsifeat", facts)
