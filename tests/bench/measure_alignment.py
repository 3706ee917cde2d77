"""How well a foreign head is found by its face: random adults, standing in any direction.

    python tests/bench/measure_alignment.py --heads 12

Each head is written by trimesh with vertex colours only, turned, scaled and moved at random, then
aligned as `headloom assets add` does. Prints the angle and the scale between the frame that was
found and the head's own, and what its true landmarks would have given.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from pathlib import Path

import numpy as np

from infer.faces import FaceFinder
from infer.head_alignment import find_head
from synth.asset_alignment import fit_similarity, named_points
from synth.asset_probe import ProbeJob, probe
from synth.headmodel import HeadModel
from synth.landmarks import locate
from synth.sample import DatasetConfig, sample_head
from synth.spec import Expression, HeadPose

_FOREIGN = Path(__file__).parents[1] / "blender" / "foreign_head.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    spec = importlib.util.spec_from_file_location("foreign_head", _FOREIGN)
    foreign = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(foreign)
    model, finder = HeadModel.load(), FaceFinder(max_faces=1, min_confidence=0.3)
    rows = []
    for index in range(arguments.heads):
        head = sample_head(DatasetConfig(seed=arguments.seed), index)
        shape = model.shape(head.identity, Expression(), HeadPose())
        truth = fit_similarity(*named_points(locate(head, model, shape).named()))[0]
        turned = foreign.any_similarity(np.random.default_rng([arguments.seed, index]))
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as directory:
            folder = Path(directory)
            foreign.write_head(folder / "head.glb", model, shape, turned)
            found = find_head(_looker(folder), finder)
        back = found.canonical_from_asset @ turned
        rows.append((*_size(back), *_size(truth), found.residual))
        print(
            f"head {index}: {rows[-1][0]:.1f} deg, scale {rows[-1][1]:.3f} (by its true landmarks "
            f"{rows[-1][2]:.1f} deg, {rows[-1][3]:.3f}), residual {rows[-1][4]:.4f}, "
            f"{time.perf_counter() - started:.0f} s",
            flush=True,
        )
    angle, scale, true_angle, true_scale, residual = np.array(rows).T
    print(f"angle: median {np.median(angle):.1f}, largest {angle.max():.1f} deg", end="")
    print(f" (true landmarks {np.median(true_angle):.1f}, {true_angle.max():.1f})")
    print(f"scale against true landmarks: {np.mean(scale / true_scale):.3f}", end="")
    print(f" +- {np.std(scale / true_scale):.3f}; residual up to {residual.max():.4f}")


def _looker(folder: Path):
    def look(matrix, cameras):
        rows = () if matrix is None else tuple(map(tuple, np.asarray(matrix).tolist()))
        job = ProbeJob("head", folder / "head.glb", folder, target_from_asset=rows)
        result = probe(job, cameras)
        return np.array(result.facts.target_from_asset), result.views

    return look


def _size(matrix: np.ndarray) -> tuple[float, float]:
    """Angle in degrees and scale of a similarity."""
    scale = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
    cosine = (np.trace(matrix[:3, :3]) / scale - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))), scale


if __name__ == "__main__":
    main()
