"""Exports as other programs read them: pixels of points by their code and by ours, in pixels apart.

    python -m venv readers
    readers/bin/pip install --no-deps pycolmap==4.2.1
    echo "$PWD/.venv/lib/python3.11/site-packages" > readers/lib/python3.11/site-packages/main.pth
    PYTHONPATH=$PWD readers/bin/python tests/bench/read_exports.py colmap

and with `nerfstudio` for its dataparser (`--no-deps nerfstudio==1.1.5`, and what it imports). A
package that is missing ends the script: neither belongs to Headloom's environment.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from pathlib import Path

import numpy as np

from synth.camera import Camera
from synth.dataset import Dataset
from synth.export import export_dataset
from synth.export_frame import ExportRequest
from synth.record import HeadRecord

POINTS = np.random.RandomState(0).uniform(-0.8, 0.8, (50, 3))


def dataset(root: Path) -> Dataset:
    """Three heads of ten views with depth and landmarks, as the tests of exports have them."""
    path = Path(__file__).parents[1] / "synth" / "export_heads.py"
    spec = importlib.util.spec_from_file_location("headloom_bench_export_heads", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_dataset(root)


def read_colmap(head: HeadRecord, folder: Path) -> dict[str, float]:
    """What pycolmap makes of a head."""
    import pycolmap

    model = pycolmap.Reconstruction(folder / "sparse" / "0")
    images = {image.name: image for image in model.images.values()}
    apart = 0.0
    for number, camera in enumerate(head.cameras):
        image = images[f"view_{number:03d}.png"]
        lens = model.cameras[image.camera_id]
        assert (lens.width, lens.height) == (camera.width, camera.height)
        found = np.array([image.project_point(point) for point in POINTS])
        apart = max(apart, np.abs(found - camera.project(POINTS)[0]).max())
    observed = 0
    for number, point in model.points3D.items():
        for element in point.track.elements:
            image = model.images[element.image_id]
            seen = image.points2D[element.point2D_idx]
            assert seen.point3D_id == number
            apart = max(apart, np.abs(image.project_point(point.xyz) - seen.xy).max())
            observed += 1
    return {"px": apart, "points": len(model.points3D), "observations": observed}


def read_nerfstudio(head: HeadRecord, folder: Path) -> dict[str, float]:
    """What nerfstudio makes of a head: its rays, points, depth and masks."""
    from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
    from nerfstudio.data.utils import data_utils

    options = {"orientation_method": "none", "center_method": "none", "auto_scale_poses": False}
    parser = NerfstudioDataParserConfig(
        data=folder, eval_mode="all", load_3D_points=True, downscale_factor=1, **options
    ).setup()
    scene = parser.get_dataparser_outputs("train")
    files, facts = scene.image_filenames, scene.metadata
    assert [file.name for file in files] == [f"view_{n:03d}.png" for n in range(len(head.cameras))]
    view, size = 2, head.cameras[2].width
    unit = facts["depth_unit_scale_factor"] * scene.dataparser_scale
    depth = data_utils.get_depth_image_from_path(facts["depth_filenames"][view], size, size, unit)
    marks = np.concatenate([head.landmarks.sparse, head.landmarks.dense])
    marks = marks[np.isfinite(marks).all(axis=1)]
    found = {
        "px": max(_rays_apart(scene, number, camera) for number, camera in enumerate(head.cameras)),
        "points": float(np.abs(facts["points3D_xyz"].numpy() - marks).max()),
        "depth": float(np.abs(depth[..., 0].numpy() - head.pass_image("depth", view)).max()),
    }
    if scene.mask_filenames:
        kept = data_utils.get_image_mask_tensor_from_path(scene.mask_filenames[view])
        found["mask"] = float((kept[..., 0].numpy() != (head.rgba(view)[..., 3] > 0)).mean())
    return found


def _rays_apart(scene, number: int, camera: Camera) -> float:
    """Points on nerfstudio's rays through some pixels, seen by our camera."""
    import torch

    random = np.random.RandomState(number)
    pixels = random.uniform(1, camera.width - 1, (40, 2))
    depth = random.uniform(1.5, 3.5, 40)
    rays = scene.cameras.generate_rays(
        camera_indices=torch.full((40, 1), number),
        coords=torch.tensor(pixels[:, ::-1].copy(), dtype=torch.float32),  # row, column
    )
    along = torch.tensor(depth, dtype=torch.float32) * rays.metadata["directions_norm"][:, 0]
    points = (rays.origins + rays.directions * along[:, None]).numpy().astype(float)
    found, depth_found = camera.project(points)
    assert np.abs(depth_found - depth).max() < 1e-4
    return float(np.abs(found - pixels).max())


READERS = {
    "colmap": (read_colmap, (ExportRequest("colmap"),)),
    "nerfstudio": (
        read_nerfstudio,
        (ExportRequest("nerfstudio"), ExportRequest("nerfstudio", background="white")),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("layout", choices=READERS)
    read, requests = READERS[parser.parse_args().layout]
    with tempfile.TemporaryDirectory(prefix="headloom-bench-") as folder:
        heads = dataset(Path(folder) / "heads")
        for number, request in enumerate(requests):
            out = Path(folder) / str(number)
            export_dataset(heads, out, request)
            for head in heads.heads():
                print(request.to, head.spec_id, read(head, out / "heads" / head.spec_id))


if __name__ == "__main__":
    main()
