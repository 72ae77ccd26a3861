"""Layers of a network by name: what there is to tap, and one forward that gives several of them and then stops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from hsifeat.errors import BackboneError, suggest_names
from hsifeat.types import Tap

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


class _LastTapReached(Exception):  # noqa: N818  # not an error: it ends a forward whose last tap is taken
    """Raised by the hook that took the last tap."""


def feature_map(output: Any) -> torch.Tensor | None:
    """Return the feature map (n, channels, height, width) in a module's output, or None if it has none.

    Down blocks return a tuple whose first item is the map. Where a network keeps the spectrum as an axis of its own, (n, C,
    bands, height, width), each band of each channel is a channel: C * bands of them.
    """
    import torch

    first = output[0] if isinstance(output, tuple) and output else output
    if not isinstance(first, torch.Tensor) or first.ndim not in (4, 5):
        return None
    return first.flatten(1, -3)


def tap(
    network: torch.nn.Module, layers: Sequence[str], forward: Callable[[], object], t: int
) -> dict[str, torch.Tensor]:
    """Run a forward until every layer has given its output; nothing after the last of them is computed.

    Parameters
    ----------
    network : torch.nn.Module
        Hooked by module name for the length of the call; its code is neither copied nor changed.
    layers : sequence of str
        Dotted module names.
    forward : callable
        Calls the network once.
    t : int
        The timestep at which it does, for errors: it may decide which layers are reached.

    Returns
    -------
    dict of str to (n, channels, height, width) tensor
        In the order of `layers`.
    """
    taken: dict[str, torch.Tensor] = {}
    wanted = set(layers)

    def hook(name: str) -> Callable[[Any, Any, Any], None]:
        def take(_module: Any, _inputs: Any, output: Any) -> None:
            found = feature_map(output)
            if found is None:
                raise BackboneError(f"the layer {name} gives no feature map of shape (n, channels, height, width)")
            # A copy, since what follows may work in place (an activation after a tapped convolution, say).
            taken.setdefault(name, found.clone())
            if len(taken) == len(wanted):
                raise _LastTapReached

        return take

    with ExitStack() as hooks:
        for name in wanted:
            hooks.enter_context(network.get_submodule(name).register_forward_hook(hook(name)))
        try:
            forward()
        except _LastTapReached:
            return {name: taken[name] for name in layers}
    missing = sorted(wanted - set(taken))
    raise BackboneError(
        f"the forward at timestep {t} does not reach the layer {missing[0]}: ask for it at another timestep, or leave it out"
    )


def list_taps(network: torch.nn.Module, forward: Callable[[], object], side_px: int) -> list[Tap]:
    """List the layers whose output is a map that a scene's grid can be laid over, in the order of execution.

    Parameters
    ----------
    network : torch.nn.Module
        On the ``meta`` device, so that nothing is computed.
    forward : callable
        Calls the network once with an image of `side_px` x `side_px`.
    side_px : int
        Side of that image.

    Returns
    -------
    list of Tap
    """
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    seen: list[tuple[str, int, int, int]] = []

    def hook(name: str) -> Callable[[Any, Any, Any], None]:
        def note(_module: Any, _inputs: Any, output: Any) -> None:
            found = feature_map(output)
            # A layer that works on parts of the image gives several maps of one image, none of which is the scene's.
            whole = found is not None and len(found) == 1 and found.shape[-1] == found.shape[-2]
            if found is not None and whole and side_px % found.shape[-1] == 0:
                seen.append((name, found.shape[1], side_px // found.shape[-1], counter.get_total_flops()))

        return note

    with ExitStack() as hooks:
        for name, module in network.named_modules():
            if name:
                hooks.enter_context(module.register_forward_hook(hook(name)))
        with counter:
            forward()
    total = max(counter.get_total_flops(), 1)
    calls = Counter(name for name, *_ in seen)
    # A module called twice (a shared activation) has no one output, so it is no tap.
    return [
        Tap(name, "", channels, stride, flops / total) for name, channels, stride, flops in seen if calls[name] == 1
    ]


def is_block(name: str) -> bool:
    """Tell whether a layer is a block or a block's member, which people tap, or something within (``….conv1``).

    >>> is_block("up_blocks.2.resnets.1"), is_block("up_blocks.2.resnets.1.conv1")
    (True, False)
    """
    return sum(not part.isdigit() for part in name.split(".")) <= 2


def select_taps(taps: Sequence[Tap], names: Sequence[str]) -> list[Tap]:
    """Pick taps by name or alias; `BackboneError` with the nearest names for one that there is not."""
    by_name = {t.alias: t for t in taps if t.alias} | {t.name: t for t in taps}
    for name in names:
        if name not in by_name:
            raise BackboneError(
                f"unknown layer {name!r}; {suggest_names(name, by_name)}: hsifeat layers BACKBONE lists them"
            )
    return [by_name[name] for name in dict.fromkeys(names)]
