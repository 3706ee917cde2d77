"""`headloom dataset export` and `import` from the command line, and what reads an import."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ray_jobs import cli
from synth.dataset import Dataset
from synth.record import ShardWriter
from synth.sample import DatasetConfig, ViewsConfig

CONFIG = DatasetConfig(
    heads=3, size=16, samples=1, heads_per_shard=2, views=ViewsConfig(random=2)
)  # fmt: skip


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """Root of a dataset of three heads."""
    dataset = Dataset.create(tmp_path_factory.mktemp("exchange") / "heads", CONFIG)
    for plan in dataset.plan():
        with ShardWriter(plan.path, dataset_id=dataset.dataset_id) as writer:
            for spec in plan.specs(CONFIG):
                cameras = spec.resolved_cameras()
                pictures = [np.full((16, 16, 4), 50 + 9 * spec.index + v) for v in range(8)]
                writer.add_head(spec, cameras, [p.astype(np.uint8) for p in pictures])
    return dataset.root


def run(*words: object) -> int:
    return cli.main(["dataset", *map(str, words), "--quiet"])


def ids(out) -> list[int]:
    return [json.loads(line)["index"] for line in (out / "heads.jsonl").read_text().splitlines()]


def test_export_import_and_everything_that_reads_a_dataset(heads, tmp_path, capsys):
    out, back = tmp_path / "facelift", tmp_path / "back"
    assert run("export", heads, "--to", "facelift", "--out", out, "--jobs", 2) == 0
    assert f"{out}: 3 heads as facelift" in capsys.readouterr().out
    flags = ("--from", "facelift-gslrm", "--licence", "CC0-1.0", "--heads-per-shard", 2)
    assert run("import", out, *flags, "--out", back) == 0
    assert f"{back}: 3 heads imported" in capsys.readouterr().out
    assert run("verify", back) == 0
    assert run("info", back) == 0
    text = capsys.readouterr().out
    assert "3 of 3" in text and "facelift-gslrm" in text and "8 per head, 16 px" in text
    assert run("sheet", back) == 0 and (back / "contact.png").exists()
    assert run("index", back) == 0
    assert run("sample", back, "--where", "view_count == 8 and split == 'train'", "--n", "all") == 0
    assert run("report", back, "--judges", "pictures") == 0
    page = (back / "report" / "index.html").read_text()
    assert f"headloom dataset import {out} --from facelift-gslrm" in page
    assert "no person was photographed" not in page and "Samples" not in page
    again = tmp_path / "again"
    assert run("export", back, "--to", "colmap", "--out", again, "--where", "sex is None") == 0
    assert ids(again) == [0, 1, 2]
    assert "licence: CC0-1.0" in (again / "LICENCES.txt").read_text()


@pytest.mark.parametrize(
    ("flags", "indices"),
    [
        (("--index", "0, 2-9"), [0, 2]),
        (("--split", "train"), None),
        (("--where", "index >= 1", "--index", "0-1"), [1]),
    ],
)
def test_heads_are_chosen_by_flags(heads, tmp_path, flags, indices):
    if indices is None:
        every = Dataset.open(heads).heads()
        indices = [head.index for head in every if head.split == "train"]
    assert run("export", heads, "--to", "colmap", "--out", tmp_path / "out", *flags) == 0
    assert ids(tmp_path / "out") == indices
    assert f"{flags[0][2:]} {flags[1]}" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--index", "3-1"), "--index 3-1: '3-1' is no number and no range"),
        (("--index", "3-"), "--index 3-: '3-' is no number and no range"),
        (("--views", "rnig*"), "has no view 'rnig*'"),
        (("--index", "7"), "none of the heads asked for"),
    ],
)
def test_flags_that_cannot_be_met_are_told(heads, tmp_path, capsys, flags, message):
    out = tmp_path / "out"
    assert run("export", heads, "--to", "colmap", "--out", out, *flags) == 1
    assert message in capsys.readouterr().err
    assert run("export", heads, "--to", "colmap", "--out", out, "--index", 0) == 0  # nor in the way


def test_a_head_that_is_left_out_makes_the_exit_code_1(heads, tmp_path, capsys):
    assert run("export", heads, "--to", "facelift-gslrm", "--out", tmp_path / "out") == 0
    broken = next((tmp_path / "out" / "gslrm").rglob("cam_003.png"))
    broken.unlink()
    flags = ("--from", "facelift-gslrm", "--out", tmp_path / "back")
    assert run("import", tmp_path / "out", *flags) == 1
    assert f"{broken} is not there" in capsys.readouterr().out


def test_an_import_of_nothing_is_told(tmp_path, capsys):
    assert run("import", tmp_path, "--from", "nerfstudio", "--out", tmp_path / "out") == 1
    assert "no folder below it holds transforms.json" in capsys.readouterr().err
