"""`headloom dataset ...` from end to end: what a person types, what comes back."""

from __future__ import annotations

import json
import shutil

import imageio.v3 as iio
import pytest

from ray_jobs import cli, sampling
from ray_jobs.index import INDEX_NAME
from synth import report
from synth.dataset import Dataset
from synth.dataset_report import verify
from synth.errors import RecordError, SchemaMismatch
from synth.lock import exclusive
from synth.record import ShardReader, ShardWriter
from synth.repair import repair
from synth.unfinished import temporary_name


def run(*words) -> int:
    return cli.main(["dataset", *map(str, words), "--quiet"])


@pytest.fixture
def say(capsys):
    """What a command prints on stdout, its exit code checked."""

    def say(code: int, *words) -> str:
        assert run(*words) == code
        captured = capsys.readouterr()
        return captured.out if code == 0 or captured.out else captured.err

    return say


def test_the_verbs_work_together(heads, other, tmp_path, say):
    assert "13 heads, 13 read from 5 shards" in say(0, "index", heads.root)
    assert "age_group" in say(0, "index", heads.root, "--columns")
    lines = say(0, "sample", heads.root, "--where", "age_years >= 20", "--n", 3, "--json")
    chosen = [json.loads(line) for line in lines.splitlines()]
    assert len(chosen) == 3 and all(line["age_years"] >= 20 for line in chosen)
    sheet = say(0, "sample", heads.root, "--n", 4, "--out", tmp_path / "s.png").strip()
    assert iio.imread(sheet).ndim == 3
    text = say(
        0, "sample", heads.root, "--n", "all", "--where", "index < 5", "--out", tmp_path / "few"
    )
    assert "5 heads in 2 shards (1 taken whole, 1 put together)" in text
    assert "# plan: 18 heads" in say(
        0, "merge", tmp_path / "few", heads.root, other.root, "--out", tmp_path / "all", "--dry-run"
    )
    assert not (tmp_path / "all").exists()
    text = say(0, "merge", tmp_path / "few", heads.root, other.root, "--out", tmp_path / "all")
    assert "18 heads" in text and "5 heads were there twice" in text
    assert json.loads(say(0, "verify", tmp_path / "all", "--json"))["ok"]
    say(0, "split", tmp_path / "all", "--parts", 2, "--out", tmp_path / "parts")
    assert "every digest holds" in say(0, "verify", tmp_path / "parts" / "part-1")
    say(0, "report", tmp_path / "all", "--judges", "none")
    page = (tmp_path / "all" / "report" / "index.html").read_text()
    assert str(other.root) in page and "headloom dataset merge" in page
    numbers = json.loads((tmp_path / "all" / "report" / "report.json").read_text())
    assert len(numbers["dataset"]["config"]["sources"]) == 2
    assert "18 of 18" in say(0, "info", tmp_path / "all")


def test_mistakes_are_one_sentence(heads, tmp_path, say, monkeypatch):
    assert "did you mean 'glasses'" in say(1, "sample", heads.root, "--where", "glases")
    assert "--n 0: give a number" in say(1, "sample", heads.root, "--n", 0)
    assert "14 heads are wanted" in say(1, "sample", heads.root, "--n", 14)
    monkeypatch.setattr(report, "MAX_CARDS", 12)
    crowd = say(1, "sample", heads.root, "--n", "all", "--out", tmp_path / "s.png")
    assert "13 heads are too many for one picture; --n 12 or fewer" in crowd
    assert not (tmp_path / "s.png").exists()
    empty = Dataset.create(tmp_path / "empty", heads.config)
    assert "no heads are rendered yet" in say(1, "sample", empty.root)
    assert not (empty.root / INDEX_NAME).exists()
    assert "is not a dataset" in say(1, "merge", tmp_path / "none", "--out", tmp_path / "all")
    say(0, "merge", heads.root, "--out", tmp_path / "all")
    assert cli.main(["render", "--out", str(tmp_path / "all"), "--dry-run"]) == 1


