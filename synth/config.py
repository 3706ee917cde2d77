"""Configuration: frozen dataclasses read from YAML with strict keys, and their canonical form.

There is one configuration system: a component owns a frozen dataclass, a YAML file or a command
line override fills it; anything that does not fit raises `ConfigError` with the YAML path of the
offending key.
"""

from __future__ import annotations

import dataclasses
import difflib
import errno
import hashlib
import json
import math
import os
import types
import typing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, TypeVar, Union

import yaml

from synth.errors import ConfigError
from synth.unfinished import temporary_name

T = TypeVar("T")


def load_config(
    cls: type[T],
    source: str | Path | T | None = None,
    overrides: Sequence[str] = (),
    *,
    presets: Path | None = None,
) -> T:
    """Read a configuration: a preset or file, then the overrides on top.

    Args:
        cls: a frozen dataclass; its fields may be nested dataclasses, numbers, strings, paths,
            tuples, literals and optional values.
        source: name of a preset (`NAME.yaml` in `presets`), path of a YAML file, a configuration to
            start from, or None for the defaults of the dataclass.
        overrides: `a.b=value` each; the value is parsed as YAML.
        presets: directory of the presets.

    Raises:
        ConfigError: unknown key, wrong type, unreadable file; names the YAML path.
    """
    data: dict[str, Any] = {}
    where = cls.__name__
    if isinstance(source, cls):
        data = to_dict(source)
    elif source is not None:
        path = find_config(source, presets)
        where = str(path)
        data = _read_yaml(path)
    for override in overrides:
        _apply_override(data, override)
    if overrides:  # the mistake may be in any of them, not in the file
        where += f" with {', '.join(overrides)}"
    return from_dict(cls, data, where)


def find_config(source: str | Path, presets: Path | None = None) -> Path:
    """Resolve a preset name or a path to an existing YAML file.

    Raises:
        ConfigError: neither a file nor a preset; lists the presets there are.
    """
    path = Path(source)
    if path.suffix in (".yaml", ".yml"):
        if path.is_file():
            return path
        raise ConfigError(f"no such configuration file: {path}")
    known = sorted(p.stem for p in presets.glob("*.yaml")) if presets and presets.is_dir() else []
    if presets is not None and str(source) in known:
        return presets / f"{source}.yaml"
    hint = did_you_mean(str(source), known)
    raise ConfigError(
        f"no preset named {str(source)!r}{hint}; presets: {', '.join(known) or 'none'}. "
        "A path must end in .yaml"
    )


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected a mapping at the top, got {type(data).__name__}")
    return data


