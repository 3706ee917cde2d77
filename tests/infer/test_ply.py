"""The splat file, read back by us and by an independent reader."""

from __future__ import annotations

import numpy as np
import plyfile
import pytest
import torch

from infer.ply import property_names, read_ply, write_ply
from synth.errors import InputError
from train.gaussians import Gaussians


def some_gaussians(count: int = 17, sh_count: int = 1) -> Gaussians:
    generator = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return Gaussians(
        means=normal(count, 3),
        quats=normal(count, 4) * 3,
        log_scales=normal(count, 3) - 3,
        logit_opacities=normal(count),
        sh=normal(count, sh_count, 3),
    )


@pytest.mark.parametrize("sh_count", [1, 4, 16])
def test_round_trip(tmp_path, sh_count):
    before = some_gaussians(sh_count=sh_count)
    write_ply(tmp_path / "head.ply", before)
    after = read_ply(tmp_path / "head.ply")
    for name in ("means", "log_scales", "logit_opacities", "sh"):
        torch.testing.assert_close(getattr(after, name), getattr(before, name), rtol=0, atol=0)
    torch.testing.assert_close(after.quats.norm(dim=-1), torch.ones(17))
    torch.testing.assert_close(after.rotations, before.rotations, rtol=0, atol=1e-6)


def test_an_independent_reader_sees_the_standard_layout(tmp_path):
    gaussians = Gaussians.from_activated(
        means=torch.tensor([[0.1, -0.2, 0.3], [1.0, 2.0, 3.0]]),
        quats=torch.tensor([[2.0, 0.0, 0.0, 0.0], [0.0, 0.6, 0.0, -0.8]]),
        scales=torch.tensor([[0.01, 0.02, 0.03], [0.1, 0.1, 0.1]]),
        opacities=torch.tensor([0.25, 0.75]),
        rgb=torch.tensor([[1.0, 0.5, 0.0], [0.2, 0.4, 0.6]]),
    )
    write_ply(tmp_path / "head.ply", gaussians)
    ply = plyfile.PlyData.read(tmp_path / "head.ply")
    assert not ply.text
    assert ply.byte_order == "<"
    assert [element.name for element in ply.elements] == ["vertex"]
    vertex = ply["vertex"]
    assert [p.name for p in vertex.properties] == [
        "x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity",
        "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3",
    ]  # fmt: skip
    assert all(p.val_dtype == "f4" for p in vertex.properties)
    np.testing.assert_allclose(vertex["x"], [0.1, 1.0])
    np.testing.assert_allclose(vertex["y"], [-0.2, 2.0])
    np.testing.assert_allclose(vertex["z"], [0.3, 3.0])
    np.testing.assert_allclose(1 / (1 + np.exp(-vertex["opacity"])), [0.25, 0.75], rtol=1e-6)
    for axis, scales in enumerate(([0.01, 0.1], [0.02, 0.1], [0.03, 0.1])):
        np.testing.assert_allclose(np.exp(vertex[f"scale_{axis}"]), scales, rtol=1e-6)
    np.testing.assert_allclose(vertex["rot_0"], [1, 0])  # normalised, w first
    np.testing.assert_allclose(vertex["rot_1"], [0, 0.6])
    np.testing.assert_allclose(vertex["rot_2"], [0, 0])
    np.testing.assert_allclose(vertex["rot_3"], [0, -0.8])
    c0 = 0.28209479177387814
    np.testing.assert_allclose(0.5 + c0 * vertex["f_dc_0"], [1.0, 0.2], atol=1e-6)
    np.testing.assert_allclose(0.5 + c0 * vertex["f_dc_1"], [0.5, 0.4], atol=1e-6)
    np.testing.assert_allclose(0.5 + c0 * vertex["f_dc_2"], [0.0, 0.6], atol=1e-6)
    size = (tmp_path / "head.ply").stat().st_size
    header = (tmp_path / "head.ply").read_bytes().index(b"end_header\n") + len(b"end_header\n")
    assert size == header + 2 * 17 * 4  # nothing padded


def test_higher_bands_are_stored_channel_by_channel(tmp_path):
    sh = torch.zeros(1, 4, 3)
    sh[0, 1:, 0] = torch.tensor([1.0, 2.0, 3.0])  # red
    sh[0, 1:, 2] = torch.tensor([7.0, 8.0, 9.0])  # blue
    base = some_gaussians(1)
    write_ply(
        tmp_path / "head.ply",
        Gaussians(base.means, base.quats, base.log_scales, base.logit_opacities, sh),
    )
    vertex = plyfile.PlyData.read(tmp_path / "head.ply")["vertex"]
    rest = [float(vertex[f"f_rest_{i}"][0]) for i in range(9)]
    assert rest == [1, 2, 3, 0, 0, 0, 7, 8, 9]


def test_a_file_of_another_program_is_read(tmp_path):
    """Other order, a double, extra properties and an element after the vertices."""
    names = [n for n in property_names(1) if n[0] != "n"][::-1]
    rows = np.zeros(3, [(n, "f8" if n == "x" else "f4") for n in names] + [("red", "u1")])
    rows["x"], rows["rot_0"], rows["opacity"] = [1, 2, 3], 1, 0.5
    extra = np.zeros(2, [("label", "i4")])
    elements = [
        plyfile.PlyElement.describe(rows, "vertex"),
        plyfile.PlyElement.describe(extra, "extra"),
    ]
    plyfile.PlyData(elements, byte_order="<").write(tmp_path / "other.ply")
    gaussians = read_ply(tmp_path / "other.ply")
    assert gaussians.means[:, 0].tolist() == [1, 2, 3]
    assert gaussians.opacities[0] == pytest.approx(torch.sigmoid(torch.tensor(0.5)))


def test_extreme_and_broken_numbers(tmp_path):
    gaussians = some_gaussians(3)
    gaussians.logit_opacities[:2] = torch.tensor([torch.inf, -torch.inf])
    gaussians.quats[2] = 0.0
    write_ply(tmp_path / "head.ply", gaussians)
    after = read_ply(tmp_path / "head.ply")
    assert after.opacities[0] > 0.9999
    assert after.opacities[1] < 1e-4
    assert after.quats[2].tolist() == [1, 0, 0, 0]
    gaussians.means[1, 1] = torch.nan
    with pytest.raises(ValueError, match="1 of 3 Gaussians are not finite, first in y"):
        write_ply(tmp_path / "broken.ply", gaussians)
    assert not (tmp_path / "broken.ply").exists()


def test_damaged_files_are_named(tmp_path):
    write_ply(tmp_path / "head.ply", some_gaussians())
    data = (tmp_path / "head.ply").read_bytes()
    cases = {
        "short.ply": (data[:-1], "truncated"),
        "photo.ply": (b"\x89PNG....", "not a PLY"),
        "text.ply": (data.replace(b"binary_little_endian", b"ascii"), "binary little-endian"),
        "mesh.ply": (data.replace(b"float opacity", b"float quality"), "lacks opacity"),
    }
    for name, (content, reason) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name}.*{reason}"):
            read_ply(tmp_path / name)
