"""Many inputs, one run: what there is to lift, what failed, and the summary; without Ray."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from infer.photo import PHOTO_SUFFIXES
from synth.config import atomic_write
from synth.errors import HeadloomError, InputError

if TYPE_CHECKING:
    from infer.lifter import Lifter

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".gif")
FAILURES = "failures.jsonl"


@dataclass(frozen=True)
class LiftItem:
    """One thing to lift.

    Attributes:
        path: of the photo or video.
        folder: where its result goes.
        kind: "photo" or "video".
    """

    path: Path
    folder: Path
    kind: Literal["photo", "video"]


@dataclass(frozen=True)
class LiftResult:
    """What became of an item.

    Attributes:
        path: of the input, as text.
        folder: of the result, as text.
        status: "done" now, "skipped" because it was done before, or "failed".
        error: one sentence, empty unless failed.
    """

    path: str
    folder: str
    status: Literal["done", "skipped", "failed"]
    error: str = ""


@dataclass(frozen=True)
class LiftSummary:
    """The outcome of a run.

    Attributes:
        results: one per item, in the order of the items.
    """

    results: tuple[LiftResult, ...]

    @property
    def done(self) -> int:
        """Items lifted in this run."""
        return sum(result.status == "done" for result in self.results)

    @property
    def skipped(self) -> int:
        """Items that an earlier run had finished."""
        return sum(result.status == "skipped" for result in self.results)

    @property
    def failures(self) -> tuple[LiftResult, ...]:
        """The items that failed, with their reasons."""
        return tuple(result for result in self.results if result.status == "failed")

    @property
    def failed(self) -> int:
        """How many items failed; the exit code is 1 if any did."""
        return len(self.failures)

    def __str__(self) -> str:
        lines = [f"failed: {failure.error}" for failure in self.failures]
        lines += [
            f"{result.status}: {result.path} -> {result.folder}"
            for result in self.results
            if result.status != "failed"
        ][:20]
        lines.append(f"{self.done} lifted, {self.skipped} finished before, {self.failed} failed")
        return "\n".join(lines)


def find_items(inputs: Sequence[Path], out: Path) -> list[LiftItem]:
    """List what there is to lift and where each result goes.

    A single photo or video goes straight to `out`. A folder is searched, with its subfolders, for
    photos; each goes to a folder of `out` named like the file (without its suffix, unless two
    files would collide). Other files in a folder are no photos and are left alone.

    Args:
        inputs: files and folders.
        out: folder of the results.

    Raises:
        InputError: an input is missing, or a folder holds no photo.
    """
    for path in inputs:
        if not path.exists():
            raise InputError(f"no such file or folder: {path}")
    if len(inputs) == 1 and inputs[0].is_file():
        return [LiftItem(inputs[0], out, kind_of(inputs[0]))]
    found: list[tuple[Path, Path]] = []  # file, and its name below `out`
    for path in inputs:
        if path.is_dir():
            found += _photos_below(path, out)
        else:
            found.append((path, Path(path.name)))
    stems = Counter(name.with_suffix("") for _, name in found)
    names = [name.with_suffix("") if stems[name.with_suffix("")] == 1 else name
             for _, name in found]  # fmt: skip
    duplicates = [str(name) for name, count in Counter(names).items() if count > 1]
    if duplicates:
        raise InputError(
            f"several inputs are named {', '.join(duplicates)}; lift them into different folders"
        )
    return [LiftItem(path, out / name, kind_of(path)) for (path, _), name in zip(found, names)]


def kind_of(path: Path) -> Literal["photo", "video"]:
    """Whether a file is taken as a video (by its name) or as a photo."""
    return "video" if path.suffix.lower() in VIDEO_SUFFIXES else "photo"


def _photos_below(folder: Path, out: Path) -> list[tuple[Path, Path]]:
    result = out.resolve()
    if result == folder.resolve():
        raise InputError(f"{folder} cannot be both input and --out; choose another --out")
    photos = [
        (path, path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in PHOTO_SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and result not in path.resolve().parents
    ]
    if not photos:
        raise InputError(
            f"{folder} holds no photo ({', '.join(PHOTO_SUFFIXES)}); name a file to lift it anyway"
        )
    return photos


def lift_item(lifter: Lifter, item: LiftItem, *, overwrite: bool = False) -> LiftResult:
    """Lift one item; whatever goes wrong with it is its own result, not the end of the run.

    Args:
        lifter: holds the models.
        item: what to lift.
        overwrite: replace results of another input, configuration or weights.
    """
    from infer.video import lift_video

    path, folder = str(item.path), str(item.folder)
    try:
        if item.kind == "video":
            worked = lift_video(lifter, item.path, item.folder, overwrite=overwrite)
        else:
            worked = lifter.lift_photo(item.path, item.folder, overwrite=overwrite)
    except HeadloomError as error:
        text = str(error)
        return LiftResult(path, folder, "failed", text if path in text else f"{path}: {text}")
    except Exception as error:  # a bug on one photo must not stop a folder of a thousand
        return LiftResult(path, folder, "failed", f"{path}: {type(error).__name__}: {error}")
    return LiftResult(path, folder, "done" if worked else "skipped")


def write_failures(out: Path, results: Iterable[LiftResult]) -> None:
    """Write `failures.jsonl`, one line per failed item; remove it if nothing failed."""
    failed = [result for result in results if result.status == "failed"]
    path = out / FAILURES
    if not failed:
        path.unlink(missing_ok=True)
        return
    with atomic_write(path) as file:
        for result in failed:
            file.write((json.dumps(asdict(result)) + "\n").encode())