def test_a_dataset_is_finished_without_its_flags(heads, capsys):
    """After a kill or a repair: the configuration is in place, a difference is still refused."""
    heads.shard_paths()[0].unlink()
    command = ["render", "--out", str(heads.root), "--dry-run"]
    assert cli.main(command) == 0
    text = capsys.readouterr().out
    assert "# plan: 3 of 13 heads to render" in text and "heads_per_shard: 3" in text
    assert cli.main([*command, "--heads", "15", "--set", "views.random=0"]) == 0
    assert "# plan: 5 of 15 heads" in capsys.readouterr().out
    for flags, message in (
        (["--size", "32"], "size: 16 in the dataset, 32 given"),
        (["--heads", "12"], "does not shrink to 12"),
        (["--set", "hair.female_styles={bob: 1}"], "hair.female_styles.bob: "),
        (["--config", "demo"], "in the dataset,"),
    ):
        assert cli.main([*command, *flags]) == 1
        assert message in capsys.readouterr().err


def test_what_cannot_be_rendered_says_so_without_flags(heads, tmp_path, capsys):
    assert run("merge", heads.root, "--out", tmp_path / "all") == 0
    assert cli.main(["render", "--out", str(tmp_path / "all"), "--dry-run"]) == 1
    assert "nothing is rendered into it" in capsys.readouterr().err


def give_fingerprints(heads, prints: dict[int, str | None]) -> None:
    for path in heads.shard_paths():
        records = ShardReader(path).heads()
        with ShardWriter(path, dataset_id=heads.dataset_id) as writer:
            for head in records:
                pictures = [head.rgba(view) for view in range(head.view_count)]
                meta = {**head.meta, "quality": {"fingerprint": prints.get(head.index)}}
                writer.add_head(head.spec, head.cameras, pictures, meta=meta)


def test_heads_that_look_alike_are_found_and_left_out(heads, tmp_path, say):
    prints = {index: bytes([10 * index] * 256).hex() for index in range(13)}
    prints |= {11: prints[2], 0: None}  # another shard's, and one that was not judged
    give_fingerprints(heads, prints)
    text = say(0, "duplicates", heads.root)
    assert "1 of 13 heads look like an earlier one (distance below 1.8)" in text
    assert "without a fingerprint, so not compared: 1" in text
    (line,) = map(json.loads, say(0, "duplicates", heads.root, "--json").splitlines())
    assert (line["index"], line["like"], line["distance"]) == (11, 2, 0.0)
    assert line["like_spec_id"] == list(heads.heads())[2].spec_id
    assert "6 of 13 heads" in say(0, "duplicates", heads.root, "--distance", 12)
    text = say(0, "duplicates", heads.root, "--out", tmp_path / "distinct")
    assert "12 heads in 5 shards (4 taken whole, 1 put together)" in text
    distinct = Dataset.open(tmp_path / "distinct")
    assert sorted(head.index for head in distinct.heads()) == [*range(11), 12]
    assert distinct.shard_paths()[0].samefile(heads.shard_paths()[0]) and verify(distinct).ok
    assert "--distance 0: give more than 0" in say(1, "duplicates", heads.root, "--distance", 0)


def test_heads_without_fingerprints_cannot_be_compared(heads, say):
    give_fingerprints(heads, {})
    assert "no head has a fingerprint" in say(1, "duplicates", heads.root)


def test_a_dataset_that_may_only_be_read_is_asked_by_its_index(heads, monkeypatch, say):
    say(0, "index", heads.root)

    def forbidden(_):
        raise PermissionError(13, "Permission denied", ".lock")

    monkeypatch.setattr(sampling, "exclusive", forbidden)
    assert len(say(0, "sample", heads.root, "--n", "3").splitlines()) == 5
    heads.shard_paths()[0].unlink()
    assert "lacks heads and cannot be brought up to date" in say(1, "sample", heads.root)


