"""One training session: steps up to the budget of this call, with held-out losses and checkpoints in between."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hsifeat.pretraining.data import TrainingData
from hsifeat.pretraining.model_folder import ModelFolder
from hsifeat.pretraining.network_specs import NetworkSpec
from hsifeat.pretraining.training import Trainer
from hsifeat.runtime.events import Advanced, Finished, Listener, Started

# A checkpoint is due after so many seconds, or earlier after so many times the seconds that writing one takes.
_CHECKPOINT_SECONDS, _CHECKPOINT_RATIO = 30.0, 50.0


@dataclass(frozen=True)
class TrainingBudget:
    """The end of a training session.

    Attributes
    ----------
    steps : int or None
        Optimizer steps in total, earlier sessions included.
    minutes : float or None
        Duration of this session.
    """

    steps: int | None
    minutes: float | None

    def is_used_up(self, record: Mapping[str, Any]) -> bool:
        """Tell whether the training with this record has reached the budget already."""
        if record.get("diverged"):
            return False
        return bool(record["steps"] >= self.steps if self.steps else record.get("minutes") == self.minutes)


def train(
    trainer: Trainer,
    data: TrainingData,
    spec: NetworkSpec,
    budget: TrainingBudget,
    folder: ModelFolder,
    listen: Listener,
) -> None:
    """Train up to the budget, and write a checkpoint of the last step.

    Parameters
    ----------
    trainer : Trainer
        At the step of the last checkpoint.
    data : TrainingData
        Training and held-out data.
    spec : NetworkSpec
        Steps between two held-out losses.
    budget : TrainingBudget
        When to stop.
    folder : ModelFolder
        Where checkpoints are written.
    listen : callable
        Receives progress.

    Raises
    ------
    DivergedError
        The loss is not finite or has exploded; the last checkpoint is from before that.
    """
    started_s = saved_s = time.monotonic()
    earlier_s, writing_s, limit_s = trainer.seconds, 0.0, math.inf if budget.minutes is None else 60 * budget.minutes
    held_out = data.read_held_out()

    def write_checkpoint() -> None:
        nonlocal saved_s, writing_s
        now_s = time.monotonic()
        trainer.seconds = earlier_s + now_s - started_s
        folder.write_checkpoint(trainer, data.projection)
        saved_s = time.monotonic()
        writing_s = saved_s - now_s

    total, done = (budget.steps, trainer.step) if budget.steps else (limit_s, 0)
    listen(Started("pretrain", total, "steps" if budget.steps else "s", done))
    for progress in trainer.train(budget.steps):
        elapsed_s = time.monotonic() - started_s
        listen(Advanced("pretrain", progress.step if budget.steps else elapsed_s, f"loss {progress.loss:.3f}"))
        if held_out is not None and progress.step % spec.evaluation_steps == 0:
            trainer.evaluate(held_out)
        if time.monotonic() - saved_s >= min(_CHECKPOINT_SECONDS, _CHECKPOINT_RATIO * writing_s):
            write_checkpoint()
        if time.monotonic() - started_s >= limit_s:
            break
    if held_out is not None and trainer.step not in trainer.held_out:
        trainer.evaluate(held_out)
    write_checkpoint()
    listen(Finished("pretrain"))
