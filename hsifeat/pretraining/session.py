"""One call's training: up to its budget, with held-out losses and checkpoints on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hsifeat.errors import PretrainingError
from hsifeat.pretraining.data import Subject
from hsifeat.pretraining.model_folder import ModelFolder
from hsifeat.pretraining.networks import Preset
from hsifeat.pretraining.training import Trainer
from hsifeat.runtime.events import Advanced, Finished, Listener, Started

# From one checkpoint to the next: at most so long, and so many times as long as it takes to write one.
_CHECKPOINT_SECONDS, _CHECKPOINT_TIMES = 30.0, 50.0


@dataclass(frozen=True)
class Budget:
    """How far to train.

    Attributes
    ----------
    steps : int or None
        Optimizer steps in all.
    minutes : float or None
        Of this call.
    """

    steps: int | None
    minutes: float | None

    def __post_init__(self) -> None:
        for unit, given in (("steps", self.steps), ("minutes", self.minutes)):
            if given is not None and not 0 < given < math.inf:
                raise PretrainingError(f"a budget of {given} {unit} trains nothing: give a number above 0")

    def used_up_by(self, record: Mapping[str, Any]) -> bool:
        """Tell whether the run that left a record has used it up."""
        if record.get("diverged"):
            return False
        return bool(record["steps"] >= self.steps if self.steps else record.get("minutes") == self.minutes)


def train(
    trainer: Trainer, subject: Subject, preset: Preset, budget: Budget, folder: ModelFolder, listen: Listener
) -> None:
    """Train to the budget; the last checkpoint is of the last step.

    Raises
    ------
    DivergedError
        The loss is no finite number or has exploded; the last checkpoint is from before.
    """
    begun = saved = time.monotonic()
    before, saving, limit_s = trainer.seconds, 0.0, math.inf if budget.minutes is None else 60 * budget.minutes
    held_out = subject.held_out()

    def keep() -> None:
        nonlocal saved, saving
        start = time.monotonic()
        trainer.seconds = before + start - begun
        folder.keep(trainer, subject.projection)
        saved = time.monotonic()
        saving = saved - start

    total, done = (budget.steps, trainer.step) if budget.steps else (limit_s, 0)
    listen(Started("pretrain", total, "steps" if budget.steps else "s", done))
    for progress in trainer.run(budget.steps):
        spent_s = time.monotonic() - begun
        listen(Advanced("pretrain", progress.step if budget.steps else spent_s, f"loss {progress.loss:.3f}"))
        if held_out is not None and progress.step % preset.judge_steps == 0:
            trainer.judge(held_out)
        if time.monotonic() - saved >= min(_CHECKPOINT_SECONDS, _CHECKPOINT_TIMES * saving):
            keep()
        if time.monotonic() - begun >= limit_s:
            break
    if held_out is not None and trainer.step not in trainer.held_out:
        trainer.judge(held_out)
    keep()
    listen(Finished("pretrain"))