def test_repair_puts_aside_and_rendering_finishes(heads, other, render, say):
    first, second, third, *_ = heads.shard_paths()
    flipped = bytearray(first.read_bytes())
    flipped[flipped.index(b"\x89PNG") + 20] ^= 1
    first.write_bytes(flipped)
    second.write_bytes(second.read_bytes()[:-2000])
    third.unlink()
    shutil.copy(other.shard_paths()[0], heads.shard_directory / "shard-000003.tar")
    shutil.copy(heads.shard_paths()[-1], heads.shard_directory / "shard-000009.tar")
    name = temporary_name("shard-000000.tar").rsplit(".", 4)
    stale = heads.shard_directory / ".".join([name[0], "999999999", "1", *name[3:]])
    stale.write_bytes(b"half")
    before = {path.name: path.read_bytes() for path in heads.shard_paths()}

    found = {f.path.name: f.kind for f in verify(heads).findings}
    assert found == {
        "shard-000000.tar": "damaged",
        "shard-000001.tar": "damaged",
        "shard-000002.tar": "missing",
        "shard-000003.tar": "foreign",
        "shard-000009.tar": "foreign",
    }
    assert not json.loads(say(1, "verify", heads.root, "--json"))["ok"]
    assert "would be moved" in say(0, "repair", heads.root, "--dry-run")
    assert {path.name: path.read_bytes() for path in heads.shard_paths()} == before
    assert verify(heads).heads == 1  # whole and in its place
    done = json.loads(say(0, "repair", heads.root, "--json"))
    assert len(done["moved"]) == 4
    assert f"`headloom render --out {heads.root}`" in done["remedy"]
    assert not stale.exists()
    kept = {
        p.name.rpartition(".")[0]: p.read_bytes() for p in (heads.root / "quarantine").iterdir()
    }
    assert kept == {name: before[name] for name in found if name in before}
    render(heads.root, heads.config)
    assert verify(heads).ok
    assert json.loads(say(0, "repair", heads.root, "--json"))["moved"] == []


def test_a_changed_sampler_is_no_fault_of_the_shards(heads, say):
    path = heads.root / "dataset.yaml"
    path.write_text(path.read_text().replace("first_spec_id: ", "first_spec_id: f"))
    before = heads.shard_paths()
    assert "the sampler or an asset changed" in say(1, "repair", heads.root)
    assert heads.shard_paths() == before and not (heads.root / "quarantine").exists()


def test_an_unfinished_shard_is_left_for_rendering(heads, render):
    import dataclasses

    larger = Dataset.create(heads.root, dataclasses.replace(heads.config, heads=15))
    (found,) = verify(larger).findings
    assert found.kind == "unfinished" and repair(heads.root).moved == ()
    assert verify(render(heads.root, larger.config)).ok


def test_a_lost_header_is_explained_and_made_again(heads, render):
    path = heads.root / "dataset.yaml"
    for text in (None, "a: [1", ""):
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
        with pytest.raises(RecordError, match=f"5 of dataset {heads.dataset_id}") as caught:
            repair(heads.root)
        assert "same configuration and --out" in str(caught.value)
    path.write_text("schema: 2")  # nothing is lost, and nothing to be moved away
    with pytest.raises(SchemaMismatch) as caught:
        repair(heads.root)
    assert "Move a damaged" not in str(caught.value)
    path.unlink()
    assert verify(render(heads.root, heads.config)).ok


def test_a_dataset_that_is_being_written_is_left_alone(heads):
    with exclusive(heads.root), pytest.raises(RecordError, match="another process"):
        repair(heads.root)


def test_info_counts_the_same_from_the_index_and_from_the_heads(
    heads, other, tmp_path, say, capsys
):
    specs = [head.spec for head in ShardReader(heads.shard_paths()[1]).heads()]
    with ShardWriter(heads.shard_paths()[1], dataset_id=heads.dataset_id) as writer:
        for spec in specs:
            writer.add_absent(spec, "failed", f"RenderInvalid: head {spec.spec_id} is 0.5 black")
    quick = json.loads(say(0, "info", heads.root, "--json"))
    full = json.loads(say(0, "info", heads.root, "--json", "--full"))
    assert quick["bytes_by_kind"] == {} and full["bytes_by_kind"]["rgba"] > 0
    assert {**quick, "bytes_by_kind": 0} == {**full, "bytes_by_kind": 0}
    assert (quick["heads"], quick["absent"]) == (10, {"failed": 3})
    assert quick["reasons"] == {"failed: RenderInvalid: head ... is ... black": 3}
    assert "absent    3 failed: RenderInvalid: head ... is ... black" in say(0, "info", heads.root)
    (heads.root / INDEX_NAME).unlink()
    with exclusive(heads.root):  # while it is rendered
        assert run("info", heads.root) == 0
    assert "so every head is read" in capsys.readouterr().err
