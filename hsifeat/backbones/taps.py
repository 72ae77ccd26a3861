"""Find out which layers of a network return feature maps, and read several maps in one forward pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from hsifeat.errors import BackboneError, suggest_names
from hsifeat.types import Tap

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    MapReader = Callable[[Any], torch.Tensor | None]


class _LastTapReached(Exception):  # noqa: N818  # control flow, not an error
    """Signal that stops a forward pass after the last requested layer."""


def feature_map(output: Any) -> torch.Tensor | None:
    """Return the feature map in a module's output, or None if the output contains no feature map.

    The feature map has the shape (n, channels, height, width) and any floating dtype. If a module outputs a tuple, as a
    down block does, the first element is the feature map. A feature map with a spectral axis, of shape (n, C, bands,
    height, width), is reshaped to C * bands channels.
    """
    import torch

    first = output[0] if isinstance(output, tuple) and output else output
    if not isinstance(first, torch.Tensor) or first.ndim not in (4, 5):
        return None
    return first.flatten(1, -3)


def tap(
    network: torch.nn.Module,
    layers: Sequence[str],
    forward: Callable[[], object],
    t: int,
    read: MapReader = feature_map,
) -> dict[str, torch.Tensor]:
    """Run a forward pass until all `layers` are computed, and return the feature maps of `layers`.

    Parameters
    ----------
    network : torch.nn.Module
        The network. During the forward pass, hooks on its modules copy the outputs of `layers`.
    layers : sequence of str
        Dotted module names of the layers.
    forward : callable
        Function without arguments that runs the network once.
    t : int
        Timestep of the forward pass, for error messages.
    read : callable
        Function that returns the feature map in a module's output, or None if the output contains no feature map.

    Returns
    -------
    dict of str to (n, channels, height, width) tensor
        Maps the name of each layer to its feature map, in the order of `layers`.

    Raises
    ------
    BackboneError
        If one of `layers` outputs no feature map. If the forward pass does not reach one of `layers`.
    """
    maps: dict[str, torch.Tensor] = {}
    names = set(layers)

    def hook(name: str) -> Callable[[Any, Any, Any], None]:
        def copy_output(_module: Any, _inputs: Any, output: Any) -> None:
            features = read(output)
            if features is None:
                raise BackboneError(
                    f"the layer {name} gives no feature map of shape (n, channels, height, width): choose one that hsifeat layers "
                    "lists"
                )
            # Copy the map, because the next layer may work in place, such as an activation after a convolution.
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
        f"the forward pass at timestep {t} does not reach the layer {missing[0]}: extract this layer at another timestep, or leave "
        "it out"
    )


def list_taps(
    network: torch.nn.Module, forward: Callable[[], object], rows_px: int, cols_px: int, read: MapReader = feature_map
) -> list[Tap]:
    """List the layers whose output is a feature map of the whole image, in the order of execution.

    Parameters
    ----------
    network : torch.nn.Module
        The network, usually on the ``meta`` device, where only shapes are computed.
    forward : callable
        Function without arguments that runs the network once on an image of `rows_px` x `cols_px` pixels.
    rows_px, cols_px : int
        Size of the image, in pixels. Both sides must be larger than the coarsest stride.
    read : callable
        Function that returns the feature map in a module's output, or None if the output contains no feature map.

    Returns
    -------
    list of Tap
        The layers, with strides in pixels of the image. A module that runs more than once is left out.
    """
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    outputs: list[tuple[str, int, int, int]] = []
    calls: Counter[str] = Counter()

    def hook(name: str) -> Callable[[Any, Any, Any], None]:
        def record(_module: Any, _inputs: Any, output: Any) -> None:
            calls[name] += 1
            features = read(output)
            # A layer that works on patches outputs several maps of one image, and none of them covers the whole image. A layer
            # that averages over the image, as in squeeze and excitation, outputs one cell for images of any size.
            if features is None or len(features) != 1 or features.shape[-2:] == (1, 1):
                return
            rows, cols = features.shape[-2:]
            if rows_px % rows == 0 and rows * cols_px == cols * rows_px:
                outputs.append((name, features.shape[1], rows_px // rows, counter.get_total_flops()))

        return record

    with ExitStack() as hooks:
        for name, module in network.named_modules():
            if name:
                hooks.enter_context(module.register_forward_hook(hook(name)))
        with counter:
            forward()
    total = max(counter.get_total_flops(), 1)
    # A module that runs twice, such as a shared activation, has two outputs under one name.
    return [
        Tap(name, "", channels, stride, flops / total) for name, channels, stride, flops in outputs if calls[name] == 1
    ]


def is_block(name: str) -> bool:
    """Return whether a layer is a block of the network, or a direct part of a block, such as a ResNet.

    >>> is_block("up_blocks.2.resnets.1"), is_block("up_blocks.2.resnets.1.conv1")
    (True, False)
    """
    return sum(not part.isdigit() for part in name.split(".")) <= 2


def select_taps(taps: Sequence[Tap], names: Sequence[str]) -> list[Tap]:
    """Return the layers with the given names or aliases, without duplicates.

    Raises
    ------
    BackboneError
        If a name is unknown. The message suggests similar names.
    """
    by_name = {t.alias: t for t in taps if t.alias} | {t.name: t for t in taps}
    for name in names:
        if name not in by_name:
            raise BackboneError(
                f"unknown layer {name!r}; {suggest_names(name, by_name)} (hsifeat layers BACKBONE lists all)"
            )
    return [by_name[name] for name in dict.fromkeys(names)]


def first_tensor(output: Any) -> Any:
    """Return a tensor unchanged, or the first tensor in a tuple, list or mapping; None if there is no tensor."""
    import torch

    if isinstance(output, Mapping):
        output = tuple(output.values())
    if isinstance(output, tuple | list):
        return next((one for one in output if isinstance(one, torch.Tensor)), None)
    return output if isinstance(output, torch.Tensor) else None
