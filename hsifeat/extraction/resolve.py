"""Fill in unset extraction options from a preset, a store or the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hsifeat.cache import catalogue
from hsifeat.errors import HsifeatError
from hsifeat.extraction.config import ExtractionConfig
from hsifeat.extraction.stored_config import config_of
from hsifeat.presets import DEFAULT_BACKBONE, preset_options
from hsifeat.store.store import Store


def resolve_config(
    options: Mapping[str, Any], *, preset: str | Path | None = None, like: str | Path | Store | None = None
) -> ExtractionConfig:
    """Validate extraction options, and fill in unset options from a preset, a store or the defaults.

    The default of the option ``backbone`` is `DEFAULT_BACKBONE`, which is part of the package. If neither `preset` nor
    `like` is set, unset options come from the preset ``natural32`` for this backbone, and have their defaults for all
    other backbones.

    Parameters
    ----------
    options : mapping of str to object
        Maps names of options in `ExtractionConfig` to values. An option that is None is unset.
    preset : str or Path, optional
        Name or ``.toml`` file of a preset.
    like : str, Path or Store, optional
        A store, or the path, catalogue name or unique key prefix of a store. The fitted projection of the store is used as
        well.

    Returns
    -------
    ExtractionConfig
        Validated options. The attribute ``model_fields_set`` has only the names of options that `options` sets.

    Raises
    ------
    HsifeatError
        If an option is wrong. If both `preset` and `like` are set. If the preset or store can't be read.
    """
    if preset is not None and like is not None:
        raise HsifeatError("`preset` and `like` both say where unset options come from: leave out one of them")
    if preset is not None:
        name = f"the preset {preset}"
        base = ExtractionConfig.from_options(preset_options(preset, "extract"), source=f"{name}: extract.")
        return ExtractionConfig.merged(base, options, inherited_from=name)
    if like is not None:
        store = like if isinstance(like, Store) else Store.open(catalogue.find_store(like))
        return ExtractionConfig.merged(config_of(store), options, inherited_from=f"the store {store.location}")
    backbone = options.get("backbone")
    if backbone is None or (isinstance(backbone, str) and backbone == DEFAULT_BACKBONE):
        return resolve_config(options, preset=DEFAULT_BACKBONE)
    return ExtractionConfig.from_options(options)
