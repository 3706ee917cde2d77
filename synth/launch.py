"""Renders one shard in a Blender process of its own: started, watched, judged, put in place.

The process is `synth.blender_scenes.worker`. It shares a job directory on local disk with its
parent and writes the shard there; the parent believes that shard, not the exit code, and puts it
in place in one step.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from synth import storage
from synth.config import atomic_write, canonical_json
from synth.errors import DatasetMismatch, RecordCorrupt, RenderCrashed, RenderError
from synth.quality import QualityConfig
from synth.record import ShardReader, ShardWriter
from synth.shardlayout import AbsentHead, Footer, read_footer
from synth.spec import HeadSpec
from synth.storage import Place, local_copy, place
from synth.survey import REJECTS
from synth.worker_process import (
    Progress,
    job_directory,
    run_worker,
    trouble_of_this_machine,
    worker_environment,
    worker_failure,
    write_json,
)

JOB_NAME, SPECS_NAME, RESULT_NAME = "job.json", "specs.jsonl", "result.json"
REJECTS_NAME = "rejects.tar"
WORKER_COMMAND = (sys.executable, "-m", "synth.blender_scenes.worker")
"""Starts a worker; the job directory and the parent's pid are appended."""

Device = Literal["CPU", "OPTIX", "CUDA", "HIP", "ONEAPI"]


@dataclass(frozen=True)
class RenderJob:
    """`job.json`: what the worker must know beside the specs.

    Attributes:
        out: file name of the shard, which is written into the job directory.
        threads: CPU threads of the process.
        dataset_id: id for the footer of the shard.
        device: Cycles device; a GPU is never replaced silently.
        asset_store: where the user's assets lie that specs name, or None.
        node: names the machine, for `meta.json`.
        skip: by spec id the reason why a head is not tried.
        kept: by spec id the fingerprint ("" if it has none) of the heads of the shard that are in
            place already.
        quality: limits beyond which a head is rejected, or None to keep all.
    """

    out: Path
    threads: int = 1
    dataset_id: str = ""
    device: Device = "CPU"
    asset_store: Path | None = None
    node: str = ""
    skip: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    quality: QualityConfig | None = None


@dataclass(frozen=True)
class ShardResult:
    """A committed shard.

    Attributes:
        path: the shard.
        spec_ids: the heads in it, those included that were there before.
        absent: the heads of its range that are not in it, each with the reason.
        wall_s: seconds from the start of the process to its end; 0 if the shard was there.
        head_s: seconds for each head that was rendered now, empty if the shard was there.
        cpu_s: CPU seconds of the process up to the shard's end; 0 if the shard was there.
        peak_rss_bytes: largest resident memory of the process, or 0.
        node: the machine that `render_shard` was told it runs on.
    """

    path: Place
    spec_ids: tuple[str, ...]
    absent: tuple[AbsentHead, ...] = ()
    wall_s: float = 0.0
    head_s: tuple[float, ...] = ()
    cpu_s: float = 0.0
    peak_rss_bytes: int = 0
    node: str = ""

    @property
    def head_count(self) -> int:
        return len(self.spec_ids)


def render_shard(
    specs: Sequence[HeadSpec],
    out: str | Place,
    *,
    threads: int = 1,
    gpu_ids: Sequence[int | str] = (),
    device: Device = "CPU",
    timeout_s: float = 3600.0,
    dataset_id: str = "",
    asset_store: Path | None = None,
    node: str | None = None,
    skip: Mapping[str, str] = {},
    retry_failed: bool = False,
    quality: QualityConfig | None = None,
    memory_limit_bytes: int | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    command: Sequence[str] = WORKER_COMMAND,
) -> ShardResult:
    """Render heads into one shard.

    A head that cannot be rendered is noted in the shard as absent, with the reason, and costs the
    others nothing. Only if the shard would be left without a head, the fault is taken to be that of
    the machine or the configuration, and the first error is raised.

    A shard that is already there for exactly these heads is left alone. Of one with some of them (a
    dataset that was extended, a head that failed) the heads are kept, byte for byte, and only the
    others are rendered.

    Args:
        specs: the heads, in the order of the shard.
        out: the shard file.
        threads: CPU threads of the process, at least 1.
        gpu_ids: the GPUs that the process may see; empty hides all.
        device: Cycles device.
        timeout_s: the process is killed after this many seconds.
        dataset_id: kept in the shard.
        asset_store: where the user's assets lie that the specs name.
        node: names this machine in `meta.json`; None for its host name.
        skip: by spec id the reason why a head is not even tried; it is noted as failed.
        retry_failed: try the failed heads again of a shard that is there.
        quality: limits beyond which a head is rejected; None keeps all.
        memory_limit_bytes: the process is killed when it has allocated more, so that one head
            cannot take the machine down; None for no limit.
        on_progress: told in this thread when the worker has come further.
        command: starts the worker process.

    Raises:
        RenderCrashed, RenderTimeout: worth a retry; `spec_id` is the head that may be the cause.
        OSError: the shard's storage cannot be read or written.
        RenderError, SpecError, AssetError, DeviceError: the worker says that this cannot work, or
            it rendered other heads than it was asked for.
        DatasetMismatch, RecordCorrupt: another or a damaged shard is in the way.
    """
    out = place(out).absolute()
    wanted = {spec.index: spec.spec_id for spec in specs}
    if not wanted:
        raise ValueError("a shard needs at least one head")
    before = _present(out, wanted)
    if before and before.settled == wanted and not (retry_failed and before.failed):
        return ShardResult(out, before.spec_ids, before.absent)
    kept = _fingerprints(out) if before else {}
    asked = {index: spec_id for index, spec_id in wanted.items() if spec_id not in kept}
    job = RenderJob(
        Path(out.name),
        threads,
        dataset_id,
        device,
        asset_store,
        node or socket.gethostname(),
        dict(skip),
        kept,
        quality,
    )
    with job_directory(out.name) as directory:
        started = time.perf_counter()
        with trouble_of_this_machine(out.name):
            write_json(directory / JOB_NAME, job)
            _write_specs(directory, [spec for spec in specs if spec.index in asked])
            exit_code = run_worker(
                directory,
                command,
                worker_environment(directory, threads, gpu_ids),
                timeout_s,
                out.name,
                on_progress,
                memory_limit_bytes,
            )
        wall_s = time.perf_counter() - started
        try:
            footer = read_footer(directory / out.name)
        except FileNotFoundError:
            raise worker_failure(directory, exit_code, out.name) from None
        if footer.settled != asked:
            raise RenderError(
                f"{out.name}: asked for heads {', '.join(asked.values())}, the Blender process "
                f"rendered {', '.join(footer.settled.values())}; was Headloom exchanged while it "
                "runs? Start the run again"
            )
        now = _present(out, wanted)
        if now and now != before and now.settled == wanted:
            return ShardResult(out, now.spec_ids, now.absent)  # another was quicker
        if now:
            footer = _add_present(directory / out.name, out, wanted.values())
        if footer.settled != wanted:
            raise RenderCrashed(f"{out.name}: heads that were in place are not there any more")
        result = _result(directory, out, footer, wall_s, job.node)
        _put(directory, out)
        return result


