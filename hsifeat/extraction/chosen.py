"""What is chosen for an extraction where nothing is given, whether it can be, and the backbone that it names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.backbones.protocol import Backbone
from hsifeat.errors import BackboneError, HsifeatError
from hsifeat.extraction.config import Pattern, pattern_of
from hsifeat.extraction.tiling.pixel_list import PixelList, list_pixels
from hsifeat.presets import open_preset
from hsifeat.scenes import Scene
from hsifeat.store.store import Store


def choose(preset: str | Path | None, like: Store | None, given: dict[str, object]) -> Pattern:
    """Return what is given, and the rest as a named preset, a store or the usual choice says.

    Raises
    ------
    HsifeatError
        Values that can't be, or options that play no part beside others.
    """
    if preset is not None:
        usual = Pattern(**open_preset(preset).options)
    else:
        usual = Pattern() if like is None else pattern_of(like)
    chosen = replace(usual, **given)  # type: ignore[arg-type]
    _check(chosen)
    # What plays no part is refused where it is given, and left out where a preset or a store says it.
    if chosen.pixels is not None:
        if given.keys() & {"halo", "stitch", "origin"}:
            raise HsifeatError("halo, stitch and origin play no part where each pixel has a window: leave them out")
        return replace(chosen, halo=0, stitch="window", origin=None)
    if chosen.stitch == "whole":
        if given.keys() & {"tile", "halo"}:
            raise HsifeatError("tile and halo play no part where the whole scene is seen at once: leave them out")
        return replace(chosen, origin=chosen.origin if "origin" in given else None)
    return chosen


def _check(chosen: Pattern) -> None:
    if chosen.dtype not in {"float16", "float32"}:
        raise HsifeatError(f"planes are stored as float16 or float32; found {chosen.dtype!r}")
    if chosen.batch is not None and chosen.batch < 1:
        raise HsifeatError(f"a batch has at least one tile; found {chosen.batch}")
    if not chosen.timesteps or (chosen.layers is not None and not chosen.layers):
        raise HsifeatError(f"no {'layer' if chosen.timesteps else 'timestep'} asked for")
    if not 0 <= chosen.seed < 2**32:
        raise HsifeatError(f"a seed lies between 0 and {2**32 - 1}; found {chosen.seed}")


def chosen_pixels(chosen: Pattern, scene: Scene, like: Store | None, *, given: bool) -> PixelList | None:
    """Return the pixels that are to be seen in windows; None for a dense extraction.

    Raises
    ------
    HsifeatError
        They can't be taken, or they are those of a store of another scene.
    """
    if chosen.pixels is None:
        return None
    if like is not None and not given and like.manifest.recipe["scene"] != scene.digest:
        raise HsifeatError(
            f"{like.location} holds windows around pixels of its own scene: name those of {scene.name} with --pixels"
        )
    return list_pixels(chosen.pixels, scene)


def open_chosen(backbone: str | Path, chosen: Pattern, preset: str | Path | None, like: Store | None) -> Backbone:
    """Open a backbone with what is chosen for it; what goes wrong says where the choice came from."""
    asked = {"class_label": chosen.class_label, "prompt": chosen.prompt, "upsample": chosen.upsample}
    given = {name: value for name, value in asked.items() if value is not None}
    try:
        return open_backbone(backbone, seed=chosen.seed, **given)  # type: ignore[arg-type]
    except BackboneError as error:
        if like is not None and backbone == chosen.backbone:
            raise BackboneError(
                f"{like.location} was made with the backbone {backbone}, which can't be opened now ({error}): "
                "name it with --backbone"
            ) from error
        if preset is None and like is None:
            raise
        source = f"the preset {preset}" if like is None else f"{like.location}, which this is to be like,"
        wanted = ", ".join(f"{name} {value!r}" for name, value in {"backbone": chosen.backbone, **given}.items())
        raise BackboneError(f"{error} ({source} asks for {wanted}: name a backbone of that kind)") from error
