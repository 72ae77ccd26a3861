"""Convolution with 3 x 3 kernels by Winograd's minimal filtering, with 4 multiplications per output value instead of 9."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

# Values of the padded input and of one transformed input that are computed at a time, so that they stay in the caches.
_CHUNK_VALUES = 2**19
# With fewer input and output channels, the additions of the transformations cost more than the saved multiplications.
_LEAST_CHANNELS = 384
# On smaller maps, reading the transformed kernels takes too long.
_LEAST_CELLS = 256


class WinogradConv2d(nn.Conv2d):
    """A faster ``torch.nn.Conv2d`` for CPUs, with 3 x 3 kernels, stride 1 and padding 1.

    The input is cut into overlapping patches of 4 x 4 cells, which are transformed. Each patch gives 2 x 2 outputs, as in
    the algorithm F(2 x 2, 3 x 3) of Lavin and Gray (2016), section 4.1. For each of the 16 cells of a transformed patch,
    one matrix product sums over the channels. The constructor and the parameters are those of ``Conv2d``. Small maps,
    maps with an odd side, and maps on devices other than a CPU are convolved by ``Conv2d``.
    """

    @staticmethod
    def suits(layer: nn.Module) -> bool:
        """Return whether a layer is a convolution that becomes faster as a `WinogradConv2d`."""
        return (
            type(layer) is nn.Conv2d
            and layer.kernel_size == (3, 3)
            and (layer.stride, layer.padding, layer.dilation, layer.groups) == ((1, 1), (1, 1), (1, 1), 1)
            and layer.padding_mode == "zeros"
            and layer.in_channels + layer.out_channels >= _LEAST_CHANNELS
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the convolution of (n, in channels, rows, cols) float32 maps."""
        rows, cols = maps.shape[-2:]
        is_slow = rows % 2 or cols % 2 or rows * cols < _LEAST_CELLS
        if is_slow or maps.ndim != 4 or maps.device.type not in {"cpu", "meta"} or maps.dtype != torch.float32:
            return super().forward(maps)
        return winograd(maps, self._transformed(), self.bias)

    def _transformed(self) -> torch.Tensor:
        """Return the transformed kernels. They are not a buffer of the module, so that digests and files do not contain them."""
        kernels: torch.Tensor | None = self.__dict__.get("_kernels")
        if kernels is None:
            kernels = self.__dict__["_kernels"] = transform_kernels(self.weight)
        return kernels


def transform_kernels(kernels: torch.Tensor) -> torch.Tensor:
    """Transform (outputs, inputs, 3, 3) kernels to a (16, inputs, outputs) float32 tensor. The computation is in float64."""
    left = kernels.new_tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], dtype=torch.float64)
    # The first axis of the result counts columns, then rows, like the patches in `winograd`.
    transformed = torch.einsum("ri,okij,cj->crko", left, kernels.detach().double(), left)
    return transformed.reshape(16, kernels.shape[1], kernels.shape[0]).float().contiguous()


def winograd(maps: torch.Tensor, kernels: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Convolve maps with transformed 3 x 3 kernels, stride 1 and padding 1.

    Parameters
    ----------
    maps : (n, inputs, rows, cols) float32 tensor
        Maps with even numbers of rows and columns.
    kernels : (16, inputs, outputs) float32 tensor
        Result of `transform_kernels`.
    bias : (outputs,) float32 tensor or None
        Constant that is added to each output map; None adds nothing.

    Returns
    -------
    (n, outputs, rows, cols) float32 tensor
        The convolution, in the memory format ``channels_last``.
    """
    count, inputs, rows, cols = maps.shape
    padded = functional.pad(maps.permute(0, 2, 3, 1).contiguous(), (0, 0, 1, 1, 1, 1))
    result = maps.new_empty(count, rows, cols, kernels.shape[2])
    values = rows * cols * inputs
    images = max(1, _CHUNK_VALUES // values)
    height = rows if values <= _CHUNK_VALUES else 2 * max(1, _CHUNK_VALUES // (2 * cols * inputs))
    for image in range(0, count, images):
        for row in range(0, rows, height):
            window = slice(image, image + images), slice(row, row + height)
            patches = _transform_patches(padded[window[0], row : row + height + 2])
            products = torch.bmm(patches.flatten(1, -2), kernels)
            if bias is not None:
                products[5] += bias  # The product (1, 1) is added to all four outputs, never subtracted.
            _transform_products(products.view(4, 4, *patches.shape[1:-1], -1), result[window])
    return result.permute(0, 3, 1, 2)


def _transform_patches(padded: torch.Tensor) -> torch.Tensor:
    """Return the transformed 4 x 4 patches of padded maps (n, rows + 2, cols + 2, channels).

    The shape of the result is (16, n, rows / 2, cols / 2, channels).
    """
    count, height, width, channels = padded.shape
    even, odd = padded[:, ::2], padded[:, 1::2]
    lines = padded.new_empty(4, count, height // 2 - 1, width, channels)
    torch.sub(even[:, :-1], even[:, 1:], out=lines[0])
    torch.add(odd[:, :-1], even[:, 1:], out=lines[1])
    torch.sub(even[:, 1:], odd[:, :-1], out=lines[2])
    torch.sub(odd[:, :-1], odd[:, 1:], out=lines[3])
    even, odd = lines[..., ::2, :], lines[..., 1::2, :]
    patches = padded.new_empty(4, 4, count, height // 2 - 1, width // 2 - 1, channels)
    torch.sub(even[..., :-1, :], even[..., 1:, :], out=patches[0])
    torch.add(odd[..., :-1, :], even[..., 1:, :], out=patches[1])
    torch.sub(even[..., 1:, :], odd[..., :-1, :], out=patches[2])
    torch.sub(odd[..., :-1, :], odd[..., 1:, :], out=patches[3])
    return patches.flatten(0, 1)


def _transform_products(products: torch.Tensor, result: torch.Tensor) -> None:
    """Write the outputs to `result` (n, rows, cols, channels). Overwrite `products` (4, 4, n, rows / 2, cols / 2, channels)."""
    count, rows, cols, channels = result.shape
    outputs = result.view(count, rows // 2, 2, cols // 2, 2, channels)
    left = products[0].add_(products[1]).add_(products[2])
    right = products[1].sub_(products[2]).sub_(products[3])
    for column, half in enumerate((left, right)):
        torch.add(half[0].add_(half[1]), half[2], out=outputs[:, :, 0, :, column])
        torch.sub(half[1].sub_(half[2]), half[3], out=outputs[:, :, 1, :, column])
