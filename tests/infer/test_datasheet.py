"""The datasheet counts what is there and links only to files beside it."""

from __future__ import annotations

import collections
import dataclasses
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import imageio.v3 as iio
import numpy as np
import pytest

from infer import datasheet_charts as charts
from infer import datasheet_sheets, judges, judges_identity
from infer.datasheet import write_report
from infer.datasheet_data import collect_facts, open_head, spaced
from infer.datasheet_judges import judges_section
from infer.datasheet_pictures import GREY, LABEL_COLOURS, Figure, Pictures, colourise, fit
from infer.datasheet_sections import origin_section
from infer.judges_verdicts import give_verdicts
from synth.assets import LicenceRow
from synth.config import load_config, to_dict
from synth.dataset import Dataset, dataset_id
from synth.errors import RecordError
from synth.ground_truth import LABELS, encode
from synth.record import ShardWriter
from synth.sample import DatasetConfig, FactorConfig, ViewsConfig

SIZE = 64
CONFIG = DatasetConfig(
    heads=6, size=SIZE, samples=1, heads_per_shard=2, factors=FactorConfig(looks=2),
    views=ViewsConfig(random=2),
)  # fmt: skip


class Page(HTMLParser):
    """Everything that a page refers to, its text, and whether its tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img"):
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href"):
                self.links.append(value)
            if name == "id":
                self.anchors.add(value)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def render(dataset: Dataset, heads: int) -> None:
    """Squares in a colour of their own (mediapipe takes some discs for faces), and timings."""
    for plan in dataset.plan(heads):
        with ShardWriter(plan.path, dataset_id=dataset.dataset_id) as writer:
            for spec in plan.specs(dataset.config):
                rgba = np.zeros((SIZE, SIZE, 4), np.uint8)
                rgba[8:, 8:56] = (40 * spec.index, 90, 120, 255)
                meta = {"timings_s": {"head_s": 4.0, "build_s": 1.0, "build.hair_s": 0.5},
                        "versions": {"bpy": "4.5"}, "device": "CPU"}  # fmt: skip
                cameras = spec.resolved_cameras()
                writer.add_head(spec, cameras, [rgba] * len(cameras), meta=meta)


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    made = Dataset.create(tmp_path / "a & <b>", CONFIG)
    render(made, 6)
    return made


def test_the_page_links_only_to_files_beside_it(dataset, tmp_path):
    stages = collections.Counter()
    summary = write_report(
        dataset, judges=("pictures",), progress=lambda stage, done, total: stages.update([stage])
    )
    assert summary.page == dataset.root / "report" / "index.html"
    moved = Path(shutil.move(summary.page.parent, tmp_path / "elsewhere"))
    page = Page((moved / "index.html").read_text())
    assert page.open == []
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.anchors
        else:
            assert not re.match(r"[a-z]+:|/", link), link
            assert (moved / unquote(link)).exists(), link
    text = (moved / "index.html").read_text()
    assert "http" not in re.sub(r"<!doctype[^>]*>", "", text)
    assert "a &amp; &lt;b&gt;" in text and "<b>:" not in text
    assert not re.search(r"\bnan\b|\$[a-z{]", text)
    assert iio.imread(moved / "fronts.jpg").shape[2] == 3
    assert len(list((moved / "looks").iterdir())) == 3
    assert set(stages) == {"reading specs", "judging", "drawing"}
    assert stages["reading specs"] == stages["judging"] == 6


def test_the_numbers_are_those_of_the_specs(dataset):
    write_report(dataset, judges=())
    report = json.loads((dataset.root / "report" / "report.json").read_text())
    specs = [head.spec for head in dataset.heads()]
    assert report["words"]["hair.style"] == collections.Counter(s.hair.style for s in specs)
    ages = report["numbers"]["identity.age_years"]
    assert ages["count"] == 6
    assert ages["mean"] == pytest.approx(np.mean([s.identity.age_years for s in specs]))
    assert report["dataset"]["heads"] == 6 and report["dataset"]["identities"] == 3
    assert report["dataset"]["views"] == 6 * 8
    assert report["timings_s"]["head_s"]["50 %"] == 4.0
    assert {asset["licence"] for asset in report["dataset"]["assets"]} == {"CC0-1.0"}
    assert report["judges"] is None
    again = load_config(DatasetConfig, dataset.root / "report" / "config.yaml")
    assert dataset_id(again) == dataset.dataset_id


def test_the_page_says_what_was_counted(dataset):
    text = write_report(dataset, judges=()).page.read_text()
    assert "<dd>6</dd>" in text and "<dd>3</dd>" in text
    assert "900 heads an hour" in text
    assert "anny:head" in text and "CC0-1.0" in text
    style = dataset.heads().__next__().spec.hair.style.replace("_", " ")
    assert f">{style}</span>" in text
    grounds = collections.Counter(head.spec.clothes.fabric for head in dataset.heads())
    fabric, count = grounds.most_common(1)[0]
    assert f"{fabric.replace('_', ' ')} {count}" in text
    assert "Not asked for" in text


def test_every_licence_is_on_the_page(dataset):
    row = LicenceRow("own:x", "ab" * 32, "LicenseRef-Own", "our studio", "Anna & Co", "Ask <us>.")
    facts = collect_facts(dataset)
    facts.assets[row.ref] = 4
    dataset._header["assets"] = [to_dict(row)]
    html = origin_section(facts, dataset, "config.yaml")
    for told in (
        "own:x",
        "LicenseRef-Own",
        "our studio",
        "Anna &amp; Co",
        "Ask &lt;us&gt;.",
        "abab",
    ):
        assert told in html


def test_stored_passes_are_shown(tmp_path):
    config = dataclasses.replace(CONFIG, heads=1)
    dataset = Dataset.create(tmp_path / "heads", config)
    (plan,) = dataset.plan()
    (spec,) = plan.specs(config)
    cameras = spec.resolved_cameras()
    labels = np.zeros((SIZE, SIZE), np.uint8)
    labels[20:40, 20:40] = LABELS["clothes"]
    depth = np.full((SIZE, SIZE), 2.5, np.float32)
    passes = {"segmentation": [labels] * 8, "depth": [encode("depth", depth, c) for c in cameras]}
    with ShardWriter(plan.path, dataset_id=dataset.dataset_id) as writer:
        rgba = [np.full((SIZE, SIZE, 4), 200, np.uint8)] * 8
        writer.add_head(spec, cameras, rgba, passes, files={"landmarks.npz": b"points"})
    page = write_report(dataset, judges=()).page
    text = page.read_text()
    assert "depth, landmarks, segmentation" in text
    assert {p.stem for p in (page.parent / "passes").iterdir()} == {"rgba", "depth", "segmentation"}
    shown = iio.imread(page.parent / "passes" / "segmentation.jpg")
    colour = [int(LABEL_COLOURS["clothes"][i : i + 2], 16) for i in (1, 3, 5)]
    assert np.abs(shown[shown.shape[0] // 2, shown.shape[1] // 2] - np.array(colour)).max() < 12
    assert f"background:{LABEL_COLOURS['clothes']}" in text
    kinds = json.loads((page.parent / "report.json").read_text())["dataset"]["bytes"]
    assert kinds.keys() == {"rgba", "depth", "segmentation", "landmarks", "records"}


def test_an_unfinished_dataset_is_reported_as_it_is(tmp_path):
    dataset = Dataset.create(tmp_path / "heads", CONFIG)
    with pytest.raises(RecordError, match="no heads are rendered yet"):
        write_report(dataset)
    assert not (tmp_path / "heads" / "report").exists()
    render(dataset, 2)
    assert dataset.head_count() == 2
    assert "2 of 6" in write_report(dataset, judges=()).page.read_text()


def test_heads_that_are_absent_are_counted_and_explained(tmp_path):
    dataset = Dataset.create(tmp_path / "heads", CONFIG)
    render(dataset, 4)
    (last,) = dataset.plan()
    with ShardWriter(last.path, dataset_id=dataset.dataset_id) as writer:
        for spec, kind in zip(last.specs(CONFIG), ("failed", "rejected")):
            writer.add_absent(spec, kind, f"head {spec.spec_id} is < 3 of 7")
    page = write_report(dataset, judges=()).page
    text = page.read_text()
    assert "4 of 6 (1 failed, 1 rejected)" in text
    assert "failed: head ... is &lt; ... of ..." in text
    found = json.loads((page.parent / "report.json").read_text())["dataset"]
    assert found["absent"] == {"failed": 1, "rejected": 1} and len(found["absent_for"]) == 2


def test_heads_are_found_again(dataset):
    facts = collect_facts(dataset)
    assert [place.index for place in facts.places] == list(range(6))
    assert open_head(facts.places[5]).index == 5
    assert sum(facts.splits.values()) == 6
    assert facts.counts("accessories.glasses.shape").keys() <= {"round", "oval", "rectangle",
                                                               "browline"}  # fmt: skip
    bare = sum(head.spec.accessories.glasses is None for head in dataset.heads())
    assert bare and facts.counts("accessories.glasses") == {"none": bare}
    assert len(facts.cameras) == 48


def test_judges_look_at_as_many_heads_as_asked_for(dataset):
    summary = write_report(dataset, judges=("pictures",), max_judged=2)
    assert summary.judgement.heads == 2 and summary.heads == 6
    assert "2 of 6 heads: identities at even distances, up to 4 heads of each" in (
        summary.page.read_text()
    )


def test_judges_that_cannot_run_say_so(dataset, monkeypatch):
    monkeypatch.setattr(judges_identity.importlib.util, "find_spec", lambda name: None)
    summary = write_report(dataset, judges=("identity",))
    assert summary.judgement.verdicts
    assert all(verdict.passed is None for verdict in summary.judgement.verdicts)
    assert "pip install &#x27;headloom[judges]&#x27;" in summary.page.read_text()
    assert "not run: dlib is not installed: pip install 'headloom[judges]'" in str(summary)
    assert judges.JUDGES


def test_failures_and_missed_goals_are_on_the_page(dataset):
    judgement = judges.judge(dataset.heads(), ("pictures", "faces"))
    assert len(judgement.failures) >= 18  # no disc is a face
    figure = Figure("failures/1.jpg", "head 1: <no face>")
    html = judges_section(judgement, Pictures(Figure("fronts.jpg"), 6, failures=(figure,)), 6)
    assert html.count('class="pill bad">missed') == 2
    assert "head 1: &lt;no face&gt;" in html
    assert ", to 6 of 6 heads" in html
    assert "Not asked for" in judges_section(None, Pictures(Figure("fronts.jpg"), 6), 6)
    assert "None." in judges_section(give_verdicts([], {}), Pictures(Figure("fronts.jpg"), 6), 6)


# ---------------------------------------------------------------------------------------- charts


def test_bars_are_as_long_as_what_they_count():
    html = charts.bars({"side_part": 30, "bob": 10, "<x>": 0}, 60, swatches={"bob": "#112233"})
    assert re.findall(r"width:([\d.]+)%", html) == ["100.0", "33.3", "0.0"]
    assert "50 %" in html and "17 %" in html and "background:#112233" in html
    assert ">side part</span>" in html and "&lt;x&gt;" in html


def test_bars_mark_what_was_configured():
    html = charts.bars({"a": 10, "b": 10}, 20, expected={"a": 15.0, "b": 5.0})
    assert re.findall(r'<b style="left:([\d.]+)%', html) == ["100.0", "33.3"]
    assert re.findall(r"width:([\d.]+)%", html) == ["66.7", "66.7"]
    assert "10 of 20, configured 75.0 %" in html


def test_histograms_count_and_mark():
    values = np.array([0.1] * 3 + [0.9], np.float32)
    svg = charts.histogram(values, low=0, high=1, bins=10, limits=(0.5, 7.0))
    heights = [float(h) for h in re.findall(r'<rect[^>]*height="([\d.]+)"', svg)]
    assert len(heights) == 2 and heights[0] == pytest.approx(3 * heights[1], rel=0.01)
    assert svg.count('class="limit"') == 1  # the other one is off the axis
    assert svg.count('class="median"') == 1 and ">0.1<" in svg
    assert charts.histogram(np.array([], np.float32)) == ""
    assert "nan" not in charts.histogram(np.array([2.0, 2.0]))


def test_two_distributions_have_equal_areas():
    few, many = np.full(2, 0.25), np.full(2000, 0.75)
    svg = charts.histogram_pair(few, many, ("few", "many"), low=0, high=1)
    heights = re.findall(r'<rect[^>]*height="([\d.]+)"', svg)
    assert len(heights) == 2 and heights[0] == heights[1]


def test_cameras_stand_where_they_look_from():
    svg = charts.camera_map([(0.0, 0.0), (90.0, 30.0)])
    (x0, y0), (x1, y1) = [(float(x), float(y)) for x, y in
                          re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', svg)]  # fmt: skip
    assert x1 > x0 and y1 < y0  # left of the subject is to the right, higher is further up


def test_parts_of_a_stack_add_up():
    html = charts.stacked({"build": 1.0, "render": 3.0}, "s")
    assert re.findall(r'<i style="width:([\d.]+)%', html) == ["25.00", "75.00"]


# -------------------------------------------------------------------------------------- pictures


def test_passes_have_colours_that_mean_something():
    alpha = np.ones((2, 2))
    depth = colourise("depth", np.array([[0.0, 2.0], [2.5, 3.0]], np.float32), alpha)
    assert np.allclose(depth[0, 0], GREY)
    assert depth[0, 1].sum() > depth[1, 0].sum() > depth[1, 1].sum()  # near is light
    labels = colourise("segmentation_under", np.array([[0, LABELS["hair"]]], np.uint8), alpha[:1])
    assert np.allclose(labels[0, 1] * 255, [int("6a", 16), int("4c", 16), int("93", 16)])
    normal = np.zeros((1, 2, 3), np.float32)
    normal[0, 1] = (0, 0, 1)
    assert np.allclose(colourise("normal_world", normal, alpha[:1])[0], [[GREY] * 3, [0.5, 0.5, 1]])
    assert np.allclose(colourise("normal_camera", -normal, alpha[:1])[0, 1], [0.5, 0.5, 1])
    coverage = np.zeros((len(LABELS) - 1, 1, 1), np.float32)
    assert np.allclose(colourise("coverage", coverage, alpha[:1, :1]), GREY)
    assert set(LABEL_COLOURS) == set(LABELS)


def test_pictures_are_fitted_without_losing_their_mean():
    picture = np.zeros((40, 40, 3), np.float32)
    picture[:, 20:] = 1.0
    for size in (16, 90):
        fitted = fit(picture, size)
        assert fitted.shape == (size, size, 3)
        assert fitted.mean() == pytest.approx(0.5, abs=0.01)
        assert fitted[:, 0].max() == 0 and fitted[:, -1].min() == 1


def test_passes_are_shown_on_a_head_that_wears_something(dataset):
    for head in dataset.heads():
        worn = head.spec.accessories
        covered = worn.glasses is not None or worn.headwear is not None
        assert datasheet_sheets._is_covered(head) == covered


def test_heads_are_taken_at_even_distances():
    assert spaced(range(10), 20) == list(range(10))
    assert spaced(range(1000), 4) == [0, 250, 500, 750]