def _present(out: Place, wanted: Mapping[int, str]) -> Footer | None:
    """The shard that is in place, if any; a foreign or damaged file in its place is an error."""
    try:
        footer = read_footer(out)
    except FileNotFoundError:
        return None
    if footer.settled.items() <= wanted.items():
        return footer
    raise DatasetMismatch(
        f"{out} holds heads {', '.join(footer.settled.values())} and would be replaced by "
        f"{', '.join(wanted.values())}; move it away or render into another directory"
    )


def _fingerprints(shard: Place) -> dict[str, str]:
    """By spec id, what near-duplicates of the heads of a shard are told by."""
    heads = ShardReader(shard).heads()
    return {head.spec_id: head.meta.get("quality", {}).get("fingerprint") or "" for head in heads}


def _add_present(rendered: Path, out: Place, spec_ids: Collection[str]) -> Footer:
    """Add the heads that are in place to those just rendered: a shard is only ever replaced by one
    that holds all of its heads. Returns the footer.

    Args:
        rendered: the new shard, which becomes the whole one.
        out: the shard that is in place.
        spec_ids: of the whole one, in its order.
    """
    with trouble_of_this_machine(out.name), local_copy(out) as present:
        new = ShardReader(rendered)
        heads = {head.spec_id: head for head in (*new.heads(), *ShardReader(present).heads())}
        absent = {head.spec_id: head for head in new.footer.absent}
        with ShardWriter(rendered, dataset_id=new.footer.dataset_id) as writer:
            for spec_id in spec_ids:
                if spec_id in heads:
                    writer.copy_head(heads[spec_id])
                elif spec_id in absent:
                    head = absent[spec_id]
                    writer.add_absent(head, head.kind, head.reason)
        return read_footer(rendered)


def _put(directory: Path, out: Place) -> None:
    """Put the rejected heads in their place, or remove those of an earlier try; then the shard."""
    rejects = out.parent.parent / REJECTS / out.name
    if (directory / REJECTS_NAME).exists():
        storage.make_directory(rejects.parent)
        storage.put(directory / REJECTS_NAME, rejects)
    else:
        storage.remove(rejects)
    storage.make_directory(out.parent)
    storage.put(directory / out.name, out)


def _write_specs(directory: Path, specs: Sequence[HeadSpec]) -> None:
    with atomic_write(directory / SPECS_NAME) as file:
        for spec in specs:
            file.write(canonical_json(spec).encode() + b"\n")


def _result(directory: Path, out: Place, footer: Footer, wall_s: float, node: str) -> ShardResult:
    """The result file is written before the shard is finished, so it is there."""
    try:
        data = json.loads((directory / RESULT_NAME).read_text())
    except (FileNotFoundError, ValueError) as error:
        raise RecordCorrupt(f"{out.name}: {RESULT_NAME} of its process is unreadable") from error
    return ShardResult(
        path=out,
        spec_ids=footer.spec_ids,
        absent=footer.absent,
        wall_s=wall_s,
        head_s=tuple(head["timings_s"]["head_s"] for head in data["heads"]),
        cpu_s=data["cpu_s"],
        peak_rss_bytes=data["peak_rss_bytes"],
        node=node,
    )
