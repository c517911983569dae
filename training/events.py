"""What a training run reports while it works."""

from __future__ import annotations


class TrainingEvents:
    """Receives the progress of a training run; this base class ignores it."""

    def training_started(self, step: int, steps: int) -> None:
        """Take note that training starts after step `step` (0 unless the run is resumed) of `steps`."""

    def step_done(self, step: int, loss: float) -> None:
        """Take note of the loss of a step, counted from 1."""

    def validation_done(self, step: int, loss: float, best: bool) -> None:
        """Take note of the loss on the validation days after a step, and whether it is the smallest so far."""
