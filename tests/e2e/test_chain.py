"""The whole chain through the command line: from nothing to a splat, then everything again."""

from __future__ import annotations

import html.parser
import json
from pathlib import Path

import numpy as np
import pytest
import skimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from infer.ply import read_ply
from infer.preview import render_views
from ray_jobs.cli import main
from synth.dataset import Dataset
from synth.report import on_white
from train.checkpoint import latest

PHOTO = Path(skimage.__file__).parent / "data" / "astronaut.png"
HEADS = ("--heads", "2", "--size", "64", "--seed", "3", "--quiet")
FAST_RENDER = ("--set", "samples=1", "--set", "views.random=2")
FAST_TRAIN = ("--quiet", "--set", "train.steps=2", "--set", "train.checkpoint_every=2")

pytestmark = [pytest.mark.blender, pytest.mark.ray, pytest.mark.slow]


class Links(html.parser.HTMLParser):
    """Everything a page refers to."""

    def __init__(self):
        super().__init__()
        self.targets: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.targets += [v for k, v in attributes if k in ("src", "href", "data-src") and v]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The steps of `make demo`, as small as they can be."""
    out = tmp_path_factory.mktemp("demo")
    data, common = str(out / "dataset"), ("--config", "tiny", *FAST_TRAIN)
    steps = [
        ("render", "--out", data, *HEADS, *FAST_RENDER),
        ("dataset", "verify", data),
        ("train", "vae", "--data", data, "--out", str(out / "vae"), *common,
         "--set", "train.split=all"),
        ("train", "diffusion", "--data", data, "--out", str(out / "diffusion"), *common,
         "--set", "train.split=all", "--vae", str(out / "vae")),
        ("train", "gslrm", "--data", data, "--out", str(out / "gslrm"), *common,
         "--set", "train.split=all"),
        ("lift", str(PHOTO), "--out", str(out / "lift"), "--fallback-weights", str(out),
         "--set", "steps=1", "--set", "turntable.frames=4", "--set", "turntable.spin_frames=4"),
        ("eval", "reconstructor", "--data", data, "--weights", str(out / "gslrm"),
         "--out", str(out / "rebuilt"), "--split", "all", "--quiet"),
        ("gallery", str(out)),
    ]  # fmt: skip
    for step in steps:
        assert main(list(step)) == 0, " ".join(step)
    return out, steps


def test_every_stage_leaves_its_results(demo):
    out, _ = demo
    for name in ("contact.png", "index.parquet", "dataset.yaml", "shards/shard-000000.tar"):
        assert (out / "dataset" / name).is_file(), name
    for name in ("input.png", "views.png", "head.ply", "turntable.mp4", "lift.json"):
        assert (out / "lift" / name).stat().st_size > 100, name
    for kind in ("vae", "diffusion", "gslrm"):
        records = (out / kind / "metrics.jsonl").read_text().splitlines()
        assert json.loads(records[-1])["step"] == 2
        assert latest(out / kind) is not None
    record = json.loads((out / "lift" / "lift.json").read_text())
    assert {w["source"] for w in record["weights"].values()} == {"fallback"}


def test_scores_are_those_of_the_written_splats(demo):
    """PSNR and SSIM anew, by scikit-image, from the PLY file and the shard."""
    out, _ = demo
    record = json.loads((out / "rebuilt" / "metrics.json").read_text())
    assert (len(record["heads"]), record["size"]) == (2, 64)
    heads = {head.spec_id: head for head in Dataset.open(out / "dataset").heads()}
    for scores in record["heads"]:
        head = heads[scores["spec_id"]]
        names = [camera.name for camera in head.cameras]
        assert [view["name"] for view in scores["views"]] == names[6:]
        gaussians = read_ply(out / "rebuilt" / head.spec_id / "head.ply")
        pictures = render_views(gaussians, head.cameras[6:])
        for view, picture, score in zip(range(6, 8), pictures, scores["views"]):
            truth = np.round(on_white(head.rgba(view)) * 255).astype(np.uint8)
            assert peak_signal_noise_ratio(truth, picture) == pytest.approx(score["psnr"], abs=0.1)
            similarity = structural_similarity(
                truth, picture, channel_axis=2, gaussian_weights=True, use_sample_covariance=False
            )
            assert similarity == pytest.approx(score["ssim"], abs=0.01)
            assert 0.02 < score["lpips"] < 0.9
    every = [view["psnr"] for head in record["heads"] for view in head["views"]]
    assert record["mean"]["psnr"] == pytest.approx(np.mean(every), abs=1e-4)


def test_the_page_refers_to_files_beside_it_only(demo):
    out, _ = demo
    links = Links()
    links.feed((out / "index.html").read_text())
    assert len(links.targets) > 8
    for target in links.targets:
        if target.startswith(("#", "data:")):
            continue
        assert not target.startswith(("/", "http:", "https:", "file:")), target
        assert (out / target).is_file(), target


def test_running_everything_again_changes_nothing(demo):
    """Finished work is recognised: no shard, checkpoint or splat is written twice."""
    out, steps = demo
    kept = [*out.glob("dataset/shards/*.tar"), *out.glob("*/checkpoints/*/DONE"), out / "lift"]
    kept += [out / "dataset" / "contact.png", out / "dataset" / "index.parquet"]
    assert len(kept) >= 7
    before = {path: path.stat().st_mtime_ns for path in kept}
    for step in steps:
        assert main(list(step)) == 0, " ".join(step)
    assert {path: path.stat().st_mtime_ns for path in kept} == before


def test_another_configuration_is_refused(demo, capsys):
    _, steps = demo
    assert main([*steps[0], "--set", "samples=2"]) == 1
    assert "samples: 1 in the dataset, 2 given" in capsys.readouterr().err
    assert main([*steps[4], "--set", "train.learning_rate=1.0"]) == 1
    assert "train.learning_rate" in capsys.readouterr().err
