"""Losses and scores, against scikit-image where it has them."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from train.losses import alpha_iou, mse, psnr, ssim


def pictures():
    generator = torch.Generator().manual_seed(3)
    target = torch.rand(2, 3, 21, 26, generator=generator)
    target = torch.nn.functional.avg_pool2d(target, 5, 1, 2)
    noise = torch.randn(target.shape, generator=generator)
    return (target + 0.05 * noise).clamp(0, 1), target


def test_mse_and_psnr_equal_scikit_image():
    prediction, target = pictures()
    assert mse(prediction, target).item() == pytest.approx(
        float(((prediction - target) ** 2).mean())
    )
    for i, value in enumerate(psnr(prediction, target)):
        expected = peak_signal_noise_ratio(target[i].numpy(), prediction[i].numpy(), data_range=1)
        assert value.item() == pytest.approx(expected, abs=1e-4)
    assert psnr(target, target).tolist() == [100.0, 100.0]


def test_ssim_equals_scikit_image():
    prediction, target = pictures()
    for i, value in enumerate(ssim(prediction, target)):
        expected = structural_similarity(
            prediction[i].double().numpy(),
            target[i].double().numpy(),
            channel_axis=0,
            data_range=1.0,
            gaussian_weights=True,
            use_sample_covariance=False,
        )
        assert value.item() == pytest.approx(expected, abs=1e-5)
    torch.testing.assert_close(ssim(target, target), torch.ones(2))
    half = ssim(prediction.to(torch.bfloat16), target.to(torch.bfloat16))
    assert half.dtype == torch.float32


def test_ssim_has_a_gradient_towards_the_target():
    prediction, target = pictures()
    prediction.requires_grad_()
    before = ssim(prediction, target).mean()
    (gradient,) = torch.autograd.grad(before, prediction)
    assert ssim(prediction + 0.5 * gradient / gradient.norm(), target).mean() > before


def test_alpha_iou():
    a, b = torch.zeros(3, 1, 4, 4), torch.zeros(3, 1, 4, 4)
    a[0, 0, :, :2] = 0.9  # 8 pixels
    b[0, 0, :, 1:3] = 0.6  # 8 pixels, 4 shared
    a[1] = 1.0
    np.testing.assert_allclose(alpha_iou(a, b), [4 / 12, 0.0, 1.0])


def test_bad_shapes_are_named():
    with pytest.raises(ValueError, match=r"prediction \[3, 4, 4\] and target \[1, 4, 4\]"):
        mse(torch.zeros(3, 4, 4), torch.zeros(1, 4, 4))
    with pytest.raises(ValueError, match="at least 11 pixels"):
        ssim(torch.zeros(3, 10, 20), torch.zeros(3, 10, 20))
