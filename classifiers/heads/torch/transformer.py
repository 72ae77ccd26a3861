"""Transformer encoder whose attention heads can have any width, for classifiers that attend to tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


class TransformerHead(Protocol):
    """Protocol of classifiers that have the parameters of `transformer_encoder` as attributes."""

    width: int
    depth: int
    heads: int
    head_width: int
    mlp_width: int
    dropout: float


def encoder_of(head: TransformerHead) -> torch.nn.Module:
    """Build a transformer encoder with the parameters of the classifier `head`."""
    return transformer_encoder(
        head.width,
        depth=head.depth,
        heads=head.heads,
        head_width=head.head_width,
        mlp_width=head.mlp_width,
        dropout=head.dropout,
    )


def transformer_encoder(
    width: int, *, depth: int, heads: int, head_width: int, mlp_width: int, dropout: float
) -> torch.nn.Module:
    """Build a transformer encoder (Xiong et al., ICML 2020, fig. 1b).

    Each layer adds multi-head self-attention (Vaswani et al. 2017, eq. 1) and a perceptron with one hidden layer and
    GELU. Each of the two starts with a layer normalisation. The linear layers for queries, keys and values have no bias.
    Unlike in ``torch.nn.TransformerEncoder``, the product of `heads` and `head_width` may differ from `width`.

    Parameters
    ----------
    width : int
        Number of channels of a token.
    depth, heads, head_width : int
        Number of layers, number of attention heads per layer, and number of channels per attention head.
    mlp_width : int
        Number of hidden units of each perceptron.
    dropout : float
        Probability of dropout after attention and in the perceptrons.

    Returns
    -------
    torch.nn.Module
        ``forward(tokens)`` maps tokens (b, n, width) to tokens of the same shape.
    """
    from torch import nn
    from torch.nn.functional import scaled_dot_product_attention

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention_norm = nn.LayerNorm(width)
            self.queries_keys_values = nn.Linear(width, 3 * heads * head_width, bias=False)
            self.output = nn.Sequential(nn.Linear(heads * head_width, width), nn.Dropout(dropout))
            self.perceptron = nn.Sequential(
                nn.LayerNorm(width),
                nn.Linear(width, mlp_width),
                nn.GELU(),
                nn.Dropout(dropout),
                nn.Linear(mlp_width, width),
                nn.Dropout(dropout),
            )

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            mixed = self.queries_keys_values(self.attention_norm(tokens))  # (b, n, 3 * heads * head_width)
            q, k, v = mixed.reshape(*tokens.shape[:2], 3, heads, head_width).permute(2, 0, 3, 1, 4)
            attended = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            tokens = tokens + self.output(attended)
            result: torch.Tensor = tokens + self.perceptron(tokens)
            return result

    return nn.Sequential(*(Layer() for _ in range(depth)))
