"""Training on imported heads: the loader gives the same tensors, and a run works end to end."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synth.camera import CANONICAL_VIEWS
from synth.errors import InputError
from synth.export_facelift import write_gslrm
from synth.export_head import HeadExport
from synth.import_heads import ImportOptions, import_dataset
from synth.record import ShardReader
from train.data import HeadDataset
from train.loop import train


@pytest.fixture(scope="module")
def imported(sphere_dataset, tmp_path_factory):
    """The spheres by way of FaceLift's layout; the second is for validation."""
    root = tmp_path_factory.mktemp("import")
    paths = sorted((sphere_dataset / "shards").glob("*.tar"))
    for head in (head for path in paths for head in ShardReader(path).heads()):
        folder = root / "facelift" / "gslrm" / f"sphere-{head.index}"
        write_gslrm(HeadExport.choose(head, (), None), folder)
    for split, numbers in (("train", (0, 2, 3)), ("val", (1,))):
        lines = "".join(f"gslrm/sphere-{number}\n" for number in numbers)
        (root / "facelift" / f"data_gslrm_{split}.txt").write_text(lines)
    import_dataset(root / "facelift", root / "heads", ImportOptions("facelift-gslrm"))
    return root / "heads"


def test_the_loader_gives_the_same_tensors(imported, sphere_dataset):
    ours, theirs = HeadDataset(sphere_dataset, "all", 16), HeadDataset(imported, "all", 16)
    assert len(ours) == len(theirs) == 4
    for index in range(4):
        before, after = ours[index], theirs[index]
        assert torch.equal(before.rgba, after.rgba)
        assert torch.equal(before.cam_from_world, after.cam_from_world)
        assert torch.equal(before.K, after.K)
        assert before.view_names == after.view_names
        names = [name for name, _ in CANONICAL_VIEWS]
        assert theirs.views_named(index, names) == ours.views_named(index, names)


def test_the_lists_are_the_splits(imported):
    train_ids = [HeadDataset(imported, "train").info(i).identity_id for i in range(3)]
    assert train_ids == ["sphere-0", "sphere-2", "sphere-3"]
    validation = HeadDataset(imported, "val")
    assert len(validation) == 1 and validation.info(0).split == "val"
    with pytest.raises(InputError, match="is in the split 'test'"):
        HeadDataset(imported, "test")


def test_a_run_on_imported_heads(imported, toy, tmp_path):
    task = toy(steps=2)
    train(task, HeadDataset(imported, "train", 16), tmp_path / "run", progress=False)
    assert len(task.loaded) == 2 and np.max(task.loaded) <= 2
    assert list((tmp_path / "run").glob("**/DONE"))
