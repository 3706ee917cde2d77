"""The contact sheet: who stands where, on white, at the right size."""

from __future__ import annotations

import imageio.v3 as iio
import numpy as np
import pytest

from synth import report
from synth.dataset import Dataset
from synth.errors import RecordError
from synth.record import ShardWriter
from synth.sample import DatasetConfig, ViewsConfig

SIZE = 48
COLOURS = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0), (0, 200, 200)]


def make_dataset(root, heads=5) -> Dataset:
    config = DatasetConfig(
        heads=heads, size=SIZE, samples=1, heads_per_shard=heads, views=ViewsConfig(random=0)
    )
    dataset = Dataset.create(root, config)
    for plan in dataset.plan():
        with ShardWriter(plan.path, dataset_id=dataset.dataset_id) as writer:
            for spec in plan.specs(config):
                cameras = spec.resolved_cameras()
                rgba = np.zeros((len(cameras), SIZE, SIZE, 4), np.uint8)
                for view, camera in enumerate(cameras):
                    shade = 255 if camera.name == "front" else 128
                    rgba[view, 8:40, 8:40] = (*COLOURS[spec.index % len(COLOURS)], shade)
                writer.add_head(spec, cameras, list(rgba))
    return dataset


def test_heads_stand_in_order_on_white(tmp_path):
    path = report.contact_sheet(make_dataset(tmp_path / "heads"), tmp_path / "sheet.png", 4)
    sheet = iio.imread(path)
    columns = report.columns_for(4)
    width, height, gap = SIZE, SIZE + SIZE // 3, max(4, SIZE // 24)
    assert sheet.shape == (gap + 4 // columns * (height + gap), gap + columns * (width + gap), 3)
    for number in range(4):
        top = gap + number // columns * (height + gap)
        left = gap + number % columns * (width + gap)
        assert sheet[top + SIZE // 2, left + SIZE // 2].tolist() == list(COLOURS[number])
        assert sheet[top + 2, left + 2].tolist() == [255, 255, 255]
        half = sheet[top + SIZE + SIZE // 6, left + SIZE // 6]  # a side view with alpha 128
        assert half.tolist() == pytest.approx([c / 2 + 127 for c in COLOURS[number]], abs=2)
    assert (sheet[0] == sheet[0, 0]).all()
    assert sheet[0, 0, 0] < 255


def test_a_dataset_without_heads_has_no_sheet(tmp_path):
    config = DatasetConfig(heads=1, size=SIZE)
    dataset = Dataset.create(tmp_path / "heads", config)
    with pytest.raises(RecordError, match="no heads are rendered yet"):
        report.contact_sheet(dataset, tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (6, 3), (8, 4), (24, 6), (40, 8)])
def test_sheets_are_wide_and_full(count, columns):
    assert report.columns_for(count) == columns
