"""Fill in unset extraction options from a preset, a store or the defaults."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from hsifeat.cache import catalogue
from hsifeat.errors import HsifeatError
from hsifeat.extraction.config import ExtractionConfig
from hsifeat.extraction.prepare import check_options, unused_options
from hsifeat.extraction.stored_config import config_of
from hsifeat.presets import DEFAULT_BACKBONE, preset_options
from hsifeat.runtime.events import Listener, Note, silent
from hsifeat.store.store import Store


def resolve_config(
    options: Mapping[str, Any],
    *,
    preset: str | Path | None = None,
    like: str | Path | Store | None = None,
    listen: Listener = silent,
) -> ExtractionConfig:
    """Validate extraction options, and fill in unset options from a preset, a store or the defaults.

    If `preset` or `like` is set, unset options come from this preset or store. If neither is set, there are two
    cases. If the option ``backbone`` is unset or ``natural32``, unset options come from the preset ``natural32``. If it
    is another backbone, unset options have their defaults.

    Parameters
    ----------
    options : mapping of str to object
        Maps names of options in `ExtractionConfig` to values. An option that is None is unset.
    preset : str or Path, optional
        Name or ``.toml`` file of a preset.
    like : str, Path or Store, optional
        A store, a path or URL of a store, a name in the catalogue, or the first digits of a key. The fitted projection of the
        store is used as well.
    listen : callable
        Receives a note if an option in `options` makes other options of the preset or store ineffective.

    Returns
    -------
    ExtractionConfig
        Validated options. The attribute ``model_fields_set`` has only the names of options that `options` sets.

    Raises
    ------
    HsifeatError
        If an option is wrong. If both `preset` and `like` are set. If the preset or store can't be read. If a value of the
        preset has no effect in combination with other values of the preset.
    """
    if preset is not None and like is not None:
        raise HsifeatError("`preset` and `like` both say where unset options come from: leave out one of them")
    if preset is not None:
        name = f"the preset {preset}"
        base = ExtractionConfig.from_options(preset_options(preset, "extract"), source=f"{name}: extract.")
        try:
            check_options(base)
        except HsifeatError as error:
            raise HsifeatError(f"{name}: {error}") from error
        config = ExtractionConfig.merged(base, options, inherited_from=name)
        _note_unused(config, base, base.model_fields_set, listen)
        return config
    if like is not None:
        store = like if isinstance(like, Store) else Store.open(catalogue.find_store(like))
        base = config_of(store)
        config = ExtractionConfig.merged(base, options, inherited_from=f"the store {store.location}")
        config = config.with_stored_weights(store.manifest.recipe["backbone"].get("weights", ""))
        # A recipe has every option, so that its default values are no choice.
        defaults = {name: field.default for name, field in ExtractionConfig.model_fields.items()}
        changed = {name for name in base.model_fields_set if getattr(base, name) != defaults[name]}
        _note_unused(config, base, changed, listen)
        return config
    backbone = options.get("backbone")
    if backbone is None or (isinstance(backbone, str) and backbone == DEFAULT_BACKBONE):
        return resolve_config(options, preset=DEFAULT_BACKBONE)
    return ExtractionConfig.from_options(options)


def _note_unused(
    config: ExtractionConfig, base: ExtractionConfig, inherited: Collection[str], listen: Listener
) -> None:
    """Send a note on each option in `inherited` that the user did not set, and that has an effect in `base`, but not in `config`."""
    unused = unused_options(config)
    names = sorted(set(inherited) & unused.keys() - unused_options(base).keys() - config.model_fields_set)
    for because in dict.fromkeys(unused[name] for name in names):
        options = ", ".join(f"`{name}`" for name in names if unused[name] == because)
        listen(Note(f"no effect with {because}: {options} of {config.inherited_from}"))