def _apply_override(data: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"override {override!r} is not of the form a.b=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"override {override!r}: the value is not YAML: {error}") from error
    *parents, last = key.split(".")
    node = data
    for parent in parents:
        child = node.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigError(f"override {override!r}: {parent!r} is a value, not a section")
        node = child
    node[last] = value


def from_dict(cls: type[T], data: Any, where: str = "config") -> T:
    """Build a dataclass from plain data, strictly.

    Raises:
        ConfigError: an unknown or missing key, or a value of the wrong type; names its path.
    """
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: expected a mapping, got {_show(data)}")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    for key in data:
        if key not in fields:
            hint = did_you_mean(str(key), fields)
            raise ConfigError(f"{where}: unknown key {key!r}{hint}; known: {', '.join(fields)}")
    values = {}
    for name, field in fields.items():
        if name in data:
            values[name] = _convert(hints[name], data[name], f"{where}: {name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where}: missing key {name!r}")
    try:
        return cls(**values)
    except ValueError as error:  # __post_init__ validators speak ValueError
        raise ConfigError(f"{where}: {error}") from error


def _convert(kind: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(kind)
    if origin in (Union, types.UnionType):
        return _convert_union(kind, value, where)
    if origin is Literal:
        options = typing.get_args(kind)
        if value not in options:
            hint = did_you_mean(str(value), [str(option) for option in options])
            shown = ", ".join(map(str, options))
            raise ConfigError(f"{where}: {_show(value)} is not one of {shown}{hint}")
        return value
    if origin is tuple:
        return _convert_tuple(typing.get_args(kind), value, where)
    if origin is dict:
        _, value_kind = typing.get_args(kind)
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: expected a mapping, got {_show(value)}")
        return {str(k): _convert(value_kind, v, f"{where}.{k}") for k, v in value.items()}
    if dataclasses.is_dataclass(kind):
        return value if isinstance(value, kind) else from_dict(kind, value, where)
    return _convert_scalar(kind, value, where)


def _convert_union(kind: Any, value: Any, where: str) -> Any:
    options = typing.get_args(kind)
    if value is None and type(None) in options:
        return None
    candidates = [option for option in options if option is not type(None)]
    errors = []
    for option in candidates:
        try:
            return _convert(option, value, where)
        except ConfigError as error:
            errors.append(error)
    raise errors[0]


def _convert_tuple(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{where}: expected a list, got {_show(value)}")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_convert(kinds[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if len(kinds) != len(value):
        raise ConfigError(f"{where}: expected {len(kinds)} values, got {len(value)}")
    return tuple(
        _convert(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value))
    )


def _convert_scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is Any:
        return value
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    if kind is float and isinstance(value, str):
        value = _float_from_text(value)  # YAML 1.1 reads 4e-4 as text
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise ConfigError(f"{where}: {value} is not a finite number")
        return float(value)
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind in (str, bool) and isinstance(value, kind):
        return value
    name = getattr(kind, "__name__", str(kind))
    raise ConfigError(f"{where}: expected {name}, got {_show(value)}")


def _float_from_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _show(value: Any) -> str:
    return f"{value!r} ({type(value).__name__})"


def did_you_mean(word: str, known: Any) -> str:
    """A hint that names the known word closest to `word`, or nothing."""
    close = difflib.get_close_matches(word, [str(k) for k in known], n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def to_dict(obj: Any) -> Any:
    """Turn a dataclass (or a tree of them) into plain lists, dicts, numbers and strings."""
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        return {f.name: to_dict(getattr(obj, f.name)) for f in dataclasses.fields(obj) if f.init}
    if isinstance(obj, list | tuple):
        return [to_dict(item) for item in obj]
    if isinstance(obj, dict):
        return {str(key): to_dict(value) for key, value in obj.items()}
    if isinstance(obj, Path):
        return str(obj)
    return obj


def canonical_json(obj: Any) -> str:
    """The one JSON text of an object: sorted keys, no spaces, no NaN; equal objects, equal text."""
    return json.dumps(to_dict(obj), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(obj: Any) -> str:
    """SHA-256 of the canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(obj).encode()).hexdigest()


def differences(old: Any, new: Any, leave_out: Sequence[str] = ()) -> list[str]:
    """A line for every value that differs, by dotted name."""
    before, after = dict(_flatten(old)), dict(_flatten(new))
    return [
        f"  {key}: {before.get(key)!r} in the dataset, {after.get(key)!r} given"
        for key in sorted(before.keys() | after.keys())
        if key not in leave_out and before.get(key) != after.get(key)
    ]


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flatten(item, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value


def yaml_text(obj: Any) -> str:
    """A dataclass (or plain data) as YAML."""
    return yaml.safe_dump(to_dict(obj), sort_keys=False, allow_unicode=True, width=100)


def save_yaml(obj: Any, path: str | Path) -> None:
    """Write a dataclass (or plain data) as YAML, atomically."""
    with atomic_write(path) as file:
        file.write(yaml_text(obj).encode())


@contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path`; on success it replaces `path` in one step.

    The bytes are on the disk (fsync) before the rename, so a reader never sees half a file; on an
    exception the temporary file is removed and `path` stays as it was. What a killed process leaves
    is known by its name (`synth.unfinished`).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / temporary_name(path.name)
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        rename_into_place(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def rename_into_place(finished: Path, path: Path) -> None:
    """Let a file that is flushed to its disk replace `path` in one step that outlasts a power cut.

    Raises:
        OSError: `path` stays as it was.
    """
    inode = finished.stat().st_ino
    try:
        os.replace(finished, path)  # noqa: PTH105 - the house rule names os.replace
    except FileNotFoundError:
        # on NFS the answer may be lost, and the client, asking again, is told that it is not there
        if not (path.exists() and path.stat().st_ino == inode):
            raise
    sync_directory(path.parent)


def sync_directory(directory: str | Path) -> None:
    """Flush a directory entry, so that a rename in it survives a power cut.

    Some network file systems cannot, and say so; their server keeps the order.
    """
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)
