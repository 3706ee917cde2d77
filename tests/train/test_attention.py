"""Multi-view attention against loops written out, and against the stock processor."""

from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor2_0

from synth.errors import ConfigError
from train.diffusion.attention import MultiViewAttention, set_multi_view_attention

BATCH, VIEWS, ROWS, COLUMNS, WIDTH, HEADS = 2, 3, 4, 4, 16, 2
TOKENS = ROWS * COLUMNS
MODES = ("dense", "sparse", "row")


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors: a second thread only waits, and on a busy machine for long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def attention() -> Attention:
    torch.manual_seed(0)
    return Attention(query_dim=WIDTH, heads=HEADS, dim_head=WIDTH // HEADS, bias=False)


def visible(mode: str, view: int, token: int) -> list[tuple[int, int]]:
    """The (view, token) pairs that a token may look at, written out one by one."""
    pairs = [(v, t) for v in range(VIEWS) for t in range(TOKENS)]
    if mode == "dense":
        return pairs
    if mode == "sparse":
        return [(v, t) for v, t in pairs if v in (view, 0)]
    return [(v, t) for v, t in pairs if t // COLUMNS == token // COLUMNS]


def attend_naively(attn: Attention, hidden: torch.Tensor, mode: str) -> torch.Tensor:
    """Softmax attention token by token and head by head, in float64."""
    head = WIDTH // HEADS
    grid = hidden.double().view(BATCH, VIEWS, TOKENS, WIDTH)
    q, k, v = (grid @ w.weight.double().T for w in (attn.to_q, attn.to_k, attn.to_v))
    out = torch.zeros_like(grid)
    for b in range(BATCH):
        for view in range(VIEWS):
            for token in range(TOKENS):
                seen = visible(mode, view, token)
                views, tokens = (list(i) for i in zip(*seen))
                for h in range(HEADS):
                    part = slice(h * head, (h + 1) * head)
                    scores = k[b, views, tokens, part] @ q[b, view, token, part] / head**0.5
                    weights = scores.softmax(dim=0)
                    out[b, view, token, part] = weights @ v[b, views, tokens, part]
    project = attn.to_out[0]
    return (out @ project.weight.double().T + project.bias.double()).view_as(hidden)


@pytest.mark.parametrize("mode", MODES)
def test_equals_attention_written_out(attention, mode):
    hidden = torch.randn(BATCH * VIEWS, TOKENS, WIDTH)
    with torch.no_grad():
        fast = MultiViewAttention(VIEWS, mode)(attention, hidden)
        assert torch.allclose(fast.double(), attend_naively(attention, hidden, mode), atol=1e-6)


@pytest.mark.parametrize("mode", ("dense", "sparse"))
def test_one_view_is_the_stock_processor(attention, mode):
    hidden = torch.randn(5, TOKENS, WIDTH)
    stock = AttnProcessor2_0()(attention, hidden)
    assert torch.allclose(MultiViewAttention(1, mode)(attention, hidden), stock, atol=1e-6)


def test_one_view_of_one_row_is_the_stock_processor(attention):
    hidden = torch.randn(5, TOKENS, WIDTH)
    stock = AttnProcessor2_0()(attention, hidden)
    row = MultiViewAttention(1, "row", aspect=1 / TOKENS)(attention, hidden)
    assert torch.allclose(row, stock, atol=1e-6)


def test_rows_follow_the_aspect(attention):
    """Changing one row of another view changes that row only."""
    hidden = torch.randn(VIEWS, 2 * 8, WIDTH)
    wide = MultiViewAttention(VIEWS, "row", aspect=0.25)  # 2 rows of 8
    changed = hidden.clone()
    changed[2, :8] += 1.0
    difference = (wide(attention, changed) - wide(attention, hidden)).abs().amax(dim=-1)
    assert difference[0, :8].min() > 1e-4
    assert difference[:, 8:].max() == 0.0


def test_a_batch_that_is_no_multiple_of_the_views_is_refused(attention):
    with pytest.raises(ConfigError, match="batch of 4 images, not a multiple of its 3 views"):
        MultiViewAttention(3, "dense")(attention, torch.randn(4, TOKENS, WIDTH))


def test_tokens_that_form_no_grid_are_refused(attention):
    with pytest.raises(ConfigError, match="12 tokens are no grid of aspect 1"):
        MultiViewAttention(1, "row")(attention, torch.randn(1, 12, WIDTH))


def test_cross_attention_is_refused(attention):
    with pytest.raises(ConfigError, match="attn1 only"):
        MultiViewAttention(1, "dense")(attention, torch.randn(1, 4, WIDTH), torch.randn(1, 4, 16))


def test_only_self_attention_gets_it():
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(16, 32), layers_per_block=1, norm_num_groups=8,
        attention_head_dim=2, cross_attention_dim=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    set_multi_view_attention(unet, 6, "sparse")
    for name, processor in unet.attn_processors.items():
        assert isinstance(processor, MultiViewAttention) == ("attn1" in name), name
    assert sum("attn1" in name for name in unet.attn_processors) == 4  # 1 down, 1 middle, 2 up


def test_a_unet_without_transformer_blocks_is_refused():
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(16,), layers_per_block=1, norm_num_groups=8,
        down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",), mid_block_type=None,
    )  # fmt: skip
    with pytest.raises(ConfigError, match="attention_levels"):
        set_multi_view_attention(unet, 6, "dense")
