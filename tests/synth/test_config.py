"""Strict configuration: what a typo in a YAML file leads to."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

import pytest

from synth.config import (
    atomic_write,
    canonical_json,
    digest,
    from_dict,
    load_config,
    save_yaml,
    to_dict,
)
from synth.errors import ConfigError
from synth.unfinished import remove_stale_temporaries


@dataclass(frozen=True)
class Inner:
    rate: float = 1.0
    mode: Literal["fast", "slow"] = "fast"


@dataclass(frozen=True)
class Outer:
    steps: int = 3
    inner: Inner = Inner()
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[int, str] = (1, "a")
    label: str | None = None
    weights: dict[str, float] | None = None

    def __post_init__(self):
        if self.steps < 0:
            raise ValueError(f"steps must not be negative, got {self.steps}")


def test_defaults_file_and_overrides_stack(tmp_path):
    (tmp_path / "big.yaml").write_text("steps: 10\ninner: {rate: 2}\n")
    config = load_config(Outer, "big", ["inner.mode=slow", "sizes=[4, 5]"], presets=tmp_path)
    assert config == Outer(steps=10, inner=Inner(2.0, "slow"), sizes=(4, 5))
    assert load_config(Outer, tmp_path / "big.yaml").steps == 10
    assert load_config(Outer) == Outer()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stps=3", "did you mean 'steps'"),
        ("inner.rat=3", "inner: unknown key 'rat' (did you mean 'rate'?)"),
        ("steps=many", "steps: expected int, got 'many' (str)"),
        ("steps=true", "expected int"),
        ("steps=-1", "must not be negative, got -1"),
        ("inner.mode=quick", "'quick' (str) is not one of fast, slow"),
        ("pair=[1]", "expected 2 values, got 1"),
        ("sizes=3", "sizes: expected a list"),
        ("inner.rate=.nan", "not a finite number"),
        ("inner.rate", "not of the form a.b=value"),
        ("weights={a: x}", "weights.a: expected float"),
        ("steps.a=3", "unknown key"),
    ],
)
def test_mistakes_name_the_path_and_the_value(override, message):
    with pytest.raises(ConfigError) as error:
        load_config(Outer, None, [override])
    if override != "steps.a=3":
        assert message in str(error.value)


def test_a_mistake_on_the_command_line_is_not_blamed_on_the_file(tmp_path):
    (tmp_path / "big.yaml").write_text("steps: 10\n")
    with pytest.raises(ConfigError, match=r"big\.yaml with steps=-1, label=a: steps must not be"):
        load_config(Outer, "big", ["steps=-1", "label=a"], presets=tmp_path)
    (tmp_path / "big.yaml").write_text("steps: -1\n")
    with pytest.raises(ConfigError, match=r"big\.yaml: steps must not be"):
        load_config(Outer, "big", presets=tmp_path)


def test_yaml_scientific_notation_is_a_number():
    assert load_config(Outer, None, ["inner.rate=4e-4"]).inner.rate == 4e-4


def test_unknown_preset_lists_the_known_ones(tmp_path):
    (tmp_path / "default.yaml").write_text("")
    with pytest.raises(ConfigError, match="did you mean 'default'"):
        load_config(Outer, "defualt", presets=tmp_path)
    with pytest.raises(ConfigError, match="no such configuration file"):
        load_config(Outer, "missing.yaml")


def test_round_trip_through_yaml(tmp_path):
    config = Outer(steps=5, label="x", weights={"a": 0.25})
    save_yaml(config, tmp_path / "c.yaml")
    assert load_config(Outer, tmp_path / "c.yaml") == config
    assert from_dict(Outer, to_dict(config)) == config


def test_canonical_json_ignores_key_order_and_refuses_nan():
    assert canonical_json({"b": 1, "a": (2,)}) == canonical_json({"a": [2], "b": 1})
    assert digest(Outer()) != digest(Outer(steps=4))
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": float("nan")})


def test_atomic_write_replaces_or_leaves_alone(tmp_path):
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_write(target) as file:
        file.write(b"half")
        raise RuntimeError
    assert target.read_bytes() == b"old"
    with atomic_write(target) as file:
        file.write(b"new")
    assert target.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_write_leaves_is_recognised(tmp_path):
    code = (
        "import os, sys; from synth.config import atomic_write\n"
        "with atomic_write(sys.argv[1]):\n    os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "file")], timeout=60)
    (left,) = tmp_path.iterdir()
    assert remove_stale_temporaries(tmp_path) == [left]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EIO])
def test_a_directory_that_cannot_be_flushed(tmp_path, monkeypatch, number):
    """Some network file systems have no such thing, which is no failure; a broken disk is one."""

    def refuse(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    expected = pytest.raises(OSError) if number == errno.EIO else nullcontext()
    with expected, atomic_write(tmp_path / "file") as file:
        file.write(b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
