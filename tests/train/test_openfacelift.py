"""FaceLift's published tensors in our network: the arithmetic of the facts, in their names."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from scipy.special import erf, expit, softmax

from infer.predictor import load_reconstructor
from ray_jobs import cli
from synth.camera import canonical_six, stack
from synth.errors import CheckpointError
from train.gslrm import openfacelift

WIDTH, LAYERS, PATCH, HEAD = 128, 3, 8, 64
VIEWS, HEIGHT, WIDTH_PX = 2, 8, 16


def shapes() -> dict[str, tuple[int, ...]]:
    """The table of the facts file, at another size."""
    table = {
        "gaussian_position_embeddings": (2, WIDTH),
        "patch_embedder.1.weight": (WIDTH, 9 * PATCH**2),
        "input_layer_norm.weight": (WIDTH,),
        "gaussian_upsampler.layernorm.weight": (WIDTH,),
        "gaussian_upsampler.linear.weight": (14, WIDTH),
        "pixel_gaussian_decoder.0.weight": (WIDTH,),
        "pixel_gaussian_decoder.1.weight": (PATCH**2 * 14, WIDTH),
    }
    for i in range(LAYERS):
        table |= {
            f"transformer_layers.{i}.norm1.weight": (WIDTH,),
            f"transformer_layers.{i}.norm2.weight": (WIDTH,),
            f"transformer_layers.{i}.attn.to_qkv.weight": (3 * WIDTH, WIDTH),
            f"transformer_layers.{i}.attn.fc.weight": (WIDTH, WIDTH),
            f"transformer_layers.{i}.mlp.mlp.0.weight": (4 * WIDTH, WIDTH),
            f"transformer_layers.{i}.mlp.mlp.2.weight": (WIDTH, 4 * WIDTH),
        }
    return table


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    """Random weights under FaceLift's names, large enough to reach every bound."""
    generator = torch.Generator().manual_seed(5)
    return {
        name: torch.randn(shape, generator=generator) * (0.09 if len(shape) > 1 else 0.3)
        + (0.0 if len(shape) > 1 else 1.0)
        for name, shape in shapes().items()
    }


@pytest.fixture(scope="module")
def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    images = torch.rand(1, VIEWS, 3, HEIGHT, WIDTH_PX, generator=torch.Generator().manual_seed(6))
    cameras = [canonical_six(64)[i].resized(WIDTH_PX, HEIGHT) for i in (0, 4)]
    cam_from_world, K = (torch.from_numpy(array).float()[None] for array in stack(cameras))
    return images, cam_from_world, K


