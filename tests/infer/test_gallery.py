"""The page shows what is there, with relative links that all exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from infer.gallery import collect_and_write, curve_svg, write_gallery
from infer.gallery_data import Gallery, RunEntry, collect
from synth.errors import InputError


class Links(HTMLParser):
    """Everything that a page refers to, and whether its tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img", "line", "polyline"):
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href"):
                self.links.append(value)
            if name == "style":
                self.links += re.findall(r"url\('([^']+)'\)", value)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def demo(tmp_path, lifter, astronaut) -> Path:
    """What `make demo` leaves, in small."""
    dataset, run = tmp_path / "dataset", tmp_path / "gslrm"
    dataset.mkdir()
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(dataset / "contact.png")
    (dataset / "dataset.yaml").write_text("config: {heads: 6, size: 128, samples: 8}\n")
    run.mkdir()
    records = [{"step": s, "samples_seen": s, "loss": 1 / s} for s in range(1, 30)]
    (run / "metrics.jsonl").write_text("\n".join(map(json.dumps, records)) + '\n{"step": 3')
    (run / "curves.png").write_bytes((dataset / "contact.png").read_bytes())
    lifter.lift_photo(astronaut, tmp_path / "lift" / "a head & more")
    return tmp_path


def test_the_page_links_only_to_files_beside_it(demo):
    page = collect_and_write(demo)
    text = page.read_text()
    parser = Links()
    parser.feed(text)
    assert parser.open == []
    assert len(parser.links) > 8
    for link in parser.links:
        assert not re.match(r"[a-z]+:|/", link), link
        assert (demo / unquote(link)).exists(), link
    for word in ("contact.png", "views.png", "turntable.mp4", "head.ply", "lift.json", "spin.jpg"):
        assert any(link.endswith(word) for link in parser.links), word
    assert "http" not in re.sub(r"<!doctype[^>]*>", "", text)
    assert "6 heads" in text
    assert "Reconstructor (GS-LRM)" in text
    assert "weights of this demo" in text
    assert "$" not in text  # every placeholder was filled


def test_a_dataset_links_to_its_datasheet(demo):
    assert "datasheet" not in collect_and_write(demo).read_text()
    (demo / "dataset" / "report").mkdir()
    (demo / "dataset" / "report" / "index.html").write_text("the page")
    text = collect_and_write(demo).read_text()
    assert '<a href="dataset/report/index.html">datasheet</a>' in text


def test_collect_reads_what_runs_left(demo):
    gallery = collect(demo)
    assert [head.folder.name for head in gallery.heads] == ["a head & more"]
    assert gallery.datasets[0].facts == {"heads": "6", "px": "128", "samples a pixel": "8"}
    (run,) = gallery.runs
    assert run.kind == "gslrm"
    assert len(run.losses) == 29
    assert run.losses[-1] == (29, pytest.approx(1 / 29))


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 0}', '{"kind": "photo"}'])
def test_a_record_that_is_not_ours_is_named(tmp_path, text):
    (tmp_path / "lift.json").write_text(text)
    with pytest.raises(InputError, match=r"lift\.json"):
        collect(tmp_path)


def test_the_page_shows_previews_and_rebuilt_heads(demo):
    scores = {"psnr": 21.5, "ssim": 0.75, "lpips": 0.123, "alpha_iou": 0.9}
    record = {
        "size": 64,
        "mean": scores,
        "heads": [{"spec_id": "abc", "split": "test", "views": [{"name": "a", **scores}]}],
        "spin": {"file": "spin.jpg", "frames": 4, "columns": 2},
    }
    (demo / "gslrm" / "previews").mkdir()
    (demo / "gslrm" / "previews" / "1.png").write_bytes((demo / "gslrm/curves.png").read_bytes())
    (demo / "rebuilt").mkdir()
    (demo / "rebuilt" / "metrics.json").write_text(json.dumps(record))
    page = collect_and_write(demo).read_text()
    assert "Rebuilt from six views" in page and "21.5 dB, test" in page
    assert "0.123 LPIPS" in page
    assert "url('rebuilt/abc/spin.jpg')" in page
    assert '<img class="preview"' in page


def test_the_gallery_reads_no_network_to_write_a_page():
    code = "import sys, infer.gallery; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_nothing_to_show_is_an_error(tmp_path):
    with pytest.raises(InputError, match="nothing to show"):
        collect_and_write(tmp_path)


def test_text_from_outside_is_escaped(tmp_path):
    run = RunEntry("<script>", [(1, 0.5)], {"<b>": "&"})
    text = write_gallery(tmp_path, Gallery(runs=[run]), headline="<i>").read_text()
    assert "<i>" not in text
    assert "&lt;script&gt;" in text
    assert "&lt;b&gt;" in text


def test_a_falling_loss_falls_on_the_page():
    svg = curve_svg([(s, 10.0 ** -(s / 10)) for s in range(50)])
    heights = [float(y) for y in re.search(r'class="raw" points="([^"]+)"', svg)[1]
               .replace(",", " ").split()[1::2]]  # fmt: skip
    assert heights == sorted(heights)  # the y axis of SVG points down
    assert heights[-1] - heights[0] > 100
    assert "nan" not in curve_svg([(0, 0.0)])
