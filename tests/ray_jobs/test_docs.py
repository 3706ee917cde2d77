"""The documentation is true where a program can tell: its commands parse, its numbers are ours."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from infer.config import LiftConfig
from ray_jobs import cli
from ray_jobs.commands import cluster_config
from synth.asset_files import MAX_FILE_BYTES
from synth.asset_manifest import SUFFIXES, ItemEntry
from synth.asset_template import MAKEHUMAN_OFFSET, MAKEHUMAN_SCALE
from synth.camera import CANONICAL_VIEWS, FOV_DEG, RADIUS
from synth.config import load_config
from synth.sample import DatasetConfig

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "docs/assets.md",
    "docs/cluster.md",
    "docs/dataset_format.md",
    "CONTRIBUTING.md",
    "docs/operations.md",
    "docs/storage.md",
)


def descriptions(parser: argparse.ArgumentParser, words: str = "") -> dict[str, str]:
    """What `--help` says, by the words to type."""
    found = {words: parser.description or ""}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, verb in action.choices.items():
                found |= descriptions(verb, f"{words} {word}".strip())
    return found


def commands() -> list[str]:
    """Every indented command of the pages and of `headloom VERB --help`, without its comment."""
    texts = {page: (ROOT / page).read_text() for page in PAGES}
    texts |= descriptions(cli.build_parser())
    found = []
    for name, text in texts.items():
        indent = " {4}" if name in PAGES else " {2}"
        for line in text.replace("\\\n", " ").splitlines():
            if re.match(rf"{indent}headloom ", line):
                words = shlex.split(line, comments=True)
                found.append(shlex.join(word for word in words[1:] if word != "..."))
    return found


@pytest.mark.parametrize("command", commands())
def test_every_documented_command_is_one(command):
    arguments = cli.build_parser().parse_args(shlex.split(command))
    if arguments.run.__name__ == "submit":
        arguments = cli.build_parser().parse_args(arguments.command[1:])
    overrides = getattr(arguments, "overrides", [])
    if arguments.run.__name__ == "render":
        cluster_config(arguments)
        presets = ROOT / "synth" / "configs"
        load_config(DatasetConfig, arguments.config or "heads_v1", overrides, presets=presets)
    if arguments.run.__name__ == "lift":
        load_config(LiftConfig, arguments.config, overrides, presets=ROOT / "infer" / "configs")


def test_there_are_commands_to_check():
    assert len(commands()) > 25


def test_the_page_about_assets_states_our_numbers():
    text = (ROOT / "docs" / "assets.md").read_text()
    ends = [o + s * end for o, s in zip(MAKEHUMAN_OFFSET, MAKEHUMAN_SCALE) for end in (0, 1)]
    assert "u from {:.4f} to {:.4f}, v from {:.4f} to {:.4f}".format(*ends) in text
    assert f"At most {MAX_FILE_BYTES / 1024**3:.0f} GB a file" in text
    for kind, suffixes in SUFFIXES.items():
        assert f"`{kind}`" in text and all(suffix in text for suffix in suffixes)
    for key in ItemEntry.__dataclass_fields__:
        assert f"`{key}`" in text, key


def test_the_readme_states_our_cameras():
    text = (ROOT / "README.md").read_text()
    azimuths = ", ".join(f"{azimuth:g}" for _, azimuth in CANONICAL_VIEWS)
    rig = f"field of view {FOV_DEG:g} degrees, radius {RADIUS:g}, six views at azimuth {azimuths}"
    assert rig in text