def norm(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * weight


def reference(published, images, cam_from_world, K) -> dict[str, np.ndarray]:
    """The Gaussians in float64, step by step from the facts file."""
    w = {name: tensor.double().numpy() for name, tensor in published.items()}
    vectors, ray_list = [], []
    for v in range(VIEWS):
        pose, k = cam_from_world[0, v].double().numpy(), K[0, v].double().numpy()
        o = -pose[:3, :3].T @ pose[:3, 3]
        for top in range(0, HEIGHT, PATCH):
            for left in range(0, WIDTH_PX, PATCH):
                vector = []
                for row in range(top, top + PATCH):
                    for column in range(left, left + PATCH):
                        d = pose[:3, :3].T @ np.linalg.inv(k) @ [column + 0.5, row + 0.5, 1.0]
                        d = d / np.linalg.norm(d)
                        rgb = images[0, v, :, row, column].double().numpy() * 2 - 1
                        vector += [*rgb, *d, *(o - (o @ d) * d)]
                        ray_list.append((o, d))
                vectors.append(vector)
    x = np.array(vectors) @ w["patch_embedder.1.weight"].T
    x = norm(np.concatenate([w["gaussian_position_embeddings"], x]), w["input_layer_norm.weight"])
    for i in range(LAYERS):
        at = f"transformer_layers.{i}."
        qkv = norm(x, w[at + "norm1.weight"]) @ w[at + "attn.to_qkv.weight"].T
        q, k, v = qkv[:, :WIDTH], qkv[:, WIDTH : 2 * WIDTH], qkv[:, 2 * WIDTH :]
        mixed = []
        for h in range(0, WIDTH, HEAD):
            part = slice(h, h + HEAD)
            mixed.append(softmax(q[:, part] @ k[:, part].T / math.sqrt(HEAD), -1) @ v[:, part])
        x = x + np.concatenate(mixed, -1) @ w[at + "attn.fc.weight"].T
        hidden = norm(x, w[at + "norm2.weight"]) @ w[at + "mlp.mlp.0.weight"].T
        hidden = 0.5 * hidden * (1 + erf(hidden / math.sqrt(2)))
        x = x + hidden @ w[at + "mlp.mlp.2.weight"].T
    free, pixel = x[:2], x[2:]
    free = norm(free, w["gaussian_upsampler.layernorm.weight"])
    free = free @ w["gaussian_upsampler.linear.weight"].T
    pixel = norm(pixel, w["pixel_gaussian_decoder.0.weight"])
    pixel = (pixel @ w["pixel_gaussian_decoder.1.weight"].T).reshape(-1, 14)
    means = [*free[:, :3]]
    for numbers, (o, d) in zip(pixel, ray_list):
        means.append(o + ((2 * expit(numbers[:3].mean()) - 1) * 1.8 - o @ d) * d)
    numbers = np.concatenate([free, pixel])
    return {
        "means": np.array(means),
        "sh0": numbers[:, 3:6],
        "scales": np.exp(np.minimum(numbers[:, 6:9] - 2.3, -1.2)),
        "quats": numbers[:, 9:13],
        "opacities": expit(numbers[:, 13] - 2.0),
    }


def test_same_weights_and_inputs_give_the_same_gaussians(published, inputs):
    model = openfacelift.build(published)
    with torch.inference_mode():
        gaussians = model(*inputs)[0]
    expected = reference(published, *inputs)
    got = {
        "means": gaussians.means,
        "sh0": gaussians.sh[:, 0],
        "scales": gaussians.scales,
        "quats": gaussians.quats,
        "opacities": gaussians.opacities,
    }
    for name, values in got.items():
        np.testing.assert_allclose(values.numpy(), expected[name], atol=1e-4, err_msg=name)
    at_the_bound = np.isclose(expected["scales"], math.exp(-1.2))
    assert 0.02 < at_the_bound.mean() < 0.98, "the bound is not tested"


def test_sizes_come_from_the_tensors(published):
    config = openfacelift.build(published).config
    assert (config.width, config.layers, config.patch_size) == (WIDTH, LAYERS, PATCH)
    assert (config.head_width, config.mlp_ratio, config.free_tokens) == (HEAD, 4, 2)
    assert not (config.qk_norm or config.color_residual)


def test_half_precision_is_widened(published):
    model = openfacelift.build({name: tensor.half() for name, tensor in published.items()})
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_layer_norm.weight": None}, r"input_norm\.weight is missing"),
        ({"gaussian_position_embeddings": None}, "gaussian_position_embeddings is missing"),
        ({"transformer_layers.1.norm1.weight": torch.ones(7)}, r"norm1\.weight has shape \(7,\)"),
        ({"transformer_layers.0.attn.fc.bias": torch.ones(WIDTH)}, "attn.fc.bias is no tensor of"),
        ({"patch_embedder.1.weight": torch.ones(WIDTH, 100)}, r"\(128, 100\); expected"),
        ({"transformer_layers.9.norm1.weight": torch.ones(WIDTH)}, r"found \[0, 1, 2, 9\]"),
    ],
)
def test_another_state_dict_is_refused(published, change, message):
    tensors = {n: t for n, t in {**published, **change}.items() if t is not None}
    with pytest.raises(CheckpointError, match=message):
        openfacelift.build(tensors)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_the_command_shows_the_licence_and_writes_weights_that_load(
    published, inputs, tmp_path, capsys, suffix
):
    file, out = tmp_path / f"facelift{suffix}", tmp_path / "weights"
    if suffix == ".pt":
        torch.save({"model": published}, file)
    else:
        save_file(published, file)
    assert (
        cli.main(["weights", "import", "--from", "facelift-gslrm", str(file), "--out", str(out)])
        == 0
    )
    assert "NON-COMMERCIAL" in capsys.readouterr().err
    assert yaml.safe_load((out / "config.yaml").read_text())["licence"] == "non-commercial"
    model, config = load_reconstructor(out)
    assert config.image_size == 512
    with torch.inference_mode():
        assert torch.equal(model(*inputs).means, openfacelift.build(published)(*inputs).means)


class Trap:
    """Would run a program when it is unpickled."""

    def __reduce__(self):
        return (print, ("executed",))


def test_a_file_that_would_run_a_program_is_refused(tmp_path, capsys):
    torch.save({"model": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(CheckpointError, match=r"cannot read .*trap\.pt"):
        openfacelift.read(tmp_path / "trap.pt")
    assert capsys.readouterr().out == ""
