"""`hsifeat info`: show package versions, the device, the cores and the cache folder."""

from __future__ import annotations

from typing import Any

from hsifeat.commands import terminal
from hsifeat.commands.shared_options import Json

_PACKAGES = ("hsifeat", "torch", "diffusers", "zarr", "scikit-learn", "lightgbm")


def info(as_json: Json = False) -> None:
    """Show package versions, the device, the number of cores and the cache folder.

    Example: `hsifeat info`
    """
    import platform
    from importlib.metadata import version

    from hsifeat.backbones.device import auto_device_name
    from hsifeat.files import cache_folder
    from hsifeat.runtime.resources import available_cores

    facts: dict[str, Any] = {"python": platform.python_version()}
    facts |= {name: version(name) for name in _PACKAGES}
    facts["device"] = auto_device_name()
    facts["cores"] = available_cores()
    facts["cache"] = str(cache_folder())
    if as_json:
        terminal.show_json([facts])
    else:
        terminal.show_facts("hsifeat", facts)
