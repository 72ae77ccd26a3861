"""A training session: optimizer steps up to a limit, evaluations on held-out data, and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hsifeat.pretraining.data import TrainingData
from hsifeat.pretraining.model_folder import ModelFolder
from hsifeat.pretraining.network_spec import NetworkSpec
from hsifeat.pretraining.training import Trainer
from hsifeat.runtime.events import Advanced, Finished, Listener, Started

# The interval between checkpoints is this number of seconds, or this multiple of the last writing time if that is shorter.
_CHECKPOINT_SECONDS, _CHECKPOINT_RATIO = 30.0, 50.0


@dataclass(frozen=True)
class TrainingBudget:
    """Limits of a training session.

    Attributes
    ----------
    steps : int or None
        Total optimizer steps, including those of earlier sessions.
    minutes : float or None
        Maximum duration of this session, in minutes.
    """

    steps: int | None
    minutes: float | None

    def is_used_up(self, record: Mapping[str, Any]) -> bool:
        """Return whether a finished training needs no further session. `record` is the training record.

        If the training diverged, the result is False. If `steps` is set, the result is True if the training has at least
        `steps` steps. Otherwise, the result is True if `minutes` was the limit of the last session.
        """
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
    """Train up to the limits of a session, and write a checkpoint of the last step.

    Parameters
    ----------
    trainer : Trainer
        Trainer in the state of the last checkpoint, or in the initial state.
    data : TrainingData
        Training data and held-out data.
    spec : NetworkSpec
        Specification with the number of steps between two evaluations.
    budget : TrainingBudget
        Limits of the session.
    folder : ModelFolder
        Folder for the checkpoints.
    listen : callable
        Receives progress events.

    Raises
    ------
    DivergedError
        If the loss is not finite, or is far above the loss of the first step. The folder then keeps the previous checkpoint.
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
