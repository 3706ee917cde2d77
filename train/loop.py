"""The one training loop, for every model, without Ray.

The contract with a model is `train.task`; it is offered here too, so that a task needs one import.
"""

from __future__ import annotations

from train.task import Batch, Task, TaskConfig, TrainConfig

__all__ = ["Batch", "Task", "TaskConfig", "TrainConfig"]
