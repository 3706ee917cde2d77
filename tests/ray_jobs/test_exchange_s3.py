"""`headloom dataset export` of datasets and collections on an object store: a real S3 server."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest

from ray_jobs import cli
from synth import record, shardlayout, storage
from synth.dataset import Dataset

SYNTH = Path(__file__).parents[1] / "synth"


def load(name: str):
    spec = importlib.util.spec_from_file_location(f"headloom_exchange_{name}", SYNTH / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclasses.dataclass
class Both:
    """The same datasets here and behind the server: "heads", "more", "all" merged of both, and
    "damaged", which is "more" with a broken picture."""

    here: Path
    url: str
    query: str

    def there(self, name: str) -> str:
        return f"{self.url}/{name}{self.query}"


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    server, heads = load("s3_server"), load("export_heads")
    with server.serve(tmp_path_factory.mktemp("s3")) as running:
        here = running.directory / server.BUCKET
        heads.make_dataset(here / "heads")
        more = dataclasses.replace(heads.CONFIG, seed=7, heads=4, heads_per_shard=1)
        heads.make_dataset(here / "more", more, passes=False)
        assert run("merge", here / "heads", here / "more", "--out", here / "all") == 0
        shutil.copytree(here / "more", here / "damaged")
        shard = here / "damaged" / "shards" / "shard-000002.tar"
        data = bytearray(shard.read_bytes())
        data[data.index(b"\x89PNG") + 30] ^= 1
        shard.write_bytes(data)
        yield Both(here, f"s3://{server.BUCKET}", running.query)


def run(*words: object) -> int:
    return cli.main(["dataset", *map(str, words), "--quiet"])


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.parametrize("name", ["heads", "all"])
def test_what_lies_on_a_store_is_exported_as_from_a_disk(both, tmp_path, name):
    for to in ("facelift", "nerfstudio", "colmap", "webdataset"):
        local, remote = tmp_path / to, tmp_path / f"{to}-s3"
        assert run("export", both.here / name, "--to", to, "--out", local) == 0
        assert run("export", both.there(name), "--to", to, "--out", remote, "--jobs", 4) == 0
        assert files(remote) == files(local)
        count = 3 if name == "heads" else 7
        assert len((local / "heads.jsonl").read_text().splitlines()) == count


@pytest.mark.parametrize(
    ("name", "flags", "indices", "opened"),
    [
        ("heads", ("--index", "2"), [2], {"shard-000001.tar"}),
        ("all", ("--index", "1,4-5"), [1, 4, 5],
         {"shard-000000.tar", "shard-000003.tar", "shard-000004.tar"}),
        ("all", ("--where", "index == 5 or index == 12", "--index", "0-9"), [5],
         {"shard-000004.tar"}),
    ],
)  # fmt: skip
def test_only_shards_with_chosen_heads_are_opened(
    both, tmp_path, monkeypatch, name, flags, indices, opened
):
    assert run("index", both.there(name)) == 0
    seen = set()

    def read_index(path):
        seen.add(path.name)
        return shardlayout.read_index(path)

    monkeypatch.setattr(record, "read_index", read_index)
    out = tmp_path / "out"
    assert run("export", both.there(name), "--to", "facelift", "--out", out, *flags) == 0
    lines = (out / "heads.jsonl").read_text().splitlines()
    assert [json.loads(line)["index"] for line in lines] == indices
    assert seen == opened


@pytest.mark.parametrize("to", ["colmap", "webdataset"])
def test_all_files_of_a_head_are_one_request(both, tmp_path, monkeypatch, to):
    opened = []

    def open_file(path):
        opened.append(path.name)
        return path.filesystem.open_input_file(path.location)

    monkeypatch.setattr(storage, "_open", open_file)
    assert run("export", both.there("heads"), "--to", to, "--out", tmp_path / "out") == 0
    per_head = {"colmap": 1, "webdataset": 2}[to]  # and its spec, for the table of heads
    assert len(opened) == 1 + 2 + per_head * 3  # dataset.yaml, the ends of two shards, three heads


def test_a_damaged_head_on_a_store_costs_no_other(both, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("export", both.there("damaged"), "--to", "facelift-gslrm", "--out", out) == 1
    told = capsys.readouterr().out
    assert "shard-000002.tar" in told and "3 heads as facelift-gslrm; 1 NOT exported" in told


def test_datasets_on_a_store_are_merged_here(both, tmp_path):
    sources = (both.there("heads"), both.there("more"))
    assert run("merge", *sources, "--out", tmp_path / "all") == 0
    ids = [head.spec_id for head in Dataset.open(tmp_path / "all").heads()]
    assert ids == [head.spec_id for head in Dataset.open(both.here / "all").heads()]
