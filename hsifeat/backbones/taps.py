"""Feature taps: list the layers of a network that give feature maps, and read several in one forward that stops early."""

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


class _LastTapReached(Exception):  # noqa: N818  # control flow, not an error
    """Ends a forward pass once the last tap has its output."""


def feature_map(output: Any) -> torch.Tensor | None:
    """Return the feature map (n, channels, height, width), of any floating dtype, in a module's output; None if there is none.

    Down blocks return a tuple that begins with the map. Of a map (n, C, bands, height, width), whose network keeps the
    spectrum as an axis, each band of each channel becomes a channel: C * bands in all.
    """
    import torch

    first = output[0] if isinstance(output, tuple) and output else output
    if not isinstance(first, torch.Tensor) or first.ndim not in (4, 5):
        return None
    return first.flatten(1, -3)


def tap(
    network: torch.nn.Module, layers: Sequence[str], forward: Callable[[], object], t: int
) -> dict[str, torch.Tensor]:
    """Run a forward pass until all layers have their outputs; nothing after the last of them is computed.

    Parameters
    ----------
    network : torch.nn.Module
        Hooked by module names during the call; its code is not changed.
    layers : sequence of str
        Dotted module names.
    forward : callable
        Calls the network once.
    t : int
        The timestep of that call, for errors: it may decide which layers are reached.

    Returns
    -------
    dict of str to (n, channels, height, width) tensor
        In the order of `layers`.

    Raises
    ------
    BackboneError
        A layer gives no feature map, or the forward does not reach it.
    """
    maps: dict[str, torch.Tensor] = {}
    names = set(layers)

    def hook(name: str) -> Callable[[Any, Any, Any], None]:
        def copy_output(_module: Any, _inputs: Any, output: Any) -> None:
            features = feature_map(output)
            if features is None:
                raise BackboneError(
                    f"the layer {name} gives no feature map of shape (n, channels, height, width): choose one that hsifeat layers "
                    "lists"
                )
            # A copy, since the next layer may work in place, such as an activation after a tapped convolution.
            maps.setdefault(name, features.clone())
            if len(maps) == len(names):
                raise _LastTapReached

        return copy_output

    with ExitStack() as hooks:
        for name in names:
            hooks.enter_context(network.get_submodule(name).register_forward_hook(hook(name)))
        try:
            forward()
        except _LastTapReached:
            return {name: maps[name] for name in layers}
    missing = sorted(names - set(maps))
    raise BackboneError(
        f"the forward at timestep {t} does not reach the layer {missing[0]}: ask for it at another timestep, or leave it out"
    )


def list_taps(network: torch.nn.Module, forward: Callable[[], object], side_px: int) -> list[Tap]:
    """List the layers whose output is a feature map of the whole image, in the order of execution.

    Parameters
    ----------
    network : torch.nn.Module
        Usually on the ``meta`` device, where nothing is computed.
    forward : callable
        Calls the network once with an image of `side_px` x `side_px`.
    side_px : int
        Side of that image.

    Returns
    -------
    list of Tap
        Strides count pixels of that image; a module that is called twice is left out.
    """
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    outputs: list[tuple[str, int, int, int]] = []

    def hook(name: str) -> Callable[[Any, Any, Any], None]:
        def record(_module: Any, _inputs: Any, output: Any) -> None:
            features = feature_map(output)
            # A layer that works on patches gives several maps of one image, none of which covers it.
            if features is None or len(features) != 1 or features.shape[-1] != features.shape[-2]:
                return
            if side_px % features.shape[-1] == 0:
                stride = side_px // features.shape[-1]
                outputs.append((name, features.shape[1], stride, counter.get_total_flops()))

        return record

    with ExitStack() as hooks:
        for name, module in network.named_modules():
            if name:
                hooks.enter_context(module.register_forward_hook(hook(name)))
        with counter:
            forward()
    total = max(counter.get_total_flops(), 1)
    calls = Counter(name for name, *_ in outputs)
    # A module that is called twice, such as a shared activation, has two outputs: its name does not say which.
    return [
        Tap(name, "", channels, stride, flops / total) for name, channels, stride, flops in outputs if calls[name] == 1
    ]


def is_block(name: str) -> bool:
    """Tell whether a layer is a block, or a direct member of one, rather than a layer within such a member.

    >>> is_block("up_blocks.2.resnets.1"), is_block("up_blocks.2.resnets.1.conv1")
    (True, False)
    """
    return sum(not part.isdigit() for part in name.split(".")) <= 2


def select_taps(taps: Sequence[Tap], names: Sequence[str]) -> list[Tap]:
    """Return the taps with these names or aliases, each once.

    Raises
    ------
    BackboneError
        A name is unknown; the message lists the nearest ones.
    """
    by_name = {t.alias: t for t in taps if t.alias} | {t.name: t for t in taps}
    for name in names:
        if name not in by_name:
            raise BackboneError(
                f"unknown layer {name!r}; {suggest_names(name, by_name)} (hsifeat layers BACKBONE lists all)"
            )
    return [by_name[name] for name in dict.fromkeys(names)]
