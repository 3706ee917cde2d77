"""Whether a machine may take part in a run: same packages, same heads, same dataset.

A machine with another version would render other heads under the same names, and one that does not
share the dataset's folder would fill its own disk: both are found before they do anything.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from synth.dataset import Dataset
from synth.errors import HeadloomError, NodeUnfit

CHECKED_PACKAGES = ("headloom", "bpy", "anny", "numpy", "ray")
"""What decides heads and pixels, and what carries them; Ray compares Python's version itself."""


@dataclass(frozen=True)
class Expectation:
    """What every machine must share with the driver.

    Attributes:
        root: the dataset.
        dataset_id: its id.
        versions: (package, version) of what decides heads and pixels.
    """

    root: Any
    dataset_id: str
    versions: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, dataset: Dataset) -> Expectation:
        """What the driver has."""
        return cls(dataset.root, dataset.dataset_id, installed_versions())

    def unmet(self) -> str:
        """Why this machine cannot take part; "" if it can."""
        if differing := version_differences(self.versions):
            return f"has {differing} (the driver's); install the same versions on all machines"
        try:
            dataset = Dataset.open(self.root)
            dataset.check_sampler()
        except (HeadloomError, OSError) as error:
            return f"cannot use the dataset, which all machines must share: {error}"
        if dataset.dataset_id != self.dataset_id:
            return f"sees another dataset at {self.root}; all machines must share one"
        return ""


def installed_versions() -> tuple[tuple[str, str], ...]:
    """(package, version) on this machine, of the packages that decide heads and pixels."""
    found = []
    for name in CHECKED_PACKAGES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            found.append((name, "not installed"))
    return tuple(found)


def version_differences(wanted: Iterable[tuple[str, str]]) -> str:
    """Which of the versions differ here, as "bpy 4.5.14 instead of 4.5.15, ..."; or ""."""
    here = dict(installed_versions())
    return ", ".join(
        f"{name} {here.get(name)} instead of {version}"
        for name, version in wanted
        if here.get(name) != version
    )


@functools.cache  # once in each worker process of Ray; an error is not kept: a mount may come back
def require_fit(expectation: Expectation) -> None:
    """Check the machine that a task has started on.

    Raises:
        NodeUnfit: it cannot take part.
    """
    if reason := expectation.unmet():
        raise NodeUnfit(reason)


def start_probe(node_id: str, expectation: Expectation) -> Any:
    """Start the check on one machine; the result is `Expectation.unmet` there.

    The function travels by value and takes plain data, so that a machine without Headloom can run
    it and say so.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def probe(root, dataset_id, versions) -> str:
        try:
            from ray_jobs.node_check import Expectation
        except ImportError as error:
            return f"has no Headloom ({error}); install it as on the driver's machine"
        return Expectation(root, dataset_id, versions).unmet()

    task = ray.remote(num_cpus=0, max_retries=0)(probe).options(
        name="check machine",
        scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
    )
    return task.remote(expectation.root, expectation.dataset_id, expectation.versions)
