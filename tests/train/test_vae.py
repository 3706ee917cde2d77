"""The autoencoder: latent scale, pretrained bases, loss and a run that overfits."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from synth.errors import AssetError, CheckpointError, ConfigError
from train.data import HeadInfo, HeadItem
from train.diffusion.config import AutoencoderConfig, VaeConfig
from train.diffusion.step import ImageBatch, VaeTask
from train.diffusion.vae import (
    Autoencoder,
    load_autoencoder,
    measure_latent_statistics,
    weights_digest,
)

SMALL = AutoencoderConfig(
    block_out_channels=(8, 16), layers_per_block=1, norm_groups=4, mid_attention=False
)


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors: a second thread only waits, and on a busy machine for long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Heads:
    """Two heads of three random views, offered the way `HeadDataset` does."""

    def __init__(self, size: int = 16):
        random = np.random.default_rng(0)
        self.rgba = torch.from_numpy(random.integers(0, 256, (2, 3, 4, size, size), np.uint8))

    def __len__(self) -> int:
        return len(self.rgba)

    def info(self, index: int) -> HeadInfo:
        eye = torch.eye(4).repeat(3, 1, 1)
        return HeadInfo(
            f"{index}", "x", "train", "s", ("front", "back", "left"), eye, eye[:, :3, :3]
        )

    def load(self, index, views=None) -> HeadItem:
        rows = list(range(3) if views is None else views)
        info = self.info(index)
        names = tuple(info.view_names[i] for i in rows)
        return HeadItem(
            info.spec_id, "x", self.rgba[index, rows], info.cam_from_world[rows], info.K[rows],
            names,
        )  # fmt: skip


def build(config: AutoencoderConfig = SMALL) -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(config)


def smooth_pictures(count: int, size: int = 16) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(count, 3, 4, 4, generator=generator)
    return torch.nn.functional.interpolate(coarse, size, mode="bilinear", align_corners=True)


def test_running_statistics_converge_to_the_exact_ones():
    """Fixed weights: averaging over many batches approaches the moments of the whole set."""
    pictures = smooth_pictures(32)
    model = build(replace(SMALL, statistics_decay=0.99)).train()
    with torch.no_grad():
        for i in range(300):
            model(pictures.roll(-8 * (i % 4), 0)[:8])
    running_mean, running_std = (s.clone() for s in model.latent_statistics())
    measure_latent_statistics(model, pictures.split(5))
    mean, std = model.latent_statistics()
    assert torch.allclose(running_mean, mean, atol=0.01)
    assert torch.allclose(running_std, std, rtol=0.01)


def test_the_first_batch_alone_gives_its_own_statistics():
    """No trace of the zeros that the averages started from."""
    pictures = smooth_pictures(8)
    model = build().train()
    with torch.no_grad():
        model(pictures)
    first = [s.clone() for s in model.latent_statistics()]
    measure_latent_statistics(model, [pictures])
    for running, exact in zip(first, model.latent_statistics()):
        assert torch.allclose(running, exact, atol=1e-5)


def test_latents_have_zero_mean_and_unit_variance():
    pictures = smooth_pictures(16)
    model = build().eval()
    measure_latent_statistics(model, [pictures])
    with torch.no_grad():
        latents = model.encode(pictures)
        raw = model.vae.encode(pictures * 2 - 1).latent_dist.mean
        assert latents.shape == (16, 4, 8, 8)
        assert torch.allclose(latents.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-4)
        assert torch.allclose(latents.var(dim=(0, 2, 3)), torch.ones(4), atol=1e-2)
        straight = model.vae.decode(raw).sample * 0.5 + 0.5
        assert torch.allclose(model.decode(latents), straight, atol=1e-4)


def test_evaluation_leaves_the_statistics_alone():
    model = build().eval()
    model(smooth_pictures(2))
    assert model.latent_weight == 0
    with pytest.raises(CheckpointError, match="never trained"):
        model.encode(smooth_pictures(2))


def test_statistics_travel_in_the_state_dict():
    model = build().train()
    with torch.no_grad():
        model(smooth_pictures(4))
    other = build(SMALL)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.latent_statistics()[1], model.latent_statistics()[1])


def test_sampling_draws_from_the_given_generator_only():
    model, pictures = build().eval(), smooth_pictures(2)
    before = torch.get_rng_state()
    with torch.no_grad():
        a, b, c = (
            model(pictures, torch.Generator().manual_seed(seed)).images for seed in (0, 0, 1)
        )
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_pretrained_base_brings_weights_and_scale(tmp_path):
    torch.manual_seed(3)
    levels = 2
    vae = AutoencoderKL(
        block_out_channels=(8, 16), norm_num_groups=4, mid_block_add_attention=False,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        scaling_factor=0.25, shift_factor=0.5,
    )  # fmt: skip
    vae.save_pretrained(tmp_path / "vae")
    model = build(replace(SMALL, base=str(tmp_path))).train()
    pictures = smooth_pictures(2)
    with torch.no_grad():
        model(pictures)  # must not touch the scale of the base
        raw = vae.encode(pictures * 2 - 1).latent_dist.mean
        assert torch.allclose(model.encode(pictures), (raw - 0.5) * 0.25, atol=1e-5)
        assert torch.allclose(load_autoencoder(tmp_path).encode(pictures), (raw - 0.5) * 0.25)


def test_a_base_that_differs_from_its_description_is_refused(tmp_path):
    build().vae.save_pretrained(tmp_path / "vae")
    with pytest.raises(ConfigError, match=r"layers_per_block=1.*layers_per_block=2"):
        build(replace(SMALL, base=str(tmp_path), layers_per_block=2))


def test_a_missing_base_says_what_to_do(tmp_path):
    with pytest.raises(AssetError, match="base: null to train from scratch"):
        build(replace(SMALL, base=str(tmp_path / "nothing")))


def test_digest_tells_weights_apart_but_not_half_precision():
    model = build()
    digest = weights_digest(model)
    rounded = copy.deepcopy(model)
    rounded.load_state_dict({k: v.half().float() for k, v in model.state_dict().items()})
    assert torch.equal(weights_digest(rounded), digest)
    rounded.vae.decoder.conv_out.bias.data[0] += 0.5
    assert not torch.equal(weights_digest(rounded), digest)


def test_config_errors_name_the_values():
    with pytest.raises(ValueError, match="multiples of norm_groups 8"):
        AutoencoderConfig(block_out_channels=(8, 12))
    with pytest.raises(ValueError, match="image_size 100 is not divisible by 8"):
        VaeConfig(image_size=100)


def task(**options) -> VaeTask:
    return VaeTask(VaeConfig(model=SMALL, image_size=16, **options))


def test_batch_composites_on_the_configured_background():
    heads = Heads()
    heads.rgba[:, :, 3] = 0  # nothing but background
    batch = task(backgrounds=("grey",)).load_batch(heads, [0, 1], np.random.default_rng(0))
    assert batch.images.shape == (4, 3, 16, 16)
    assert torch.all(batch.images == 0.5)


def test_batch_depends_on_the_generator_alone():
    one, two, other = (
        task().load_batch(Heads(), [1, 0], np.random.default_rng(seed)).images for seed in (5, 5, 6)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_pictures_of_another_size_are_refused():
    with pytest.raises(ConfigError, match="16 x 16 pixels, image_size is 32"):
        VaeTask(VaeConfig(model=SMALL, image_size=32)).load_batch(
            Heads(), [0], np.random.default_rng(0)
        )


def test_loss_matches_its_formula():
    config = {"l1_weight": 2.0, "mse_weight": 3.0, "edge_weight": 5.0, "kl_weight": 7.0}
    model, images = build().eval(), smooth_pictures(2)
    with torch.no_grad():
        loss, _ = task(**config).loss(
            model, ImageBatch(images), torch.Generator().manual_seed(0), 0
        )
        out = model(images, torch.Generator().manual_seed(0))
        d = out.images - images
        kl = model.vae.encode(images * 2 - 1).latent_dist.kl().sum() / images.numel()
        edges = d.diff(dim=-1).abs().mean() + d.diff(dim=-2).abs().mean()
        expected = 2 * d.abs().mean() + 3 * d.square().mean() + 5 * edges + 7 * kl
    assert torch.allclose(loss, expected)


def test_overfits_a_few_pictures():
    vae, images = task(), smooth_pictures(4)
    torch.manual_seed(0)
    model = vae.build_model().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    psnr_db = []
    for _ in range(80):
        loss, metrics = vae.loss(model, ImageBatch(images), generator, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        psnr_db.append(float(metrics["psnr_db"]))
    assert psnr_db[-1] > 22.0 > psnr_db[0] + 8.0
    assert vae.preview(model.eval(), Heads()).shape == (4 * 16, 3 * 16, 3)
