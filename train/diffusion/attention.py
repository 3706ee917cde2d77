"""Self-attention over the views of a head, as a diffusers attention processor.

The processor has no parameters, so the weights of a multi-view UNet are exactly those of a stock
`UNet2DConditionModel`. Three modes, with V views of h x w tokens:

- `dense`: every token sees all V h w tokens (the paper of FaceLift, arXiv 2412.17812);
- `sparse`: a view sees its own tokens and those of view 0;
- `row`: a token sees the tokens of its image row in all views, V w of them (the idea of Era3D). It
  is exact only for *orthographic* cameras at elevation 0. In perspective a point that comes nearer
  moves away from the middle row: with our rig (radius 2.7, 50 degrees) a point 0.7 above the centre
  and 0.4 in front of it stands 0.326 of the image height above the middle in the front view, 0.278
  in a side view and 0.242 in the back view. That is 0.8 to 1.3 rows of a 16 x 16 latent, 3 to 5 of
  a 64 x 64 one: here `row` is a cheap approximation, not the epipolar line.
"""

from __future__ import annotations

import math

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from synth.errors import ConfigError
from train.diffusion.config import AttentionMode


class MultiViewAttention:
    """Processor for `attn1`: self-attention that reaches into the other views of the same head.

    Args:
        views: number V of views; the batch axis is [heads of people x V], views fastest.
        mode: `dense`, `sparse` or `row`, see the module.
        aspect: height / width of the latent; only `row` needs it.
    """

    def __init__(self, views: int, mode: AttentionMode, aspect: float = 1.0):
        self.views = views
        self.mode = mode
        self.aspect = aspect

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,  # [B V, L, D]
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:  # [B V, L, D]
        """Attend, then project; the interface of `AttnProcessor2_0`.

        Raises:
            ConfigError: the batch is not a multiple of the views, or (`row`) the tokens do not form
                a grid of the given aspect.
        """
        if encoder_hidden_states is not None or attention_mask is not None:
            raise ConfigError(
                "MultiViewAttention is self-attention without a mask; set it on attn1 only"
            )
        batch_views, tokens, _ = hidden_states.shape
        if batch_views % self.views:
            raise ConfigError(
                f"multi-view attention got a batch of {batch_views} images, not a multiple of its "
                f"{self.views} views"
            )
        query = self._split(attn.to_q(hidden_states), attn.heads)
        key = self._split(attn.to_k(hidden_states), attn.heads)
        value = self._split(attn.to_v(hidden_states), attn.heads)
        attend = {"dense": _dense, "sparse": _sparse, "row": self._row}[self.mode]
        mixed = attend(query, key, value)  # [B, V, heads, L, d]
        mixed = mixed.transpose(2, 3).reshape(batch_views, tokens, -1)
        return attn.to_out[1](attn.to_out[0](mixed)) / attn.rescale_output_factor

    def _split(self, projected: Tensor, heads: int) -> Tensor:
        """[B V, L, heads d] to [B, V, heads, L, d]."""
        batch_views, tokens, width = projected.shape
        shape = (batch_views // self.views, self.views, tokens, heads, width // heads)
        return projected.view(shape).transpose(2, 3)

    def _row(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        batch, views, heads, tokens, width = query.shape
        rows = round(math.sqrt(tokens * self.aspect))
        if rows == 0 or tokens % rows or abs(rows * rows - tokens * self.aspect) > 1e-3 * tokens:
            raise ConfigError(
                f"row-wise attention: {tokens} tokens are no grid of aspect {self.aspect:g}"
            )
        columns = tokens // rows

        def by_row(x: Tensor) -> Tensor:  # [B, h, heads, V w, d]
            x = x.reshape(batch, views, heads, rows, columns, width)
            return x.permute(0, 3, 2, 1, 4, 5).reshape(batch, rows, heads, views * columns, width)

        mixed = scaled_dot_product_attention(by_row(query), by_row(key), by_row(value))
        mixed = mixed.view(batch, rows, heads, views, columns, width)
        return mixed.permute(0, 3, 2, 1, 4, 5).reshape(batch, views, heads, tokens, width)


def _dense(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    batch, views, heads, tokens, width = query.shape

    def joined(x: Tensor) -> Tensor:  # [B, heads, V L, d]
        return x.transpose(1, 2).reshape(batch, heads, views * tokens, width)

    mixed = scaled_dot_product_attention(joined(query), joined(key), joined(value))
    return mixed.view(batch, heads, views, tokens, width).transpose(1, 2)


def _sparse(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    # View 0 meets its own tokens twice. That doubles each term of the softmax above and below the
    # line, which changes nothing, and keeps all views in one call.
    def with_first(x: Tensor) -> Tensor:  # [B, V, heads, 2 L, d]
        return torch.cat([x, x[:, :1].expand_as(x)], dim=3)

    return scaled_dot_product_attention(query, with_first(key), with_first(value))


def set_multi_view_attention(
    unet: UNet2DConditionModel, views: int, mode: AttentionMode, aspect: float = 1.0
) -> None:
    """Give every `attn1` of the transformer blocks a `MultiViewAttention`, all else the stock one.

    Raises:
        ConfigError: the UNet has no transformer block, so its views could never meet.
    """
    multi_view = MultiViewAttention(views, mode, aspect)
    stock = AttnProcessor2_0()
    processors = {
        name: multi_view if name.endswith("attn1.processor") else stock
        for name in unet.attn_processors
    }
    if multi_view not in processors.values():
        raise ConfigError(
            "the UNet has no transformer block: its views could not exchange anything; set at "
            "least one of unet.attention_levels"
        )
    unet.set_attn_processor(processors)
