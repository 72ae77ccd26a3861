"""`hsifeat info`: versions, devices and folders."""

from __future__ import annotations

from typing import Any

from hsifeat.commands.shared_options import Json
from hsifeat.commands.showing import show_rows


def info(as_json: Json = False) -> None:
    """Show versions, devices and folders.

    Example: `hsifeat info`
    """
    import platform
    from importlib.metadata import version

    import torch

    from hsifeat.cache.catalogue import cache_folder

    facts: dict[str, Any] = {"python": platform.python_version()}
    for name in ("hsifeat", "torch", "diffusers", "zarr", "scikit-learn", "lightgbm"):
        facts[name] = version(name)
    facts["device"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    facts["threads"] = torch.get_num_threads()
    facts["cache"] = str(cache_folder())
    show_rows("hsifeat", [{"": k, " ": v} for k, v in facts.items()] if not as_json else [facts], ("", " "), as_json)
