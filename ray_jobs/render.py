"""Renders a dataset on a Ray cluster: one task, one shard, one Blender process.

The driver plans, keeps a bounded window of tasks in flight and shows progress; pixels go from the
Blender process straight to storage. Whatever is killed, running the command again renders what is
missing: progress is nothing but the shards that are in place.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ray_jobs.accounts import Accounts
from ray_jobs.cluster import ClusterInfo, connect
from ray_jobs.events import Notice, RunStarted
from ray_jobs.failures import known_failures
from ray_jobs.fleet import Fleet
from ray_jobs.index import write_index
from ray_jobs.node_check import Expectation
from ray_jobs.pools import MEMORY_GB, ClusterConfig, WorkerPool
from ray_jobs.progress import LogFormat, RunLog
from ray_jobs.render_driver import Driver
from ray_jobs.render_options import RenderOptions, RenderSummary
from synth import storage
from synth.dataset import Dataset
from synth.errors import RenderStopped
from synth.launch import WORKER_COMMAND, Device
from synth.lock import exclusive
from synth.report import contact_sheet
from synth.sample import DatasetConfig
from synth.sample_config import with_known_assets
from synth.shardplan import Plan
from synth.storage import Place, place


def render_dataset(
    config: DatasetConfig,
    out: str | Place,
    *,
    workers: int | None = None,
    threads: int = 1,
    address: str | None = None,
    quiet: bool = False,
    log_format: LogFormat = "text",
    retry_failed: bool = False,
    timeout_s: float | None = None,
    memory_bytes: float = MEMORY_GB * 1e9,
    device: Device = "CPU",
    cluster: ClusterConfig | None = None,
    command: Sequence[str] = WORKER_COMMAND,
) -> RenderSummary:
    """Render what is missing of a dataset.

    Args:
        config: the dataset; an existing one must have been made with the same, but may grow.
        out: its directory, or a URL (s3://...); on a cluster, a place that all machines share.
        workers: Blender processes at a time; None: one for every `threads` CPUs.
        threads: CPU threads of each; 1 is the most efficient when there is a head for each.
        address: Ray cluster; None starts one on this machine.
        quiet: show nothing on stderr.
        log_format: what is shown there, "text" for a person or "json" for a log collector.
        retry_failed: try heads again that failed in earlier runs.
        timeout_s: limit for one shard; None derives a generous one from its pixels.
        memory_bytes: reserved for each Blender process.
        device: Cycles device of all processes; pixels differ between kinds of device.
        cluster: instead of the five arguments above, for several kinds of workers and more.
        command: starts the worker; tests replace it.

    Raises:
        DatasetMismatch: the existing dataset differs, or a foreign shard is in the way.
        RecordError: another process is rendering into the same directory.
        ConfigError: no cluster at the address, or no machine that could render.
        AssetError: a user's asset that the configuration names is not in the store.
        RenderStopped: the same trouble hit everything; what is rendered is safe.
    """
    started = time.monotonic()
    config = with_known_assets(config)
    root = place(out).absolute()
    if cluster is None:
        pool = WorkerPool(device, workers, threads, memory_gb=memory_bytes / 1e9)
        cluster = ClusterConfig(address, (pool,))
    with exclusive(root):
        dataset = Dataset.create(root, config)
        options = RenderOptions(timeout_s, tuple(command), Expectation.of(dataset))
        dataset.clean()
        plans = dataset.plan(retry_failed=retry_failed, remember=True)
        log = RunLog(quiet=quiet, log_format=log_format)
        with _keeping_accounts(dataset, plans, log) as accounts:
            if plans:
                for plan in plans.damaged:
                    moved = dataset.quarantine(plan)
                    log(Notice(f"{plan.reason}; moved to {moved} and rendered again"))
                dataset.record_devices(cluster.devices, mix=cluster.mix_devices)
                with connect(cluster.address, num_cpus=cluster.slots) as connected:
                    fleet = Fleet(
                        connected, cluster, options.expectation, lambda text: log(Notice(text))
                    )
                    accounts.start(_run_started(dataset, plans, connected, fleet))
                    Driver(dataset, plans, options, fleet, accounts, retry_failed).run()
            accounts.write_status("running", "writing the contact sheet and the index")
            sheet, index = _summaries(dataset, accounts)
        return RenderSummary(
            root=root,
            heads=accounts.done,
            rendered=accounts.rendered,
            rejected=accounts.rejected,
            expected=config.heads,
            failed=accounts.failures,
            wall_s=time.monotonic() - started,
            peak_rss_bytes=accounts.peak_rss_bytes,
            contact_sheet=sheet,
            index=index,
        )


@contextmanager
def _keeping_accounts(dataset: Dataset, plans: Plan, log: RunLog) -> Iterator[Accounts]:
    """The accounts of the run; however it ends, that is written down."""
    accounts = Accounts(
        dataset.root,
        dataset.dataset_id,
        expected=dataset.config.heads,
        missing=plans.missing,
        done=plans.present,
        rejected=plans.rejected,
        known_failures=known_failures(dataset, plans),
        log=log,
    )
    try:
        yield accounts
        accounts.end("finished")
    except RenderStopped as error:
        accounts.end("stopped", str(error))
        raise
    except (KeyboardInterrupt, SystemExit):
        accounts.end("interrupted", "run the same command again to go on")
        raise
    except Exception as error:
        accounts.end("error", f"{type(error).__name__}: {error}")
        raise
    finally:
        log.close()
        dataset.clean()  # of workers that were killed


def _run_started(dataset: Dataset, plans: Plan, connected: ClusterInfo, fleet: Fleet) -> RunStarted:
    return RunStarted(
        dataset=str(dataset.root),
        dataset_id=dataset.dataset_id,
        expected=dataset.config.heads,
        missing=plans.missing,
        shards=len(plans),
        slots=sum(lane.capacity for lane in fleet.lanes),
        address=connected.address,
        dashboard_url=connected.dashboard,
    )


def _summaries(dataset: Dataset, accounts: Accounts) -> tuple[Place | None, Place | None]:
    """Contact sheet and index; only what is new is read for them."""
    if not accounts.done:
        return None, None
    sheet = dataset.root / "contact.png"
    if accounts.rendered or not storage.exists(sheet):
        contact_sheet(dataset, sheet)
    return sheet, write_index(dataset).path
